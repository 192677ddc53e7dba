"""Connections on threads of their own, for cells that block."""
