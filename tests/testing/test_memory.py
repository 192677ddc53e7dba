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


def idle(incoming: Any) -> None:
    """A handler that does nothing."""


async def test_messages_arrive_in_order_at_once_and_leave_soon() -> None:
    socket, peer = serve(lambda incoming: incoming)
    await turns()
    log = watch(incoming=socket.incoming)
    peer.send("a", b"b")
    assert log == [("incoming", "a"), ("incoming", b"b")]
    assert peer.sent == []
    await turns(2)
    assert peer.sent == ["a", b"b"]
    peer.drop()


async def test_what_arrives_before_the_start_or_during_a_hold_waits() -> None:
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


async def test_a_hold_lets_control_frames_and_the_end_through() -> None:
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


async def test_the_peer_s_close_and_end_do_not_overtake_what_waits() -> None:
    async def slow(message: str) -> str:
        await asyncio.sleep(0.005)
        return message.upper()

    for end in ("close", "drop"):
        socket, peer = serve(lambda incoming: incoming.pipe(rxops.map_async(slow)))
        peer.send("a", "b", "c")
        getattr(peer, end)()
        await ended(socket)
        assert (socket.stats.received, peer.sent) == (3, ["A", "B"])


async def test_a_congested_peer_takes_nothing_and_all_of_it_when_it_reads_on() -> None:
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


async def test_a_mute_peer_answers_a_close_when_the_test_does() -> None:
    socket, peer = serve(idle, close_timeout=60)
    peer.mute = True
    socket.close(4001)
    log = watch(closed=socket.closed)
    await turns(50)
    assert log == []
    peer.close(rxws.Close(4001))
    assert await ended(socket) == rxws.Close(4001)
    assert not peer.aborted


async def test_a_close_and_the_end_wait_for_each_other_during_a_hold() -> None:
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


async def test_a_wire_that_was_not_started_says_so() -> None:
    with pytest.raises(AssertionError, match="the wire is not started"):
        MemoryWire().close()


async def test_serve_takes_a_subprotocol_and_options_and_checks_them() -> None:
    socket, peer = serve(lambda incoming: Subject(), protocol="v1", protocols=["v1"], overflow="latest")
    await turns()
    assert (socket.protocol, socket.remote, peer.fresh) == ("v1", "memory", True)
    peer.drop()
    with pytest.raises(TypeError, match="did you mean 'heartbeat'"):
        serve(idle, hartbeat=1)
    with pytest.raises(TypeError, match="may be request, incoming"):
        serve(lambda room: None)


async def test_what_a_peer_sends_to_a_socket_that_ignores_it_is_dropped() -> None:
    socket, peer = serve(lambda incoming: incoming)
    await turns()
    peer.ignore()
    peer.send("lost")
    await turns()
    assert (socket.stats.received, peer.sent) == (0, [])
    peer.drop()
