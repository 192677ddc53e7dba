"""How long a message may take, and how many pings, on the in-memory wire."""

import asyncio
from collections.abc import Callable
from typing import Any

import rxws
from rxws.core.connection import PINGS
from rxws.testing import serve
from tests.streams import ended, turns

BOTH_LOOPS = True
Eventually = Callable[..., Any]


def idle(incoming: Any) -> None:
    incoming.subscribe()


async def test_a_message_that_is_not_whole_in_time_is_1008_and_nothing_more_is_read() -> None:
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


async def test_a_peer_that_is_kept_from_sending_has_all_the_time() -> None:
    socket, peer = serve(idle, message_timeout=0.05)
    await turns()
    peer.send_part()
    peer.blind = True
    await asyncio.sleep(0.15)
    assert peer.close_sent is None
    peer.blind = False
    assert (await ended(socket, 1)).code == 1008


async def test_without_a_deadline_a_message_may_take_for_ever() -> None:
    _, peer = serve(idle, message_timeout=None, heartbeat=None)
    await turns()
    peer.send_part()
    await asyncio.sleep(0.05)
    assert peer.close_sent is None
    peer.drop()


async def test_bytes_of_a_message_are_a_sign_of_life() -> None:
    _, peer = serve(idle, heartbeat=0.1)
    await turns()
    for _ in range(12):
        peer.send_part()
        await asyncio.sleep(0.04)
    assert not peer.aborted
    peer.drop()


async def test_pings_and_pongs_beyond_a_thousand_a_second_are_1008() -> None:
    for flood in ("pings", "pongs"):
        socket, peer = serve(idle)
        await turns()
        number = int(PINGS) + 100
        if flood == "pings":
            peer.ping(number)
        else:
            for _ in range(number):
                peer.pong(b"unasked")
        assert await ended(socket) == rxws.Close(1008, "Too Many Pings") == peer.close_sent
        assert peer.ignored


async def test_a_burst_of_a_thousand_is_none_too_many() -> None:
    _, peer = serve(idle)
    await turns()
    peer.ping(int(PINGS))
    await turns()
    assert peer.close_sent is None
    peer.drop()


async def test_a_client_whose_server_takes_too_long_comes_back() -> None:
    from rxws.testing import MemoryDialer, connect

    dialer = MemoryDialer()
    backoff = rxws.Backoff(initial=0.001, maximum=0.001)
    async with connect(dialer, backoff, message_timeout=0.05) as client:
        client.errors.subscribe()
        client.incoming.subscribe()
        while not dialer.wires:
            await asyncio.sleep(0.005)
        await turns()
        dialer.peer.send_part()
        async with asyncio.timeout(2):
            while dialer.attempts < 2:
                await asyncio.sleep(0.005)
    assert dialer.wires[0].close_sent == rxws.Close(1008, "Message Unfinished")
