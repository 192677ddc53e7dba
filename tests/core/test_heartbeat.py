"""Pings find dead peers, spare live ones, and measure the round trip."""

import asyncio
from typing import Any

import pytest

import rxws
from rxws.testing import MemoryWire, serve
from tests.streams import ended, raising, turns, watch

VIRTUAL = True

BEAT = 0.05


def idle(incoming: Any) -> None:
    """A handler that does nothing."""


async def answer(peer: MemoryWire, beats: int) -> None:
    for beat in range(beats):
        async with asyncio.timeout(5):
            while len(peer.pings) <= beat:
                await asyncio.sleep(0.002)
        peer.pong(peer.pings[beat])


async def test_mute_peer() -> None:
    """A mute peer is found within two heartbeats and is 1006."""
    socket, peer = serve(idle, heartbeat=BEAT)
    log = watch(errors=socket.errors)
    assert (await ended(socket)).code == 1006
    assert asyncio.get_running_loop().time() == pytest.approx(2 * BEAT)
    assert [type(error) for _, error in log[:-1]] == [rxws.HeartbeatTimeout]
    assert (len(peer.pings), peer.aborted) == (1, True)


async def test_rtt() -> None:
    """A peer that answers lives, and the round trip is measured."""
    socket, peer = serve(idle, heartbeat=BEAT)
    assert socket.rtt is None
    await answer(peer, 4)
    assert socket.rtt is not None
    assert 0 <= socket.rtt < 0.003
    assert socket.stats.rtt == socket.rtt
    assert len(set(peer.pings)) == 4
    assert peer.close_sent is None
    peer.drop()


async def test_messages_are_life() -> None:
    """A peer that sends messages lives."""
    socket, peer = serve(idle, heartbeat=BEAT)
    for _ in range(20):
        peer.send("alive")
        await asyncio.sleep(BEAT / 4)
    assert (socket.rtt, peer.aborted) == (None, False)
    peer.pong(b"unasked")
    assert socket.rtt is None
    peer.drop()


async def test_hold_spares_healthy_peer() -> None:
    """A hold does not kill a healthy peer whose pong cannot be seen."""
    socket, peer = serve(idle, heartbeat=BEAT)
    peer.blind = True
    await asyncio.sleep(BEAT * 4)
    assert not peer.aborted
    peer.blind = False
    assert (await ended(socket)).code == 1006


async def test_stalled_peer() -> None:
    """A stalled peer that does not even take the ping is found."""
    socket, peer = serve(idle, heartbeat=BEAT)
    peer.congested = peer.blind = True
    assert (await ended(socket)).code == 1006
    assert peer.pings == []


async def test_slow_peer() -> None:
    """A slow peer that makes room lives."""
    socket, peer = serve(idle, heartbeat=BEAT)
    for _ in range(16):
        peer.congested = True
        await asyncio.sleep(BEAT / 4)
        peer.congested = False
    assert not peer.aborted
    peer.drop()


async def test_blocked_loop() -> None:
    """A pong that waits while the event loop is blocked saves the peer."""
    socket, peer = serve(idle, heartbeat=BEAT)
    await answer(peer, 1)
    while len(peer.pings) < 2:
        await asyncio.sleep(0.002)
    loop: Any = asyncio.get_running_loop()
    loop._jumps.now += BEAT * 2  # as when this blocked for as long
    await turns()  # while the transport reads what has come meanwhile
    peer.pong(peer.pings[1])
    await asyncio.sleep(BEAT / 5)
    assert not peer.aborted
    peer.drop()


async def test_no_heartbeat() -> None:
    """Without a heartbeat there are no pings."""
    socket, peer = serve(idle, heartbeat=None)
    peer.pong(b"unasked")
    peer.send("unasked")
    await asyncio.sleep(0.02)
    assert (peer.pings, socket.rtt) == ([], None)
    peer.drop()


async def test_asked_ping() -> None:
    """A ping that is asked for gives the round trip."""
    socket, peer = serve(idle, heartbeat=BEAT)
    await asyncio.sleep(BEAT / 2)
    heartbeat = socket._life.connection.heartbeat  # type: ignore[union-attr]
    asked = heartbeat.beat()  # type: ignore[union-attr]
    await asyncio.sleep(BEAT / 5)
    peer.pong(peer.pings[0])
    assert await asked == socket.rtt == pytest.approx(BEAT / 5)
    assert asyncio.get_running_loop().time() == pytest.approx(0.7 * BEAT)
    await asyncio.sleep(0.9 * BEAT)
    assert len(peer.pings) == 2
    peer.pong(peer.pings[1])
    assert await asked == pytest.approx(BEAT / 5)
    peer.drop()
    peer.pong(b"late")


async def test_no_ping_follows_a_close() -> None:
    socket, peer = serve(idle, heartbeat=BEAT, close_timeout=BEAT * 3)
    peer.mute = True
    socket.close()
    await ended(socket)
    assert peer.pings == []


@pytest.mark.parametrize("error", [asyncio.CancelledError(), OSError()], ids=lambda error: type(error).__name__)
async def test_ping_that_cannot_be_sent(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport that raises over a ping does not end the watch: the mute peer is found all the same."""
    asyncio.get_running_loop().set_exception_handler(lambda _, context: None)
    socket, peer = serve(idle, heartbeat=BEAT)
    monkeypatch.setattr(type(peer), "wake", raising(error))
    await asyncio.sleep(2 * BEAT)
    monkeypatch.undo()
    assert (await ended(socket)).code == 1006
