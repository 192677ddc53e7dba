"""What belongs to the whole application, on a server that a test plays; and signals."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

import rxws
import rxws.asgi
from rxws.asgi import opening
from rxws.asgi.lifespan import hub_in
from tests.asgi.peer import Peer
from tests.streams import turns

VIRTUAL = True

echo = rxws.asgi.websocket(lambda incoming: incoming)


async def test_shutdown_is_1001() -> None:
    """At the end of the lifespan all sockets are closed with 1001, and new ones get 503."""
    life = rxws.asgi.lifespan(max_connections=2)
    app = life.around(echo)
    async with life(SimpleNamespace()) as state:
        assert state == {"rxws_hub": life.hub}
        peers = [Peer().run(app) for _ in range(3)]
        await turns()
        assert [peer.kinds[0] for peer in peers] == ["accept", "accept", "http.response.start"]
        assert peers[2].sent[0]["status"] == 503
        assert (len(life.hub), life.hub.refused_total) == (2, {"limit": 1})
    await asyncio.gather(*(peer.task for peer in peers))
    assert [peer.sent[-1] for peer in peers[:2]] == [{"type": "websocket.close", "code": 1001, "reason": ""}] * 2
    assert life.hub.closed_total == {1001: 2}
    assert hub_in({"state": {"rxws_hub": life.hub}}) is life.hub
    late = Peer(rxws_hub=life.hub).run(echo)
    await late.task
    assert late.sent[0]["status"] == 503


async def test_lifespan_of_one_s_own() -> None:
    """It is within: what it opened is there while the sockets end."""
    steps: list[str] = []

    @asynccontextmanager
    async def own(app: Any) -> AsyncIterator[dict[str, Any]]:
        steps.append("opened")
        yield {"database": 1}
        steps.append(f"closed with {len(life.hub)} sockets")

    life = rxws.asgi.lifespan(own)
    async with life(SimpleNamespace(state=(state := SimpleNamespace()))) as given:
        assert given == {"database": 1, "rxws_hub": life.hub}
        assert state.rxws_hub is life.hub
        peer = Peer(app=SimpleNamespace(state=state)).run(echo)
        await turns()
        assert len(life.hub) == 1
    await peer.task
    assert steps == ["opened", "closed with 0 sockets"]


@pytest.mark.parametrize("how", ["setup", "nested"])
async def test_second_hub(how: str) -> None:
    """An application that would get two hubs does not start: only one of them would know its sockets."""
    app, life = Framework(), rxws.asgi.lifespan()
    if how == "setup":
        rxws.asgi.setup(app)
    else:
        life = rxws.asgi.lifespan(life)
    with pytest.raises(RuntimeError, match="an application has one hub"):
        async with life(app):
            pass


async def test_lifespans_one_after_the_other() -> None:
    """An application may start again with another lifespan, in tests for example."""
    app, one, other = Framework(), rxws.asgi.lifespan(), rxws.asgi.lifespan()
    for life in (one, other, one):
        async with life(app):
            assert app.state.rxws_hub is life.hub


async def test_lifespan_events() -> None:
    """Around an application, the events of the server's lifespan begin and end it."""
    life = rxws.asgi.lifespan()
    app = life.around(echo)
    server = Peer(type="lifespan")
    await server.receive()
    server.put("lifespan.startup")
    server.run(app)
    peer = Peer().run(app)
    await turns()
    assert (server.kinds, len(life.hub)) == (["lifespan.startup.complete"], 1)
    server.put("lifespan.shutdown")
    await server.task
    await peer.task
    assert server.kinds[1:] == ["lifespan.shutdown.complete"]
    assert peer.sent[-1]["code"] == 1001


async def test_application_that_starts_again() -> None:
    """In tests an application starts more than once: each time with a hub that admits."""
    life = rxws.asgi.lifespan()
    hubs: list[Any] = []
    for _ in range(2):
        async with life(SimpleNamespace()):
            hubs.append(life.hub)
            peer = Peer().run(life.around(echo))
            await turns()
            assert peer.kinds == ["accept"]
        await peer.task
    assert hubs[0] is not hubs[1]


@pytest.mark.parametrize("how", ["around", "lifespan"])
async def test_mounted_application_shares_the_hub(how: str) -> None:
    """An application with a hub, within another one, has its sockets in the outer hub: one limit, one shutdown."""
    outer, inner = rxws.asgi.lifespan(max_connections=1), rxws.asgi.lifespan()
    app = inner.around(echo)
    async with outer(SimpleNamespace()) as state:
        peers = [Peer(state=dict(state)) if how == "lifespan" else Peer() for _ in range(2)]
        for peer in peers:
            peer.run(app if how == "lifespan" else outer.around(app))
        await turns()
        assert (len(outer.hub), len(inner.hub)) == (1, 0)
        assert peers[1].sent[0]["status"] == 503
    await peers[0].task
    assert peers[0].sent[-1]["code"] == 1001


@pytest.mark.parametrize("can_respond", [True, False])
async def test_denial_response_of_a_framework(can_respond: bool) -> None:
    """A server that cannot send one is told to close: it would drop it, and the client would wait."""

    async def dependency_that_raises(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"who are you?"})

    life = rxws.asgi.lifespan()
    peer = Peer(**({} if can_respond else {"extensions": None}))
    await peer.run(life.around(dependency_that_raises)).task
    await life.stop()
    assert peer.kinds == (["http.response.start", "http.response.body"] if can_respond else ["close"])
    echoed = Peer(extensions=None)
    echoed.run(life.around(echo)).text("hi")
    await turns()
    assert echoed.texts == ["hi"]
    await life.stop()
    await echoed.task


class Framework:
    """An application with Starlette's way to add middlewares."""

    def __init__(self) -> None:
        self.state = SimpleNamespace()
        self.app: Any = echo

    def add_middleware(self, middleware: Any) -> None:
        self.app = middleware(self.app)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


async def test_setup() -> None:
    """An application of Starlette's gets a middleware, one of Litestar's hooks; twice is an error."""
    framework = Framework()
    hub = rxws.asgi.setup(framework, max_connections=5)
    assert hub.max_connections == 5
    interrupt = signal.getsignal(signal.SIGINT)
    peer = Peer().run(framework.app)
    await turns()
    assert len(hub) == 1
    signal.signal(signal.SIGINT, interrupt)
    with pytest.raises(RuntimeError, match="called before"):
        rxws.asgi.setup(framework)
    await hub.shut_down()
    await peer.task
    litestar = SimpleNamespace(state=SimpleNamespace(), on_startup=[], on_shutdown=["theirs"])
    hub = rxws.asgi.setup(litestar)
    assert litestar.on_shutdown[1:] == ["theirs"]
    for count in (1, 2):  # as in tests, where an application starts more than once
        opened: list[Any] = []
        litestar.on_startup[0]()
        hub.opened.subscribe(opened.append)
        peer = Peer(litestar_app=litestar).run(echo)
        await turns()
        assert len(hub) == len(opened) == 1
        await litestar.on_shutdown[0]()
        await peer.task
        assert peer.sent[-1]["code"] == 1001
        assert hub.closed_total == {1001: count}


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"app": echo}, TypeError, r"app = rxws.asgi.lifespan\(\).around\(app\)"),
        ({"max_connections": 0}, ValueError, "a positive whole number of sockets, or None for no limit, not 0"),
        ({"shutdown_code": 1006}, ValueError, "close code 1006 may not be sent"),
        ({"shutdown_timeout": "1"}, TypeError, "shutdown_timeout must be"),
    ],
)
def test_bad_arguments(arguments: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        rxws.asgi.setup(**{"app": Framework(), **arguments})


@pytest.mark.parametrize("given", [3, Framework()])
def test_bad_lifespan(given: Any) -> None:
    """An application in place of a lifespan is an error too: `lifespan(app)`, or `FastAPI(lifespan=lifespan)`."""
    with pytest.raises(TypeError, match=r"takes another lifespan.*rxws.asgi.setup\(app\)"):
        rxws.asgi.lifespan(given)


async def test_no_hub_is_one_warning(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without setup handlers work, and one warning says what is missing."""
    monkeypatch.setattr(opening, "_warned", [False])
    for _ in range(2):
        peer = Peer().run(echo)
        peer.leave()
        await peer.task
    assert [record.getMessage() for record in caplog.records if "setup" in record.getMessage()] == [
        "rxws.asgi.setup(app), or a lifespan of the outermost application, is missing: "
        "sockets will not be closed with 1001 at shutdown, limited, or counted"
    ]
