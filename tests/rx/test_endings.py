import asyncio
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject, Subject

import rxws
from rxws import operators as rxops
from rxws.rx.broadcast import Hot
from rxws.rx.endings import how_it_ended, tell_ending
from rxws.rx.loop_thread import LoopThread
from rxws.rx.scheduler import LoopScheduler
from rxws.testing import MemoryWire, serve
from tests.streams import ended, raising, turns

VIRTUAL = True
Socket = rxws.WebSocket[Any, Any]


async def idle(socket: Socket) -> None:
    await socket.closed


def pair() -> tuple[Socket, MemoryWire, Socket, MemoryWire]:
    """Make two sockets that do nothing: what comes on the first one is for the second one."""
    return (*serve(idle), *serve(idle))


async def follow(stream: Observable[Any], socket: Socket) -> None:
    """Send what a stream emits, with the clock of a handler's."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()), socket.errors.on_next)
    stream.subscribe(socket.outgoing, scheduler=scheduler)
    await turns()


async def test_only_at_once() -> None:
    """How a source ended is said while it ends; what is started then is not told."""
    late = list[Any]()

    async def task() -> None:
        late.append(how_it_ended())

    def notify() -> None:
        asyncio.get_running_loop().call_soon(lambda: late.append(how_it_ended()))
        tasks.append(asyncio.create_task(task()))
        tell_ending("inner", lambda: late.append(how_it_ended()))
        late.append(how_it_ended())

    tasks = list[asyncio.Task[None]]()
    tell_ending("outer", notify)
    await turns()
    assert late == ["inner", "outer", None, None]
    with pytest.raises(ValueError, match="no"):
        tell_ending("outer", raising(ValueError("no")))
    assert how_it_ended() is None


async def same(item: Any) -> Any:
    await asyncio.sleep(1)
    return item


CAUSED = {
    "nothing": lambda s: s,
    "map and filter": lambda s: s.pipe(ops.map(str.upper), ops.filter(bool), ops.distinct_until_changed()),
    "merge": lambda s: s.pipe(ops.merge(reactivex.of("a"))),
    "merge of two": lambda s: s.pipe(ops.merge(reactivex.interval(0.1).pipe(ops.take(3), ops.map(str)))),
    "switch_latest": lambda s: BehaviorSubject(s).pipe(ops.take(1), ops.switch_latest()),
    "flat_map": lambda s: reactivex.of(1).pipe(ops.flat_map(lambda _: s)),
    "concat": lambda s: s.pipe(ops.concat(reactivex.of("bye"))),
    "start_with, scan": lambda s: s.pipe(ops.start_with("a"), ops.scan(lambda a, b: b)),
    "share": lambda s: s.pipe(ops.share()),
    "take_until": lambda s: reactivex.never().pipe(ops.take_until(s.pipe(ops.last_or_default()))),
    "map_async": lambda s: s.pipe(rxops.map_async(same)),
    "filter_async": lambda s: s.pipe(rxops.filter_async(same), rxops.skip_errors(into=Subject())),
    "buffered": lambda s: s.pipe(rxops.buffered(10), rxops.map_async(same)),
}
"""Pipelines that complete because their source does."""


@pytest.mark.parametrize("name", CAUSED)
async def test_a_close_passes(name: str) -> None:
    """What completes because another socket has ended closes with the code and reason of that one."""
    upstream, source, socket, peer = pair()
    await follow(CAUSED[name](upstream.incoming), socket)
    source.send("hello")
    await asyncio.sleep(2)
    source.send("world")
    source.close(rxws.Close(4002, "why"))
    assert await ended(socket, 20) == peer.close_sent == rxws.Close(4002, "why")


OWN = {
    "take": lambda s: s.pipe(ops.take(1)),
    "take_while": lambda s: s.pipe(ops.take_while(lambda m: m != "hello")),
    "first": lambda s: s.pipe(ops.first()),
    "concat, later": lambda s: s.pipe(ops.concat(reactivex.timer(1).pipe(ops.ignore_elements()))),
    "another source": lambda s: s.pipe(ops.merge(reactivex.timer(1).pipe(ops.map(str)))),
}
"""Pipelines that complete for a reason of their own."""


@pytest.mark.parametrize("name", OWN)
async def test_an_own_end_is_1000(name: str) -> None:
    """What completes by itself closes with 1000, whatever has become of its source."""
    upstream, source, socket, peer = pair()
    await follow(OWN[name](upstream.incoming), socket)
    source.send("hello")
    source.close(rxws.Close(4002, "why"))
    assert await ended(socket, 20) == peer.close_sent == rxws.Close()


ENDS: dict[str, tuple[Any, rxws.Close]] = {
    "a code": (lambda s, w: w.close(rxws.Close(4002, "why")), rxws.Close(4002, "why")),
    "going away": (lambda s, w: w.close(rxws.Close(1001)), rxws.Close(1001)),
    "a code that blames": (lambda s, w: w.close(rxws.Close(1008, "no")), rxws.Close(1008, "no")),
    "no code": (lambda s, w: w.close(), rxws.Close()),
    "lost": (lambda s, w: w.drop(), rxws.Close(1011, "Connection Lost")),
    "aborted": (lambda s, w: s._life.abort(), rxws.Close(1011, "Connection Lost")),
    "violated": (lambda s, w: w.violate(), rxws.Close(1011, "Connection Failed")),
    "too large": (lambda s, w: w.violate(1009), rxws.Close(1011, "Connection Failed")),
    "closed here": (lambda s, w: s.close(4001, "bye"), rxws.Close(4001, "bye")),
    "disposed here": (lambda s, w: s.dispose(), rxws.Close()),
}


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("name", ENDS)
async def test_what_is_said_to_others(name: str, early: bool) -> None:
    """What a peer said is handed on, but neither 1005 nor 1006, and nobody is blamed for what another one did."""
    act, close = ENDS[name]
    upstream, source, socket, peer = pair()
    upstream.errors.subscribe()
    if not early:
        upstream.incoming.subscribe(socket.outgoing)
    act(upstream, source)
    if early:  # it had ended before anyone asked
        upstream.incoming.subscribe()
        await ended(upstream)
        upstream.incoming.subscribe(socket.outgoing)
    assert await ended(socket) == peer.close_sent == close


async def test_an_end_while_a_message_is_handed_on() -> None:
    """An end within a message says how, too."""
    upstream, source, socket, peer = pair()
    upstream.incoming.subscribe(lambda _: upstream.close(4002, "why"))
    upstream.incoming.subscribe(socket.outgoing)
    source.send("hello")
    assert await ended(socket) == peer.close_sent == rxws.Close(4002, "why")
    assert peer.sent == ["hello"]


async def test_a_reader_that_comes_within_the_end() -> None:
    """One who subscribes within the last message is told how the socket has ended, too."""
    upstream, source = serve(idle)
    late = list[Any]()

    def close(_: str) -> None:
        upstream.close(4002, "why")
        upstream.incoming.subscribe(on_completed=lambda: late.append(how_it_ended()))

    upstream.incoming.subscribe(close)
    source.send("hello")
    assert await ended(upstream) == rxws.Close(4002, "why")
    assert late == [rxws.Close(4002, "why")]


@pytest.mark.parametrize("failure", [rxws.Close(4002, "why"), None])
async def test_a_returned_subscription_ends_as_its_source(failure: rxws.Close | None) -> None:
    """A subscription that a handler returned closes with what its source ended with, not as if it was disposed."""
    upstream, source = serve(idle)
    failing = Hot[str](print)
    stream: Observable[str] = upstream.incoming if failure is None else failing
    socket, peer = serve(lambda outgoing: stream.subscribe(outgoing))
    source.close(rxws.Close(4002, "why")) if failure is None else failing.end(failure)
    assert await ended(socket) == peer.close_sent == rxws.Close(4002, "why")
    upstream.dispose()


async def test_both_ways() -> None:
    """Two sockets that feed each other end alike, whichever ends first."""
    for first in (0, 1):
        upstream, source, socket, peer = pair()
        upstream.incoming.subscribe(socket.outgoing)
        socket.incoming.subscribe(upstream.outgoing)
        (source, peer)[first].close(rxws.Close(4002, "why"))
        assert await ended((socket, upstream)[first]) == rxws.Close(4002, "why")
        assert (peer, source)[first].close_sent == rxws.Close(4002, "why")


async def test_an_own_socket_ends_as_ever() -> None:
    """A pipeline on the own incoming changes nothing: the socket closes as its peer has closed."""

    def handler(incoming: Observable[Any]) -> Observable[Any]:
        return incoming

    socket, peer = serve(handler)
    peer.close(rxws.Close(4002, "why"))
    assert await ended(socket) == peer.close_sent == rxws.Close(4002, "why")
