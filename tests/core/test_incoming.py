"""What the peer sends, and who reads it: nothing is lost between two readers, and one at a time may ask for each."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Observer, abc
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import ReplaySubject, Subject

import rxws
from rxws import operators as rxops
from rxws.recording import keep
from rxws.testing import MemoryDialer, MemoryWire, connect, serve
from tests.streams import ended, turns, watch

VIRTUAL = True
Socket = rxws.WebSocket[Any, Any]
first = ops.first


def idle() -> None:
    """A handler that wants no messages."""


async def in_sequence(**options: Any) -> tuple[Socket, MemoryWire]:
    """Make a socket whose handler reads in sequence, or will: it is read by the test."""

    async def handler(socket: Socket) -> None:
        await socket.closed

    socket, peer = serve(handler, **options)
    await turns()
    return socket, peer


# Between two readers


async def test_hot_after_first_subscriber() -> None:
    """Incoming is hot after the first subscriber."""
    socket, peer = await in_sequence()
    peer.send("a")
    early = watch(early=socket.incoming)
    await turns()
    late = watch(late=socket.incoming)
    peer.send("b")
    assert early == [("early", "a"), ("early", "b")]
    assert late == [("late", "b")]
    peer.drop()


async def test_between_two_subscribers() -> None:
    """What comes when all have unsubscribed waits for the next one."""
    socket, peer = await in_sequence()
    socket.incoming.subscribe().dispose()
    await turns()
    peer.send("a", "b")
    assert (socket.stats.received, socket.stats.unread) == (0, 2)
    log = watch(incoming=socket.incoming)
    await turns()
    assert log == [("incoming", "a"), ("incoming", "b")]
    assert (socket.stats.received, socket.stats.unread) == (2, 0)
    peer.drop()


async def test_one_leaves_within_a_message() -> None:
    """A reader that leaves with a message leaves those behind it, which came in the same chunk, to the next one."""
    socket, peer = await in_sequence()
    peer.send(*"abcd")
    assert await socket.incoming.pipe(first()) == "a"
    await turns()
    assert await socket.incoming.pipe(ops.take(2), ops.to_list()) == ["b", "c"]
    await asyncio.sleep(5)
    assert await socket.incoming.pipe(first()) == "d"
    peer.drop()


def fails_once(on: str) -> Callable[[str], str]:
    failures = [ValueError(on)]

    def pass_on(message: str) -> str:
        if message == on and failures:
            raise failures.pop()
        return message

    return pass_on


RESUBSCRIBED: dict[str, Callable[[Observable[Any]], Observable[Any]]] = {
    "concat": lambda i: reactivex.concat(i.pipe(first()), i.pipe(first()), i),
    "repeat": lambda i: i.pipe(ops.take(1), ops.repeat()),
    "retry": lambda i: i.pipe(ops.map(fails_once("c")), ops.retry()),
    "switch_latest": lambda i: i.pipe(ops.take(1), ops.map(lambda m: i.pipe(ops.start_with(m))), ops.switch_latest()),
    "share": lambda i: reactivex.concat((shared := i.pipe(ops.share())).pipe(first()), shared),
    "later": lambda i: reactivex.concat(i.pipe(first()), reactivex.timer(0.1).pipe(ops.flat_map(lambda _: i))),
}


@pytest.mark.parametrize("how", RESUBSCRIBED)
async def test_leaving_and_coming_in_a_message(how: str) -> None:
    """A pipeline that leaves and subscribes again, within a message or later, misses nothing and goes on."""
    socket, peer = await in_sequence()
    peer.send(*"abcdef")
    scheduler = AsyncIOScheduler(asyncio.get_running_loop())
    seen: list[str] = []
    RESUBSCRIBED[how](socket.incoming).subscribe(seen.append, print, scheduler=scheduler)
    await asyncio.sleep(1)
    peer.send("g")
    assert "".join(seen) == ("abdefg" if how == "retry" else "abcdefg")
    peer.drop()


async def test_a_recorder_does_not_read() -> None:
    """A recorder does not count as a reader, and sees each message once, whoever gets it in the end."""
    socket, peer = await in_sequence()
    kept = keep(socket)
    peer.send("a")
    await turns()
    assert socket.stats.received == 0
    assert await socket.incoming.pipe(first()) == "a"
    await cancelled_with(socket, peer, "b")
    assert await socket.incoming.pipe(first()) == "b"
    peer.close()
    await ended(socket)
    events = kept.recording.lane("incoming")
    assert [event.data for event in events if event.kind == "next"] == ["a", "b"]
    assert events[-1].kind == "completed"


async def test_a_thread_reads() -> None:
    """Readers may come from threads, one after the other, and none misses what its predecessor left."""
    socket, peer = await in_sequence()
    peer.send(*map(str, range(100)))
    seen: list[Any] = []

    def read() -> None:
        for _ in range(50):
            seen.append(socket.incoming.pipe(first()).run())

    await asyncio.to_thread(read)
    seen += [await socket.receive() for _ in range(50)]
    assert seen == [str(number) for number in range(100)]
    peer.drop()


async def test_a_def_handler_that_returned() -> None:
    """A def that has returned does not read in sequence: what nobody is there for is dropped."""

    def handler(incoming: Observable[Any]) -> None:
        incoming.pipe(first()).subscribe()

    socket, peer = serve(handler)
    await turns()
    peer.send("a", "b")
    assert (socket.stats.received, socket.stats.unread) == (2, 0)
    peer.drop()


def iterates(incoming: Observable[Any]) -> Any:
    return rxops.from_async_iterable(rxops.to_async_iterable(incoming))


def loops(socket: Socket) -> Any:
    async def loop() -> None:
        async for message in socket:
            socket.outgoing.on_next(message)

    return Disposable(asyncio.create_task(loop()).cancel)


@pytest.mark.parametrize("handler", [iterates, loops])
async def test_a_task_that_a_handler_has_made_reads_from_the_start(handler: Any) -> None:
    """A task begins a turn after the handler that made it has returned: what is there by then waits for it."""
    _, peer = serve(handler)
    peer.send(*"abc")
    await turns()
    assert peer.sent == ["a", "b", "c"]
    peer.drop()


async def test_an_async_def_that_returned() -> None:
    """An async def reads in sequence until it returns a pipeline, which gets what came before; then nothing waits."""
    taken: list[Any] = []

    async def handler(socket: Socket) -> Any:
        taken.append(await socket.receive())
        await asyncio.sleep(1)
        return reactivex.merge(socket.incoming.pipe(ops.take(2)), reactivex.never())

    socket, peer = serve(handler)
    peer.send("token", "a", "b", "c")
    await asyncio.sleep(2)
    assert (taken, peer.sent) == (["token"], ["a", "b"])
    peer.send("d")
    assert (socket.stats.received, socket.stats.unread) == (5, 0)
    peer.drop()


async def test_a_task_of_a_def_handler() -> None:
    """A loop in a task of a handler that has returned reads in sequence: nothing passes it while it is busy."""
    seen: list[Any] = []

    async def loop(socket: Socket) -> None:
        async for message in socket:
            await asyncio.sleep(1)
            seen.append(message)

    tasks: list[asyncio.Task[None]] = []
    socket, peer = serve(lambda socket: tasks.append(asyncio.create_task(loop(socket))))
    await turns()
    peer.send("a", "b")
    await asyncio.sleep(0.5)
    peer.send("c")
    await asyncio.sleep(3)
    assert seen == ["a", "b", "c"]
    peer.drop()
    await tasks[0]


async def test_reading_survives_a_reconnection() -> None:
    """A client that comes back is held on its next connection, too, while nobody reads."""
    dialer = MemoryDialer()
    async with connect(dialer, rxws.Backoff(initial=0.1, jitter=lambda delay: delay)) as socket:
        await turns()
        dialer.peer.send("a")
        assert await socket.receive() == "a"
        dialer.peer.drop()
        await asyncio.sleep(1)
        assert len(dialer.wires) == 2
        dialer.peer.send("b", "c")
        await turns()
        assert socket.stats.unread == 2
        assert [await socket.receive(), await socket.incoming.pipe(first())] == ["b", "c"]


# The cursor


async def cancelled_with(socket: Socket, peer: MemoryWire, message: str) -> None:
    """Cancel a task that receives in the moment in which it is handed a message."""
    waiting = asyncio.create_task(socket.receive())
    await turns()
    peer.send(message)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_one_iterator_for_a_socket() -> None:
    """A socket has one iterator, and a second loop goes on where the first one stopped."""
    socket, peer = await in_sequence()
    assert aiter(socket) is aiter(socket) is aiter(aiter(socket))
    peer.send(*"abcd")
    seen: list[str] = []
    for end in "bd":
        async for message in socket:
            seen.append(message)
            if message == end:
                break
    assert "".join(seen) == "abcd"
    peer.drop()


async def test_receive_one_after_the_other() -> None:
    """Each receive() takes one message, and nothing is read in between."""
    socket, peer = await in_sequence()
    peer.send(*"abc")
    for received, message in enumerate("abc", 1):
        assert await socket.receive() == message
        await turns()
        assert (socket.stats.received, socket.stats.unread) == (received, 3 - received)
    peer.drop()


async def test_a_timeout_around_a_step() -> None:
    """A timeout ends the wait, and neither the iteration nor the socket."""
    socket, peer = await in_sequence()
    messages = aiter(socket)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await anext(messages)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.receive(), 1)
    peer.send("a", "b")
    assert [await anext(messages), await socket.receive()] == ["a", "b"]
    peer.drop()


NEXT: dict[str, Callable[[Socket], Any]] = {
    "receive": lambda socket: socket.receive(),
    "anext": lambda socket: anext(aiter(socket)),
    "first": lambda socket: socket.incoming.pipe(first()),
    "to_async_iterable": lambda socket: iterate_once(socket),
}


async def iterate_once(socket: Socket) -> Any:
    async with aclosing(rxops.to_async_iterable(socket.incoming)) as messages:
        return await anext(messages)


@pytest.mark.parametrize("how", NEXT)
async def test_cancelled_with_a_message(how: str) -> None:
    """A reader that is cancelled with a message in its hands leaves it to the next one, of whichever kind."""
    socket, peer = await in_sequence()
    await cancelled_with(socket, peer, "a")
    peer.send("b")
    assert (socket.stats.received, socket.stats.unread) == (1, 2)
    assert await NEXT[how](socket) == "a"
    assert await socket.receive() == "b"
    peer.drop()


async def test_cancelled_before_a_message() -> None:
    """A message that comes when the wait is cancelled, and the task does not know yet, is kept."""
    socket, peer = await in_sequence()
    waiting = asyncio.create_task(socket.receive())
    await turns()
    waiting.cancel()
    peer.send("a", "b")
    await turns()
    assert waiting.cancelled()
    assert [await socket.receive(), await socket.receive()] == ["a", "b"]
    peer.drop()


async def test_who_comes_for_a_kept_message_and_leaves() -> None:
    """A kept message waits on when who came for it has left before it was given."""
    socket, peer = await in_sequence()
    await cancelled_with(socket, peer, "a")
    socket.incoming.subscribe().dispose()
    await turns()
    assert socket.stats.unread == 1
    log = watch(incoming=socket.incoming)
    socket.incoming.subscribe(lambda _: 1 / 0)  # what it raises is reported, and closes the socket
    peer.send("b")
    assert log == []
    assert (await ended(socket)).code == 1011
    assert log == [("incoming", "a"), "incoming|"]


async def test_a_kept_message_and_nobody_wants_it() -> None:
    """A kept message is dropped with the others, when a handler has returned that wants none."""
    go = asyncio.Event()

    async def handler(incoming: Observable[Any]) -> Any:
        await go.wait()
        return reactivex.never()

    socket, peer = serve(handler)
    await turns()
    await cancelled_with(socket, peer, "a")
    peer.send("b")
    go.set()
    await turns()
    assert (socket.stats.received, socket.stats.unread) == (2, 0)
    peer.drop()


async def test_a_handler_returns_while_another_task_waits() -> None:
    """A handler that returns while another task receives drops nothing of what that task reads."""
    seen: list[Any] = []

    async def loop(socket: Socket) -> None:
        async for message in socket:
            await asyncio.sleep(1)
            seen.append(message)

    async def handler(socket: Socket) -> Any:
        task = asyncio.create_task(loop(socket))
        await asyncio.sleep(0)
        return Disposable(task.cancel)

    socket, peer = serve(handler)
    await turns()
    peer.send("a", "b")
    await asyncio.sleep(3)
    assert seen == ["a", "b"]
    peer.drop()
    await ended(socket)


async def test_a_second_reader_beside_one_that_waits() -> None:
    """Who comes while receive() waits is told what to do, and takes nothing."""
    socket, peer = await in_sequence()
    waiting = asyncio.create_task(socket.receive())
    await turns()
    for second in NEXT.values():
        with pytest.raises(RuntimeError, match=r"may come when it has got that message\. To read beside"):
            await second(socket)
    with pytest.raises(RuntimeError, match="is waiting for the next message"):
        socket.incoming.subscribe()
    peer.send("a", "b")
    with pytest.raises(RuntimeError, match="is waiting for the next message"):  # which it has not taken yet
        socket.incoming.subscribe()
    assert await waiting == "a"
    assert await socket.incoming.pipe(first()) == "b"
    peer.drop()


async def test_receive_beside_a_subscriber() -> None:
    """receive() beside a subscriber says what to do; what it says works."""
    socket, peer = await in_sequence()
    subscription = socket.incoming.subscribe()
    with pytest.raises(RuntimeError, match=r"has a subscriber: dispose that .* rxws.operators.to_async_iterable"):
        await socket.receive()
    beside = rxops.to_async_iterable(socket.incoming)
    waiting = asyncio.create_task(anext(beside))
    await turns()
    peer.send("a", "b")
    assert [await waiting, await anext(beside)] == ["a", "b"]
    await beside.aclose()
    subscription.dispose()
    peer.send("c")
    assert await socket.receive() == "c"
    peer.drop()


async def test_requests_and_topics_beside_a_loop() -> None:
    """Requests and topics are readers, too: beside a loop they say so, and leave nothing behind."""
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        waiting = asyncio.create_task(socket.receive())
        await turns()
        with pytest.raises(RuntimeError, match="another reader may come"):
            await socket.request("question", matches=lambda _: True)
        topic = socket.multiplex(subscribe="topic", matches=lambda _: True)
        with pytest.raises(RuntimeError, match="another reader may come"):
            await topic
        assert dialer.peer.sent == []
        dialer.peer.send("a")
        assert await waiting == "a"
        log = watch(topic=topic)
        await turns()
        dialer.peer.send("b")
        assert (dialer.peer.sent, log) == (["topic"], [("topic", "b")])


async def test_requests_in_sequence() -> None:
    """What comes between two requests waits for the next reader, which may be a request."""
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        for number in range(3):
            asked = asyncio.ensure_future(socket.request(f"q{number}", matches=lambda m: m.startswith("answer")))
            await turns()
            dialer.peer.send(f"answer {number}", f"push {number}")
            assert await asked == f"answer {number}"
        assert await socket.receive() == "push 2"  # the requests have seen the others


# Nobody reads


def unread(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.ws_unread for record in caplog.records if record.ws_event == "unread"]


async def test_nobody_reads(caplog: pytest.LogCaptureFixture) -> None:
    """Messages that nobody reads for a heartbeat are told of, once, and where to find them."""
    socket, peer = await in_sequence(heartbeat=10.0)
    peer.pongs = True
    await asyncio.sleep(25)
    peer.send("a", "b")  # at 30 they wait, at 40 they still do
    await asyncio.sleep(14)
    assert caplog.records == []
    await asyncio.sleep(2)
    assert unread(caplog) == [2]
    assert [record.getMessage() for record in caplog.records] == [
        "messages wait (2) and nobody reads them: await socket.receive(), subscribe to socket.incoming, or drop them "
        "with socket.incoming.subscribe() (memory)"
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert await socket.receive() == "a"
    await asyncio.sleep(100)
    peer.close()
    await ended(socket, 10)
    assert unread(caplog) == [2]


async def test_one_reads_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """Who reads one message in each heartbeat reads, and who is busy with one, too."""

    async def busy(message: Any) -> None:
        await asyncio.sleep(50)

    def handler(incoming: Observable[Any]) -> Observable[Any]:
        return incoming.pipe(rxops.map_async(busy), ops.ignore_elements())

    for is_busy in (True, False):
        socket, peer = serve(handler, heartbeat=10.0) if is_busy else await in_sequence(heartbeat=10.0)
        peer.pongs = True
        await turns()
        peer.send(*"abcdefgh")
        for _ in range(6):
            if not is_busy:
                await socket.receive()
            await asyncio.sleep(9)
        assert caplog.records == []
        socket.close()
        await ended(socket, 10)


async def test_without_a_heartbeat(caplog: pytest.LogCaptureFixture) -> None:
    """Without a heartbeat, only what is never read is told of, when the connection ends."""
    for end in (lambda peer: peer.close(), lambda peer: peer.drop()):
        socket, peer = await in_sequence(heartbeat=None, close_timeout=3.0)
        peer.send("a", "b")
        await asyncio.sleep(1000)
        assert (socket.stats.unread, caplog.records) == (2, [])
        end(peer)
        await asyncio.sleep(2.9)
        assert socket._life.close_cause is None  # the end waits for readers, behind what they might read
        await ended(socket)
        assert unread(caplog) == [2]
        assert "the connection ended with messages that nobody read: 2 (memory)" in caplog.text
        caplog.clear()


async def test_our_own_close_asks_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Who closes does not want what waits."""
    socket, peer = await in_sequence()
    peer.send("a", "b")
    socket.close()
    await ended(socket)
    assert caplog.records == []


async def test_a_connection_is_replaced_unread(caplog: pytest.LogCaptureFixture) -> None:
    """While a client's connection is replaced, the messages of both wait; what the old one leaves unread is told."""
    caplog.set_level(logging.WARNING, "rxws.client")
    dialer = MemoryDialer()
    async with connect(dialer, rxws.Backoff()) as socket:
        await turns()
        dialer.peer.send("a")
        dialer.peer.mute = True
        socket.rotate()
        await asyncio.sleep(1)
        dialer.peer.send("b")
        assert (len(dialer.wires), socket.stats.unread) == (2, 2)
        await asyncio.sleep(10)
        assert socket.stats.unread == 1
        assert "the connection ended with messages that nobody read: 1" in caplog.text
        assert await socket.receive() == "b"


# The end


async def test_the_end_of_a_loop() -> None:
    """A loop ends when the socket closes, behind what was received; receive() then raises the Close."""
    socket, peer = await in_sequence()
    peer.send("a", "b")
    peer.close(rxws.Close(4001, "bye"))
    assert [message async for message in socket] == ["a", "b"]
    for _ in range(2):
        with pytest.raises(rxws.Close) as raised:
            await socket.receive()
        assert raised.value == rxws.Close(4001, "bye")
    assert raised.value is not socket._life.close_cause  # each has its own traceback
    assert [message async for message in socket] == []


ENDS: dict[str, tuple[Callable[[Socket, MemoryWire], object], int]] = {
    "our close": (lambda socket, peer: socket.close(4002), 4002),
    "the peer's close": (lambda socket, peer: peer.close(rxws.Close(4003)), 4003),
    "the peer's close without a code": (lambda socket, peer: peer.close(), 1005),
    "the connection's loss": (lambda socket, peer: peer.drop(), 1006),
}


@pytest.mark.parametrize("end", ENDS)
async def test_the_end_while_one_waits(end: str) -> None:
    """Who waits when the socket closes is raised the Close; what was handed to it before comes first."""
    act, code = ENDS[end]
    for kept in (False, True):
        socket, peer = await in_sequence()
        if kept:
            await cancelled_with(socket, peer, "kept")
        waiting = asyncio.create_task(socket.receive())
        await turns(0 if kept else 10)
        act(socket, peer)
        if kept:
            assert await waiting == "kept"
            waiting = asyncio.create_task(socket.receive())
        with pytest.raises(rxws.Close) as raised:
            await waiting
        assert raised.value.code == code
        await ended(socket)


async def test_a_kept_message_outlives_the_socket() -> None:
    """A kept message is there after the end of the socket, for a subscriber too."""
    for how in ("receive", "first", "before"):
        socket, peer = await in_sequence()
        await cancelled_with(socket, peer, "a")
        early = watch(early=socket.incoming) if how == "before" else None
        peer.close()
        await ended(socket)
        if early is None:
            assert await NEXT[how](socket) == "a"
        else:
            assert early == [("early", "a"), "early|"]
        assert not socket._life.incoming.readers.kept
        assert watch(late=socket.incoming) == ["late|"]


@pytest.mark.parametrize("late", [False, True])
async def test_a_kept_message_at_the_end_is_refused(caplog: pytest.LogCaptureFixture, late: bool) -> None:
    """What a subscriber raises over it is reported, as over any other, and the subscriber is told of the end."""
    socket, peer = await in_sequence()
    await cancelled_with(socket, peer, "a")
    ends: list[str] = []

    class Refusing(abc.ObserverBase[Any]):
        def on_next(self, value: Any) -> None:
            raise ValueError(f"refused: {value}")

        def on_error(self, error: Exception) -> None: ...

        def on_completed(self) -> None:
            ends.append("completed")

    if not late:
        socket.incoming.subscribe(Refusing())
    peer.close()
    await ended(socket)
    if late:
        socket.incoming.subscribe(Refusing())
    assert "refused: a" in caplog.text
    assert ends == ["completed"]


async def test_close_of_a_peer_in_a_handler(caplog: pytest.LogCaptureFixture) -> None:
    """The Close that receive() raises in a handler is no failure: nothing is logged."""

    async def handler(socket: Socket) -> None:
        while True:
            await socket.receive()

    socket, peer = serve(handler)
    peer.send("a")
    await turns()
    peer.close(rxws.Close(4001))
    assert await ended(socket) == rxws.Close(4001)
    await turns()
    assert caplog.records == []


async def test_close_of_a_peer_in_a_client_s_block() -> None:
    """The Close that receive() raises leaves a client's block, which would have nothing to return without a message."""
    dialer = MemoryDialer()

    async def ask() -> Any:
        async with connect(dialer) as socket:
            asyncio.get_running_loop().call_later(1, dialer.peer.close, rxws.Close(4001))
            return await socket.receive()

    with pytest.raises(rxws.Close, match="4001"):
        await ask()
    async with connect(dialer) as socket:
        raise rxws.Close(4002)  # this one closes it
    assert await ended(socket) == rxws.Close(4002)


def test_subscribe_after_the_loop() -> None:
    """The first subscriber after the end of the event loop just gets the end."""

    async def live() -> Socket:
        socket, peer = await in_sequence()
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


# Observers


async def test_incoming_never_fails() -> None:
    """Incoming completes and never fails, however the socket ends."""
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


async def test_message_after_our_close() -> None:
    """A message that comes after our close is not emitted."""
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


async def test_retry() -> None:
    """A retried pipeline goes on with the next message."""

    def handler(incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(ops.map(int), ops.map(str), ops.retry())

    _, peer = serve(handler)
    peer.send("1", "two", "3")
    await turns()
    assert peer.sent == ["1", "3"]
    peer.drop()


@pytest.mark.parametrize("subject", [Subject, ReplaySubject])
async def test_subject_subscribed(subject: Any) -> None:
    """A Subject may be subscribed to incoming."""
    mine = subject()
    socket, peer = serve(lambda incoming: incoming.subscribe(mine))
    log = watch(mine=mine)
    peer.send("a")
    await turns()
    peer.drop()
    assert log == [("mine", "a"), "mine|"]


async def test_close_within_a_message() -> None:
    """The peer's close within a message comes after it for all."""
    socket, peer = serve(idle)
    socket.incoming.subscribe(lambda _: peer.close(rxws.Close(4003)))
    log = watch(incoming=socket.incoming)
    await turns()
    peer.send("a")
    peer.send("b")
    assert (await ended(socket)).code == 4003
    assert log == [("incoming", "a"), "incoming|"]


async def test_failure_wakes_who_waits() -> None:
    """Were `incoming` to fail, who watches would see it, and who waits for a message would go on."""
    socket, peer = serve(lambda socket: None)
    waiting = asyncio.create_task(socket.receive())
    seen: list[Exception] = []
    incoming = socket._life.incoming
    incoming.monitor(Observer(on_error=seen.append))
    await turns()
    incoming.end(error := ValueError("never"))
    assert seen == [error]
    peer.drop()
    with pytest.raises(rxws.Close):
        await waiting


async def test_the_end_wakes_nobody() -> None:
    """The end finds a cursor that nobody waits at when its reader is just leaving, on another event loop."""
    socket, peer = await in_sequence()
    cursor: Any = aiter(socket)
    cursor.on_completed()
    peer.send("a")
    assert await anext(cursor) == "a"
    peer.drop()
    await ended(socket)
