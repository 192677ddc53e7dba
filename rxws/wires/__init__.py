"""Transports: one folder each, and nothing else touches it."""
