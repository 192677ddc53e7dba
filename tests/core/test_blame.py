"""Who is told that a value cannot be sent: the socket that it came from, or the one that it is for."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.core.lifecycle import Lifecycle
from rxws.options import check
from rxws.rx.holds import Downstream, Via, current_source, socket_of
from rxws.testing import MemoryWire, serve
from tests.streams import ended, turns, watch

VIRTUAL = True


class Room:
    """Sockets that get what each of them makes of its messages; the first one is the sender."""

    def __init__(
        self, make: Any, members: int = 3, observe: bool = True, sender_hears: bool = True, **options: Any
    ) -> None:
        self.subject: Subject[Any] = Subject()
        self.errors: list[tuple[int, Exception]] = []
        self.sockets: list[rxws.WebSocket[Any, Any]] = []
        self.peers: list[MemoryWire] = []
        options = {"codec": rxws.json, **options}

        def member(incoming: Any, errors: Any) -> Any:
            number = len(self.sockets)
            if observe:
                errors.subscribe(lambda error: self.errors.append((number, error)))
            incoming.pipe(make).subscribe(self.subject.on_next, lambda error: None)
            return self.subject if number or sender_hears else None

        for _ in range(members):
            socket, peer = serve(member, **options)
            self.sockets.append(socket)
            self.peers.append(peer)

    async def gets(self, *messages: str) -> None:
        await turns()
        self.peers[0].send(*messages)
        await turns(20)

    @property
    def blamed(self) -> list[tuple[int, str]]:
        return [(number, type(error).__name__) for number, error in self.errors]

    @property
    def closes(self) -> list[int | None]:
        return [peer.close_sent and peer.close_sent.code for peer in self.peers]

    async def leave(self) -> None:
        for peer in self.peers:
            peer.drop()
        await turns()


unsendable = ops.map(lambda message: {1} if message == "bad" else message)


@pytest.mark.parametrize("sender_hears", [True, False])
@pytest.mark.parametrize("members", [2, 5])
async def test_a_value_is_an_error_of_the_socket_it_came_from(members: int, sender_hears: bool) -> None:
    """It is told once, however many it was for; they miss this value and no other."""
    room = Room(unsendable, members, sender_hears=sender_hears)
    await room.gets('"bad"', '"good"')
    assert room.blamed == [(0, "EncodeError")]
    assert isinstance(room.errors[0][1], rxws.EncodeError)
    assert room.errors[0][1].value == {1}
    assert [peer.sent for peer in room.peers[1:]] == [['"good"']] * (members - 1)
    await room.leave()


async def test_unobserved_it_closes_the_socket_it_came_from(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, and the others go on."""
    room = Room(unsendable, observe=False)
    await room.gets('"bad"')
    assert room.closes == [1011, None, None]
    (record,) = caplog.records
    assert "EncodeError('cannot send {1}" in record.getMessage()
    room.subject.on_next("good")
    await turns()
    assert [peer.sent for peer in room.peers[1:]] == [['"good"']] * 2
    await room.leave()


async def test_each_value_is_told_and_so_is_one_that_comes_again() -> None:
    """Only what is for many is one: two messages are two errors, of one object, too."""
    constant = {1}
    room = Room(ops.map(lambda message: constant if message == "constant" else {message}))
    await room.gets('"a"', '"b"', '"constant"')
    await room.gets('"constant"')
    assert [error.value for _, error in room.errors if isinstance(error, rxws.EncodeError)] == [
        *({"a"}, {"b"}, constant, constant)
    ]
    await room.leave()


async def test_who_reads_with_another_codec_is_to_blame_itself() -> None:
    """What the sender's own codec takes is no fault of the sender's."""
    room = Room(ops.map(lambda message: {"text": message}))
    told: list[Exception] = []

    def other(errors: Any) -> Any:
        errors.subscribe(told.append)
        return room.subject

    _, peer = serve(other, codec=rxws.codecs.text)
    await room.gets('"hello"')
    assert room.blamed == []
    assert [type(error) for error in told] == [rxws.EncodeError]
    assert [peer.sent for peer in room.peers] == [['{"text":"hello"}']] * 3
    peer.drop()
    await room.leave()


@pytest.mark.parametrize("sender_hears", [True, False])
async def test_a_key_function_that_fails_blames_the_sender(sender_hears: bool) -> None:
    """The sender has the same key function."""
    room = Room(
        ops.map(lambda message: message),
        sender_hears=sender_hears,
        overflow=rxws.latest_by(lambda message: message["symbol"]),
    )
    await room.gets('{"symbol": 1}', '{"no": 1}')
    assert room.blamed == [(0, "KeyError")]
    assert [peer.sent for peer in room.peers[1:]] == [['{"symbol":1}']] * 2
    await room.leave()


class Refusing:
    def decode(self, data: Any) -> Any:
        return data

    def encode(self, message: Any) -> str:
        raise rxws.Close(4002, "not for me")


async def test_a_close_of_a_codec_closes_its_own_socket() -> None:
    room = Room(ops.map(lambda message: message))
    _, peer = serve(lambda: room.subject, codec=Refusing())
    await room.gets('"hello"')
    assert peer.close_sent == rxws.Close(4002, "not for me")
    assert (room.closes, room.blamed) == ([None] * 3, [])
    await room.leave()


async def once(message: Any) -> AsyncIterator[Any]:
    yield {message}


async def bad(message: Any) -> Any:
    await asyncio.sleep(0)
    return {message}


@pytest.mark.parametrize(
    "make",
    [
        rxops.map_async(bad),
        ops.compose(rxops.buffered(10), rxops.map_async(bad, max_concurrent=2), rxops.buffered(10), ops.map(set)),
        ops.flat_map(lambda message: rxops.from_async_iterable(once(message))),
        ops.map(lambda message: {message}),
        ops.flat_map(lambda message: asyncio.ensure_future(bad(message))),
    ],
    ids=["map_async", "stages", "from_async_iterable", "map", "future"],
)
async def test_the_socket_is_found_behind_operators_that_wait(make: Any) -> None:
    room = Room(make)
    await room.gets('"a"')
    assert room.blamed == [(0, "EncodeError")]
    await room.leave()


async def test_the_socket_is_found_behind_a_thread() -> None:
    """What a thread emits that works on a message is in the name of its socket, and nothing else that comes then.

    The members get it one after the other, maybe in several turns of the event loop, each of which tells once.
    """
    room = Room(ops.flat_map(lambda message: asyncio.ensure_future(asyncio.to_thread(work))))

    def work() -> None:
        room.subject.on_next({1})
        other = threading.Thread(target=room.sockets[1].outgoing.on_next, args=({2},))
        other.start()
        other.join()
        room.subject.on_next({3})

    await room.gets('"a"')
    async with asyncio.timeout(5):
        while len(told := {(number, str(error)[:15]) for number, error in room.errors}) < 3:
            await asyncio.sleep(0.001)
    await turns()
    assert told == {(0, "cannot send {1}"), (1, "cannot send {2}"), (0, "cannot send {3}")}
    await room.leave()


async def test_what_came_from_no_socket_is_an_error_of_each_it_is_for() -> None:
    room = Room(unsendable)
    room.subject.on_next({1})
    assert room.blamed == [(0, "EncodeError"), (1, "EncodeError"), (2, "EncodeError")]
    await room.leave()


async def test_a_socket_that_has_left_is_to_blame_still(caplog: pytest.LogCaptureFixture) -> None:
    free = asyncio.Event()

    async def later(message: Any) -> Any:
        await free.wait()
        return {message}

    room = Room(ops.flat_map(lambda message: asyncio.ensure_future(later(message))), observe=False)
    await room.gets('"bad"')
    room.peers[0].drop()
    await ended(room.sockets[0])
    free.set()
    await turns()
    assert room.closes == [None] * 3
    assert "EncodeError(\"cannot send {'bad'}" in caplog.text
    await room.leave()


async def test_a_socket_of_another_event_loop_is_not_to_blame() -> None:
    """What it is told could not reach it safely from here."""

    async def elsewhere() -> Lifecycle:
        life = Lifecycle(check({"codec": rxws.json}))
        life.abort()
        return life

    life = await asyncio.to_thread(asyncio.run, elsewhere())
    socket, peer = serve(lambda: None, codec=rxws.json)
    log = watch(errors=socket.errors)
    token = current_source.set(life)
    socket.outgoing.on_next({1})
    await asyncio.to_thread(socket.outgoing.on_next, {2})
    current_source.reset(token)
    await turns()
    assert [type(error) for _, error in log] == [rxws.EncodeError] * 2
    peer.drop()


def test_the_socket_of_an_item_is_before_all_stages() -> None:
    class Socket(Downstream):
        def hold(self) -> None: ...
        def release(self) -> None: ...

    stage: Any = Socket()
    life: Any = object()
    assert socket_of(None) is None
    assert socket_of(life) is life
    assert socket_of(Via(stage, Via(stage, life))) is life
    assert socket_of(Via(stage, None)) is None
