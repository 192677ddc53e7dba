"""Live feeds in a notebook: pictures that go on, and connections that outlive a cell which blocks.

Importing it lets every `WebSocket` show itself. Needs the extra `jupyter`.
"""

from importlib.util import find_spec

if find_spec("anywidget") is None:
    raise ImportError('rxws.jupyter needs anywidget: pip install "rxws[jupyter]"')

from rxws.jupyter.connection.connect import connect
from rxws.jupyter.connection.serve import Server, serve
from rxws.jupyter.connection.socket import NotebookSocket
from rxws.jupyter.pictures.live import Live
from rxws.jupyter.pictures.plot import plot
from rxws.jupyter.pictures.show import install, show
from rxws.jupyter.pictures.table import table
from rxws.jupyter.pictures.watch import watch

__all__ = ["Live", "NotebookSocket", "Server", "connect", "plot", "serve", "show", "table", "watch"]

install()
