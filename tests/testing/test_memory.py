"""The in-memory wire does what a real one does, as far as a socket can tell."""

import asyncio
from typing import Any

import pytest
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.core.lifecycle import Lifecycle
from rxws.options import check
from rxws.testing import MemoryWire, serve
from tests.streams import ended, turns, watch

VIRTUAL = True


def idle() -> None:
    """A handler that does nothing."""


async def test_order() -> None:
    """Messages arrive in order and at once, and leave soon."""
    socket, peer = serve(lambda incoming: incoming)
    await turns()
    log = watch(incoming=socket.incoming)
    peer.send("a", b"b")
    assert log == [("incoming", "a"), ("incoming", b"b")]
    assert peer.sent == []
    await turns(2)
    assert peer.sent == ["a", b"b"]
    peer.drop()


async def test_held_messages_wait() -> None:
    """What arrives before the start or during a hold waits."""
    life, wire = Lifecycle(check({})), MemoryWire()
    wire.send("early")
    life.open(wire)
    await turns()
    wire.send("held")
    assert life.counters.received == 0
    log = watch(incoming=life.incoming)
    await turns()
    assert log == [("incoming", "early"), ("incoming", "held")]
    wire.drop()


async def test_hold_passes_control_frames() -> None:
    """A hold lets control frames and the end through."""

    async def handler(socket: Any) -> None:
        await asyncio.sleep(60)

    socket, peer = serve(handler, heartbeat=0.01, close_timeout=0.03)
    peer.pongs = True
    await turns()
    peer.send("held")
    while socket.rtt is None:
        await asyncio.sleep(0.002)
    peer.close(rxws.Close(4001))
    await turns()
    assert peer.close_sent is None
    assert (await ended(socket)).code == 4001
    assert socket.stats.received == 0


async def test_close_during_a_hold_is_the_cause() -> None:
    """A close that waits during a hold is the cause of the end: no answer counts behind it, so nobody waits for one."""

    async def handler(socket: Any) -> None:
        await asyncio.sleep(60)

    socket, peer = serve(handler, heartbeat=0.01, message_timeout=0.01, close_timeout=0.1)
    await turns()
    peer.send("held")
    peer.send_part()
    peer.close(rxws.Close(4001))
    peer.send("behind")
    peer.pong(b"behind")
    assert (peer.close_sent, peer.unread) == (None, 1)
    assert (await ended(socket)).code == 4001
    assert peer.close_sent == rxws.Close(4001)


async def test_end_does_not_overtake() -> None:
    """The peer's close and end do not overtake what waits."""

    async def slow(message: str) -> str:
        await asyncio.sleep(0.005)
        return message.upper()

    for end in ("close", "drop"):
        socket, peer = serve(lambda incoming: incoming.pipe(rxops.map_async(slow)))
        peer.send("a", "b", "c")
        getattr(peer, end)()
        await ended(socket)
        assert (socket.stats.received, peer.sent) == (3, ["A", "B"])


async def test_congested() -> None:
    """A congested peer takes nothing, and all of it when it reads on."""
    socket, peer = serve(idle)
    peer.congested = True
    peer.congested = True
    for message in "abc":
        socket.outgoing.on_next(message)
    await turns()
    assert (peer.sent, peer.congested, socket.stats.buffered) == ([], True, 3)
    peer.congested = False
    await turns()
    assert (peer.sent, peer.congested, socket.stats.buffered) == (["a", "b", "c"], False, 0)
    peer.drop()


async def test_nothing_follows_a_close_frame() -> None:
    socket, peer = serve(idle)
    peer.mute = True
    socket.close(4001)
    await turns()
    peer.congested = True
    peer.congested = False
    socket.outgoing.on_next("late")
    await turns()
    assert (peer.close_sent, peer.sent) == (rxws.Close(4001), [])
    peer.drop()


async def test_mute_peer_answers_late() -> None:
    """A mute peer answers a close when the test does."""
    socket, peer = serve(idle, close_timeout=60)
    peer.mute = True
    socket.close(4001)
    log = watch(closed=socket.closed)
    await turns(50)
    assert log == []
    peer.close(rxws.Close(4001))
    assert await ended(socket) == rxws.Close(4001)
    assert not peer.aborted


async def test_close_and_end_during_a_hold() -> None:
    """A close and the end wait for each other during a hold."""

    async def handler(socket: Any) -> None:
        await asyncio.sleep(60)

    socket, peer = serve(handler, close_timeout=0.03)
    peer.send("held")
    peer.close(rxws.Close(4001))
    peer.drop()
    await turns()
    assert not peer.ended
    assert (await ended(socket)).code == 4001
    assert peer.ended


@pytest.mark.parametrize("end", ["close", "violate", "drop"])
async def test_the_connection_is_lost_once(end: str) -> None:
    socket, peer = serve(idle)
    await turns()
    log = watch(closed=socket.closed)
    getattr(peer, end)()
    await ended(socket)
    peer.drop()
    peer.send("late")
    peer.abort()
    await turns()
    assert (len(log), socket.stats.received) == (2, 0)


async def test_close_that_waits_when_the_connection_is_lost() -> None:
    """A close that waited during a hold is not told once the connection is gone, nor is a violation."""
    socket, peer = serve(idle)
    await turns()
    peer.hold()
    peer.send("held")
    peer.close(rxws.Close(4001))
    peer.abort()
    await turns()
    peer.drop()
    peer.violate()
    assert await ended(socket) == rxws.Close.received(1006)


async def test_not_started() -> None:
    """A wire that was not started says so."""
    with pytest.raises(AssertionError, match="the wire is not started"):
        MemoryWire().close()


async def test_serve_options() -> None:
    """The function serve takes a subprotocol and options, and checks them."""
    socket, peer = serve(lambda incoming: Subject(), protocol="v1", protocols=["v1"], overflow="latest")
    await turns()
    assert (socket.protocol, socket.remote, socket.stats.in_flight) == ("v1", "memory", 0)
    peer.drop()
    with pytest.raises(TypeError, match="did you mean 'heartbeat'"):
        serve(idle, hartbeat=1)
    with pytest.raises(TypeError, match="may be request, incoming"):
        serve(lambda room: None)


async def test_ignored_messages() -> None:
    """What a peer sends to a socket that ignores it is dropped."""
    socket, peer = serve(lambda incoming: incoming)
    await turns()
    peer.ignore()
    peer.send("lost")
    await turns()
    assert (socket.stats.received, peer.sent) == (0, [])
    peer.drop()


async def test_message_within_a_message() -> None:
    """What a peer sends while its message is handed on follows it."""
    seen: list[str] = []

    def handler(incoming: Any) -> None:
        incoming.subscribe(answer)

    def answer(message: str) -> None:
        if message == "a":
            peer.send("b")
        seen.append(message)

    socket, peer = serve(handler)
    await turns()
    peer.send("a", "c")
    assert seen == ["a", "c", "b"]
    peer.drop()
