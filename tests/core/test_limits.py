"""How long a message may take, and how many may come."""

import asyncio
from typing import Any

import rxws
from rxws.core.limits import TokenBucket
from rxws.testing import MemoryDialer, connect, serve
from tests.streams import ended, opened, reopened, turns

VIRTUAL = True


def idle(incoming: Any) -> None:
    incoming.subscribe()


async def test_message_timeout() -> None:
    """A message that is not whole in time is 1008, and nothing more is read."""
    socket, peer = serve(idle, message_timeout=0.05)
    errors: list[Exception] = []
    socket.errors.subscribe(errors.append)
    await turns()
    peer.send_part()
    peer.send_part()
    assert await ended(socket, 1) == rxws.Close(1008, "Message Unfinished") == peer.close_sent
    assert peer.ignored
    assert [(type(error), str(error)) for error in errors] == [(rxws.ProtocolError, "a message took more than 0.05 s")]
    peer.send_part()


async def test_each_message_has_its_own_time() -> None:
    socket, peer = serve(idle, message_timeout=0.1)
    await turns()
    for _ in range(5):
        peer.send_part()
        await asyncio.sleep(0.04)
        peer.send("whole")
    await asyncio.sleep(0.12)
    assert (peer.close_sent, socket.stats.received) == (None, 5)
    peer.drop()


async def test_held_peer_has_time() -> None:
    """A peer that is kept from sending has all the time."""
    socket, peer = serve(idle, message_timeout=0.05)
    await turns()
    peer.send_part()
    peer.blind = True
    await asyncio.sleep(0.15)
    assert peer.close_sent is None
    peer.blind = False
    assert (await ended(socket, 1)).code == 1008


async def test_no_message_timeout() -> None:
    """Without a deadline a message may take forever."""
    _, peer = serve(idle, message_timeout=None, heartbeat=None)
    await turns()
    peer.send_part()
    await asyncio.sleep(0.05)
    assert peer.close_sent is None
    peer.drop()


async def test_parts_are_life() -> None:
    """Bytes of a message are a sign of life."""
    _, peer = serve(idle, heartbeat=0.1)
    await turns()
    for _ in range(12):
        peer.send_part()
        await asyncio.sleep(0.04)
    assert not peer.aborted
    peer.drop()


async def test_client_message_timeout() -> None:
    """A client whose server takes too long comes back."""
    dialer = MemoryDialer()
    async with connect(dialer, rxws.Backoff(), message_timeout=0.05) as client:
        client.errors.subscribe()
        client.incoming.subscribe()
        await opened(client)
        dialer.peer.send_part()
        await reopened(client)
    assert dialer.attempts == 2
    assert dialer.wires[0].close_sent == rxws.Close(1008, "Message Unfinished")


def test_burst() -> None:
    """A burst of one second's worth passes, and the next one does not."""
    bucket = TokenBucket(5)
    assert [bucket.admits(10.0) for _ in range(6)] == [True] * 5 + [False]


def test_tokens_come_back() -> None:
    """Tokens come back with time, and never more than the burst."""
    bucket = TokenBucket(2)
    assert [bucket.admits(now) for now in (0, 0, 0.4, 0.9, 100)] == [True, True, False, True, True]
    assert [bucket.admits(100), bucket.admits(100)] == [True, False]


def test_slow_rate() -> None:
    """A rate of less than one a second still admits one."""
    bucket = TokenBucket(0.1)
    assert [bucket.admits(0), bucket.admits(5), bucket.admits(10.1)] == [True, False, True]
