"""The sink: what is sent is shown, bounded, ordered, and taken from any thread."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws.core.lifecycle import Lifecycle
from rxws.core.wire import Frame, Text
from rxws.options import check
from rxws.testing import MemoryWire, serve
from tests.streams import ended, turns, watch

VIRTUAL = True

Eventually = Callable[..., Any]


def idle() -> None:
    """A handler that does nothing."""


async def test_outgoing_is_a_subject() -> None:
    """The outgoing sink is a Subject, and subscribing to it shows what is sent."""
    socket, peer = serve(idle, codec=rxws.json)
    assert isinstance(socket.outgoing, Subject)
    log = watch(outgoing=socket.outgoing)
    socket.outgoing.on_next({"a": 1})
    socket.outgoing.on_completed()
    await ended(socket)
    assert log == [("outgoing", {"a": 1}), "outgoing|"]
    assert peer.sent == ['{"a":1}']


async def test_on_error_is_shown() -> None:
    """The on_error of outgoing is shown to its subscribers, as with any Subject."""
    socket, _ = serve(idle)
    log = watch(outgoing=socket.outgoing)
    error = ValueError()
    socket.outgoing.on_error(error)
    await ended(socket)
    assert log == [("outgoing#", error)]


async def test_observer_sends_in_turn() -> None:
    """What an observer sends in turn follows in order for all."""
    socket, peer = serve(idle)
    socket.outgoing.pipe(ops.filter(lambda m: len(m) < 3)).subscribe(lambda m: socket.outgoing.on_next(m + "x"))
    log = watch(outgoing=socket.outgoing)
    socket.outgoing.on_next("a")
    await turns()
    assert log == [("outgoing", "a"), ("outgoing", "ax"), ("outgoing", "axx")]
    assert peer.sent == ["a", "ax", "axx"]
    peer.drop()


async def test_observer_raises() -> None:
    """An observer of outgoing that raises harms no other."""
    socket, peer = serve(idle)
    errors = watch(errors=socket.errors)
    socket.outgoing.subscribe(lambda _: 1 / 0)
    log = watch(outgoing=socket.outgoing)
    socket.outgoing.on_next("a")
    await turns()
    assert (log, peer.sent, len(errors)) == ([("outgoing", "a")], ["a"], 1)
    peer.drop()


# Overflow, with a peer that stops reading and reads on


@pytest.mark.parametrize(
    ("policy", "sent", "dropped"),
    [
        ("drop_oldest", "789", "0123456"),
        ("drop_newest", "012", "3456789"),
        ("latest", "9", "012345678"),
        (rxws.latest_by(lambda m: int(m) % 2), "89", "01234567"),
    ],
)
async def test_overflow_policies(policy: Any, sent: str, dropped: str) -> None:
    """Drops follow the policy, are counted, and are seen."""
    socket, peer = serve(idle, overflow=policy, max_buffered=3 * 65)
    await turns()
    peer.congested = True
    log = watch(dropped=socket.dropped, outgoing=socket.outgoing)
    for message in "0123456789":
        socket.outgoing.on_next(message)
    assert "".join(m for name, m in log if name == "dropped") == dropped
    assert socket.stats.dropped == len(dropped)
    shown = "".join(m for name, m in log if name == "outgoing")
    assert shown == (sent if policy == "drop_newest" else "0123456789")
    peer.congested = False
    await turns()
    assert "".join(map(str, peer.sent)) == sent
    assert (socket.stats.in_flight is not None) is (policy not in ("drop_oldest", "drop_newest"))
    peer.drop()


@pytest.mark.parametrize(
    ("policy", "sent"),
    [("latest", "9"), (rxws.latest_by(lambda m: int(m) % 2), "89"), ("drop_oldest", "0123456789")],
)
async def test_waited_since_before(policy: Any, sent: str) -> None:
    """What came before the peer stopped reading is conflated, too, if it has waited, and nothing else has come."""
    socket, peer = serve(idle, overflow=policy, high_water=100)
    await turns()
    log = watch(dropped=socket.dropped)
    for message in "0123456789":
        socket.outgoing.on_next(message)
    peer.congested = True
    await turns()
    assert (socket.stats.buffered, peer._held, peer.sent, log) == (10, True, [], [])
    peer.congested = False
    await turns()
    assert ("".join(map(str, peer.sent)), len(log), peer._held) == (sent, 10 - len(sent), False)
    peer.drop()


async def test_waits_when_it_closes() -> None:
    """What has waited when the socket closes is sent."""
    socket, peer = serve(idle, overflow="latest")
    await turns()
    for message in "0123456789":
        socket.outgoing.on_next(message)
    peer.congested = True
    socket.close()
    peer.congested = False
    await ended(socket)
    assert peer.sent == list("0123456789")


async def test_latest_for_a_fast_peer() -> None:
    """With latest a peer that keeps up gets everything."""
    socket, peer = serve(idle, overflow="latest")
    for message in "0123456789":
        socket.outgoing.on_next(message)
    await turns()
    assert peer.sent == list("0123456789")
    peer.drop()


async def test_key_function_raises() -> None:
    """A key function that raises is an error on the stream."""
    socket, peer = serve(idle, overflow=rxws.latest_by(lambda m: m["key"]), codec=rxws.json)
    log = watch(errors=socket.errors)
    socket.outgoing.on_next({})
    socket.outgoing.on_next({"key": 1})
    await turns()
    assert [type(error) for _, error in log] == [KeyError]
    assert peer.sent == ['{"key":1}']
    peer.drop()


@pytest.mark.parametrize("observed", [True, False])
async def test_on_error_reported_once(observed: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The on_error of outgoing is reported once, whoever subscribes to outgoing."""
    socket, _ = serve(idle)
    socket.outgoing.subscribe(lambda _: None)  # without on_error, so that it raises what it gets
    log = watch(errors=socket.errors) if observed else []
    socket.outgoing.on_error(ValueError())
    assert (await ended(socket)).code == 1011
    assert (len(log), len(caplog.records)) == ((2, 0) if observed else (0, 1))


async def test_heavy_message_passes() -> None:
    """A message heavier than max_buffered passes alone."""
    socket, peer = serve(idle, max_buffered=100)
    heavy = "x" * 100_000
    socket.outgoing.on_next(heavy)
    await turns()
    assert peer.sent == [heavy]
    socket.outgoing.on_next(heavy)
    socket.outgoing.on_next("y")
    assert (await ended(socket)).code == 1013


@pytest.mark.parametrize("message", ["", "x" * 100])
async def test_bounded_in_bytes_and_messages(message: str) -> None:
    """What waits is bounded in bytes and in messages."""
    socket, peer = serve(idle, max_buffered=64_000, overflow="drop_oldest")
    peer.congested = True
    for _ in range(10_000):
        socket.outgoing.on_next(message)
    stats = socket.stats
    assert stats.buffered == 64_000 // (64 + len(message)) == 10_000 - stats.dropped
    assert stats.buffered_bytes <= 64_000
    peer.drop()


async def test_flush_before_deadline() -> None:
    """What was queued is flushed when a slow peer reads on before the deadline."""
    socket, peer = serve(idle)
    peer.congested = True
    for message in "abc":
        socket.outgoing.on_next(message)
    socket.outgoing.on_completed()
    await turns()
    assert (peer.sent, peer.close_sent) == ([], None)
    peer.congested = False
    assert await ended(socket) == rxws.Close() == peer.close_sent
    assert peer.sent == list("abc")
    assert watch(undelivered=socket.undelivered) == ["undelivered|"]


@pytest.mark.parametrize("leave", ["close", "drop"])
async def test_undelivered(leave: str) -> None:
    """What was never handed to the transport is undelivered."""
    socket, peer = serve(idle, codec=rxws.json)
    await turns()
    socket.outgoing.on_next({"a": 1})
    await turns()
    peer.congested = True
    socket.outgoing.on_next({"b": 2})
    socket.outgoing.on_next({"c": 3})
    early = watch(undelivered=socket.undelivered)
    getattr(peer, leave)()
    peer.congested = False
    await ended(socket)
    assert early == [("undelivered", {"b": 2}), ("undelivered", {"c": 3}), "undelivered|"]
    assert watch(undelivered=socket.undelivered) == early


async def test_drop_within_a_drop() -> None:
    """A message dropped within a drop is seen after it."""
    socket, peer = serve(idle, overflow="drop_oldest", max_buffered=65)
    peer.congested = True
    socket.dropped.subscribe(lambda message: socket.outgoing.on_next("c") if message == "a" else None)
    log = watch(dropped=socket.dropped)
    socket.outgoing.on_next("a")
    socket.outgoing.on_next("b")
    assert log == [("dropped", "a"), ("dropped", "b")]
    peer.congested = False
    await turns()
    assert peer.sent == ["c"]
    peer.drop()


async def test_close_within_a_drop() -> None:
    """A close within a drop lets nothing more in."""
    socket, peer = serve(idle, overflow="drop_oldest", max_buffered=65, high_water=1)
    peer.congested = True
    socket.dropped.subscribe(lambda _: socket.close(4001))
    socket.outgoing.on_next("a")
    socket.outgoing.on_next("b")
    socket.outgoing.on_next("c")
    peer.congested = False
    assert (await ended(socket)).code == 4001
    assert peer.sent == ["b"]


async def test_same_message_many_times() -> None:
    """The very same message may wait many times."""
    same = "x" * 36
    socket, peer = serve(idle, overflow="drop_oldest", max_buffered=300)
    log = watch(outgoing=socket.outgoing, dropped=socket.dropped)
    for _ in range(5):
        socket.outgoing.on_next(same)
    await turns()
    assert peer.sent == [same] * 3
    assert [name for name, _ in log] == ["outgoing"] * 3 + ["dropped", "outgoing"] * 2
    peer.drop()


class EagerWire(MemoryWire):
    """A wire that writes at once when it is idle, as the one over aiohttp does."""

    offered = 0

    def __init__(self) -> None:
        super().__init__()
        self.unwritten: list[Frame] = []
        self.room: Callable[[bool], int] = lambda gathers: 1

    def withdraw(self) -> list[Frame]:
        unwritten, self.unwritten = self.unwritten, []
        return unwritten

    def offer_within(self, room: Callable[[bool], int]) -> bool:
        self.room = room
        return True

    def offer(self, frame: Frame) -> bool:
        if self.congested or not self.room(False):
            return False
        self.offered += 1
        self.sent.append(frame.data.decode())
        return True

    def flush(self) -> None:
        self._take()


async def eager(**options: Any) -> tuple[rxws.WebSocket[Any, Any], EagerWire]:
    life, wire = Lifecycle(check(options)), EagerWire()
    life.open(wire)
    life.incoming.readers.want()
    await turns()
    return rxws.WebSocket(life), wire


async def test_idle_wire_sends_at_once() -> None:
    """A message for an idle wire does not wait, and is counted and shown."""
    socket, wire = await eager()
    log = watch(outgoing=socket.outgoing)
    socket.outgoing.on_next("at once")
    assert (wire.sent, wire.offered, log) == (["at once"], 1, [("outgoing", "at once")])
    assert (socket.stats.sent, socket.stats.sent_bytes, socket.stats.buffered) == (1, 7, 0)
    wire.drop()


async def test_message_to_many() -> None:
    """The very same message meets the state of each socket: two send it, one waits, one fails, one is watched."""
    sockets = [await eager() for _ in range(5)]
    (_, encodes), (_, sends), (waiting, waits), (failing, fails), (watched, sees) = sockets
    waits.congested = True
    fails.room = lambda gathers: 1 // 0
    log = watch(outgoing=watched.outgoing, errors=failing.errors)
    for socket, _ in sockets:
        socket.outgoing.on_next("to all")
    assert (encodes.sent, sends.sent, waits.sent) == (["to all"], ["to all"], [])
    assert (fails.sent, sees.sent) == ([], ["to all"])
    assert [socket.stats.sent for socket, _ in sockets] == [1, 1, 0, 0, 1]
    assert waiting.stats.buffered == 1
    assert (type(log[0][1]), log[1:]) == (ZeroDivisionError, [("outgoing", "to all")])
    waits.congested = False
    await turns()
    assert waits.sent == ["to all"]
    for _, wire in sockets:
        wire.drop()


async def test_no_overtaking() -> None:
    """A message does not overtake one that waits."""
    socket, wire = await eager()
    wire.congested = True
    socket.outgoing.on_next("first")
    wire._congested = False  # it has room, and has not been told
    socket.outgoing.on_next("second")
    assert wire.sent == []
    await turns()
    assert (wire.sent, wire.offered) == (["first", "second"], 0)
    wire.drop()


async def test_key_function_sees_all() -> None:
    """A key function sees every message once, whether or not it has to wait; one without a key is not sent."""
    seen: list[str] = []

    def key(message: str) -> Any:
        seen.append(message)
        return [] if message == "no key" else message

    socket, wire = await eager(overflow=rxws.latest_by(key))
    log = watch(errors=socket.errors)
    socket.outgoing.on_next("waits for a ping")
    await turns()
    assert (wire.sent, wire.offered) == (["waits for a ping"], 0)
    socket.outgoing.on_next("at once")
    assert (wire.sent, wire.offered) == (["waits for a ping", "at once"], 1)
    socket.outgoing.on_next("no key")
    wire.congested = True
    socket.outgoing.on_next("waits")
    socket.outgoing.on_next("no key")
    wire.congested = False
    await turns()
    assert seen == ["waits for a ping", "at once", "no key", "waits", "no key"]
    assert (wire.sent[2:], wire.offered) == (["waits"], 1)
    assert [type(error) for _, error in log] == [TypeError] * 2
    wire.drop()


async def test_hold_only_what_is_left() -> None:
    """Reading is held only if the wire does not take what is above high_water."""
    socket, wire = await eager(high_water=100, overflow=rxws.latest_by(len))
    socket.outgoing.on_next("x" * 1000)
    assert (len(wire.sent), wire._held) == (1, False)
    wire.congested = True
    socket.outgoing.on_next("x" * 1000)
    assert (len(wire.sent), wire._held) == (1, True)
    wire.drop()


@pytest.mark.parametrize("overflow", ["latest", "drop_oldest"])
async def test_hold_ends_with_a_drop(overflow: Any) -> None:
    """A message that takes the place of what was above high_water ends the hold, though the peer has read nothing."""
    socket, wire = await eager(high_water=400, max_buffered=1000, overflow=overflow)
    wire.congested = True
    socket.outgoing.on_next("x" * 1000)
    assert (socket.stats.buffered, wire._held) == (1, True)
    waiting = asyncio.ensure_future(socket.room())
    await turns()
    socket.outgoing.on_next("y")
    assert (socket.stats.buffered, socket.stats.dropped, wire._held) == (1, 1, False)
    await waiting
    wire.drop()


async def test_withdrawn_before_waiting() -> None:
    """What a wire has taken and not written is undelivered before what waits."""
    socket, wire = await eager()
    socket.outgoing.on_next("taken")
    wire.unwritten.append(Frame(b"taken", "taken"))
    wire.congested = True
    socket.outgoing.on_next("waits")
    log = watch(undelivered=socket.undelivered)
    wire.drop()
    await ended(socket)
    assert log == [("undelivered", "taken"), ("undelivered", "waits"), "undelivered|"]
    assert (socket.stats.sent, socket.stats.sent_bytes) == (0, 0)


async def test_one_connection_message() -> None:
    """What is for one connection alone is checked like any message."""
    complaints: list[Exception] = []
    socket, peer = serve(
        lambda errors: errors.subscribe(complaints.append), max_buffered=100, high_water=1, overflow="drop_newest"
    )
    peer.congested = True
    log = watch(outgoing=socket.outgoing, dropped=socket.dropped)
    outgoing = socket._life.outgoing
    outgoing.send_on(object(), object())
    assert isinstance(complaints[0], rxws.EncodeError)
    outgoing.send_on(object(), "a")
    outgoing.send_on(object(), "one too many")
    assert log == [("outgoing", "a"), ("dropped", "one too many")]
    outgoing.on_completed()
    outgoing.send_on(object(), "too late")
    peer.congested = False
    await ended(socket)
    assert peer.sent == ["a"]


async def test_frame_that_is_made_already() -> None:
    """A message whose frame is made already meets the policies, too; one of a connection goes nowhere after the end."""

    def refuse(message: Any) -> Any:
        raise KeyError(message)

    socket, peer = serve(lambda incoming: incoming, overflow=rxws.latest_by(refuse))
    log = watch(errors=socket.errors)
    outgoing = socket._life.outgoing
    outgoing.send("a", Text(b"a", "a"), outgoing.codec)
    await turns()
    assert [type(error) for _, error in log] == [KeyError]
    peer.drop()
    await ended(socket)
    outgoing.send_on(None, "b")
    assert (peer.sent, len(log)) == ([], 3)
