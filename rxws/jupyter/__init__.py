"""Live feeds in a notebook: pictures that go on, and connections that outlive a cell which blocks.

Importing it lets every `WebSocket` show itself. Needs the extra `jupyter`.
"""

from importlib.util import find_spec

if find_spec("anywidget") is None:
    raise ImportError('rxws.jupyter needs anywidget: pip install "rxws[jupyter]"')

from rxws.jupyter.connect import connect
from rxws.jupyter.live import Live
from rxws.jupyter.plot import plot
from rxws.jupyter.serve import Server, serve
from rxws.jupyter.show import install, show
from rxws.jupyter.socket import NotebookSocket
from rxws.jupyter.table import table
from rxws.jupyter.watch import watch

__all__ = ["Live", "NotebookSocket", "Server", "connect", "plot", "serve", "show", "table", "watch"]

install()
