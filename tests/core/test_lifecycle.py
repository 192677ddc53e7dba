"""What closes a socket and with which code, where errors go, and in which order everything ends."""

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Observer, abc
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.scheduler import CurrentThreadScheduler
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.core.lifecycle import Lifecycle, Streaming
from rxws.options import check
from rxws.rx.disposal import on_dispose
from rxws.rx.endings import tell_ending
from rxws.rx.loop_thread import MAX_HANDED_OVER
from rxws.testing import MemoryWire, serve
from tests.streams import ended, turns, watch
from tests.threads import in_a_thread

VIRTUAL = True

Socket = rxws.WebSocket[Any, Any]


def hold_open(incoming: Observable[Any]) -> Any:
    """A handler that wants messages and does nothing with them."""
    return incoming.subscribe(lambda _: None)


# What closes a socket, with which code: each of these with a message queued before it, which is sent first


CAUSES: dict[str, tuple[Callable[[Socket], Any], rxws.Close]] = {
    "outgoing.on_completed()": (lambda s: s.outgoing.on_completed(), rxws.Close()),
    "outgoing.dispose()": (lambda s: s.outgoing.dispose(), rxws.Close()),
    "socket.dispose()": (lambda s: s.dispose(), rxws.Close()),
    "outgoing.on_next(Close)": (lambda s: s.outgoing.on_next(rxws.Close(4001, "bye")), rxws.Close(4001, "bye")),
    "outgoing.on_error(Close)": (lambda s: s.outgoing.on_error(rxws.Close(4001, "bye")), rxws.Close(4001, "bye")),
    "errors.on_next(Close)": (lambda s: s.errors.on_next(rxws.Close(4001, "bye")), rxws.Close(4001, "bye")),
    "socket.close()": (lambda s: s.close(4001, "bye"), rxws.Close(4001, "bye")),
    "outgoing.on_error(error)": (lambda s: s.outgoing.on_error(ValueError()), rxws.Close(1011, "Unexpected Error")),
    "outgoing.on_next(a Close without a code)": (
        lambda s: s.outgoing.on_next(rxws.Close.received(1005)),
        rxws.Close(),
    ),
    "outgoing.on_next(the Close of a lost connection)": (
        lambda s: s.outgoing.on_next(rxws.Close.received(1006)),
        rxws.Close(1011, "Connection Lost"),
    ),
    "the error of another connection": (
        lambda s: s.errors.on_next(rxws.ConnectError("refused", "tcp")),
        rxws.Close(1011, "Unexpected Error"),
    ),
    "an error nobody observes": (lambda s: s.errors.on_next(ValueError()), rxws.Close(1011, "Unexpected Error")),
    "a value that cannot be sent": (lambda s: s.outgoing.on_next(3), rxws.Close(1011, "Unexpected Error")),
}


@pytest.mark.parametrize("cause", CAUSES)
async def test_close_flushes(cause: str) -> None:
    """A close flushes what was queued, and has its code."""
    act, close = CAUSES[cause]
    socket, peer = serve(hold_open)
    socket.outgoing.on_next("queued")
    act(socket)
    socket.outgoing.on_next("too late")
    assert await ended(socket) == close == peer.close_sent
    assert peer.sent == ["queued"]


@pytest.mark.parametrize("place", ["map", "filter", "subscriber", "do_action"])
async def test_close_raised_in_pipeline(place: str) -> None:
    """A Close raised anywhere in a pipeline closes with its code."""

    def bye(_: Any) -> Any:
        raise rxws.Close(4001, "bye")

    def handler(incoming: Observable[str]) -> Any:
        match place:
            case "map":
                return incoming.pipe(ops.map(bye))
            case "filter":
                return incoming.pipe(ops.filter(bye))
            case "do_action":
                return incoming.pipe(ops.do_action(bye))
            case _:
                return incoming.subscribe(bye)

    socket, peer = serve(handler)
    peer.send("go")
    assert await ended(socket) == rxws.Close(4001, "bye") == peer.close_sent


class Closing:
    """A codec that has enough."""

    def __init__(self, at: str) -> None:
        self.at = at

    def decode(self, data: Any) -> Any:
        return self.do("decode", data)

    def encode(self, message: Any) -> Any:
        return self.do("encode", message)

    def do(self, what: str, data: Any) -> Any:
        if what == self.at:
            raise rxws.Close(4001, "bye")
        return data


@pytest.mark.parametrize("at", ["decode", "encode"])
@pytest.mark.parametrize("observed", [True, False])
async def test_close_raised_by_codec(at: str, observed: bool) -> None:
    """A Close raised by a codec closes with its code, and is not an error."""
    socket, peer = serve(lambda incoming: incoming, codec=Closing(at))
    log = watch(errors=socket.errors) if observed else []
    peer.send("go")
    assert await ended(socket) == rxws.Close(4001, "bye") == peer.close_sent
    assert log == (["errors|"] if observed else [])


@pytest.mark.parametrize("stream", ["errors", "dropped", "outgoing"])
async def test_close_raised_by_observer(stream: str) -> None:
    """A Close raised by an observer of another stream closes with its code."""

    def bye(_: Any) -> None:
        raise rxws.Close(4001, "bye")

    socket, peer = serve(hold_open, overflow="drop_newest", max_buffered=65)
    getattr(socket, stream).subscribe(bye)
    if stream == "errors":
        socket.errors.on_next(ValueError())
    else:
        socket.outgoing.on_next("a")
        socket.outgoing.on_next("b")
    assert await ended(socket) == rxws.Close(4001, "bye") == peer.close_sent


async def test_undecodable_unobserved() -> None:
    """A message that does not decode closes 1007 when nobody observes the errors."""
    socket, peer = serve(hold_open, codec=rxws.json)
    peer.send("{")
    assert await ended(socket) == rxws.Close(1007, "Invalid Message") == peer.close_sent


async def test_too_many_messages_close_1008() -> None:
    seen: list[Any] = []
    socket, peer = serve(lambda incoming: incoming.subscribe(seen.append), message_rate=5)
    peer.send(*"abcdefg")
    assert await ended(socket) == rxws.Close(1008, "Message Rate Exceeded") == peer.close_sent
    assert seen == list("abcde")


async def test_slow_peer() -> None:
    """A slow peer is closed 1013, and what waited is reported."""
    socket, peer = serve(hold_open, max_buffered=1000)
    peer.congested = True
    lost: list[Any] = []
    socket.undelivered.subscribe(lost.append)
    for number in range(20):
        socket.outgoing.on_next(f"{number:0100}")
    peer.congested = False
    assert (await ended(socket)).code == 1013
    assert peer.close_sent == rxws.Close(1013, "Too Slow")
    assert [int(message) for message in lost] == list(range(6))


async def test_the_first_cause_wins() -> None:
    socket, peer = serve(hold_open)
    socket.close(4001)
    socket.close(4002)
    socket.outgoing.on_error(ValueError())
    peer.close(rxws.Close(4003))
    peer.violate()
    assert await ended(socket) == rxws.Close(4001) == peer.close_sent


async def test_close_before_open() -> None:
    """A close before the socket is open comes when it is."""

    def handler(socket: Socket, outgoing: Subject[str]) -> None:
        outgoing.on_next("first")
        socket.close(4001, "bye")

    socket, peer = serve(handler, close_timeout=0.2)
    assert await ended(socket) == rxws.Close(4001, "bye") == peer.close_sent
    assert peer.sent == ["first"]


# The order of the end


@pytest.mark.parametrize("cause", [lambda s, p: s.close(4001), lambda s, p: p.close(), lambda s, p: p.drop()])
async def test_the_end_comes_once_and_in_order(cause: Callable[[Any, Any], None]) -> None:
    log: list[Any] = []

    def handler(socket: Socket) -> Any:
        nonlocal log
        log = watch(incoming=socket.incoming, errors=socket.errors, closed=socket.closed)
        return Disposable(lambda: log.append("disposed"))

    socket, peer = serve(handler)
    await turns()
    cause(socket, peer)
    close = await ended(socket)
    peer.drop()
    socket.dispose()
    await turns()
    log = [entry for entry in log if entry[0] != "errors"]  # ConnectionLost
    assert log == ["incoming|", "errors|", "disposed", ("closed", close), "closed|"]


async def test_late_subscribers() -> None:
    """Late subscribers get the end too."""
    socket, peer = serve(hold_open)
    peer.close(rxws.Close(4001))
    await ended(socket)
    streams = {name: getattr(socket, name) for name in ("incoming", "outgoing", "errors", "dropped", "undelivered")}
    assert watch(**streams) == ["incoming|", "outgoing|", "errors|", "dropped|", "undelivered|"]
    assert watch(closed=socket.closed) == [("closed", rxws.Close(4001)), "closed|"]


async def test_nothing_after_the_end() -> None:
    """Nothing comes after the end, and calls do nothing."""
    socket, peer = serve(hold_open)
    log = watch(incoming=socket.incoming, outgoing=socket.outgoing, errors=socket.errors)
    socket.close()
    peer.send("late")
    await ended(socket)
    socket.outgoing.on_next("late")
    socket.outgoing.on_completed()
    socket.outgoing.on_error(ValueError())
    socket.close(4001)
    socket.dispose()
    await turns()
    assert log == ["incoming|", "outgoing|", "errors|"]
    assert peer.sent == []


async def test_owned_after_the_end() -> None:
    """What the socket owns after its end is disposed at once."""
    late = Disposable()

    async def handler(socket: Socket) -> Disposable:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return late
        raise AssertionError

    socket, peer = serve(handler, close_timeout=0.05)
    await turns()
    peer.drop()
    await ended(socket)
    await asyncio.sleep(0.1)
    assert late.is_disposed


async def test_close_within_on_next() -> None:
    """A close within on_next still lets the siblings have the item."""
    socket, peer = serve(lambda: None)
    socket.incoming.subscribe(lambda _: socket.close(4001))
    log = watch(incoming=socket.incoming)
    peer.send("a", "b")
    assert (await ended(socket)).code == 4001
    assert log == [("incoming", "a"), "incoming|"]


async def test_exit_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """An exit of the program in an action at the end is logged, and goes on when all other actions are done."""

    def leave() -> None:
        raise KeyboardInterrupt

    other = Disposable()
    socket, peer = serve(lambda: [Disposable(leave), other])
    await turns()
    with pytest.raises(KeyboardInterrupt):
        peer.drop()
    assert await ended(socket) == rxws.Close.received(1006)
    assert other.is_disposed
    assert "KeyboardInterrupt" in caplog.text


async def test_action_at_the_end_raises(caplog: pytest.LogCaptureFixture) -> None:
    """An action at the end that raises does not harm another one."""

    def fail() -> None:
        raise ValueError("clean-up")

    other = Disposable()
    socket, peer = serve(lambda: [Disposable(fail), other])
    peer.close()
    await ended(socket)
    assert other.is_disposed
    assert "clean-up" in caplog.text


# Holds


async def test_hold_above_high_water() -> None:
    """Reading is held above high_water and goes on below a quarter of it."""
    socket, peer = serve(lambda incoming: incoming, high_water=1000)
    peer.send("a")
    await turns()
    peer.congested = True
    peer.send(*["x" * 100] * 20)
    await turns()
    assert (socket.stats.received, socket.stats.buffered) == (8, 7)
    peer.congested = False
    await turns(30)
    assert (socket.stats.received, len(peer.sent)) == (21, 21)


async def test_holds_add_up() -> None:
    async def handler(socket: Socket) -> None:
        await asyncio.sleep(60)

    socket, peer = serve(handler, high_water=1000, close_timeout=0.05)
    peer.congested = True
    socket.outgoing.on_next("x" * 2000)
    peer.send("a")
    await turns()
    log = watch(incoming=socket.incoming)
    await turns()
    assert log == []
    peer.congested = False
    await turns()
    assert log == [("incoming", "a")]
    peer.drop()


async def in_sequence(socket: Socket) -> None:
    async for message in socket:
        await socket.send(message)


async def generating(socket: Socket) -> Any:
    async for message in socket:
        yield message


def working(incoming: Observable[Any]) -> Any:
    async def work(message: str) -> str:
        await asyncio.sleep(0)
        return message

    return incoming.pipe(rxops.map_async(work))


def in_parts(incoming: Observable[Any]) -> Any:
    async def part(message: str) -> AsyncIterator[str]:
        yield message

    return incoming.pipe(ops.flat_map(lambda message: rxops.from_async_iterable(part(message))))


def from_nowhere(incoming: Observable[Any], outgoing: Any) -> None:
    incoming.subscribe(lambda message: asyncio.get_running_loop().call_soon(outgoing.on_next, message))


ANSWERING = [lambda incoming: incoming, in_sequence, generating, working, in_parts, from_nowhere]


@pytest.mark.parametrize("handler", ANSWERING)
@pytest.mark.parametrize("close", [None, rxws.Close(4001)])
async def test_end_behind_unread_answers(close: rxws.Close | None, handler: Any) -> None:
    """Answers that will never be read hold nobody: what came before the end is delivered, and the end follows."""
    loop = asyncio.get_running_loop()
    socket, peer = serve(handler, high_water=1000, max_buffered=20_000)
    log = watch(errors=socket.errors, closed=socket.closed)
    socket._life.incoming.monitor(Observer(log.append, on_completed=lambda: log.append("incoming|")))
    undelivered = watch(undelivered=socket.undelivered)
    peer.congested = True
    messages = [str(number) + "x" * 100 for number in range(50)]
    for message in messages:
        peer.send(message)
        await turns()
    assert socket._life.held
    assert socket.stats.unread > 20
    buffered = socket.stats.buffered
    if close is not None:
        peer.close(close)
        await asyncio.sleep(1)
        assert socket._life.held, "the peer may read on"
    began = loop.time()
    peer.drop()
    await ended(socket)
    assert loop.time() == began
    assert log[:50] == messages
    if close is None:
        (lost,) = (entry[1] for entry in log[50:] if entry[0] == "errors")
        assert type(lost) is rxws.ConnectionLost
        log.remove(("errors", lost))
    assert log[50:] == ["incoming|", "errors|", ("closed", close or rxws.Close.received(1006)), "closed|"]
    waited = [message for _, message in undelivered[:-1]]
    assert waited == messages[: len(waited)]  # an answer that takes a turn may come too late
    assert len(waited) >= buffered


@pytest.mark.parametrize("close", [None, rxws.Close(4001)])
async def test_end_behind_a_busy_operator(close: rxws.Close | None) -> None:
    """The hold of an operator counts to the end, whatever becomes of the answers."""
    loop, done = asyncio.get_running_loop(), list[str]()

    async def work(message: str) -> str:
        await asyncio.sleep(1)
        done.append(message)
        return message

    socket, peer = serve(lambda incoming: incoming.pipe(rxops.map_async(work)), high_water=100, close_timeout=4.5)
    peer.congested = True
    peer.send(*["x" * 100] * 20)
    await asyncio.sleep(3.5)
    assert (len(done), socket.stats.buffered, socket.stats.unread) == (1, 1, 19)
    began = loop.time()
    if close is not None:
        peer.close(close)
    peer.drop()
    log = watch(incoming=socket.incoming)
    await asyncio.sleep(4)
    assert log == [("incoming", "x" * 100)] * 4
    await asyncio.sleep(1)
    assert log == [*[("incoming", "x" * 100)] * 5, "incoming|"]
    assert await ended(socket, 20) == (close or rxws.Close.received(1006))
    assert 4.5 <= loop.time() - began <= 9


async def test_end_behind_answers_that_do_not_fit() -> None:
    """The loss came first: answers beyond `max_buffered` are dropped, and do not close with 1013."""
    socket, peer = serve(
        lambda incoming: incoming.pipe(ops.map(lambda _: "x" * 900)), high_water=1000, max_buffered=4000
    )
    log = watch(dropped=socket.dropped, undelivered=socket.undelivered)
    peer.congested = True
    peer.send(*"0123456789")
    await turns()
    assert socket.stats.unread == 8
    peer.drop()
    assert await ended(socket) == rxws.Close.received(1006)
    assert socket.stats.received == 10
    assert log.count(("dropped", "x" * 900)) == 6
    assert log.count(("undelivered", "x" * 900)) == 4


@pytest.mark.parametrize("reads", [True, False])
async def test_end_behind_one_who_only_sends(reads: bool) -> None:
    """Who sends without end waits for room as before: what waits stays in bounds, and nothing is dropped."""

    async def handler(socket: Socket) -> None:
        if reads:
            await socket.receive()
        while True:
            await socket.send("x" * 100)

    socket, peer = serve(handler, high_water=1000, max_buffered=10_000, close_timeout=3)
    peer.congested = True
    peer.send("a", "b")
    await turns(100)
    peer.drop()
    await asyncio.sleep(2)
    assert socket.stats.unread
    assert socket.stats.buffered_bytes <= 9200 if reads else socket.stats.buffered_bytes < 1200
    assert await ended(socket, 9) == rxws.Close.received(1006)
    assert socket.stats.dropped == 0


async def test_end_behind_an_iterable_without_end() -> None:
    """What is made of a message, without end, is held again before it would be dropped."""

    async def rows() -> AsyncIterator[str]:
        while True:
            yield "x" * 100

    def handler(incoming: Observable[Any]) -> Any:
        gate = rxops.map_async(lambda _: asyncio.sleep(60))
        incoming.pipe(ops.skip(1), gate).subscribe()
        return incoming.pipe(ops.take(1), ops.flat_map(lambda _: rxops.from_async_iterable(rows())))

    socket, peer = serve(handler, high_water=1000, max_buffered=10_000, close_timeout=3)
    peer.congested = True
    peer.send("a")
    await turns(100)
    peer.send("b", "c")
    peer.drop()
    await asyncio.sleep(2)
    assert 9000 < socket.stats.buffered_bytes < 9400
    assert await ended(socket, 9) == rxws.Close.received(1006)
    assert socket.stats.dropped == 0


async def test_abandoned_before_open() -> None:
    """A socket that never opens ends once when it is abandoned."""
    life = Lifecycle(check({}))
    log = watch(incoming=life.incoming, closed=life.closed)
    life.no_connection_follows()
    life.no_connection_follows()
    life.abort()
    assert log == ["incoming|", ("closed", rxws.Close.received(1006)), "closed|"]


async def test_frames_wait_for_subscriber() -> None:
    """Frames before the first subscriber wait for it."""

    async def handler(socket: Socket) -> None:
        await asyncio.sleep(60)

    socket, peer = serve(handler, close_timeout=0.05)
    peer.send("a", "b")
    await turns()
    assert socket.stats.received == 0
    log = watch(incoming=socket.incoming)
    await turns()
    assert log == [("incoming", "a"), ("incoming", "b")]
    peer.drop()


# Nothing is left


async def test_nothing_is_left() -> None:
    """Thousands of sockets, ended in every way, leave nothing behind."""
    ways: list[Callable[[Any, Any], None]] = [
        lambda s, p: s.close(4001),
        lambda s, p: s.dispose(),
        lambda s, p: s.outgoing.on_error(rxws.Close(4001)),
        lambda s, p: p.close(),
        lambda s, p: p.drop(),
        lambda s, p: p.violate(),
        lambda s, p: s.subscription.dispose(),
    ]
    room = Subject[str]()
    logging.getLogger("rxws").setLevel(logging.CRITICAL)
    sockets: list[weakref.ref[Any]] = []
    try:
        for number in range(2000):
            socket, peer = serve(lambda incoming: room.pipe(ops.merge(incoming)))
            peer.send("a")
            await turns(2)
            ways[number % len(ways)](socket, peer)
            await ended(socket)
            sockets.append(weakref.ref(socket))
            del socket, peer
    finally:
        logging.getLogger("rxws").setLevel(logging.NOTSET)
    await turns()
    gc.collect()
    assert [ref for ref in sockets if ref() is not None] == []
    assert room.observers == []
    await asyncio.sleep(20)  # after which the timer of all heartbeats goes
    loop: Any = asyncio.get_running_loop()
    assert [handle for handle in getattr(loop, "_scheduled", []) if not handle.cancelled()] == []


def test_streaming_is_disposed_once() -> None:
    """The subscription of a stream is disposed once, and with it the socket, even if it raises."""
    log: list[str] = []

    def fail() -> None:
        log.append("disposable")
        raise ZeroDivisionError

    life: Any = Disposable(lambda: log.append("socket"))
    life.outgoing = Observer()
    streaming = Streaming(life)
    streaming.begin(reactivex.create(lambda *_: Disposable(fail)), CurrentThreadScheduler.singleton())
    on_dispose(streaming, lambda: log.append("watcher"))
    with pytest.raises(ZeroDivisionError):
        streaming.dispose()
    streaming.dispose()
    assert (log, streaming.is_disposed) == (["disposable", "socket", "watcher"], True)


@pytest.mark.parametrize("end", ["completed", "failed", "disposed"])
def test_streaming_ends_once(end: str) -> None:
    """What a handler streams ends once, in the middle of its subscription, too; its source is then left."""
    log: list[Any] = []
    error = ValueError()

    def subscribe(observer: Any, scheduler: Any) -> abc.DisposableBase:
        observer.on_next("a")
        {"completed": observer.on_completed, "failed": lambda: observer.on_error(error), "disposed": streaming.dispose}[
            end
        ]()
        observer.on_next("late")
        observer.on_completed()
        observer.on_error(error)
        return Disposable(lambda: log.append("left"))

    life: Any = Disposable(lambda: log.append("socket"))
    life.outgoing = Observer(log.append, log.append, lambda: log.append("completed"))
    life.close_cause = None
    streaming = Streaming(life)
    streaming.begin(reactivex.create(subscribe), CurrentThreadScheduler.singleton())
    streaming.on_next("late")
    assert log == ["a", {"completed": "completed", "failed": error, "disposed": "socket"}[end], "left"]


async def test_held_and_told_from_threads() -> None:
    """Another thread may hold the socket, let it go, and report: what follows happens in the event loop."""
    got, errors, threads = list[str](), list[Exception](), set[int]()

    def handler(incoming: Any, errors: Any) -> Any:
        errors.subscribe(note)
        return incoming.subscribe(got.append)

    def note(error: Exception) -> None:
        errors.append(error)
        threads.add(threading.get_ident())

    socket, peer = serve(handler)
    await turns()
    life = socket._life
    in_a_thread(life.hold)
    assert life.held
    await turns()
    peer.send("a")
    await turns()
    assert (got, [kind for _, kind, _ in peer.log]) == ([], ["hold"])
    in_a_thread(life.hold)
    in_a_thread(life.release)
    in_a_thread(life.release)
    await turns()
    assert (got, [kind for _, kind, _ in peer.log]) == (["a"], ["hold", "resume"])
    error = LookupError()
    in_a_thread(life.report, error)
    await turns()
    assert (errors, threads) == ([error], {threading.get_ident()})
    peer.drop()
    await ended(socket)


async def test_threads_report_more_than_fits(caplog: pytest.LogCaptureFixture) -> None:
    """An error that another thread reports is logged at once if too many calls wait for the event loop."""
    life = Lifecycle(check({}))
    life.reports.errors.subscribe()
    in_a_thread(lambda: [life.report(KeyError(number)) for number in range(MAX_HANDED_OVER + 1)])
    assert [record.getMessage() for record in caplog.records] == [f"KeyError({MAX_HANDED_OVER}), which nobody observed"]
    await turns()
    life.abort()


async def test_reader_that_leaves_in_the_end_of_another() -> None:
    """A socket that was opened by nobody's handler stays open when its last reader leaves."""
    wire = MemoryWire()
    life = Lifecycle(check({"heartbeat": None}))
    life.open(wire)
    subscription = life.incoming.subscribe()
    tell_ending(rxws.Close(4000), subscription.dispose)
    await turns()
    assert life.held
    assert life.close_cause is None
    wire.drop()
    await turns()
