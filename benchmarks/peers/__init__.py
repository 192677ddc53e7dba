"""The servers that are compared: each module has `async def serve(workload) -> port`, and leaves it running."""
