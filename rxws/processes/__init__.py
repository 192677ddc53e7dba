"""Serving an application in one process or in several."""

count = 1
"""How many processes serve the same application, this one included; `rxws.run(app, workers=N)` says so in each."""
