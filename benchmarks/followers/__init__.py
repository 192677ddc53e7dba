"""The clients that are compared: each module has `async def follow(url, kind)`, which reads a feed until its end."""
