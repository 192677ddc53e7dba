"""The messages of the peer: hot, none lost at the start, every observer safe from the others."""

import asyncio
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import ReplaySubject, Subject

import rxws
from rxws.testing import MemoryWire, serve
from tests.streams import ended, turns, watch

BOTH_LOOPS = True
Socket = rxws.WebSocket[Any, Any]


def idle(incoming: Any) -> None:
    """A handler that wants no messages."""


async def waiting() -> tuple[Socket, MemoryWire]:
    """Make a socket whose handler has not subscribed yet."""

    async def handler(socket: Socket) -> None:
        await asyncio.sleep(60)

    socket, peer = serve(handler)
    await turns()
    return socket, peer


async def test_it_is_hot_after_the_first_subscriber() -> None:
    socket, peer = await waiting()
    peer.send("a")
    first = watch(first=socket.incoming)
    await turns()
    second = watch(second=socket.incoming)
    peer.send("b")
    assert first == [("first", "a"), ("first", "b")]
    assert second == [("second", "b")]
    peer.drop()


async def test_when_all_have_unsubscribed_messages_are_dropped_not_held_again() -> None:
    socket, peer = await waiting()
    socket.incoming.subscribe().dispose()
    await turns()
    peer.send("lost")
    log = watch(incoming=socket.incoming)
    peer.send("seen")
    assert log == [("incoming", "seen")]
    assert socket.stats.received == 2
    peer.drop()


async def test_the_first_subscriber_may_come_from_another_thread() -> None:
    socket, peer = await waiting()
    peer.send("a", "b")
    log = await asyncio.to_thread(lambda: watch(incoming=socket.incoming))
    await turns()
    assert log == [("incoming", "a"), ("incoming", "b")]
    peer.drop()


async def test_it_completes_and_never_fails_however_the_socket_ends() -> None:
    for end in (
        lambda socket, peer: socket.outgoing.on_error(ValueError()),
        lambda socket, peer: peer.violate(),
        lambda socket, peer: peer.drop(ConnectionResetError()),
    ):
        socket, peer = serve(idle)
        log = watch(incoming=socket.incoming)
        await turns()
        end(socket, peer)
        await ended(socket)
        assert log == ["incoming|"]


async def test_a_message_that_comes_after_our_close_is_not_emitted() -> None:
    socket, peer = serve(idle)
    log = watch(incoming=socket.incoming)
    await turns()
    peer.mute = True
    socket.close(4001)
    peer.send("late")
    peer.close(rxws.Close(4001))
    await ended(socket)
    assert log == ["incoming|"]
    assert socket.stats.received == 0


async def test_a_retried_pipeline_goes_on_with_the_next_message() -> None:
    def handler(incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(ops.map(int), ops.map(str), ops.retry())

    _, peer = serve(handler)
    peer.send("1", "two", "3")
    await turns()
    assert peer.sent == ["1", "3"]
    peer.drop()


@pytest.mark.parametrize("subject", [Subject, ReplaySubject])
async def test_a_subject_may_be_subscribed_to_it(subject: Any) -> None:
    mine = subject()
    socket, peer = serve(lambda incoming: incoming.subscribe(mine))
    log = watch(mine=mine)
    peer.send("a")
    await turns()
    peer.drop()
    assert log == [("mine", "a"), "mine|"]


async def test_the_peer_s_close_within_a_message_comes_after_it_for_all() -> None:
    socket, peer = serve(idle)
    socket.incoming.subscribe(lambda _: peer.close(rxws.Close(4003)))
    log = watch(incoming=socket.incoming)
    await turns()
    peer.send("a")
    peer.send("b")
    assert (await ended(socket)).code == 4003
    assert log == [("incoming", "a"), "incoming|"]


def test_who_subscribes_first_when_the_event_loop_is_over_just_gets_the_end() -> None:
    async def live() -> Socket:
        socket, peer = await waiting()
        peer.close()
        await ended(socket)
        await turns()
        return socket

    socket = asyncio.run(live())
    assert watch(incoming=socket.incoming, closed=socket.closed) == [
        "incoming|",
        ("closed", rxws.Close.received(1005)),
        "closed|",
    ]
