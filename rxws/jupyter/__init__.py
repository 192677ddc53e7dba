"""Live feeds in a notebook: pictures that go on, and connections that outlive a cell which blocks."""

from rxws.jupyter.connect import connect
from rxws.jupyter.serve import Server, serve
from rxws.jupyter.socket import NotebookSocket

__all__ = ["NotebookSocket", "Server", "connect", "serve"]
