"""`rxws demo`: this machine's telemetry in a browser, through a pipeline the page controls."""

from __future__ import annotations

import argparse
import errno
import socket
from typing import Any

from aiohttp import web

from rxws.checks import number
from rxws.cli.options import argument, number_in
from rxws.cli.running import fail


def add_to(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("demo", help="this machine's telemetry in your browser, through Rx operators")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", default=8080, type=port, help="the port; another one if taken (default: %(default)s)")
    parser.add_argument("--asgi", action="store_true", help="run on uvicorn instead of aiohttp")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    run_on_asgi = None
    try:
        from rxws.cli.demo.server import make_app

        if options.asgi:
            from rxws.cli.demo.on_asgi import run_on_asgi
    except ImportError as error:
        extras = "demo,asgi" if options.asgi else "demo"
        return fail(f'the demo needs {error.name}: pip install "rxws[{extras}]"', 2)
    try:
        listener = listen(options.host, options.port)
    except OSError as error:
        return fail(f"cannot listen on {options.host}:{options.port}: {error.strerror}")
    chosen = listener.getsockname()[1]
    taken = f" (port {options.port} is taken)" if options.port not in (chosen, 0) else ""
    place = f"{options.host}:{chosen}"
    print(f"rxws demo: http://{place}{taken}, its socket ws://{place}/telemetry, Ctrl-C to stop", flush=True)
    if run_on_asgi is None:
        web.run_app(make_app(), sock=listener, print=None, access_log=None, shutdown_timeout=2)
    else:
        run_on_asgi(listener)
    print("stopped", flush=True)
    return 0


@argument
def port(text: str) -> int:
    """Read a port's number; 0 is any free one."""
    return number("the port", number_in(text), "0 to 65535", lambda port: 0 <= port < 65_536)


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port, or on a free one if it is taken; raises `OSError` if it may not be had for another reason."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return socket.create_server((host, 0))
