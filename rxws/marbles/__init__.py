"""Recordings as marble diagrams: an SVG picture, or text."""

from rxws.marbles.picture import svg
from rxws.marbles.text import ascii

__all__ = ["ascii", "svg"]
