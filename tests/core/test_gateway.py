"""Whom a full socket holds: its peer is slow, and its messages come from another one."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject, ReplaySubject, Subject

import rxws
from rxws import operators as rxops
from rxws.rx.holds import Held, notify_from
from rxws.testing import MemoryDialer, MemoryWire, connect, serve
from tests.streams import ended, turns
from tests.threads import send_in_a_thread

VIRTUAL = True
Socket = rxws.WebSocket[Any, Any]
SMALL: dict[str, Any] = {"high_water": 1000, "max_buffered": 20_000, "heartbeat": None}
MESSAGE = "x" * 100


class Gateway:
    """A socket whose peer does not read, and what its handler opens."""

    def __init__(self, handler: Callable[..., Any], **options: Any) -> None:
        self.dialer = MemoryDialer()
        self.upstreams = list[rxws.ClientWebSocket[Any, Any]]()
        self._handler = handler
        self.socket, self.peer = serve(self.handle, **{**SMALL, **options})
        self.peer.congested = True

    async def handle(self, socket: Socket) -> Any:
        return await self._handler(self, socket)

    async def open(self, **options: Any) -> rxws.ClientWebSocket[Any, Any]:
        self.upstreams.append(await connect(self.dialer, heartbeat=None, **options))
        return self.upstreams[-1]

    @property
    def source(self) -> MemoryWire:
        """The peer of what was opened last."""
        return self.dialer.peer

    async def flood(self, messages: int = 100) -> None:
        """Let many messages come, and those who take them have their turns."""
        self.source.send(*[MESSAGE] * messages)
        await turns(300)

    def end(self) -> None:
        for upstream in self.upstreams:
            upstream._life.abort()
        self.peer.congested = False
        self.socket._life.abort()

    @property
    def held(self) -> tuple[bool, bool]:
        """Whether the upstream is held, and the socket itself."""
        return self.upstreams[-1]._life.held, self.socket._life.held


async def same(item: Any) -> Any:
    await asyncio.sleep(0)
    return item


async def numbers() -> AsyncIterator[str]:
    while True:
        yield MESSAGE


async def plain(gateway: Gateway, socket: Socket) -> Any:
    socket.incoming.subscribe()
    return (await gateway.open()).incoming


async def operators(gateway: Gateway, socket: Socket) -> Any:
    socket.incoming.subscribe()
    return (await gateway.open()).incoming.pipe(ops.map(str.upper), ops.filter(bool), ops.merge(reactivex.never()))


async def staged(gateway: Gateway, socket: Socket) -> Any:
    socket.incoming.subscribe()
    return (await gateway.open()).incoming.pipe(rxops.buffered(5), rxops.map_async(same, max_concurrent=3))


async def switched(gateway: Gateway, socket: Socket) -> Any:
    socket.incoming.subscribe()
    upstream = await gateway.open()
    return reactivex.of(upstream.incoming).pipe(ops.concat(reactivex.never()), ops.switch_latest())


async def branched(gateway: Gateway, socket: Socket) -> Any:
    """Several subscribers, all of one handler."""
    socket.incoming.subscribe()
    incoming = (await gateway.open()).incoming
    incoming.subscribe()
    return reactivex.merge(incoming.pipe(ops.filter(bool)), incoming.pipe(ops.filter(lambda m: not m)))


async def looped(gateway: Gateway, socket: Socket) -> None:
    socket.incoming.subscribe()
    async for message in await gateway.open():
        socket.outgoing.on_next(message)


async def iterated(gateway: Gateway, socket: Socket) -> None:
    socket.incoming.subscribe()
    async for message in rxops.to_async_iterable((await gateway.open()).incoming):
        socket.outgoing.on_next(message)


async def chosen(gateway: Gateway, socket: Socket) -> Any:
    """A Subject is for many, but the user says otherwise."""
    socket.incoming.subscribe()
    subject = Subject[Any]()
    (await gateway.open()).incoming.subscribe(subject)
    return subject.pipe(rxops.when_full("overflow"), rxops.map_async(same), rxops.when_full("hold"))


HELD = [plain, operators, staged, switched, branched, looped, iterated, chosen]


@pytest.mark.parametrize("handler", HELD)
async def test_a_source_for_this_socket_waits(handler: Callable[..., Any]) -> None:
    """What a handler has opened waits while its peer does not read; the peer's own messages are read on."""
    gateway = Gateway(handler)
    await turns()
    await gateway.flood()
    await asyncio.sleep(1)
    assert gateway.held == (True, False)
    assert gateway.socket.stats.buffered_bytes < 2500
    gateway.peer.send("still there?")
    assert gateway.socket.stats.received == 1
    gateway.peer.congested = False
    for _ in range(20):
        await turns(300)
        await asyncio.sleep(0.1)
    assert len(gateway.peer.sent) == 100
    assert gateway.held == (False, False)
    gateway.end()


async def by_subject(gateway: Gateway, socket: Socket, subject: Any) -> Any:
    upstream = await gateway.open()
    upstream.incoming.subscribe(subject)
    return subject


async def by_plain_subject(gateway: Gateway, socket: Socket) -> Any:
    return await by_subject(gateway, socket, Subject[Any]())


async def by_behavior_subject(gateway: Gateway, socket: Socket) -> Any:
    return await by_subject(gateway, socket, BehaviorSubject("first"))


async def by_replay_subject(gateway: Gateway, socket: Socket) -> Any:
    return await by_subject(gateway, socket, ReplaySubject[Any]())


async def by_room(gateway: Gateway, socket: Socket) -> Any:
    return await by_subject(gateway, socket, rxws.Rooms[Any]()["room"])


async def by_share(gateway: Gateway, socket: Socket) -> Any:
    return (await gateway.open()).incoming.pipe(ops.map(str), ops.share())


async def by_share_and_stage(gateway: Gateway, socket: Socket) -> Any:
    """What a stage keeps for later has come through a Subject."""
    return (await gateway.open()).incoming.pipe(ops.share(), rxops.map_async(same, max_concurrent=1000))


async def by_share_and_buffer(gateway: Gateway, socket: Socket) -> Any:
    return (await gateway.open()).incoming.pipe(ops.share(), rxops.buffered(1000))


async def by_shared_iterable(gateway: Gateway, socket: Socket) -> Any:
    await gateway.open()
    return rxops.from_async_iterable(numbers()).pipe(ops.take(500), ops.share())


async def overridden(gateway: Gateway, socket: Socket) -> Any:
    """It would be held, but the user says otherwise."""
    return (await gateway.open()).incoming.pipe(rxops.when_full("overflow"))


SHARED = [
    *(by_plain_subject, by_behavior_subject, by_replay_subject, by_room, by_share, by_share_and_stage),
    *(by_share_and_buffer, by_shared_iterable, overridden),
]


@pytest.mark.parametrize("handler", SHARED)
async def test_a_source_for_many_goes_on(handler: Callable[..., Any]) -> None:
    """A source with a Subject or a room behind it goes on: the policy rules, for the slow one alone."""
    gateway = Gateway(handler)
    await turns()
    await gateway.flood(500)
    await asyncio.sleep(10)
    gateway.peer.congested = False
    assert await ended(gateway.socket) == rxws.Close(1013, "Too Slow")
    assert not gateway.upstreams[-1]._life.held or not gateway.upstreams[-1]._life.incoming.observed
    gateway.end()


async def test_a_client_cannot_hold_what_it_has_not_opened() -> None:
    """A socket of the program's is not slowed by one client of its, whoever subscribes, in whatever way."""
    upstream, source = await program()
    others = list[str]()

    def returned(socket: Socket) -> Observable[Any]:
        return upstream.incoming

    async def loops(socket: Socket) -> None:
        await socket.closed

    slow = [serve(handler, **SMALL) for handler in (returned, loops)]
    for _, peer in slow:
        peer.congested = True
    upstream.incoming.subscribe(lambda message: [socket.outgoing.on_next(message) for socket, _ in slow[1:]])
    upstream.incoming.subscribe(others.append)
    source.send(*[MESSAGE] * 500)
    assert len(others) == 500
    for socket, peer in slow:
        peer.congested = False
        assert await ended(socket) == rxws.Close(1013, "Too Slow")
    upstream._life.abort()
    await turns()


async def program(**options: Any) -> tuple[rxws.ClientWebSocket[Any, Any], MemoryWire]:
    """Open a socket outside of handlers."""
    dialer = MemoryDialer()
    socket = await connect(dialer, **{"heartbeat": None, **options})
    return socket, dialer.peer


@pytest.mark.parametrize("subscribers", [1, 2])
async def test_a_program_that_joins_two_sockets(subscribers: int) -> None:
    """Outside of handlers, a source waits for its one subscriber; for the slowest of several it does not."""
    upstream, source = await program()
    sockets = [await program(**SMALL) for _ in range(subscribers)]
    for socket, _ in sockets:
        upstream.incoming.subscribe(socket.outgoing)
    sockets[0][1].congested = True
    source.send(*[MESSAGE] * 500)
    assert upstream._life.held is (subscribers == 1)
    for _, peer in sockets:
        peer.congested = False
    close = rxws.Close.received(1006) if subscribers == 1 else rxws.Close(1013, "Too Slow")
    if subscribers == 1:
        await turns(3000)
        assert len(sockets[0][1].sent) == 500
    for socket in (upstream, *(socket for socket, _ in sockets)):
        socket._life.abort()
    assert await ended(sockets[0][0]) == close


async def test_a_second_reader_ends_the_hold() -> None:
    """A source that is held goes on when another handler subscribes to it: it is not this socket's alone any more."""
    gateway = Gateway(plain)
    await turns()
    await gateway.flood()
    assert gateway.held == (True, False)
    upstream, seen = gateway.upstreams[0], list[str]()

    def other(socket: Socket) -> Observable[Any]:
        return upstream.incoming.pipe(ops.do_action(seen.append))

    second, peer = serve(other)
    await turns(300)
    assert len(seen) > 50
    assert gateway.held[0] is False
    await gateway.flood(500)
    gateway.peer.congested = False
    assert await ended(gateway.socket) == rxws.Close(1013, "Too Slow")
    assert second.stats.dropped == 0
    gateway.end()
    await ended(second)


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "latest", rxws.latest_by(len)])
async def test_a_policy_that_drops_holds_no_socket(overflow: Any) -> None:
    """Who chose to lose messages gets what is new: a source that is held would only bring it later."""
    gateway = Gateway(plain, overflow=overflow)
    await turns()
    await gateway.flood(500)
    assert gateway.held[0] is False
    assert gateway.upstreams[0].stats.received == 500
    gateway.end()


@pytest.mark.parametrize("overflow", ["close", "drop_oldest", "latest"])
async def test_an_iterable_waits_under_every_policy(overflow: Any) -> None:
    """An iterable is asked when there is room, as a generator is that yields."""
    given = list[int]()

    async def parts() -> AsyncIterator[str]:
        for number in range(300):
            given.append(number)
            yield MESSAGE + str(number)

    socket, peer = serve(lambda: rxops.from_async_iterable(parts()), high_water=1000, overflow=overflow)
    peer.congested = True
    await turns(500)
    assert len(given) < 100 or overflow == "latest"
    peer.congested = False
    await ended(socket)
    assert socket.stats.dropped == 0 or overflow == "latest"


async def test_rows_of_a_request_wait() -> None:
    """An iterable for each message of the own peer waits, and so does the peer."""
    asked = list[str]()

    async def rows(question: str) -> AsyncIterator[str]:
        asked.append(question)
        for _ in range(50):
            yield MESSAGE

    def handler(incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(ops.flat_map(lambda question: rxops.from_async_iterable(rows(question))))

    socket, peer = serve(handler, high_water=1000, max_buffered=5000)
    peer.congested = True
    for number in range(20):
        peer.send(str(number))
        await turns(100)
    assert len(asked) < 10
    assert socket._life.held
    peer.congested = False
    await turns(5000)
    assert len(peer.sent) == 20 * 50
    peer.drop()
    await ended(socket)


async def test_rows_of_many_requests_at_once_wait() -> None:
    """Of requests that came at once, as many run as `merge` lets: each emits a row before it is held."""

    async def rows() -> AsyncIterator[str]:
        for _ in range(50):
            yield MESSAGE

    def handler(incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(ops.map(lambda _: rxops.from_async_iterable(rows())), ops.merge(max_concurrent=4))

    socket, peer = serve(handler, high_water=1000, max_buffered=2000)
    await turns()
    peer.congested = True
    peer.send(*map(str, range(100)))
    await turns(500)
    assert 1000 < socket.stats.buffered_bytes < 2000
    assert socket._life.held
    peer.congested = False
    await turns(10_000)
    assert len(peer.sent) == 100 * 50
    peer.drop()
    await ended(socket)


async def test_a_client_that_leaves_lets_its_source_go() -> None:
    """Whatever ends a socket, what it held goes on."""
    for leave in (lambda g: g.peer.drop(), lambda g: g.peer.close(), lambda g: g.socket._life.abort()):
        gateway = Gateway(branched)
        await turns()
        await gateway.flood()
        assert gateway.held == (True, False)
        leave(gateway)
        await ended(gateway.socket, 20)
        assert not gateway.upstreams[0]._life.held
        gateway.end()


async def test_a_source_that_is_held_may_leave() -> None:
    """The end of a source that is held is seen, behind what it has sent."""
    gateway = Gateway(plain)
    await turns()
    await gateway.flood()
    gateway.source.close(rxws.Close(4002, "why"))
    await asyncio.sleep(10)
    gateway.peer.congested = False
    assert await ended(gateway.upstreams[0]) == rxws.Close(4002, "why")
    gateway.end()


async def test_two_sockets_that_feed_each_other() -> None:
    """Two sockets that feed each other, and whose peers are slow, go on when these read on."""
    (one, first), (two, second) = [await program(**SMALL) for _ in range(2)]
    one.incoming.subscribe(two.outgoing)
    two.incoming.subscribe(one.outgoing)
    first.congested = second.congested = True
    first.send(*[MESSAGE] * 100)
    second.send(*[MESSAGE] * 100)
    await turns()
    assert one._life.held
    assert two._life.held
    first.congested = False
    await turns(1000)
    assert one._life.held
    assert len(first.sent) == 100
    second.congested = False
    await turns(1000)
    assert len(second.sent) == 100
    for socket in (one, two):
        socket.dispose()
        await ended(socket)


async def test_an_offline_client_holds_its_source() -> None:
    """A client that is offline, and keeps what it is sent, holds its source above high water, until it is back."""
    upstream, source = await program()
    dialer = MemoryDialer()
    dialer.answering.clear()
    back = rxws.Backoff(jitter=lambda seconds: seconds)
    async with connect(dialer, back, **SMALL) as socket:
        upstream.incoming.subscribe(socket.outgoing)
        source.send(*[MESSAGE] * 500)
        await turns()
        assert upstream._life.held
        assert socket.stats.dropped == 0
        dialer.answering.set()
        await turns(5000)
        assert len(dialer.peer.sent) == 500
        upstream._life.abort()


@pytest.mark.parametrize("sends", [True, False])
async def test_a_producer_that_waits_holds_nobody(sends: bool) -> None:
    """Who waits for room holds nobody, so the socket reads on: two that send each other much would wait forever."""
    socket, peer = await program(**SMALL)
    socket.incoming.subscribe()

    async def upload() -> None:
        for _ in range(50):
            if sends:
                await socket.send(MESSAGE)
            else:
                socket.outgoing.on_next(MESSAGE)
                await socket.room()

    peer.congested = True
    task = asyncio.create_task(upload())
    await turns(100)
    assert not task.done()
    peer.send("read on")
    assert socket.stats.received == 1
    peer.congested = False
    await task
    socket.dispose()
    await ended(socket)


async def test_a_message_of_nobody_holds_the_socket() -> None:
    """What comes from nowhere holds the socket that it is for: its peer may ask for less."""
    socket, peer = serve(lambda incoming: incoming.subscribe(), **SMALL)
    peer.congested = True
    for _ in range(20):
        socket.outgoing.on_next(MESSAGE)
    assert socket._life.held
    notify_from(SimpleNamespace(owner=None), socket.outgoing.on_next, MESSAGE)
    peer.congested = False
    await turns()
    assert not socket._life.held
    socket.dispose()
    await ended(socket)


class Elsewhere:
    """A source on an event loop of its own, in another thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def test_a_source_on_another_loop_waits() -> None:
    """A source on another event loop is held in its own thread, before this loop knows of what comes."""
    socket, peer = await program(**SMALL)
    elsewhere = Elsewhere()
    upstream, source = elsewhere.run(program())

    async def flood() -> bool:
        upstream.incoming.subscribe(socket.outgoing)
        source.send(*[MESSAGE] * 100)
        return upstream._life.held

    assert elsewhere.run(flood())
    assert socket.stats.handed_over_bytes < 2000
    async with asyncio.timeout(10):
        while len(peer.sent) < 100:
            await asyncio.sleep(0.001)

    async def end() -> bool:
        held = upstream._life.held
        upstream._life.abort()
        await turns()
        return held

    assert not elsewhere.run(end())
    elsewhere.end()
    socket.dispose()
    await ended(socket)


class Slow(Held):
    """A source that takes long to be held: meanwhile all that it sent has gone out."""

    gone = False
    _held = 0

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self.holds = list[bool]()

    def _follow_holds(self) -> None:
        self.holds.append(self._held > 0)
        while self._held and (self._socket.stats.handed_over or self._socket.stats.buffered):
            time.sleep(0.001)


async def test_a_source_is_let_go_that_was_held_too_late() -> None:
    """A source on another thread is let go, too, if all has gone out before it is held."""
    socket, peer = await program(**SMALL)
    source = Slow(socket)

    def send() -> None:
        while not source.holds:
            notify_from(source, socket.outgoing.on_next, MESSAGE)

    await asyncio.to_thread(send)
    await turns()
    assert (source.holds, source._held, socket.stats.buffered) == ([True, False], 0, 0)
    socket.dispose()
    await ended(socket)


async def test_messages_of_threads_hold_as_others() -> None:
    """What a thread sends in the name of nobody holds the socket, until what it handed over has been sent."""
    socket, peer = serve(lambda incoming: incoming.subscribe(), **SMALL)
    peer.congested = True
    send_in_a_thread(socket, [MESSAGE] * 20)
    await turns()
    assert socket._life.held
    peer.congested = False
    await turns(100)
    assert len(peer.sent) == 20
    assert not socket._life.held
    socket.dispose()
    await ended(socket)


async def test_a_request_beside_is_no_consumer() -> None:
    """A request waits for its answer beside a subscriber, and a source that waits for that one still does."""
    upstream, source = await program()
    socket, peer = await program(**SMALL)
    answers = list[str]()
    upstream.request("?", key=len, timeout=100).subscribe(answers.append, lambda error: None)
    upstream.incoming.subscribe(socket.outgoing)
    upstream.request("??", matches=lambda message: message == "??", timeout=100).subscribe(answers.append)
    peer.congested = True
    source.send(*[MESSAGE] * 500)
    assert upstream._life.held
    peer.congested = False
    await turns(3000)
    source.send("??")
    await turns(300)
    assert answers == ["??"]
    assert len(peer.sent) == 501
    for one in (upstream, socket):
        one._life.abort()
        await ended(one)
