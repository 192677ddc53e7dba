"""Serving an application in one process or in several."""
