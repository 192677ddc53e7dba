"""Serving an application on the fastest event loop there is, in one process or in several."""

from __future__ import annotations

import asyncio
import inspect
import math
import os
import signal
import socket
import ssl as tls
import threading
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web

from rxws import processes
from rxws.checks import named, number, positive_int, unknown
from rxws.processes import ports
from rxws.processes.board import Board
from rxws.processes.stops import Stops
from rxws.wires.aiohttp import bound_first_request

if TYPE_CHECKING:
    from rxws.processes.fork import Tell

App = web.Application | Awaitable[web.Application]

CLEAN_UP: Final = 10.0
"""Seconds a worker may take to stop, besides `shutdown_timeout`, before it is killed."""
RUN_DECIDES: Final = ("reuse_port", "reuse_address", "handle_signals")
"""Options that several processes on one port leave no choice for."""


def run(app: App, *, workers: int | None = None, keepalive_timeout: float = 20.0, **options: Any) -> None:
    """Serve an application until it is interrupted: aiohttp's `run_app`, on uvloop's event loop where it is installed.

    `keepalive_timeout` is the number of seconds within which a new connection must have sent its whole request, and an
    answered one its next. So a peer that dribbles headers is dropped. aiohttp's own default is up to an hour. Behind a
    proxy that keeps its connections, choose more than the proxy does.

    `workers` is the number of processes that share the port. The system spreads the connections over them. This process
    forks and watches them. It restarts one that dies at once, or after up to 30 s if it keeps dying. The first start
    has to succeed in all of them.

    At SIGTERM or SIGINT all stop together, as one process would. Those that have not stopped after `shutdown_timeout`
    (60 s) and 10 s more are killed. A second signal, half a second later or more, kills all of them. If this process is
    killed, also by SIGHUP, they stop as well. As process 1 of a container, this process also waits for processes that
    have lost their parents.

    Make what processes cannot share, such as a database connection or a task, in the application's `cleanup_ctx` or
    `on_startup`, which run in each process. `rxws.topics(url)` may be made anywhere. End it in `on_cleanup`, a pool of
    processes too: a worker calls no `atexit` functions, since they would be those of this process.

    The other `options` are those of `run_app`: `host`, `port`, `path`, `sock`, `ssl_context`, `access_log` and so on.
    With `workers`, only `host`, `port`, `path` and `sock` say where to listen. The processes take connections from the
    queue of a `sock`, or of the UNIX socket at `path`, as they become free. The queue outlives a process that dies, but
    in a burst one process may take twice as many connections as another. The extra `fast` installs uvloop.

    Args:
        app: The application, or what makes it when awaited, in each process: `run(make_app())`.
        workers: Processes that share the port; `None`: this one alone.
        keepalive_timeout: Seconds within which a new connection must have sent its whole request, and one that has been
            answered its next. Behind a proxy that keeps its connections, choose more than the proxy does.
        options: Those of aiohttp's `run_app`: `host`, `port`, `path`, `sock`, `ssl_context`, `access_log` and so on.

    Raises what `run_app` raises, such as `OSError` for a port in use, `TypeError` for what is not an application or for
    an unknown option, and `ValueError` for an `ssl_context` of a client. It raises `RuntimeError` beside a running
    event loop, as in a notebook. With `workers`, it raises `TypeError` or `ValueError` for an unusable number or
    option, and `RuntimeError` if a worker cannot start, outside of the main thread, and on a system without fork and
    SO_REUSEPORT.
    """
    _check_app(app, options)
    if workers is not None:
        _check(workers, options)
    _check_no_loop()
    if workers is None:
        loop = new_event_loop()
        if options.get("handle_signals", True) and hasattr(signal, "SIGCHLD"):  # not on Windows
            options["handle_signals"] = False
            _stop_at(loop, signal.SIGINT, signal.SIGTERM)
        _serve(app, loop, keepalive_timeout=keepalive_timeout, **options)
        return
    from rxws.processes.workers import Workers  # not everywhere are there the signals it needs

    announce = options.pop("print", print)
    host, port, given = options.pop("host", None), options.pop("port", None), _sockets(options.pop("sock", None))
    at_paths = ports.bind_paths(options.pop("path", None))
    given += at_paths
    reserved: list[socket.socket] = []
    board = Board(workers)

    def work(tell: Tell) -> None:
        processes.count, processes.board = workers, board
        board.take(crew.starting)
        shared = ports.share(reserved)
        ports.close(reserved)
        loop = new_event_loop()
        _stop_at(loop, signal.SIGTERM, times=1)
        settings: dict[str, Any] = {"print": tell.ready, "handle_signals": False, "sock": [*shared, *given], **options}
        _serve(app, loop, keepalive_timeout=keepalive_timeout, **settings)

    stop_timeout = options.get("shutdown_timeout", 60.0) + CLEAN_UP
    try:
        if not given or host is not None or port is not None:
            if port is None:
                port = 8443 if options.get("ssl_context") else 8080
            reserved += ports.reserve(host, port)
        crew = Workers(workers, work, stop_timeout=stop_timeout, ready=announce or (lambda text: None))
        crew.run()
    finally:
        ports.remove(at_paths)
        ports.close([*reserved, *given])
        if inspect.iscoroutine(app):
            app.close()  # each worker has awaited a copy


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make an event loop of uvloop's, or asyncio's where that is not installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _serve(app: App, loop: asyncio.AbstractEventLoop, *, keepalive_timeout: float, **options: Any) -> None:
    try:
        if isinstance(app, web.Application):
            bound_first_request(app, keepalive_timeout)
        else:
            app = _bounded(app, keepalive_timeout)
        web.run_app(app, loop=loop, keepalive_timeout=keepalive_timeout, **options)
    finally:
        if not loop.is_closed():
            loop.close()


def _stop_at(loop: asyncio.AbstractEventLoop, *signals: signal.Signals, times: float = math.inf) -> None:
    """Let signals stop an event loop as aiohttp does; at most `times`, since each one interrupts the cleaning up.

    Until it runs, when nothing has begun yet, they do what they did: uvloop forgets a signal that it gets before.
    """
    stops = Stops()

    def stop() -> None:
        if stops.told() and stops.number <= times:
            raise web.GracefulExit

    for one in signals:
        loop.call_soon(loop.add_signal_handler, one, stop)


async def _bounded(app: Awaitable[web.Application], keepalive_timeout: float) -> web.Application:
    made = await app
    bound_first_request(made, keepalive_timeout)
    return made


def _sockets(sock: object) -> list[socket.socket]:
    """Give the sockets that all processes are to listen on: none, one, or several."""
    several = isinstance(sock, Iterable)
    found: list[Any] = [] if sock is None else list(cast("Iterable[Any]", sock)) if several else [sock]
    for one in found:
        if not isinstance(one, socket.socket):
            raise TypeError(f"sock must be a socket, or several, not {one!r}")
    return found


def _check_app(app: Any, options: dict[str, Any]) -> None:
    """Raise `TypeError` for what is not an application, or makes one when awaited, and for unknown options."""
    if not (isinstance(app, web.Application) or inspect.isawaitable(app)):
        name = named(app)
        todo = ""
        if inspect.isroutine(app):
            todo = f"a handler goes into one, app.router.add_get('/', {name}); if it makes one, call it, run({name}())"
        elif callable(app) and not isinstance(app, type):
            todo = "an ASGI application runs on an ASGI server, such as uvicorn"
        raise TypeError(f"run serves an aiohttp.web.Application, not {name}{todo and ': ' + todo}")
    if "loop" in options:
        raise TypeError("run makes the event loop: aiohttp.web.run_app(app, loop=...) takes one of yours")
    known = {
        parameter.name
        for function in (web.run_app, web.RequestHandler.__init__, run)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name != "loop"
    }
    for name in options.keys() - known:
        raise TypeError(unknown(name, known))
    _check_tls(options.get("ssl_context"))


def _check_tls(context: object) -> None:
    """Raise `TypeError` or `ValueError` for what cannot be a server's: every client would be cut off silently."""
    example = "ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), with load_cert_chain(certificate, key)"
    if not isinstance(context, (tls.SSLContext, type(None))):
        raise TypeError(f"ssl_context must be an ssl.SSLContext, not {context!r}: make one with {example}")
    if context is not None and context.protocol is tls.PROTOCOL_TLS_CLIENT:
        raise ValueError(f"ssl_context is a client's: a server's is made with {example}")


def _check(workers: object, options: dict[str, Any]) -> None:
    positive_int("workers", workers, "processes", none="this one alone")
    for name in RUN_DECIDES:
        if options.get(name) is not None:
            raise ValueError(f"{name}= is for one process: with workers= use host= and port=, path=, or sock=")
    if (port := options.get("port")) is not None:
        number("port", port, "0 to 65535, or None for the usual one", lambda port: 0 <= port < 65_536, int)
    if "shutdown_timeout" in options:
        seconds = "a number of seconds, 0 or more"
        number("shutdown_timeout", options["shutdown_timeout"], seconds, lambda given: 0 <= given < float("inf"))
    if not (hasattr(os, "fork") and hasattr(socket, "SO_REUSEPORT")):
        raise RuntimeError("this system has no fork or no SO_REUSEPORT: run one process, or several behind a proxy")
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("run(app, workers=...) must be called in the main thread, which gets the signals")


def _check_no_loop() -> None:
    """Raise `RuntimeError` beside a running event loop, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "run(app) starts an event loop, and cannot within an event loop: call it outside of 'async def'; in a "
        "notebook, use rxws.jupyter.serve(app)"
    )
