"""What belongs to the whole application: its hub, and the shutdown of its sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, cast

from reactivex import operators as ops

from rxws.asgi.refusal import answering
from rxws.asgi.request import HUB_KEY
from rxws.asgi.signals import Signals
from rxws.checks import positive, positive_int
from rxws.server.hub import Hub
from rxws.server.loop_watch import LoopWatch
from rxws.wires.asgi import Receive, Scope, Send

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Inner = Callable[[Any], AbstractAsyncContextManager[Any]]

NOT_A_HANDSHAKE: Final = b"This is a WebSocket endpoint: Upgrade must be websocket\n"


class Lifespan:
    """What `rxws.asgi.lifespan` returns: the lifespan of a framework's application, with the `hub` of its sockets.

    Each time the application starts again, in tests for example, there is a new hub.
    """

    def __init__(
        self,
        inner: Inner | None,
        max_connections: int | None,
        shutdown_code: int,
        shutdown_timeout: float,
        *,
        keeps_hub: bool = False,
    ) -> None:
        if inner is not None and (not callable(inner) or hasattr(inner, "state")):  # or is an application
            raise TypeError(
                f"lifespan takes another lifespan, a function of the application, not {inner!r}: write "
                "FastAPI(lifespan=rxws.asgi.lifespan()), or for an application that is there, rxws.asgi.setup(app)"
            )
        if max_connections is not None:
            positive_int("max_connections", max_connections, "sockets", none="no limit")
        limits = max_connections, shutdown_code, positive("shutdown_timeout", shutdown_timeout, "seconds")
        self._limits = limits
        self._inner = inner
        self._keeps_hub = keeps_hub
        self._signals: Signals | None = None
        self.hub = self._make_hub()
        """The sockets of the application."""

    def __call__(self, app: Any) -> AbstractAsyncContextManager[Mapping[str, Any]]:
        """Give what a framework enters when the application starts, and leaves when it shuts down.

        Args:
            app: The application.
        """
        return self._run(app)

    @asynccontextmanager
    async def _run(self, app: Any) -> AsyncGenerator[Mapping[str, Any], None]:
        state = getattr(app, "state", None)
        another: Hub | None = getattr(state, HUB_KEY, None)
        if another is not None and another is not self.hub and not another.shutting_down:
            raise RuntimeError(
                "an application has one hub: call rxws.asgi.setup(app), or give it one rxws.asgi.lifespan()"
            )
        self.start()
        if state is not None:
            setattr(state, HUB_KEY, self.hub)
        try:
            if self._inner is None:
                yield {HUB_KEY: self.hub}
                await self.stop()
            else:
                async with self._inner(app) as given:
                    yield {**(given or {}), HUB_KEY: self.hub}
                    await self.stop()  # while what the handlers use is there
        finally:
            await self.stop()

    def around(self, app: Application) -> Application:
        """Wrap an ASGI application that has no framework: `app = life.around(app)`.

        Args:
            app: An ASGI application, such as a handler of rxws.
        """

        async def around(scope: Scope, receive: Receive, send: Send) -> None:
            async def receive_first() -> Any:
                event = await receive()
                if event["type"] == "lifespan.startup":
                    self.start()
                elif event["type"] == "lifespan.shutdown":
                    await self.stop()
                return event

            if scope["type"] == "lifespan":
                await app(scope, receive_first, send)
                return
            if scope["type"] == "websocket":
                send = answering(scope, send)
                if HUB_KEY not in scope and HUB_KEY not in (scope.get("state") or {}):  # or it is mounted in another
                    if self._signals is None:  # a server without a lifespan, as daphne is
                        self.start()
                    scope[HUB_KEY] = self.hub
            await app(scope, receive, send)

        return around

    def start(self) -> None:
        """Begin: when the process is told to end, the sockets are closed before the server ends."""
        if self._signals is None:
            if self.hub.shutting_down and self._keeps_hub:
                self._watch = LoopWatch()
                self.hub.begin(self._watch)
            elif self.hub.shutting_down:
                self.hub = self._make_hub()
            self._watch.start()
            self._signals = signals = Signals(self.hub.shut_down)
            self.hub.opened.pipe(ops.take(1)).subscribe(lambda _: signals.stand_before_loop())

    async def stop(self) -> None:
        """Close all sockets, and wait for their ends."""
        if self._signals is not None:
            self._signals.restore()
            self._signals = None
            await self.hub.shut_down()
            self._watch.stop()

    def _make_hub(self) -> Hub:
        self._watch = LoopWatch()
        return Hub(*self._limits, self._watch)


def lifespan(
    inner: Inner | None = None,
    /,
    *,
    max_connections: int | None = None,
    shutdown_code: int = 1001,
    shutdown_timeout: float = 1.0,
) -> Lifespan:
    """Make the lifespan of an application: `FastAPI(lifespan=rxws.asgi.lifespan())`, `Litestar(lifespan=[...])`.

    It gives the application a hub for all its sockets: `lifespan.hub`, which is also `app.state.rxws_hub`; see
    `rxws.Hub`. When the application shuts down, every socket is closed with `shutdown_code`, and new ones get 503.
    Queued messages are sent first. After `shutdown_timeout` seconds the remaining connections are aborted. Shutdown
    begins with SIGTERM or SIGINT, before the server sees the signal, because servers drop connections before they tell
    the application. Sockets beyond `max_connections` at a time get 503 too. Mounted applications share the hub.

    Args:
        inner: A lifespan of your own, which runs within this one.
        max_connections: Sockets that may be open at a time; further ones get 503. `None`: no limit.
        shutdown_code: The close code of the sockets at shutdown.
        shutdown_timeout: Seconds that sockets have to flush and close at shutdown; then they are aborted.

    Raises `TypeError` or `ValueError` for a wrong option; at its start `RuntimeError`, if the application has a hub
    already, of `setup` or of another lifespan.

    >>> life = lifespan(max_connections=1000)
    >>> len(life.hub), life.hub.max_connections
    (0, 1000)
    """
    return Lifespan(inner, max_connections, shutdown_code, shutdown_timeout)


def setup(
    app: Any,
    *,
    max_connections: int | None = None,
    shutdown_code: int = 1001,
    shutdown_timeout: float = 1.0,
) -> Hub:
    """Set up an application of Starlette, FastAPI or Litestar like `lifespan` does, and return its `Hub`.

    Use it for an application that already has a lifespan, and for a server without lifespans (daphne). Call it before
    the application starts. If that starts again, in tests for example, the hub takes sockets again, and counts on; its
    streams `opened` and `closed` are new ones. Without a framework, and for Litestar on a server without lifespans,
    write `app = rxws.asgi.lifespan().around(app)`.

    Args:
        app: The application; mounted applications share the hub.
        max_connections: Sockets that may be open at a time; further ones get 503. `None`: no limit.
        shutdown_code: The close code of the sockets at shutdown.
        shutdown_timeout: Seconds that sockets have to flush and close at shutdown; then they are aborted.

    Raises `RuntimeError` on an application that has a hub already, `TypeError` or `ValueError` for a wrong option.
    """
    life = Lifespan(None, max_connections, shutdown_code, shutdown_timeout, keeps_hub=True)
    state = getattr(app, "state", None)
    if getattr(state, HUB_KEY, None) is not None:
        raise RuntimeError("rxws.asgi.setup(app) was called before for this application")
    if callable(getattr(app, "add_middleware", None)):
        app.add_middleware(life.around)
    elif state is not None and isinstance(getattr(app, "on_shutdown", None), list):  # Litestar
        app.on_startup.append(life.start)
        app.on_shutdown.insert(0, life.stop)
    else:
        raise TypeError(
            "setup takes an application of Starlette, FastAPI or Litestar; for another one write "
            f"app = rxws.asgi.lifespan().around(app). It was given {app!r}"
        )
    setattr(cast("Any", state), HUB_KEY, life.hub)
    return life.hub


def hub_in(scope: Scope) -> Hub | None:
    """Find the hub of an application: in the scope, in the state of its lifespan, or in the application's."""
    state: Any = scope.get("state") or {}
    for place in (scope, state):
        if HUB_KEY in place:
            return place[HUB_KEY]
    app: Any = scope.get("litestar_app", scope.get("app"))
    return getattr(getattr(app, "state", None), HUB_KEY, None)


async def answer_others(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what is not a WebSocket, if a handler is the whole application."""
    if scope["type"] == "lifespan":
        while True:
            kind: str = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    if scope["type"] != "http":
        raise RuntimeError(f"a handler of rxws.asgi takes no scope of the type {scope['type']!r}")
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"upgrade", b"websocket")]
    await send({"type": "http.response.start", "status": 426, "headers": headers})
    await send({"type": "http.response.body", "body": NOT_A_HANDSHAKE})
