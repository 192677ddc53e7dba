"""What a handler may be: every row of the table, and what it may not be."""

import asyncio
import functools
import gc
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


async def test_a_def_returns_an_observable_and_the_client_receives_it() -> None:
    socket, peer = serve(lambda incoming: incoming.pipe(ops.map(str.upper)))
    peer.send("a", "b")
    await turns()
    assert peer.sent == ["A", "B"]
    assert socket.subscription is not None


def test_its_completion_closes_1000() -> None:
    assert run(lambda incoming: incoming.pipe(ops.take(1)), "-(ab)") == "-(a close 1000)"


def test_its_failure_closes_1011() -> None:
    assert run(lambda: reactivex.throw(ValueError("no"))) == "(close 1011 Unexpected Error)"


async def test_disposing_socket_subscription_closes_1000() -> None:
    socket, peer = serve(lambda incoming: incoming)
    await turns()
    assert socket.subscription is not None
    socket.subscription.dispose()
    assert await ended(socket) == rxws.Close() == peer.close_sent


async def test_its_time_operators_run_on_the_event_loop() -> None:
    import threading

    threads: list[int] = []
    note = ops.do_action(lambda _: threads.append(threading.get_ident()))
    socket, peer = serve(lambda: reactivex.interval(0.001).pipe(note, ops.map(str), ops.take(3)))
    await ended(socket)
    assert peer.sent == ["0", "1", "2"]
    assert set(threads) == {threading.get_ident()}


def test_branches_behind_start_with_do_not_miss_the_first_message() -> None:
    def handler(incoming: Observable[str]) -> Observable[str]:
        shared = incoming.pipe(ops.share())
        late = shared.pipe(ops.start_with("2"), ops.start_with("1"))
        return reactivex.merge(shared.pipe(ops.map(str.upper)), late)

    assert run(handler, "-a") == "(12)(Aa)"


async def test_a_synchronous_source_without_end_does_not_stop_the_event_loop() -> None:
    socket, _ = serve(lambda: reactivex.of("x").pipe(ops.repeat()), max_buffered=10_000_000)
    async with asyncio.timeout(5):
        await asyncio.sleep(0.01)
    socket.dispose()
    await ended(socket)


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
async def test_a_returned_disposable_is_disposed_when_the_socket_closes(kind: str) -> None:
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
async def test_disposing_a_returned_disposable_closes_1000(kind: str, way: str) -> None:
    disposable = KINDS[kind]()
    dispose = WAYS[way](disposable)
    socket, peer = serve(lambda: disposable)
    await turns()
    assert peer.close_sent is None
    dispose()
    assert await ended(socket) == rxws.Close() == peer.close_sent


async def test_disposing_a_scheduled_disposable_closes_1000_when_its_scheduler_comes_to_it() -> None:
    disposable = ScheduledDisposable(AsyncIOScheduler(asyncio.get_running_loop()), Disposable())
    socket, peer = serve(lambda: disposable)
    disposable.dispose()
    assert not disposable.is_disposed
    assert await ended(socket) == rxws.Close()


async def test_disposing_a_disposable_of_one_s_own_closes_1000() -> None:
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


async def test_several_disposables_are_all_the_socket_s() -> None:
    first, second = Disposable(), BooleanDisposable()
    socket, _ = serve(lambda: [first, second])
    second.dispose()
    assert await ended(socket) == rxws.Close()
    assert first.is_disposed


async def test_a_disposable_of_several_sockets_closes_them_all() -> None:
    shared = Disposable()
    sockets = [serve(lambda: shared)[0] for _ in range(3)]
    shared.dispose()
    assert [await ended(socket) for socket in sockets] == [rxws.Close()] * 3


async def test_what_a_disposable_sends_when_it_is_disposed_goes_out_before_the_close() -> None:
    kept: list[Disposable] = []

    def handler(outgoing: Subject[str]) -> Disposable:
        kept.append(Disposable(lambda: outgoing.on_next("last words")))
        return kept[0]

    socket, peer = serve(handler)
    kept[0].dispose()
    assert await ended(socket) == rxws.Close() == peer.close_sent
    assert peer.sent == ["last words"]


async def test_a_disposable_may_be_disposed_in_another_thread() -> None:
    disposable = Disposable()
    socket, _ = serve(lambda: disposable)
    await asyncio.to_thread(disposable.dispose)
    assert await ended(socket) == rxws.Close()


async def test_a_disposable_disposed_before_it_is_returned_closes_1000() -> None:
    disposable = Disposable()
    disposable.dispose()
    socket, _ = serve(lambda: disposable)
    assert await ended(socket) == rxws.Close()


# A def that returns None


def test_none_leaves_the_socket_open_until_either_side_closes_it() -> None:
    def handler(incoming: Observable[str], outgoing: Subject[str]) -> None:
        incoming.pipe(ops.map(str.upper)).subscribe(outgoing.on_next)

    assert run(handler, "-a-") == "-A"
    assert run(handler, "-a-(close 4001)") == "-A-(close 4001)"


async def test_a_def_that_does_not_subscribe_drops_what_comes() -> None:
    seen: list[str] = []
    socket, peer = serve(lambda incoming: None)
    peer.send("lost")
    await turns()
    socket.incoming.subscribe(seen.append)
    peer.send("seen")
    await turns()
    assert (seen, socket.stats.received) == (["seen"], 2)


# An async def


def test_an_async_def_lives_as_long_as_the_socket_and_none_closes_1000() -> None:
    async def handler(incoming: Observable[str], outgoing: Subject[str]) -> None:
        outgoing.on_next("hello " + await incoming.pipe(ops.first()))

    assert run(handler, "-a") == '-("hello a" close 1000)'


def test_frames_wait_until_an_async_def_subscribes() -> None:
    async def handler(incoming: Observable[str]) -> Observable[str]:
        await asyncio.sleep(0.3)
        return incoming.pipe(ops.take(2))

    assert run(handler, "ab----") == "---(ab close 1000)"


async def test_an_async_def_that_cannot_subscribe_drops_what_comes() -> None:
    async def handler(outgoing: Subject[str]) -> None:
        await asyncio.sleep(60)

    socket, peer = serve(handler)
    await turns()
    peer.send("lost")
    await turns()
    assert socket.stats.received == 1
    peer.drop()


@pytest.mark.parametrize("leave", ["close", "drop"])
async def test_when_the_peer_leaves_it_is_cancelled_and_cleans_up(leave: str) -> None:
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


async def test_its_result_follows_the_rows_of_def() -> None:
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


def test_what_an_async_def_raises_closes_1011_or_with_its_close() -> None:
    async def fails() -> None:
        raise ValueError("no")

    async def closes() -> None:
        raise rxws.Close(4001, "bye")

    assert run(fails) == "(close 1011 Unexpected Error)"
    assert run(closes) == "(close 4001 bye)"


async def test_an_async_def_that_somebody_cancels_closes_1000() -> None:
    async def handler() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    assert await ended(serve(handler)[0]) == rxws.Close()


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
async def test_one_that_is_cancelled_before_its_first_step_closes_1000_and_never_begins(
    kind: str, collected: Callable[[], None]
) -> None:
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


async def test_a_clean_up_that_raises_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
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


async def test_an_async_def_nobody_else_holds_is_not_collected_while_it_runs() -> None:
    async def handler(outgoing: Subject[str]) -> None:
        await asyncio.sleep(0.01)
        outgoing.on_next("alive")

    socket, peer = serve(handler)
    gc.collect()
    await ended(socket)
    assert peer.sent == ["alive"]


def test_an_async_def_may_raise_an_error_of_its_own_code() -> None:
    class Teapot(Exception):
        close_code = 4018
        close_reason = "short and stout"

    async def handler() -> None:
        raise Teapot

    assert run(handler) == "(close 4018 short and stout)"


async def test_an_async_def_that_raises_an_error_whose_reason_is_too_long_closes_with_its_code() -> None:
    class Verbose(Exception):
        close_code = 4018
        close_reason = "x" * 124

    async def handler() -> None:
        raise Verbose

    assert await ended(serve(handler)[0]) == rxws.Close(4018)


# An async def with yield


def test_each_yielded_value_is_sent_and_the_end_closes_1000() -> None:
    async def handler() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    assert run(handler) == "(ab close 1000)"


async def test_a_generator_is_resumed_only_when_there_is_room(eventually: Eventually) -> None:
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


async def test_a_generator_without_end_leaves_others_their_turn() -> None:
    async def handler() -> AsyncIterator[str]:
        while True:
            yield "x"

    socket, peer = serve(handler)
    await turns(20)
    assert len(peer.sent) > 100
    peer.close()
    await ended(socket)


async def test_a_generator_is_closed_when_the_socket_is() -> None:
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
    assert (peer.sent, steps) == (["a"], ["closed"])


def test_what_a_generator_raises_closes_1011() -> None:
    async def handler() -> AsyncIterator[str]:
        yield "a"
        raise ValueError

    assert run(handler) == "(a close 1011)"


@pytest.mark.parametrize("end", ["the peer closes", "the peer is gone", "an overflow closes"])
async def test_a_generator_that_waits_for_room_is_closed_without_being_resumed(end: str) -> None:
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


async def test_a_generator_that_waits_for_room_may_be_closed_with_a_flush() -> None:
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


def test_a_close_that_a_generator_raises_or_yields_closes_with_its_code() -> None:
    async def raises() -> AsyncIterator[str]:
        yield "a"
        raise rxws.Close(4001, "bye")

    async def yields() -> AsyncIterator[Any]:
        yield "a"
        yield rxws.Close(4001, "bye")
        yield "lost"

    assert run(raises) == "(a close 4001 bye)"
    assert run(yields) == "(a close 4001 bye)"


async def test_a_generator_that_waits_when_the_peer_leaves_is_cancelled_and_cleans_up() -> None:
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


async def test_the_five_names_are_bound_and_no_more_than_asked_for() -> None:
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
def test_methods_partials_and_callable_objects_work(handler: Any, reply: str) -> None:
    assert run(handler, '-"hi"').sent == [reply]


def test_an_object_with_an_async_call_is_an_async_def() -> None:
    assert run(AsyncCall()) == '("called" close 1000)'


def test_a_partial_of_an_object_with_an_async_call_is_an_async_def() -> None:
    class Greeting:
        async def __call__(self, outgoing: Subject[str], name: str) -> None:
            outgoing.on_next(f"hello {name}")

    assert run(functools.partial(functools.partial(Greeting(), name="you"))) == '("hello you" close 1000)'


def test_a_partial_may_bind_one_of_the_five_names_itself() -> None:
    def handler(incoming: Observable[str], request: str) -> Observable[str]:
        return incoming.pipe(ops.map(lambda message: message + request))

    assert run(functools.partial(handler, request="!"), "-a") == '-"a!"'


async def test_a_function_of_a_class_body_gets_its_self_first() -> None:
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
def test_any_other_name_is_a_type_error_at_decoration_that_names_the_five(handler: Any) -> None:
    with pytest.raises(TypeError, match="may be request, incoming, outgoing, errors, socket"):
        rxws.websocket(handler)


def test_a_generator_that_is_no_coroutine_is_a_type_error_at_decoration() -> None:
    def handler(incoming: Any) -> Any:
        yield 1

    with pytest.raises(TypeError, match="yields but is no coroutine: write 'async def'"):
        rxws.websocket(handler)


def test_an_object_whose_call_is_a_generator_is_a_type_error_at_decoration() -> None:
    class Counter:
        def __call__(self, incoming: Any) -> Any:
            yield 1

    with pytest.raises(TypeError, match="yields but is no coroutine: write 'async def'"):
        rxws.websocket(Counter())


def test_what_is_no_function_is_a_type_error_at_decoration() -> None:
    with pytest.raises(TypeError, match="a handler is a function, not 3"):
        rxws.websocket(3)  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_a_static_or_class_method_below_is_a_type_error_at_decoration_that_says_where_it_belongs(kind: Any) -> None:
    with pytest.raises(TypeError, match=f"write @{kind.__name__} above @rxws.websocket"):
        rxws.websocket(kind(lambda incoming: incoming))


async def coroutine() -> None: ...


@pytest.mark.parametrize("result", [3, "text", [1], coroutine, object()])
async def test_a_handler_that_returns_something_else_fails_and_says_what_it_may_return(
    result: Any, caplog: pytest.LogCaptureFixture
) -> None:
    socket, _ = serve(lambda: result)
    assert await ended(socket) == rxws.Close(1011, "Unexpected Error")
    assert f"returned {type(result).__name__}: a handler returns an Observable, a Disposable" in caplog.text


async def test_a_def_that_returns_a_coroutine_is_told_to_be_an_async_def(caplog: pytest.LogCaptureFixture) -> None:
    socket, _ = serve(lambda: coroutine())
    assert (await ended(socket)).code == 1011
    assert "is an 'async def'" in caplog.text


async def test_a_handler_that_returns_its_own_outgoing_fails(caplog: pytest.LogCaptureFixture) -> None:
    socket, _ = serve(lambda outgoing: outgoing)
    assert (await ended(socket)).code == 1011
    assert "returned its own outgoing" in caplog.text


async def test_a_disposable_that_cannot_be_watched_fails_and_says_how_to_wrap_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Slotted(DisposableBase):
        __slots__ = ("done",)

        def dispose(self) -> None:
            self.done = True

    socket, _ = serve(lambda: Slotted())
    assert (await ended(socket)).code == 1011
    assert "reactivex.disposable.Disposable(yours.dispose)" in caplog.text


def test_what_a_def_raises_closes_1011_or_with_its_close_when_the_socket_is_open() -> None:
    def fails() -> None:
        raise ValueError("no")

    def closes(outgoing: Subject[str]) -> None:
        outgoing.on_next("a")
        raise rxws.Close(4001, "bye")

    assert run(fails) == "(close 1011 Unexpected Error)"
    assert run(closes) == "(a close 4001 bye)"


async def test_what_is_let_through_is_raised_before_the_socket_is_open() -> None:
    def refuses() -> None:
        raise PermissionError

    life = Lifecycle(check({}))
    with pytest.raises(PermissionError):
        Handler(refuses).compose(life, rxws.WebSocket(life), let_through=(PermissionError,))
    life.abandon()


async def test_an_error_of_a_def_goes_to_the_errors_it_subscribed() -> None:
    log: list[Any] = []

    def handler(errors: Observable[Exception]) -> None:
        log.append(watch(errors=errors))
        raise ValueError("no")

    socket, _ = serve(handler)
    assert (await ended(socket)).code == 1011
    assert [str(entry) for entry in log[0]] == ["('errors', ValueError('no'))", "errors|"]


async def test_an_observable_of_a_handler_that_outlives_its_socket_is_let_go_at_once() -> None:
    log: list[str] = []

    async def stubborn(incoming: Observable[Any]) -> Observable[Any]:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            log.append("cancelled")
        return reactivex.create(lambda observer, scheduler: Disposable(lambda: log.append("disposed")))

    socket, peer = serve(stubborn)
    await turns()
    peer.drop()
    await ended(socket)
    await turns()
    assert log == ["cancelled", "disposed"]
