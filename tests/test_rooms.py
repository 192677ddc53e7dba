"""Rooms: Subjects for many sockets."""

import asyncio
import gc
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import AsyncSubject, BehaviorSubject, ReplaySubject, Subject

import rxws
from rxws import operators as rxops
from rxws.core.lifecycle import Lifecycle
from rxws.rooms import Room, Rooms
from rxws.rx.loop_thread import MAX_HANDED_OVER
from rxws.testing import MemoryWire, serve
from tests.fuzzing.profiles import few
from tests.streams import ended, turns, watch
from tests.threads import in_a_thread

VIRTUAL = True


class Party:
    """Sockets in one room of their own making; what `errors` of each emits, if it is observed."""

    def __init__(self, handler: Any, number: int = 3, observe: bool = True, **options: Any) -> None:
        self.rooms: Rooms[Any] = Rooms()
        self.room = self.rooms["tea"]
        self.errors: list[tuple[int, Exception]] = []
        self.peers: list[MemoryWire] = []
        self.sockets: list[rxws.WebSocket[Any, Any]] = []
        for one in range(number):
            self.join(handler, one, observe, **options)

    def join(self, handler: Any, number: int, observe: bool = True, **options: Any) -> None:
        def member(socket: Any) -> Any:
            if observe:
                socket.errors.subscribe(lambda error: self.errors.append((number, error)))
            return handler(socket, self.room)

        socket, peer = serve(member, **options)
        self.sockets.append(socket)
        self.peers.append(peer)

    @property
    def sent(self) -> list[list[str | bytes]]:
        return [peer.sent for peer in self.peers]

    @property
    def closes(self) -> list[int | None]:
        return [peer.close_sent and peer.close_sent.code for peer in self.peers]

    @property
    def told(self) -> list[tuple[int, str]]:
        return [(number, type(error).__name__) for number, error in self.errors]

    async def leave(self, *, by_hand: bool = False) -> None:
        """Let all leave, and find who is in the room then: those who subscribed by hand, and did not dispose."""
        for peer in self.peers:
            peer.drop()
        await turns()
        assert len(self.rooms) == (1 if by_hand else 0)


def chat(socket: Any, room: Room[Any]) -> Any:
    socket.incoming.subscribe(room)
    return room


def fail_at_x(message: str) -> str:
    if message == "x":
        raise ValueError("x")
    return message


async def test_all_members_get_what_any_says() -> None:
    party = Party(chat)
    await turns()
    party.peers[0].send("a")
    party.peers[2].send("b")
    party.room.on_next("c")
    await turns()
    assert party.sent == [["a", "b", "c"]] * 3
    await party.leave()


@pytest.mark.parametrize("leave", [MemoryWire.drop, MemoryWire.close, MemoryWire.violate])
async def test_who_leaves_ends_the_room_for_nobody(leave: Callable[[MemoryWire], None]) -> None:
    """With a Subject the first to leave completes it for everybody, and for good."""
    party = Party(chat)
    await turns()
    leave(party.peers[0])
    await ended(party.sockets[0])
    party.peers[1].send("a")
    party.join(chat, 3)
    await turns()
    party.peers[3].send("b")
    await turns()
    assert party.sent == [[], ["a", "b"], ["a", "b"], ["b"]]
    assert party.closes[1:] == [None] * 3
    await party.leave()


@pytest.mark.parametrize("observe", [True, False])
async def test_error_of_a_source_is_its_socket_s(observe: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A pipeline into a room that fails is told on `errors` of its socket, or closes it; the others do not notice."""

    def member(socket: Any, room: Room[Any]) -> Any:
        socket.incoming.pipe(ops.map(fail_at_x)).subscribe(room)
        return room

    party = Party(member, observe=observe)
    await turns()
    party.peers[0].send("x")
    party.peers[1].send("a")
    await turns()
    assert party.sent[1:] == [["a"], ["a"]]
    assert party.told == ([(0, "ValueError")] if observe else [])
    assert party.closes == [None if observe else 1011, None, None]
    assert len(caplog.records) == (0 if observe else 1)
    await party.leave()


async def test_close_in_a_pipeline_into_a_room_is_its_socket_s() -> None:
    def bye(message: str) -> str:
        raise rxws.Close(4001, message)

    def member(socket: Any, room: Room[Any]) -> Any:
        socket.incoming.pipe(ops.map(bye)).subscribe(room)
        return room

    party = Party(member, observe=False)
    await turns()
    party.peers[1].send("bye")
    await turns()
    assert party.closes == [None, 4001, None]
    await party.leave()


def raises_at_once(socket: Any, room: Room[Any]) -> Any:
    if socket.request == "raises":
        room.subscribe(fail_at_x)
    return chat(socket, room)


def raises_after_a_message(socket: Any, room: Room[Any]) -> Any:
    if socket.request == "raises":
        socket.incoming.pipe(ops.take(1)).subscribe(lambda _: room.subscribe(fail_at_x))
    return chat(socket, room)


def raises_behind_an_operator(socket: Any, room: Room[Any]) -> Any:
    if socket.request == "raises":
        room.pipe(ops.map(str.strip)).subscribe(fail_at_x)
    return chat(socket, room)


@pytest.mark.parametrize("handler", [raises_at_once, raises_after_a_message, raises_behind_an_operator])
async def test_what_a_subscriber_raises_is_its_socket_s(handler: Any) -> None:
    """It goes to the socket whose handler subscribed, not to the one that said something."""
    party = Party(handler, 1)
    party.join(handler, 1, request="raises")
    party.join(handler, 2)
    await turns()
    party.peers[1].send("first")
    party.peers[0].send("x")
    party.peers[0].send("a")
    await turns()
    assert party.told == [(1, "ValueError")]
    assert party.sent == [["first", "x", "a"]] * 3
    await party.leave(by_hand=True)


async def test_what_a_coroutine_subscribed_is_its_socket_s() -> None:
    rooms: Rooms[str] = Rooms()
    told: list[Exception] = []

    async def raises(errors: Any) -> None:
        errors.subscribe(told.append)
        await asyncio.sleep(0)
        rooms["tea"].subscribe(fail_at_x)
        await asyncio.sleep(60)

    socket, peer = serve(raises)
    await turns()
    rooms["tea"].on_next("x")
    assert [type(error) for error in told] == [ValueError]
    peer.drop()
    await ended(socket)


async def test_what_nobody_s_subscriber_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """So is the error of a source that is not a socket; the room goes on."""
    room = Rooms[str]()["tea"]
    room.subscribe(fail_at_x)
    log = watch(room=room)
    room.on_next("x")
    reactivex.throw(KeyError("no socket")).subscribe(room)
    room.on_next("a")
    assert log == [("room", "x"), ("room", "a")]
    assert [(record.name, record.levelname) for record in caplog.records] == [("rxws", "ERROR")] * 2
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [ValueError, KeyError]


async def test_value_that_cannot_be_sent_is_its_socket_s() -> None:
    def member(socket: Any, room: Room[Any]) -> Any:
        socket.incoming.pipe(ops.map(lambda message: {message})).subscribe(room)
        return room

    party = Party(member, codec=rxws.json)
    await turns()
    party.peers[1].send('"a"')
    await turns()
    assert party.told == [(1, "EncodeError")]
    assert party.closes == [None] * 3
    await party.leave()


async def test_slow_member_meets_its_own_policy() -> None:
    party = Party(chat, 2, max_buffered=200, high_water=200)
    party.join(chat, 2, overflow="drop_oldest", max_buffered=200, high_water=200)
    await turns()
    party.peers[1].congested = party.peers[2].congested = True
    for number in range(10):
        party.peers[0].send(str(number))
        await turns()
    party.peers[1].congested = party.peers[2].congested = False
    await turns()
    assert party.closes == [None, 1013, None]
    assert party.sent[0] == [str(number) for number in range(10)]
    assert party.sent[2][-1] == "9"
    await party.leave()


class Counting:
    """A codec that counts what it encodes, and is `pure` all the same: its frames do not tell."""

    def __init__(self, *, pure: bool = True) -> None:
        self.pure = pure
        self.encoded = 0

    def decode(self, data: Any) -> Any:
        return [data]

    def encode(self, message: Any) -> str:
        self.encoded += 1
        return str(message)


async def test_value_is_encoded_once_for_all_with_the_codec() -> None:
    codec, other = Counting(), Counting()
    party = Party(chat, 5, codec=codec)
    party.join(chat, 5, codec=other)
    await turns()
    party.peers[0].send("a", "b")
    await turns()
    assert party.sent == [["['a']", "['b']"]] * 6
    assert (codec.encoded, other.encoded) == (2, 2)
    same = ["c"]
    party.room.on_next(same)
    same.append("d")
    party.room.on_next(same)
    await turns()
    assert [sent[2:] for sent in party.sent] == [["['c']", "['c', 'd']"]] * 6
    await party.leave()


async def test_a_codec_that_is_not_pure_encodes_for_each() -> None:
    codec = Counting(pure=False)
    party = Party(chat, 5, codec=codec)
    await turns()
    party.peers[0].send("a")
    await turns()
    assert codec.encoded == len(party.sent)
    await party.leave()


# A Subject by name


def test_rooms_are_there_while_anyone_is_in_them() -> None:
    """Names alone take no memory, nor does what is said to nobody."""
    rooms: Rooms[str] = Rooms()
    for number in range(1000):
        rooms[f"stranger {number}"].on_next("anybody?")
    assert (len(rooms), list(rooms), "tea" in rooms) == (0, [], False)
    first, second = rooms["tea"].subscribe(), rooms["tea"].subscribe()
    rooms["coffee"].subscribe()
    assert (len(rooms), list(rooms), "tea" in rooms) == (2, ["tea", "coffee"], True)
    first.dispose()
    first.dispose()
    assert "tea" in rooms
    second.dispose()
    assert list(rooms) == ["coffee"]


def test_names_are_keys() -> None:
    rooms: Rooms[int] = Rooms()
    log = watch(a=rooms["tenant", 1], b=rooms["tenant", 2])
    rooms["tenant", 1].on_next(1)
    assert log == [("a", 1)]
    with pytest.raises(TypeError, match="unhashable"):
        rooms[["tenant"]]  # type: ignore[index]


def test_room_is_a_subject_that_does_not_end() -> None:
    rooms: Rooms[int] = Rooms()
    room = rooms["tea"]
    assert isinstance(room, Subject)
    log = watch(early=room)
    reactivex.of(1, 2).subscribe(room)
    room.on_completed()
    room.dispose()
    log += watch(late=rooms["tea"].pipe(ops.merge(rooms["tea"]), ops.map(lambda number: number * 10)))
    room.on_next(3)
    assert log == [("early", 1), ("early", 2), ("early", 3)]


def test_room_is_subscribed_by_operators_and_observers() -> None:
    room, other = Rooms[int]()["tea"], Subject[int]()
    log = watch(other=other, scan=room.pipe(ops.scan(lambda total, one: total + one, 0)))
    subscriptions = room.subscribe(other), room._subscribe_core(other)
    room.on_next(1)
    for subscription in subscriptions:
        subscription.dispose()
    room.on_next(2)
    assert log == [("scan", 1), ("other", 1), ("other", 1), ("scan", 3)]


def test_what_a_member_emits_within_a_notification_follows() -> None:
    room = Rooms[int]()["tea"]
    room.subscribe(lambda number: room.on_next(number + 1) if number < 3 else None)
    log = watch(room=room)
    room.on_next(1)
    assert log == [("room", 1), ("room", 2), ("room", 3)]


async def test_members_that_answer_each_other_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is closed for it: who began is not to blame."""
    seen: list[str] = []

    def bot(socket: Any, room: Room[Any]) -> Any:
        def answer(message: str) -> None:
            assert len(seen) < 100_000, "it would never end"
            seen.append(message)
            room.on_next("and you?")

        room.subscribe(answer)
        socket.incoming.subscribe(room)

    party = Party(bot, 2)
    await turns()
    party.peers[0].send("how are you?")
    assert (party.told, party.closes) == ([], [None, None])
    (record,) = caplog.records
    assert "FeedbackLoop" in record.getMessage()
    assert len(seen) == 2 * (MAX_HANDED_OVER + 1)
    await party.leave(by_hand=True)


def test_who_joins_and_leaves_within_a_notification() -> None:
    rooms: Rooms[int] = Rooms()
    log: list[Any] = []

    def swap(number: int) -> None:
        member.dispose()
        rooms["tea"].on_next(number + 1)
        log.append(watch(late=rooms["tea"]))

    member = rooms["tea"].subscribe(swap)
    rooms["tea"].on_next(1)
    rooms["tea"].on_next(3)
    assert log == [[("late", 3)]]
    assert len(rooms) == 1


@few(50)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-1, 3)), max_size=40))
def test_who_is_there_hears_all(steps: list[tuple[str, int]]) -> None:
    """Members of three rooms come and go; each hears all that is said in its room while it is there."""
    rooms: Rooms[int] = Rooms()
    present: dict[str, list[tuple[Any, list[int], list[int]]]] = {"a": [], "b": [], "c": []}
    for said, (name, step) in enumerate(steps):
        if step == -1 and present[name]:
            subscription, heard, expected = present[name].pop(0)
            subscription.dispose()
            assert heard == expected
        elif step == 0:
            heard = []
            present[name].append((rooms[name].subscribe(heard.append), heard, []))
        else:
            rooms[name].on_next(said)
            for _, _, expected in present[name]:
                expected.append(said)
        assert set(rooms) == {room for room, members in present.items() if members}
    for members in present.values():
        for subscription, heard, expected in members:
            subscription.dispose()
            assert heard == expected
    assert len(rooms) == 0


async def test_rooms_leave_no_garbage(collected: Callable[[], None]) -> None:
    """When the last member has left, nothing of a room is there."""

    def there() -> list[int]:
        collected()
        return [id(thing) for thing in gc.get_objects() if isinstance(thing, Rooms | Room)]

    before = there()  # aiohttp keeps handlers behind a middleware, those of other tests too
    party = Party(chat, 2)
    await turns()
    party.peers[0].send("a")
    await party.leave()
    del party
    assert there() == before


# Threads


async def off(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0)
    thread.join()
    await turns()


async def test_threads_emit_in_the_event_loop() -> None:
    rooms: Rooms[int] = Rooms()
    seen: list[tuple[int, bool]] = []
    here = threading.get_ident()
    rooms["tea"].subscribe(lambda number: seen.append((number, threading.get_ident() == here)))
    await off(lambda: [rooms["tea"].on_next(number) for number in range(3)])
    assert seen == [(0, True), (1, True), (2, True)]


async def test_thread_that_runs_ahead_is_told(caplog: pytest.LogCaptureFixture) -> None:
    rooms: Rooms[int] = Rooms()
    seen: list[int] = []
    rooms["tea"].subscribe(seen.append)
    in_a_thread(lambda: [rooms["tea"].on_next(n) for n in range(MAX_HANDED_OVER + 1)])
    await turns()
    assert seen == list(range(MAX_HANDED_OVER))
    assert "16,384 calls from other threads" in caplog.text


async def test_thread_that_runs_ahead_in_bytes(caplog: pytest.LogCaptureFixture) -> None:
    """What threads say in rooms is bounded in bytes, too, with what is in lists and dictionaries."""
    rooms: Rooms[Any] = Rooms()
    seen: list[Any] = []
    rooms["tea"].subscribe(seen.append)
    send = [{"a": [f"{number:0500000}"]} for number in range(10)]
    in_a_thread(lambda: [rooms["tea"].on_next(value) for value in send])
    await turns()
    assert (seen, len(caplog.records)) == (send[:8], 2)
    assert all("4 MiB" in record.getMessage() for record in caplog.records)


async def test_errors_of_a_thread_ahead_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Errors that a thread reports in a socket's name wait as its messages do; beyond, they are logged."""
    rooms: Rooms[Any] = Rooms()
    begin, done = threading.Event(), threading.Event()

    def handler(incoming: Any) -> None:
        incoming.pipe(rxops.map_async(lambda _: asyncio.to_thread(work))).subscribe()

    def work() -> None:
        begin.wait()
        for number in range(MAX_HANDED_OVER + 100):
            rooms["tea"].on_error(ValueError(number))
        done.set()

    socket, peer = serve(handler)
    errors: list[Any] = []
    socket.errors.subscribe(errors.append)
    peer.send("a")
    await turns()
    begin.set()
    done.wait()  # the event loop does nothing else
    await turns()
    assert (len(errors), len(caplog.records)) == (MAX_HANDED_OVER, 100)
    assert f"ValueError({MAX_HANDED_OVER})" in caplog.text
    peer.drop()


async def test_error_of_a_thread_is_its_socket_s() -> None:
    """A thread that works on a message of a socket's is in that one's name."""

    def member(socket: Any, room: Room[Any]) -> Any:
        socket.incoming.pipe(rxops.map_async(lambda message: asyncio.to_thread(work, room, message))).subscribe()
        return room

    def work(room: Room[Any], message: str) -> None:
        room.on_next(message)
        room.on_next({message})
        room.on_error(ValueError(message))

    party = Party(member, codec=rxws.json)
    await turns()
    party.peers[1].send('"a"')
    async with asyncio.timeout(5):
        while len(party.errors) < 2:
            await asyncio.sleep(0.001)
    assert sorted(party.told) == [(1, "EncodeError"), (1, "ValueError")]
    assert party.sent == [['"a"']] * 3
    await party.leave()


def test_rooms_outlive_an_event_loop() -> None:
    """Rooms that are made at import serve one event loop after the other, and none."""
    rooms: Rooms[str] = Rooms()
    log = watch(room=rooms["tea"])

    async def serve_once() -> None:
        _, peer = serve(lambda incoming: chat(Sockets(incoming), rooms["tea"]))
        await turns()
        peer.send("a")
        await asyncio.to_thread(rooms["tea"].on_next, "b")
        await turns()
        assert peer.sent == ["a", "b"]
        peer.drop()
        await turns()

    for _ in range(2):
        asyncio.run(serve_once())
        thread = threading.Thread(target=rooms["tea"].on_next, args=("c",))
        thread.start()
        thread.join()
    assert log == [("room", said) for said in "abcabc"]


class Sockets:
    def __init__(self, incoming: Any) -> None:
        self.incoming = incoming


# A Subject that has ended is said, once


def handlers(subject: Any) -> dict[str, Any]:
    async def later() -> Any:
        return subject

    return {"def": lambda: subject, "async def": later}


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("make", [Subject, lambda: BehaviorSubject("a")])
async def test_subject_that_has_ended_is_said_once(kind: str, make: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever comes after a Subject has ended is closed at once; the log says why, and what to use."""
    subject = make()
    decorated = rxws.websocket(handlers(subject)[kind])
    function: Any = decorated.__wrapped__  # type: ignore[attr-defined]
    handler = rxws.core.handler.Handler(function)  # type: ignore[attr-defined]

    async def close() -> rxws.Close:
        life = Lifecycle(rxws.options.check({}))  # type: ignore[attr-defined]
        start = handler.compose(life, rxws.WebSocket(life))
        life.open(MemoryWire())
        start()
        await turns()
        if life.close_cause is None:
            life.abort()
        return await life.closed

    assert (await close()).code == 1006
    assert caplog.records == []
    subject.on_completed()
    for _ in range(3):
        assert (await close()).code == 1000
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("rxws.server", logging.WARNING)
    assert "returned a Subject that has ended" in record.getMessage()
    assert "rxws.Rooms()" in record.getMessage()


@pytest.mark.parametrize("make", [ReplaySubject, AsyncSubject, lambda: Rooms[str]()["tea"]])
async def test_subjects_that_mean_it_are_not_said(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What a Subject replays after its end is what clients come for; a room has no end."""
    subject = make()
    subject.on_next("last")
    subject.on_completed()
    socket, peer = serve(lambda: subject)
    await turns()
    peer.drop()
    await ended(socket)
    assert caplog.records == []
