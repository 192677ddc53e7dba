"""Peers that do not read, do not answer, or only seem not to."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from reactivex.subject import Subject

import rxws
from tests.faults.measures import descriptors, growing
from tests.integration.raw import BINARY, PING, PONG, Raw, raw
from tests.integration.server import Server, serving
from tests.streams import ended

BOTH_LOOPS = True
Eventually = Callable[..., Any]
MIB = 1024 * 1024
MESSAGE = bytes(100_000)


async def stall(server: Server, eventually: Eventually) -> rxws.WebSocket[Any, Any]:
    """Send until the kernel, the transport and the socket keep what they have."""
    await eventually(lambda: server.sockets)
    socket = server.sockets[0]
    waited = 0
    while waited < 5:  # a kernel may take more for a while
        if socket.stats.buffered:
            waited += 1
            await asyncio.sleep(0.02)
        else:
            waited = 0
            socket.outgoing.on_next(MESSAGE)
            await asyncio.sleep(0)
    return socket


async def push_a_gigabyte(server: Server, eventually: Eventually) -> rxws.WebSocket[Any, Any]:
    """Push a copy of the message again and again, whether or not the socket takes it."""
    await eventually(lambda: server.sockets)
    outgoing = server.sockets[0].outgoing
    for number in range(10_000):
        outgoing.on_next(bytearray(MESSAGE))
        if number % 50 == 0:
            await asyncio.sleep(0)
    return server.sockets[0]


@pytest.mark.parametrize("policy", ["close", "drop_oldest", "drop_newest", "latest"])
@pytest.mark.parametrize("heartbeat", [None, 0.2])
async def test_unread_gigabyte_is_bounded(policy: Any, heartbeat: float | None, eventually: Eventually) -> None:
    """When a gigabyte is pushed to a peer that never reads, memory is bounded and the policy applies.

    With `close` it is gone by the deadline; with the others when a heartbeat is missed, or we close.
    """
    handler = rxws.websocket(overflow=policy, heartbeat=heartbeat, close_timeout=0.5)(lambda: Subject[Any]())
    async with serving(handler) as server:
        files = descriptors()
        async with raw(server.port, receive_buffer=4096) as peer:
            growth = growing()
            socket = await push_a_gigabyte(server, eventually)
            assert growth() < 20 * MIB
            if policy != "close":
                assert socket.stats.dropped > 5000 or heartbeat
                if heartbeat is None:
                    socket.close()
            code = (await ended(socket, 3)).code
            assert code in {"close": (1013,)}.get(policy, (1000,) if heartbeat is None else (1006,))
            await eventually(lambda: descriptors() <= files + 1)  # that of the peer itself
            del peer


async def test_slow_peer_that_reads_on_too_late_sees_1006(eventually: Eventually) -> None:
    """A slow peer that reads on when its deadline is over finds no close frame behind what was sent."""
    handler = rxws.websocket(heartbeat=None, close_timeout=0.3)(lambda: Subject[Any]())
    async with serving(handler) as server, raw(server.port, receive_buffer=4096) as peer:
        await stall(server, eventually)
        socket = await push_a_gigabyte(server, eventually)
        assert await ended(socket, 3) == rxws.Close(1013, "Too Slow")
        seen: list[int] = []
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.timeout(10):
                while True:
                    seen.append((await peer.receive())[0])
        assert set(seen) <= {BINARY}


@pytest.mark.parametrize("act", ["close", "dispose", "complete"])
async def test_closing_a_stalled_peer_returns_at_once(act: str, eventually: Eventually) -> None:
    """With a stalled peer, `close` and `dispose` return at once, and the socket ends in time."""
    handler = rxws.websocket(close_timeout=0.3)(lambda: Subject[Any]())
    async with serving(handler) as server, raw(server.port, receive_buffer=4096):
        socket = await stall(server, eventually)
        began = time.monotonic()
        {"close": socket.close, "dispose": socket.dispose, "complete": socket.outgoing.on_completed}[act]()
        assert time.monotonic() - began < 0.25
        assert (await ended(socket)).code == 1000
        assert time.monotonic() - began < 4


async def test_abandoned_sender_leaves_the_other(eventually: Eventually) -> None:
    """When two senders wait for room and one is abandoned, the other sends on."""
    sent: dict[str, int] = {"a": 0, "b": 0}

    async def ticks(name: str) -> AsyncIterator[bytes]:
        while True:
            sent[name] += 1
            yield name.encode() * 50_000

    @rxws.websocket
    async def handler(outgoing: Any, incoming: Any) -> None:
        async def send(name: str) -> None:
            async for tick in ticks(name):
                outgoing.on_next(tick)
                await outgoing.room()

        senders.extend(asyncio.ensure_future(send(name)) for name in "ab")
        await asyncio.wait(senders)

    senders: list[asyncio.Future[None]] = []
    async with serving(handler) as server, raw(server.port, receive_buffer=4096) as peer:
        await eventually(lambda: senders and server.sockets[0].stats.buffered)
        await asyncio.sleep(0.1)
        before = dict(sent)
        senders[0].cancel()
        seen = [(await asyncio.wait_for(peer.receive(), 5))[1] for _ in range(before["a"] + before["b"] + 100)]
        assert sent["a"] == before["a"]
        assert {len(message) for message in seen} == {50_000}
        assert {message[:1] for message in seen[-50:]} == {b"b"}
        senders[1].cancel()


async def test_mute_peer_is_found(eventually: Eventually) -> None:
    """A mute peer is found when two heartbeats have passed."""
    began = time.monotonic()
    async with serving(rxws.websocket(heartbeat=0.2)(lambda incoming: incoming)) as server, raw(server.port) as peer:
        await eventually(lambda: server.sockets)
        errors: list[Exception] = []
        server.sockets[0].errors.subscribe(errors.append)
        assert await ended(server.sockets[0]) == rxws.Close.received(1006)
        assert 0.36 < time.monotonic() - began < 4
        assert [type(error) for error in errors] == [rxws.HeartbeatTimeout]
        assert (await peer.receive())[0] == PING


async def answer(peer: Raw) -> None:
    while True:
        opcode, data = await peer.receive()
        if opcode == PING:
            peer.send(PONG, data)


async def test_blocked_loop_drops_no_live_peer(eventually: Eventually) -> None:
    """After the event loop was blocked for longer than the heartbeat, a peer whose pong waits survives."""
    beat = 0.1
    async with serving(rxws.websocket(heartbeat=beat)(lambda incoming: incoming)) as server, raw(server.port) as peer:
        for _ in range(3):
            _, data = await peer.receive()
            peer.send(PONG, data)
            time.sleep(beat * 2.5)
            await asyncio.sleep(0)
        answering = asyncio.create_task(answer(peer))
        await asyncio.sleep(beat * 3)
        assert len(server.sockets) == 1
        assert server.sockets[0].stats.rtt is not None
        assert server.hub is not None
        assert len(server.hub) == 1
        answering.cancel()
