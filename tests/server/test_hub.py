import asyncio
import threading
from collections.abc import Callable
from itertools import pairwise

import pytest

import rxws
from rxws.core.lifecycle import Lifecycle
from rxws.options import check
from rxws.server.hub import CLOSINGS_A_TURN, Hub
from rxws.testing import MemoryWire
from tests.streams import ended, turns, watch

VIRTUAL = True


def member(hub: Hub) -> tuple[rxws.WebSocket[object, object], MemoryWire] | None:
    life, wire = Lifecycle(check({})), MemoryWire()
    if not hub.admit(life):
        return None
    socket: rxws.WebSocket[object, object] = rxws.WebSocket(life)
    life.open(wire)
    hub.add(socket, life)
    return socket, wire


async def test_counts() -> None:
    """A hub knows its open sockets and counts the others."""
    hub = Hub(None, 1001, 1)
    log = watch(opened=hub.opened)
    members = [member(hub) for _ in range(3)]
    sockets = [pair[0] for pair in members if pair]
    assert (len(hub), list(hub), log) == (3, sockets, [("opened", socket) for socket in sockets])
    sockets[0].close(4001)
    await ended(sockets[0])
    assert (len(hub), hub.opened_total, hub.closed_total) == (2, 3, {4001: 1})
    await hub.shut_down()
    assert (len(hub), hub.closed_total) == (0, {4001: 1, 1001: 2})
    assert log[-1] == "opened|"


async def test_limit() -> None:
    """A hub refuses what is beyond its limit until a place is free."""
    hub = Hub(1, 1001, 1)
    first = member(hub)
    assert first is not None
    assert (member(hub), hub.refused_total) == (None, {"limit": 1})
    first[1].drop()
    await ended(first[0])
    assert member(hub) is not None
    await hub.shut_down()


async def test_refuses_at_shutdown() -> None:
    """A hub that shuts down refuses all and closes a socket that was on its way."""
    hub = Hub(None, 1012, 1)
    life, wire = Lifecycle(check({})), MemoryWire()
    assert hub.admit(life)
    await hub.shut_down()
    life.open(wire)
    hub.add(rxws.WebSocket(life), life)
    assert (await life.closed).code == 1012
    assert member(hub) is None


async def test_failed_handshake() -> None:
    """A socket whose handshake fails gives its place back."""
    hub = Hub(1, 1001, 1)
    life = Lifecycle(check({}))
    assert hub.admit(life)
    life.no_connection_follows()
    assert (await life.closed).code == 1006
    life.no_connection_follows()
    assert hub.admit(Lifecycle(check({})))


async def test_opened_subscriber_raises(caplog: pytest.LogCaptureFixture) -> None:
    """A subscriber of opened that raises is logged."""
    hub = Hub(None, 1001, 1)
    hub.opened.subscribe(lambda _: 1 / 0)
    assert member(hub) is not None
    assert "a subscriber of hub.opened raised ZeroDivisionError" in caplog.text
    await hub.shut_down()
    await turns()


async def test_closed_stream() -> None:
    """The stream closed emits every socket with its end known, and completes after the shutdown."""
    hub = Hub(None, 1001, 1)
    log = watch(closed=hub.closed)
    first, second = member(hub), member(hub)
    assert first is not None
    assert second is not None
    hub.closed.subscribe(lambda socket: log.append((len(hub), socket.stats.duration >= 0)))
    first[1].drop()
    await ended(first[0])
    assert log == [("closed", first[0]), (1, True)]
    await hub.shut_down()
    assert log[2:] == [("closed", second[0]), (0, True), "closed|"]


async def test_closed_subscriber_raises(caplog: pytest.LogCaptureFixture) -> None:
    """A subscriber of closed that raises is logged."""
    hub = Hub(None, 1001, 1)
    hub.closed.subscribe(lambda _: 1 / 0)
    assert member(hub) is not None
    await hub.shut_down()
    assert [record.name for record in caplog.records] == ["rxws.server"]
    assert "a subscriber of hub.closed raised ZeroDivisionError" in caplog.text
    assert hub.closed_total == {1001: 1}


async def test_counters_never_fall() -> None:
    """A thread that reads while sockets come and go never sees a counter fall."""
    hub = Hub(None, 1001, 1)
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(hub.stats.received)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(300):
            pair = member(hub)
            assert pair is not None
            pair[0].incoming.subscribe()
            pair[1].send("a")
            await turns(3)
            pair[1].drop()
            await ended(pair[0])
    finally:
        done.set()
        reader.join()
    assert seen == sorted(seen)
    assert hub.stats.received == 300


async def test_shutdown_deadline() -> None:
    """A shutdown gives up on peers that do not answer."""
    hub = Hub(None, 1001, 0.05)
    (mute, wire), (polite, _) = members = [pair for pair in (member(hub), member(hub)) if pair]
    wire.mute = True
    await hub.shut_down()
    assert len(members) == 2
    assert (await ended(mute)).code == (await ended(polite)).code == 1001
    assert wire.aborted


async def test_shutdown_leaves_turns() -> None:
    """A shutdown closes many sockets in several turns of the event loop, and so it cuts off those that do not end."""
    hub = Hub(None, 1001, 0.05)
    wires = [pair[1] for _ in range(2 * CLOSINGS_A_TURN + 1) if (pair := member(hub))]
    for wire in wires:
        wire.mute = True
    await turns()
    shutdown = asyncio.ensure_future(hub.shut_down())
    steps: tuple[Callable[[MemoryWire], bool], ...] = (
        lambda wire: wire.close_sent is not None,
        lambda wire: wire.aborted,
    )
    for has_come in steps:
        seen = [0]
        while seen[-1] < len(wires):
            seen.append(sum(map(has_come, wires)))
            await asyncio.sleep(0)
        assert max(after - before for before, after in pairwise(seen)) <= CLOSINGS_A_TURN
        await asyncio.sleep(0.05)
    assert shutdown.done()


async def test_slowest_sockets() -> None:
    """The hub lists the sockets whose peers are slow: most waiting bytes first, then the longest round trip."""
    hub = Hub(None, 1001, 1)
    members = [member(hub) for _ in range(4)]
    (most, blocked), (some, behind), (far, wire), (_, _) = [pair for pair in members if pair]
    blocked.congested = behind.congested = True
    wire.pongs = False
    for _ in range(3):
        most.outgoing.on_next("a")
    some.outgoing.on_next("a")
    await asyncio.sleep(20.5)
    wire.pong(wire.pings[-1])
    assert far.rtt == pytest.approx(0.5)
    assert hub.slowest() == [most, some, far]
    assert hub.slowest(1) == [most]
    await hub.shut_down()
    assert hub.slowest() == []
