import asyncio
import itertools
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Subject, abc
from reactivex import operators as ops
from reactivex.disposable import MultipleAssignmentDisposable, SerialDisposable
from reactivex.internal import noop
from reactivex.observer.autodetachobserver import AutoDetachObserver
from reactivex.scheduler import CurrentThreadScheduler

from rxws.close import Close
from rxws.rx import scheduler as scheduling
from rxws.rx.loop_thread import LoopThread
from rxws.rx.scheduler import MAX_AT_ONCE, LoopScheduler, loop_scheduler, subscribe_directly, when_subscribed
from rxws.testing import run, serve
from tests.streams import raising
from tests.threads import in_a_thread

VIRTUAL = True


async def test_order() -> None:
    """Immediate work runs at once, and what is due now soon."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    log: list[str] = []
    scheduler.schedule(lambda *_: log.append("at once"))
    scheduler.schedule_relative(0, lambda *_: log.append("soon"))
    scheduler.schedule_relative(0.05, lambda *_: log.append("later"))
    assert log == ["at once"]
    await asyncio.sleep(0.1)
    assert log == ["at once", "soon", "later"]


@pytest.fixture(params=[True, False], ids=["inside", "outside"])
def fits_rxpy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Subscribe by what is inside RxPY, and as anyone does."""
    assert scheduling.FITS_RXPY
    monkeypatch.setattr(scheduling, "FITS_RXPY", request.param)


def subscribe_to(
    subscribe: Callable[[Any, Any], Any], observer: abc.ObserverBase[Any] | None = None
) -> abc.DisposableBase:
    """Subscribe to what calls this function."""
    observer = observer or AutoDetachObserver(noop)
    return subscribe_directly(reactivex.create(subscribe), observer, CurrentThreadScheduler.singleton())


@pytest.mark.usefixtures("fits_rxpy")
def test_scheduled_while_subscribing() -> None:
    """What is scheduled while something is subscribed follows when that is whole, within another subscription, too."""
    log: list[str] = []

    def inner(observer: Any, scheduler: Any) -> Callable[[], None]:
        when_subscribed(lambda: log.append("scheduled within"))
        log.append("inner")
        return lambda: log.append("disposed")

    def outer(observer: Any, scheduler: Any) -> abc.DisposableBase:
        when_subscribed(lambda: log.append("scheduled"))
        result = subscribe_to(inner)
        log.append("outer")
        return result

    subscribe_to(outer).dispose()
    assert log == ["inner", "outer", "scheduled", "scheduled within", "disposed"]


@pytest.mark.usefixtures("fits_rxpy")
def test_subscribing_raises() -> None:
    """What a subscription raises fails the observer, or is the caller's if that has ended. The next one begins anew."""
    log: list[Any] = []
    observer = AutoDetachObserver[Any](log.append, log.append, lambda: log.append("completed"))
    error = ValueError("no")

    def failing(observer: Any, scheduler: Any) -> None:
        when_subscribed(lambda: log.append("scheduled"))
        raise error

    def ending(observer: Any, scheduler: Any) -> None:
        observer.on_completed()
        when_subscribed(lambda: log.append("forgotten"))
        raise error

    subscribe_to(failing, observer)
    assert log == [error, "scheduled"]
    with pytest.raises(ValueError, match="no"):
        subscribe_to(ending, AutoDetachObserver(noop))
    subscribe_to(lambda observer, _: observer.on_next(1), AutoDetachObserver(log.append))
    assert log[2:] == [1]


async def test_too_much_immediate_work() -> None:
    """Too much immediate work waits for the next turn."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    done: list[int] = []
    for number in range(MAX_AT_ONCE + 5):
        scheduler.schedule(lambda *_, number=number: done.append(number))
    assert len(done) == MAX_AT_ONCE
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert done == list(range(MAX_AT_ONCE + 5))


# Operators that go on synchronously, beyond what runs in one turn

COUNT = 1200
"""Items, each of which takes two actions or more: several turns."""


def fails() -> Observable[str]:
    return reactivex.concat(reactivex.of("x"), reactivex.throw(ValueError("on to the next")))


def retried() -> Observable[str]:
    attempts = itertools.count(1)
    return reactivex.defer(lambda _: reactivex.of("x") if next(attempts) == COUNT else fails())


def fewer_than(most: int) -> Callable[[Any], bool]:
    times = itertools.count()
    return lambda _: next(times) < most


def deep(x: str) -> Observable[str]:
    """What `expand` subscribes to; it emits some actions later."""
    return reactivex.concat(*[reactivex.empty()] * 4, reactivex.of("x"))


ON_AND_ON: dict[str, Callable[[], Observable[str]]] = {
    "repeat": lambda: reactivex.of("x").pipe(ops.repeat(COUNT)),
    "repeat in repeat": lambda: reactivex.of("x").pipe(ops.repeat(40), ops.repeat(30)),
    "repeat in repeat in repeat": lambda: reactivex.of("x").pipe(ops.repeat(10), ops.repeat(10), ops.repeat(12)),
    "repeat beside repeat": lambda: reactivex.merge(*[reactivex.of("x").pipe(ops.repeat(COUNT // 2))] * 2),
    "retry": lambda: retried().pipe(ops.retry(COUNT)),
    "catch": lambda: reactivex.catch_with_iterable([*[fails()] * (COUNT - 1), reactivex.of("x")]),
    "concat": lambda: reactivex.concat(*[reactivex.of("x")] * COUNT),
    "on_error_resume_next": lambda: reactivex.on_error_resume_next(*[reactivex.of("x")] * COUNT),
    "while_do": lambda: reactivex.of("x").pipe(ops.while_do(fewer_than(COUNT))),
    "do_while": lambda: reactivex.of("x").pipe(ops.do_while(fewer_than(COUNT - 1))),
    "for_in": lambda: reactivex.for_in(range(COUNT), lambda _: reactivex.of("x")),
    "range": lambda: reactivex.range(COUNT).pipe(ops.map(str)),
    "generate": lambda: reactivex.generate(0, lambda n: n < COUNT, lambda n: n + 1).pipe(ops.map(str)),
    "from_iterable": lambda: reactivex.from_iterable(["x"] * COUNT),
    "merge": lambda: reactivex.from_iterable([reactivex.of("x")] * COUNT).pipe(ops.merge(max_concurrent=1)),
    "flat_map": lambda: reactivex.range(COUNT).pipe(ops.flat_map(lambda _: reactivex.of("x"))),
    "expand": lambda: reactivex.of("x").pipe(ops.expand(deep), ops.take(COUNT)),
    "start_with": lambda: reactivex.empty().pipe(*[ops.start_with("x")] * 20, ops.repeat(COUNT // 20)),
}


def test_goes_on_and_on() -> None:
    """RxPY's own schedulers finish this, and so does the event loop's."""
    result = run(lambda: reactivex.of("x").pipe(ops.repeat(5000)))
    assert (len(result.sent), result.close) == (5000, Close(1000))


@pytest.mark.parametrize("operator", ON_AND_ON)
def test_goes_on_when_returned(operator: str) -> None:
    """What a handler returns is sent whole, and the socket closes."""
    result = run(ON_AND_ON[operator], max_buffered=10_000_000)
    assert (len(result.sent), result.close) == (COUNT, Close(1000))


@pytest.mark.parametrize("operator", ON_AND_ON)
def test_goes_on_after_a_message(operator: str) -> None:
    """An operator that a message sets going is not in a subscription that began before."""

    def handler(incoming: Observable[str]) -> Observable[str]:
        return reactivex.concat(incoming.pipe(ops.take(1)), ON_AND_ON[operator]())

    result = run(handler, "-a", max_buffered=10_000_000)
    assert (len(result.sent), result.close) == (COUNT + 1, Close(1000))


def test_goes_on_in_one_concat() -> None:
    """The same `concat` waits for a message, and then goes on and on."""

    def handler(incoming: Observable[str]) -> Observable[str]:
        return reactivex.concat(incoming.pipe(ops.take(1)), *[reactivex.of("x")] * COUNT)

    result = run(handler, "-a", max_buffered=10_000_000)
    assert (len(result.sent), result.close) == (COUNT + 1, Close(1000))


def test_goes_on_in_one_expand() -> None:
    """A timer sets one `expand` going, whose actions are of several functions."""
    first = reactivex.timer(0.1).pipe(ops.map(str))
    result = run(lambda: first.pipe(ops.expand(deep), ops.take(COUNT)), max_buffered=10_000_000)
    assert (len(result.sent), result.close) == (COUNT, Close(1000))


ENDLESS: dict[str, Callable[[], Observable[str]]] = {
    "repeat": lambda: reactivex.of("x").pipe(ops.repeat()),
    "generate": lambda: reactivex.generate("x", lambda _: True, lambda x: x),
    "expand": lambda: reactivex.of("x").pipe(ops.expand(lambda _: reactivex.of("x"))),
}


@pytest.mark.parametrize("source", ENDLESS)
@pytest.mark.parametrize("returned", [True, False], ids=["returned", "set going"])
async def test_endless(source: str, returned: bool) -> None:
    """A synchronous source without end goes on, and leaves the event loop its turns, until the socket ends."""
    go = Subject[Any]()
    first = reactivex.empty() if returned else go.pipe(ops.take(1))
    socket, peer = serve(lambda: reactivex.concat(first, ENDLESS[source]()), max_buffered=10_000_000)
    await turns(5)
    go.on_next("go")
    before = len(peer.sent)
    await turns(8)
    assert 10 * MAX_AT_ONCE > len(peer.sent) - before > MAX_AT_ONCE
    socket.dispose()
    await socket.closed
    sent = len(peer.sent)
    await asyncio.sleep(1)
    assert len(peer.sent) == sent


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def chain(scheduler: LoopScheduler, done: list[int], kept: Any, most: int) -> Callable[..., None]:
    """An action that schedules itself, as RxPY's operators do, and keeps the disposable of the last call."""

    def action(_: Any = None, state: Any = None) -> None:
        done.append(1)
        if len(done) < most:
            kept.disposable = scheduler.schedule(action)

    return action


@pytest.mark.parametrize("kind", [SerialDisposable, MultipleAssignmentDisposable])
async def test_dispose_what_is_left(kind: Callable[[], Any]) -> None:
    """What the first call returns stands for all that is left when it returns."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    done: list[int] = []
    kept = kind()
    kept.disposable = scheduler.schedule(chain(scheduler, done, kept, 10 * MAX_AT_ONCE))
    assert len(done) == MAX_AT_ONCE
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(done) > MAX_AT_ONCE
    kept.dispose()
    stopped = len(done)
    await asyncio.sleep(1)
    assert len(done) == stopped


async def test_dispose_before_the_first_call_returns() -> None:
    """What is disposed while others run at once does not run later."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    log: list[object] = []

    def action(*_: object) -> None:
        kept = [scheduler.schedule(lambda *_, n=n: log.append(n)) for n in range(MAX_AT_ONCE + 2)]
        kept[MAX_AT_ONCE].dispose()

    scheduler.schedule(action)
    assert log == list(range(MAX_AT_ONCE - 1))
    await asyncio.sleep(0.1)
    assert log == [*range(MAX_AT_ONCE), MAX_AT_ONCE + 1]


async def test_action_that_raises() -> None:
    """What an action raises goes to the caller of the first one, and the next one runs at once again."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    done: list[int] = []

    def action(*_: object) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        scheduler.schedule(action)
    scheduler.schedule(lambda *_: done.append(1))
    assert done == [1]


async def test_actions_get_their_scheduler() -> None:
    """An action that waits by the scheduler that it is given does not block the event loop."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    given: list[object] = []
    scheduler.schedule(lambda scheduler, _: given.append(scheduler))
    await asyncio.to_thread(scheduler.schedule, lambda scheduler, _: given.append(scheduler))
    assert given == [scheduler, scheduler]


async def test_dispose() -> None:
    """Disposing cancels what is scheduled."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    done: list[int] = []
    scheduler.schedule_relative(0.001, lambda *_: done.append(1)).dispose()
    scheduler.schedule_relative(0, lambda *_: done.append(2)).dispose()
    await asyncio.sleep(0.01)
    assert done == []


async def test_thread_schedules() -> None:
    """Timed work that a thread asks for runs on the event loop."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 60
    scheduler = LoopScheduler(LoopThread(loop))
    ran: asyncio.Future[int] = loop.create_future()
    await asyncio.to_thread(scheduler.schedule_relative, 0.001, lambda *_: ran.set_result(threading.get_ident()))
    assert await asyncio.wait_for(ran, 5) == threading.get_ident()


async def test_thread_cancels() -> None:
    """Timed work that a thread cancels does not run."""
    loop = asyncio.get_running_loop()
    scheduler = LoopScheduler(LoopThread(loop))
    done: list[int] = []
    mine = scheduler.schedule_relative(0.3, lambda *_: done.append(1))
    await asyncio.to_thread(mine.dispose)
    await asyncio.to_thread(lambda: scheduler.schedule_relative(0.3, lambda *_: done.append(2)).dispose())
    await asyncio.sleep(0.4)
    assert done == []


async def test_thread_runs_its_own() -> None:
    """Immediate work stays in the thread that asks for it."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    threads: list[int] = []

    def work() -> int:
        scheduler.schedule(lambda *_: threads.append(threading.get_ident()))
        return threading.get_ident()

    assert [await asyncio.to_thread(work)] == threads
    assert threads != [threading.get_ident()]


def test_closed_loop() -> None:
    """A closed loop ignores what a thread asks for."""

    async def make() -> LoopScheduler:
        return LoopScheduler(LoopThread(asyncio.get_running_loop()))

    scheduler = asyncio.run(make())
    done: list[int] = []
    worker = threading.Thread(target=lambda: scheduler.schedule_relative(0, lambda *_: done.append(1)).dispose())
    worker.start()
    worker.join()
    assert done == []


async def test_timed_work_keeps_its_context() -> None:
    """What several threads schedule is done in the context of each, though their calls wait together."""
    user, scheduler, seen = ContextVar[str]("user"), loop_scheduler(), list[tuple[str, str]]()
    assert scheduler is not None

    def schedule(name: str) -> None:
        user.set(name)
        scheduler.schedule_relative(0.01, lambda *_: seen.append((name, user.get())))

    for name in "ab":
        in_a_thread(schedule, name)
    await asyncio.sleep(0.05)
    assert sorted(seen) == [("a", "a"), ("b", "b")]


@pytest.mark.parametrize("delay", [0, 0.01])
async def test_timed_action_that_raises(delay: float) -> None:
    """What the event loop's call of an action raises is reported, or is the loop's, if nobody is to be told."""
    loop = asyncio.get_running_loop()
    reported: list[Exception] = []
    left: list[Any] = []
    loop.set_exception_handler(lambda _, context: left.append(context["exception"]))
    thread, error = LoopThread(loop), asyncio.CancelledError()
    for scheduler in (LoopScheduler(thread), LoopScheduler(thread, reported.append)):
        scheduler.schedule_relative(delay, raising(error))
    await asyncio.sleep(0.02)
    assert (left, [told.__cause__ for told in reported]) == ([error], [error])
