"""Serving an application in one process or in several."""

from rxws.processes.board import Board

count = 1
"""How many processes serve the same application, this one included; `rxws.run(app, workers=N)` says so in each."""

board: Board | None = None
"""What these processes tell each other, if there are several."""
