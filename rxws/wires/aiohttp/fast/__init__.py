"""The wire that is a protocol of its own on the connection's transport."""
