"""Pings find dead peers, spare live ones, and measure the round trip."""

import asyncio
import time
from typing import Any

import pytest

import rxws
from rxws.testing import MemoryWire, serve, virtual_time
from tests.streams import ended, watch

BEAT = 0.05


def idle(incoming: Any) -> None:
    """A handler that does nothing."""


async def answer(peer: MemoryWire, beats: int) -> None:
    for beat in range(beats):
        async with asyncio.timeout(5):
            while len(peer.pings) <= beat:
                await asyncio.sleep(0.002)
        peer.pong(peer.pings[beat])


@virtual_time
async def test_a_mute_peer_is_found_within_two_heartbeats_and_is_1006() -> None:
    socket, peer = serve(idle, heartbeat=BEAT)
    log = watch(errors=socket.errors)
    assert (await ended(socket)).code == 1006
    assert asyncio.get_running_loop().time() == pytest.approx(2 * BEAT)
    assert [type(error) for _, error in log[:-1]] == [rxws.HeartbeatTimeout]
    assert (len(peer.pings), peer.aborted) == (1, True)


@virtual_time
async def test_a_peer_that_answers_lives_and_rtt_is_measured() -> None:
    socket, peer = serve(idle, heartbeat=BEAT)
    assert socket.rtt is None
    await answer(peer, 4)
    assert socket.rtt is not None
    assert 0 <= socket.rtt < 0.003
    assert socket.stats.rtt == socket.rtt
    assert len(set(peer.pings)) == 4
    assert peer.close_sent is None
    peer.drop()


@virtual_time
async def test_a_peer_that_sends_messages_lives() -> None:
    socket, peer = serve(idle, heartbeat=BEAT)
    for _ in range(20):
        peer.send("alive")
        await asyncio.sleep(BEAT / 4)
    assert (socket.rtt, peer.aborted) == (None, False)
    peer.pong(b"unasked")
    assert socket.rtt is None
    peer.drop()


@virtual_time
async def test_a_hold_does_not_kill_a_healthy_peer_whose_pong_cannot_be_seen() -> None:
    socket, peer = serve(idle, heartbeat=BEAT)
    peer.blind = True
    await asyncio.sleep(BEAT * 4)
    assert not peer.aborted
    peer.blind = False
    assert (await ended(socket)).code == 1006


@virtual_time
async def test_a_stalled_peer_that_takes_not_even_the_ping_is_found() -> None:
    socket, peer = serve(idle, heartbeat=BEAT)
    peer.congested = peer.blind = True
    assert (await ended(socket)).code == 1006
    assert peer.pings == []


@virtual_time
async def test_a_slow_peer_that_makes_room_lives() -> None:
    socket, peer = serve(idle, heartbeat=BEAT)
    for _ in range(16):
        peer.congested = True
        await asyncio.sleep(BEAT / 4)
        peer.congested = False
    assert not peer.aborted
    peer.drop()


async def test_a_pong_that_waits_while_the_event_loop_is_blocked_saves_the_peer() -> None:
    socket, peer = serve(idle, heartbeat=BEAT)
    await answer(peer, 1)
    while len(peer.pings) < 2:
        await asyncio.sleep(0.002)
    time.sleep(BEAT * 2)
    asyncio.get_running_loop().call_soon(peer.pong, peer.pings[1])
    await asyncio.sleep(BEAT / 5)
    assert not peer.aborted
    peer.drop()


@virtual_time
async def test_without_a_heartbeat_there_are_no_pings() -> None:
    socket, peer = serve(idle, heartbeat=None)
    peer.pong(b"unasked")
    peer.send("unasked")
    await asyncio.sleep(0.02)
    assert (peer.pings, socket.rtt) == ([], None)
    peer.drop()


@virtual_time
async def test_a_ping_that_somebody_asks_for_gives_the_round_trip() -> None:
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


@virtual_time
async def test_no_ping_follows_a_close() -> None:
    socket, peer = serve(idle, heartbeat=BEAT, close_timeout=BEAT * 3)
    peer.mute = True
    socket.close()
    await ended(socket)
    assert peer.pings == []
