"""What topics run on: one process, or NATS."""
