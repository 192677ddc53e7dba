import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

import rxws
from rxws.testing import serve
from tests.streams import ended, turns

VIRTUAL = True


async def test_unpacks() -> None:
    """A socket unpacks into its three streams."""
    socket, peer = serve(lambda: None)
    incoming, outgoing, errors = socket
    assert (incoming, outgoing, errors) == (socket.incoming, socket.outgoing, socket.errors)
    peer.drop()


async def test_stats_count_both_ways() -> None:
    socket, peer = serve(lambda: None)
    await turns()
    peer.congested = True
    peer.send("ascii", "é", b"\x00\x01")
    socket.outgoing.on_next("waits")
    stats = socket.stats
    assert (stats.received, stats.received_bytes) == (3, 9)
    assert (stats.sent, stats.sent_bytes, stats.buffered, stats.buffered_bytes) == (0, 0, 1, 69)
    assert (stats.dropped, stats.rtt) == (0, None)
    peer.congested = False
    await turns()
    assert (socket.stats.sent, socket.stats.buffered) == (1, 0)
    peer.drop()


async def test_stats_count_what_compression_saves() -> None:
    """The wire says what it has kept off the wire."""
    socket, peer = serve(lambda: None)
    await turns()
    peer.send("received")
    socket.outgoing.on_next("sent")
    await turns()
    connection = socket._life.connection
    assert connection is not None
    connection.counters.sent_saved += 2
    connection.counters.received_saved += 3
    stats = socket.stats
    assert (stats.received_bytes, stats.received_wire_bytes, stats.sent_bytes, stats.sent_wire_bytes) == (8, 5, 4, 2)
    peer.drop()


async def test_send_at_the_pace_of_the_peer() -> None:
    """Who sends with `send` waits while the peer takes nothing, and loses nothing."""
    socket, peer = serve(lambda: None, high_water=1000, max_buffered=2000)
    await turns()

    async def upload() -> None:
        for number in range(50):
            await socket.send(f"{number:0100}")

    peer.congested = True
    uploading = asyncio.create_task(upload())
    await turns(100)
    assert (uploading.done(), socket.stats.buffered, socket.stats.dropped) == (False, 7, 0)
    peer.congested = False
    await uploading
    await turns()
    assert [int(message) for message in peer.sent] == list(range(50))
    peer.drop()


@pytest.mark.parametrize("produce", ["send", "yield", "answer"])
async def test_small_buffer_holds_before_it_overflows(produce: str) -> None:
    """With a small `max_buffered` alone, those who can wait do so, and the socket stays open."""

    async def yields() -> AsyncIterator[str]:
        for number in range(50):
            yield f"{number:0100}"

    async def sends(socket: rxws.WebSocket[str, str]) -> None:
        for number in range(50):
            await socket.send(f"{number:0100}")

    def answers(incoming: Any) -> Any:
        return incoming

    handlers: dict[str, Any] = {"send": sends, "yield": yields, "answer": answers}
    socket, peer = serve(handlers[produce], max_buffered=1000)
    peer.congested = True
    peer.send(*(f"{number:0100}" for number in range(50)))
    await turns(100)
    assert (socket.stats.buffered, socket.stats.dropped) == (4, 0)
    peer.congested = False
    await turns(100)
    assert [int(message) for message in peer.sent] == list(range(50))
    peer.drop()


@pytest.mark.parametrize("overflow", ["close", "drop_oldest", "drop_newest"])
@pytest.mark.parametrize("congested", [True, False])
async def test_sizes_of_what_waits_for_room(overflow: Any, congested: bool) -> None:
    """A generator that yields small and large messages in turn loses none, though two exceed `max_buffered`."""
    sizes = [300, 900] * 10

    async def parts() -> AsyncIterator[str]:
        for size in sizes:
            yield "x" * size

    socket, peer = serve(parts, max_buffered=1000, overflow=overflow)
    peer.congested = congested
    await turns(50)
    assert socket.stats.buffered <= 2
    peer.congested = False
    assert await ended(socket) == rxws.Close(1000)
    assert [len(message) for message in peer.sent] == sizes


async def test_sender_lets_others_have_a_turn() -> None:
    """Who sends to a peer that takes all leaves others their turn."""
    socket, peer = serve(lambda: None)
    await turns()
    ticks = 0

    async def others() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    for _ in range(640):
        await socket.send("x")
    assert ticks >= 10
    other.cancel()
    peer.drop()


async def test_room_of_several() -> None:
    """All that wait have room at once; one that is cancelled waits no more; the end is raised."""
    socket, peer = serve(lambda: None, high_water=100)
    await turns()
    await socket.room()
    peer.congested = True
    socket.outgoing.on_next("x" * 200)
    first, second, third = (asyncio.create_task(socket.room()) for _ in range(3))
    await turns()
    third.cancel()
    await turns()
    assert (first.done(), second.done(), third.cancelled()) == (False, False, True)
    peer.congested = False
    await asyncio.gather(first, second)
    peer.congested = True
    socket.outgoing.on_next("x" * 200)
    waiting = asyncio.create_task(socket.send("y"))
    await turns()
    peer.congested = False
    peer.close(rxws.Close(4001, "enough"))
    for sending in (waiting, socket.room(), socket.send("late")):
        with pytest.raises(rxws.Close, match="4001"):
            await sending
    await ended(socket)


async def test_room_on_another_loop() -> None:
    """Whoever waits on another thread's event loop has room, too."""
    socket, peer = serve(lambda: None, high_water=100)
    await turns()
    peer.congested = True
    socket.outgoing.on_next("x" * 200)
    waiting = asyncio.create_task(asyncio.to_thread(asyncio.run, socket.room()))
    for _ in range(20):
        await asyncio.to_thread(time.sleep, 0.01)
    assert not waiting.done()
    peer.congested = False
    await waiting
    peer.drop()


@pytest.mark.parametrize(("code", "reason"), [(1006, ""), (5000, ""), (4001, "x" * 124)])
async def test_illegal_close(code: int, reason: str) -> None:
    """An illegal close is a ValueError, and nothing goes on the wire."""
    socket, peer = serve(lambda: None)
    with pytest.raises(ValueError, match=r"may not be sent|at most 123 bytes"):
        socket.close(code, reason)
    await turns()
    assert peer.close_sent is None
    peer.drop()


async def test_its_repr_tells_the_state() -> None:
    seen: list[str] = []
    socket, peer = serve(lambda socket: seen.append(repr(socket)))
    assert seen == ["<WebSocket nowhere connecting>"]
    assert repr(socket) == "<WebSocket memory open>"
    peer.close(rxws.Close(4001, "\x1b"))
    await ended(socket)
    assert repr(socket) == r"<WebSocket memory Close(code=4001, reason='\x1b')>"


async def test_no_request() -> None:
    """What a server's socket has besides is None without a request."""
    socket: rxws.WebSocket[Any, Any]
    socket, peer = serve(lambda: None)
    assert (socket.request, socket.response, socket.protocol, socket.subscription) == (None, None, None, None)
    peer.drop()


async def test_remote_of_request() -> None:
    """The remote address of the request is the socket's."""

    class Request:
        remote = "192.0.2.1"

    from rxws.core.lifecycle import Lifecycle
    from rxws.options import check

    socket: rxws.WebSocket[Any, Any] = rxws.WebSocket(Lifecycle(check({})), request=Request())
    assert socket.remote == "192.0.2.1"
