"""What a handler may be: every row of the table, and what it may not be."""

import asyncio
import functools
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase
from reactivex.disposable import (
    BooleanDisposable,
    CompositeDisposable,
    Disposable,
    MultipleAssignmentDisposable,
    RefCountDisposable,
    ScheduledDisposable,
    SerialDisposable,
    SingleAssignmentDisposable,
)
from reactivex.scheduler import TimeoutScheduler
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import Subject

import rxws
from rxws.core.handler import Handler
from rxws.core.lifecycle import Lifecycle
from rxws.options import check
from rxws.testing import run, serve
from tests.streams import ended, turns, watch

BOTH_LOOPS = True
Eventually = Callable[..., Any]


# A def that returns an Observable


async def test_def_returns_observable() -> None:
    """A def returns an Observable, and the client receives it."""
    socket, peer = serve(lambda incoming: incoming.pipe(ops.map(str.upper)))
    peer.send("a", "b")
    await turns()
    assert peer.sent == ["A", "B"]
    assert socket.subscription is not None


def test_its_completion_closes_1000() -> None:
    assert run(lambda incoming: incoming.pipe(ops.take(1)), "-(ab)") == "-(a close 1000)"


def test_its_failure_closes_1011() -> None:
    assert run(lambda: reactivex.throw(ValueError("no"))) == "(close 1011 Unexpected Error)"


async def test_dispose_subscription() -> None:
    """Disposing socket.subscription closes 1000."""
    socket, peer = serve(lambda incoming: incoming)
    await turns()
    assert socket.subscription is not None
    socket.subscription.dispose()
    assert await ended(socket) == rxws.Close() == peer.close_sent


async def test_time_operators_on_the_loop() -> None:
    """Time operators of a returned Observable run on the event loop."""
    threads: list[int] = []
    note = ops.do_action(lambda _: threads.append(threading.get_ident()))
    socket, peer = serve(lambda: reactivex.interval(0.001).pipe(note, ops.map(str), ops.take(3)))
    await ended(socket)
    assert peer.sent == ["0", "1", "2"]
    assert set(threads) == {threading.get_ident()}


async def test_operators_behind_a_thread() -> None:
    """Operators behind a source on a thread work."""

    def handler() -> Observable[str]:
        ticks = reactivex.timer(0.005, scheduler=TimeoutScheduler.singleton())
        return ticks.pipe(ops.delay(0.005), ops.map(str))

    socket, peer = serve(handler, heartbeat=None)
    assert await ended(socket) == rxws.Close()
    assert peer.sent == ["0"]


def test_branches_behind_start_with() -> None:
    """Branches behind start_with do not miss the first message."""

    def handler(incoming: Observable[str]) -> Observable[str]:
        shared = incoming.pipe(ops.share())
        late = shared.pipe(ops.start_with("2"), ops.start_with("1"))
        return reactivex.merge(shared.pipe(ops.map(str.upper)), late)

    assert run(handler, "-a") == "(12)(Aa)"


# A def that returns Disposables

KINDS: dict[str, Callable[[], Any]] = {
    "Disposable": Disposable,
    "BooleanDisposable": BooleanDisposable,
    "CompositeDisposable": CompositeDisposable,
    "MultipleAssignmentDisposable": MultipleAssignmentDisposable,
    "RefCountDisposable": lambda: RefCountDisposable(Disposable()),
    "SerialDisposable": SerialDisposable,
    "SingleAssignmentDisposable": SingleAssignmentDisposable,
    "a subscription": lambda: Subject[Any]().subscribe(),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_disposable_disposed_at_close(kind: str) -> None:
    """A returned Disposable is disposed when the socket closes."""
    disposable = KINDS[kind]()
    socket, peer = serve(lambda: disposable)
    await turns()
    assert peer.close_sent is None
    peer.close()
    await ended(socket)
    assert disposable.is_disposed


WAYS: dict[str, Callable[[Any], Callable[[], Any]]] = {
    "directly": lambda disposable: lambda: disposable.dispose(),
    "through a bound method taken before": lambda disposable: disposable.dispose,
    "by leaving a with block": lambda disposable: lambda: disposable.__exit__(None, None, None),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
async def test_dispose_returned_disposable(kind: str, way: str) -> None:
    """Disposing a returned Disposable closes 1000."""
    disposable = KINDS[kind]()
    dispose = WAYS[way](disposable)
    socket, peer = serve(lambda: disposable)
    await turns()
    assert peer.close_sent is None
    dispose()
    assert await ended(socket) == rxws.Close() == peer.close_sent


async def test_dispose_scheduled_disposable() -> None:
    """Disposing a ScheduledDisposable closes 1000 when its scheduler comes to it."""
    disposable = ScheduledDisposable(AsyncIOScheduler(asyncio.get_running_loop()), Disposable())
    socket, peer = serve(lambda: disposable)
    disposable.dispose()
    assert not disposable.is_disposed
    assert await ended(socket) == rxws.Close()


async def test_dispose_own_disposable() -> None:
    """Disposing a Disposable of one's own class closes 1000."""

    class Own(DisposableBase):
        def dispose(self) -> None:
            self.done = True

    disposable = Own()
    socket, _ = serve(lambda: disposable)
    assert isinstance(disposable, Own)
    assert type(disposable).__name__ == "Own"
    disposable.dispose()
    assert await ended(socket) == rxws.Close()
    assert disposable.done


async def test_several_disposables() -> None:
    """The socket owns each of several Disposables."""
    first, second = Disposable(), BooleanDisposable()
    socket, _ = serve(lambda: [first, second])
    second.dispose()
    assert await ended(socket) == rxws.Close()
    assert first.is_disposed


async def test_shared_disposable() -> None:
    """A Disposable of several sockets closes them all."""
    shared = Disposable()
    sockets = [serve(lambda: shared)[0] for _ in range(3)]
    shared.dispose()
    assert [await ended(socket) for socket in sockets] == [rxws.Close()] * 3


async def test_disposable_sends_last_words() -> None:
    """What a Disposable sends when it is disposed goes out before the close."""
    kept: list[Disposable] = []

    def handler(outgoing: Subject[str]) -> Disposable:
        kept.append(Disposable(lambda: outgoing.on_next("last words")))
        return kept[0]

    socket, peer = serve(handler)
    kept[0].dispose()
    assert await ended(socket) == rxws.Close() == peer.close_sent
    assert peer.sent == ["last words"]


async def test_dispose_in_a_thread() -> None:
    """A Disposable may be disposed in another thread."""
    disposable = Disposable()
    socket, _ = serve(lambda: disposable)
    await asyncio.to_thread(disposable.dispose)
    assert await ended(socket) == rxws.Close()


async def test_disposed_before_return() -> None:
    """A Disposable that is disposed before it is returned closes 1000."""
    disposable = Disposable()
    disposable.dispose()
    socket, _ = serve(lambda: disposable)
    assert await ended(socket) == rxws.Close()


# A def that returns None


def test_def_returns_none() -> None:
    """A def that returns None leaves the socket open until either side closes it."""

    def handler(incoming: Observable[str], outgoing: Subject[str]) -> None:
        incoming.pipe(ops.map(str.upper)).subscribe(outgoing.on_next)

    assert run(handler, "-a-") == "-A"
    assert run(handler, "-a-(close 4001)") == "-A-(close 4001)"


async def test_def_without_subscription() -> None:
    """A def that does not subscribe drops what comes."""
    seen: list[str] = []
    socket, peer = serve(lambda: None)
    peer.send("lost")
    await turns()
    socket.incoming.subscribe(seen.append)
    peer.send("seen")
    await turns()
    assert (seen, socket.stats.received) == (["seen"], 2)


# An async def


def test_async_def_returns_none() -> None:
    """An async def lives as long as the socket, and its None closes 1000."""

    async def handler(incoming: Observable[str], outgoing: Subject[str]) -> None:
        outgoing.on_next("hello " + await incoming.pipe(ops.first()))

    assert run(handler, "-a") == '-("hello a" close 1000)'


def test_frames_wait_for_async_def() -> None:
    """Frames wait until an async def subscribes."""

    async def handler(incoming: Observable[str]) -> Observable[str]:
        await asyncio.sleep(0.3)
        return incoming.pipe(ops.take(2))

    assert run(handler, "ab----") == "---(ab close 1000)"


async def test_async_def_cannot_subscribe() -> None:
    """An async def that cannot subscribe drops what comes."""

    async def handler(outgoing: Subject[str]) -> None:
        await asyncio.sleep(60)

    socket, peer = serve(handler)
    await turns()
    peer.send("lost")
    await turns()
    assert socket.stats.received == 1
    peer.drop()


@pytest.mark.parametrize("leave", ["close", "drop"])
async def test_peer_leaves_async_def(leave: str) -> None:
    """When the peer leaves, an async def is cancelled and cleans up."""
    steps: list[str] = []

    async def handler() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            steps.append("cleaned up")

    socket, peer = serve(handler)
    await turns()
    getattr(peer, leave)()
    await ended(socket)
    await turns()
    assert steps == ["cleaned up"]


async def test_async_def_result() -> None:
    """The result of an async def follows the rows of def."""

    async def observable(incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(ops.map(str.upper))

    async def disposable() -> Disposable:
        return kept

    kept = Disposable()
    socket, peer = serve(observable)
    peer.send("a")
    await turns()
    assert peer.sent == ["A"]
    peer.drop()
    socket, peer = serve(disposable)
    await turns()
    assert peer.close_sent is None
    kept.dispose()
    assert await ended(socket) == rxws.Close()


def test_async_def_raises() -> None:
    """What an async def raises closes 1011, or with the Close that it is."""

    async def fails() -> None:
        raise ValueError("no")

    async def closes() -> None:
        raise rxws.Close(4001, "bye")

    assert run(fails) == "(close 1011 Unexpected Error)"
    assert run(closes) == "(close 4001 bye)"


async def test_async_def_cancelled() -> None:
    """An async def that is cancelled closes 1000."""

    async def handler() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    assert await ended(serve(handler)[0]) == rxws.Close()


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
async def test_cancelled_before_first_step(kind: str, collected: Callable[[], None]) -> None:
    """A coroutine that is cancelled before its first step closes 1000 and never begins."""
    begun: list[str] = []

    async def coroutine() -> None:
        begun.append(kind)

    async def generator() -> Any:
        begun.append(kind)
        yield "a"

    before = asyncio.all_tasks()
    socket, _ = serve(coroutine if kind == "coroutine" else generator)
    (task,) = asyncio.all_tasks() - before
    task.cancel()
    assert await ended(socket) == rxws.Close()
    collected()  # a coroutine that was never awaited would be warned of, which is an error here
    assert begun == []


async def test_clean_up_raises(caplog: pytest.LogCaptureFixture) -> None:
    """A clean-up that raises is logged once."""

    async def handler() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("clean-up")

    socket, peer = serve(handler)
    await turns()
    peer.drop()
    await ended(socket)
    await turns()
    assert [record.getMessage() for record in caplog.records] == [
        "ValueError('clean-up'), which nobody observed (memory)"
    ]


async def test_async_def_is_kept_alive() -> None:
    """An async def that nothing else holds is not collected while it runs."""
    awaited: list[weakref.ref[asyncio.Future[None]]] = []

    async def handler(outgoing: Subject[str]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        awaited.append(weakref.ref(future))
        await future
        outgoing.on_next("alive")

    peer = serve(handler)[1]
    await turns()
    gc.collect()
    future = awaited[0]()
    assert future is not None
    future.set_result(None)
    await turns()
    assert (peer.sent, peer.close_sent) == (["alive"], rxws.Close())


def test_async_def_error_code() -> None:
    """An async def may raise an error with its own code."""

    class Teapot(Exception):
        close_code = 4018
        close_reason = "short and stout"

    async def handler() -> None:
        raise Teapot

    assert run(handler) == "(close 4018 short and stout)"


async def test_async_def_long_reason() -> None:
    """An async def that raises an error whose reason is too long closes with its code."""

    class Verbose(Exception):
        close_code = 4018
        close_reason = "x" * 124

    async def handler() -> None:
        raise Verbose

    assert await ended(serve(handler)[0]) == rxws.Close(4018)


# An async def with yield


def test_generator_yields() -> None:
    """Each yielded value is sent, and the end closes 1000."""

    async def handler() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    assert run(handler) == "(ab close 1000)"


async def test_generator_waits_for_room(eventually: Eventually) -> None:
    """A generator is resumed only when there is room."""
    made: list[int] = []

    async def handler() -> AsyncIterator[str]:
        for number in range(100):
            made.append(number)
            yield "x" * 1000

    socket, peer = serve(handler, high_water=10_000)
    peer.congested = True
    await turns(100)
    assert len(made) == 10
    peer.congested = False
    assert await ended(socket) == rxws.Close()
    assert (len(made), len(peer.sent)) == (100, 100)


async def test_endless_generator() -> None:
    """A generator without end leaves others their turn."""

    async def handler() -> AsyncIterator[str]:
        while True:
            yield "x"

    socket, peer = serve(handler)
    await turns(20)
    assert len(peer.sent) > 100
    peer.close()
    await ended(socket)


async def test_generator_closed() -> None:
    """A generator goes on to its end when the socket is closed; what it yields goes nowhere."""
    steps: list[str] = []

    async def handler(socket: rxws.WebSocket[Any, Any]) -> AsyncIterator[str]:
        try:
            yield "a"
            socket.close(4001)
            yield "lost"
            steps.append("resumed")
        finally:
            steps.append("closed")

    socket, peer = serve(handler)
    assert (await ended(socket)).code == 4001
    await turns()
    assert (peer.sent, steps) == (["a"], ["resumed", "closed"])


def test_generator_raises() -> None:
    """What a generator raises closes 1011."""

    async def handler() -> AsyncIterator[str]:
        yield "a"
        raise ValueError

    assert run(handler) == "(a close 1011)"


@pytest.mark.parametrize("end", ["the peer closes", "the peer is gone", "an overflow closes"])
async def test_generator_not_resumed_at_end(end: str) -> None:
    """A generator that waits for room is closed without being resumed."""
    made: list[Any] = []

    async def handler() -> AsyncIterator[str]:
        try:
            while True:
                made.append("value")
                yield "x" * 1000
        finally:
            made.append("closed")

    socket, peer = serve(handler, high_water=5000, max_buffered=10_000)
    peer.congested = True
    await turns(50)
    assert made == ["value"] * 5
    match end:
        case "the peer closes":
            peer.close()
        case "the peer is gone":
            peer.drop()
        case _:
            for _ in range(10):
                socket.outgoing.on_next("x" * 1000)
    peer.congested = False
    await ended(socket)
    await turns()
    assert made == ["value"] * 5 + ["closed"]


async def test_generator_closed_with_flush() -> None:
    """A generator that waits for room may be closed with a flush."""

    async def handler() -> AsyncIterator[str]:
        while True:
            yield "x" * 1000

    socket, peer = serve(handler, high_water=5000)
    peer.congested = True
    await turns(50)
    socket.close(4001)
    await turns()
    assert peer.sent == []
    peer.congested = False
    assert await ended(socket) == rxws.Close(4001) == peer.close_sent
    assert len(peer.sent) == 5


def test_generator_close() -> None:
    """A Close that a generator raises or yields closes with its code."""

    async def raises() -> AsyncIterator[str]:
        yield "a"
        raise rxws.Close(4001, "bye")

    async def yields() -> AsyncIterator[Any]:
        yield "a"
        yield rxws.Close(4001, "bye")
        yield "lost"

    assert run(raises) == "(a close 4001 bye)"
    assert run(yields) == "(a close 4001 bye)"


async def test_peer_leaves_generator() -> None:
    """A generator that waits when the peer leaves is cancelled and cleans up."""
    steps: list[str] = []

    async def handler() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.sleep(60)
        finally:
            steps.append("cleaned up")

    socket, peer = serve(handler)
    await turns()
    peer.drop()
    await ended(socket)
    await turns()
    assert steps == ["cleaned up"]


# Names


async def test_five_names() -> None:
    """The five names are bound, and no more than asked for."""
    bound: dict[str, Any] = {}

    def handler(request: Any, incoming: Any, outgoing: Any, errors: Any, socket: Any) -> None:
        bound.update(locals())

    socket, _ = serve(handler)
    assert bound["socket"] is socket
    assert [bound["incoming"], bound["outgoing"], bound["errors"]] == list(socket)
    assert bound["request"] is None


def positional(incoming: Any, /, *, outgoing: Any) -> Any:
    return incoming


class Rooms:
    name = "lobby"

    def method(self, incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(ops.map(lambda message: f"{self.name} {message}"))

    @classmethod
    def of_class(cls, incoming: Observable[str]) -> Observable[str]:
        return cls().method(incoming)

    @staticmethod
    def static(incoming: Observable[str]) -> Observable[str]:
        return Rooms().method(incoming)

    def __call__(self, incoming: Observable[str]) -> Observable[str]:
        return self.method(incoming)


class AsyncCall:
    async def __call__(self, outgoing: Subject[str]) -> None:
        outgoing.on_next("called")


def with_more(incoming: Observable[str], suffix: str) -> Observable[str]:
    return incoming.pipe(ops.map(lambda message: message + suffix))


@pytest.mark.parametrize(
    ("handler", "reply"),
    [
        (Rooms().method, "lobby hi"),
        (Rooms.of_class, "lobby hi"),
        (Rooms.static, "lobby hi"),
        (Rooms(), "lobby hi"),
        (functools.partial(with_more, suffix="!"), "hi!"),
        (positional, "hi"),
    ],
)
def test_callables(handler: Any, reply: str) -> None:
    """Methods, partials and callable objects work."""
    assert run(handler, '-"hi"').sent == [reply]


def test_async_call() -> None:
    """An object with an async __call__ is an async def."""
    assert run(AsyncCall()) == '("called" close 1000)'


def test_partial_of_async_call() -> None:
    """A partial of an object with an async __call__ is an async def."""

    class Greeting:
        async def __call__(self, outgoing: Subject[str], name: str) -> None:
            outgoing.on_next(f"hello {name}")

    assert run(functools.partial(functools.partial(Greeting(), name="you"))) == '("hello you" close 1000)'


def test_partial_binds_a_name() -> None:
    """A partial may bind one of the five names itself."""

    def handler(incoming: Observable[str], request: str) -> Observable[str]:
        return incoming.pipe(ops.map(lambda message: message + request))

    assert run(functools.partial(handler, request="!"), "-a") == '-"a!"'


async def test_method_of_class_body() -> None:
    """A function of a class body gets its self first."""
    life = Lifecycle(check({}))
    start = Handler(Rooms.method).compose(life, rxws.WebSocket(life), (Rooms(),))
    assert start is not None


@pytest.mark.parametrize(
    "handler",
    [
        lambda incomming: None,
        lambda incoming, limit=3: None,
        lambda *incoming: None,
        lambda **incoming: None,
        functools.partial(with_more),
    ],
)
def test_unknown_name(handler: Any) -> None:
    """Any other name is a TypeError at decoration that lists the five."""
    with pytest.raises(
        TypeError,
        match=r"may be request, incoming, outgoing, errors, socket; functools\.partial .*, and with @rxws\.asgi",
    ):
        rxws.websocket(handler)


def test_plain_generator() -> None:
    """A generator that is not a coroutine is a TypeError at decoration."""

    def handler(incoming: Any) -> Any:
        yield 1

    with pytest.raises(TypeError, match="yields but is not a coroutine: write 'async def'"):
        rxws.websocket(handler)


def test_call_is_a_generator() -> None:
    """An object whose __call__ is a generator is a TypeError at decoration."""

    class Counter:
        def __call__(self, incoming: Any) -> Any:
            yield 1

    with pytest.raises(TypeError, match="yields but is not a coroutine: write 'async def'"):
        rxws.websocket(Counter())


def test_not_a_function() -> None:
    """What is not a function is a TypeError at decoration."""
    with pytest.raises(TypeError, match="a handler is a function, not 3"):
        rxws.websocket(3)  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_static_or_class_method_below(kind: Any) -> None:
    """A static or class method below is a TypeError at decoration that says where it belongs."""
    with pytest.raises(TypeError, match=f"write @{kind.__name__} above @rxws.websocket"):
        rxws.websocket(kind(lambda incoming: incoming))


async def coroutine() -> None: ...


@pytest.mark.parametrize("result", [3, "text", [1], coroutine, object()])
async def test_wrong_result(result: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A handler that returns something else fails and says what it may return."""
    socket, _ = serve(lambda: result)
    assert await ended(socket) == rxws.Close(1011, "Unexpected Error")
    assert f"returned {type(result).__name__}: a handler returns an Observable, a Disposable" in caplog.text


async def test_def_returns_coroutine(caplog: pytest.LogCaptureFixture) -> None:
    """A def that returns a coroutine is told to be an async def."""
    socket, _ = serve(lambda: coroutine())
    assert (await ended(socket)).code == 1011
    assert "is an 'async def'" in caplog.text


async def test_returns_own_outgoing(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that returns its own outgoing fails."""
    socket, _ = serve(lambda outgoing: outgoing)
    assert (await ended(socket)).code == 1011
    assert "returned its own outgoing" in caplog.text


async def test_unwatchable_disposable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A Disposable that cannot be watched fails and says how to wrap it."""

    class Slotted(DisposableBase):
        __slots__ = ("done",)

        def dispose(self) -> None:
            self.done = True

    socket, _ = serve(lambda: Slotted())
    assert (await ended(socket)).code == 1011
    assert "reactivex.disposable.Disposable(yours.dispose)" in caplog.text


def test_def_raises() -> None:
    """What a def raises on an open socket closes 1011, or with the Close that it is."""

    def fails() -> None:
        raise ValueError("no")

    def closes(outgoing: Subject[str]) -> None:
        outgoing.on_next("a")
        raise rxws.Close(4001, "bye")

    assert run(fails) == "(close 1011 Unexpected Error)"
    assert run(closes) == "(a close 4001 bye)"


async def test_let_through() -> None:
    """What is let through is raised before the socket is open."""

    def refuses() -> None:
        raise PermissionError

    life = Lifecycle(check({}))
    with pytest.raises(PermissionError):
        Handler(refuses).compose(life, rxws.WebSocket(life), let_through=(PermissionError,))
    life.no_connection_follows()


@pytest.mark.parametrize("others", [[], [ValueError("besides")]])
async def test_let_through_out_of_a_group(others: list[Exception], caplog: pytest.LogCaptureFixture) -> None:
    """What is let through is found in groups, and raised without them; what else they have is logged."""
    refusal = PermissionError()

    def refuses() -> None:
        raise ExceptionGroup("checks", [*others, ExceptionGroup("more", [refusal])])

    life = Lifecycle(check({}))
    with pytest.raises(PermissionError) as raised:
        Handler(refuses).compose(life, rxws.WebSocket(life), let_through=(PermissionError,))
    assert raised.value is refusal
    assert ("besides" in caplog.text) == bool(others)
    life.no_connection_follows()


async def test_def_error_seen_by_observer() -> None:
    """An error of a def goes to the errors that it subscribed."""
    log: list[Any] = []

    def handler(errors: Observable[Exception]) -> None:
        log.append(watch(errors=errors))
        raise ValueError("no")

    socket, _ = serve(handler)
    assert (await ended(socket)).code == 1011
    assert [str(entry) for entry in log[0]] == ["('errors', ValueError('no'))", "errors|"]


async def test_stubborn_handler() -> None:
    """An Observable of a handler that outlives its socket is disposed at once."""
    log: list[str] = []

    async def stubborn(incoming: Observable[Any]) -> Observable[Any]:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            log.append("cancelled")
        return reactivex.create(lambda observer, scheduler: Disposable(lambda: log.append("disposed")))

    socket, peer = serve(stubborn, close_timeout=0.05)
    await turns()
    peer.drop()
    await ended(socket)
    await asyncio.sleep(0.1)
    assert log == ["cancelled", "disposed"]
