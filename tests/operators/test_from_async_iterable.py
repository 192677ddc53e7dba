import asyncio
import gc
import itertools
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws import operators as rxops
from rxws.rx.holds import Held, current_source
from rxws.testing import serve
from tests.operators.jobs import Jobs, finish
from tests.streams import ended, turns, watch
from tests.threads import in_a_thread


async def count(log: list[Any], limit: int = 3, error: Exception | None = None) -> AsyncIterator[int]:
    try:
        for number in range(limit):
            log.append(number)
            yield number
        if error is not None:
            raise error
    finally:
        log.append("closed")


async def test_an_iterable_is_an_observable() -> None:
    log: list[Any] = []
    seen = watch(r=rxops.from_async_iterable(count(log)))
    await turns()
    assert seen == [("r", 0), ("r", 1), ("r", 2), "r|"]
    error = LookupError()
    seen = watch(r=rxops.from_async_iterable(count(log, 1, error)))
    await turns()
    assert seen == [("r", 0), ("r#", error)]


async def test_an_iterable_waits_for_those_who_are_busy() -> None:
    jobs, log = Jobs(), list[Any]()
    seen = watch(r=rxops.from_async_iterable(count(log)).pipe(rxops.map_async(jobs)))
    await turns()
    assert log == [0]
    await finish(jobs)
    assert seen == [("r", "0!"), ("r", "1!"), ("r", "2!"), "r|"]


async def test_iterable_that_never_waits_gives_way() -> None:
    """An iterable that never waits lets others have their turn."""
    log: list[Any] = []
    numbers = rxops.from_async_iterable(count(log, 10**9)).pipe(ops.take_while(lambda number: number < 1000))
    seen = watch(r=numbers.pipe(ops.last()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 0 < len(log) < 1000
    await turns(50)
    assert seen == [("r", 999), "r|"]


async def test_an_iterable_waits_for_all_who_are_busy() -> None:
    one, two, log = Jobs(), Jobs(), list[Any]()
    shared = rxops.from_async_iterable(count(log, 2)).pipe(ops.publish())
    seen = watch(one=shared.pipe(rxops.map_async(one)), two=shared.pipe(rxops.map_async(two)))
    shared.connect()
    await turns()
    await one.end(0)
    assert log == [0]
    await two.end(0)
    assert log[:2] == [0, 1]
    await one.end(1)
    await two.end(1)
    assert seen[-2:] == ["one|", ("two", "1!")] or "two|" in seen


async def test_disposing_closes_the_generator() -> None:
    log: list[Any] = []
    rxops.from_async_iterable(count(log, 10**9)).pipe(ops.take(2)).subscribe()
    subscription = rxops.from_async_iterable(count(log, 10**9)).pipe(rxops.map_async(Jobs())).subscribe()
    await turns()
    subscription.dispose()
    await turns()
    assert log.count("closed") == 2


class Numbers:
    """An iterable that is no generator."""

    def __init__(self) -> None:
        self.left = [3, 2, 1]

    def __aiter__(self) -> "Numbers":
        return self

    async def __anext__(self) -> int:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop()


async def test_an_iterator_without_aclose_will_do() -> None:
    seen = watch(r=rxops.from_async_iterable(Numbers()))
    await turns()
    assert seen == [("r", 1), ("r", 2), ("r", 3), "r|"]


async def test_raising_subscriber_gets_the_next_item() -> None:
    """What a subscriber raises is told, and the next item comes."""

    async def same(number: int) -> int:
        return number

    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    for work in (ops.map(str), rxops.map_async(same)):
        rxops.from_async_iterable(count([])).pipe(work).subscribe(lambda item: 1 / 0)
    await turns(30)
    assert [type(error) for error in told] == [ZeroDivisionError] * 6


async def test_foreign_cancellation_is_an_error() -> None:
    """An iterable that other code cancelled is an error."""

    async def numbers() -> AsyncIterator[int]:
        yield 1
        raise asyncio.CancelledError

    log = watch(r=rxops.from_async_iterable(numbers()))
    await turns()
    assert log[0] == ("r", 1)
    assert [type(entry[1]) for entry in log[1:]] == [RuntimeError]


async def test_busy_with_inner_items_holds_the_socket() -> None:
    """An operator that is busy with what came of a message holds the socket of that message."""
    jobs = Jobs()

    async def twice(message: str) -> AsyncIterator[str]:
        yield message
        yield message * 2

    inner = ops.map(lambda message: rxops.from_async_iterable(twice(message)))
    work = inner, ops.merge(max_concurrent=1), rxops.map_async(jobs)
    socket, peer = serve(lambda incoming: incoming.pipe(*work))
    peer.send("a")
    await turns()
    peer.send("b", "c")
    await turns()
    assert (jobs.started, socket.stats.received) == (["a"], 1)
    for item in ("a", "aa", "b", "bb", "c", "cc"):
        await jobs.end(item)
    assert peer.sent == ["a!", "aa!", "b!", "bb!", "c!", "cc!"]
    peer.close(rxws.Close())
    await ended(socket)


async def test_error_over_inner_items_is_the_socket_s() -> None:
    """What a subscriber raises is an error of the socket whose message it was."""

    async def broken(message: str) -> AsyncIterator[str]:
        yield message
        raise LookupError(message)

    def handler(incoming: Any, errors: Any) -> None:
        errors.subscribe(seen.append)
        work = ops.flat_map(lambda message: rxops.from_async_iterable(broken(message)))
        incoming.pipe(work).subscribe(lambda message: 1 / 0)

    seen: list[Exception] = []
    socket, peer = serve(handler)
    peer.send("a")
    await turns()
    assert [type(error) for error in seen] == [ZeroDivisionError, LookupError]
    peer.close(rxws.Close())
    await ended(socket)


async def test_disposed_in_a_thread() -> None:
    """A thread may dispose: the task is cancelled, and the generator closed, in the event loop."""
    closed: list[int] = []

    async def count() -> AsyncIterator[int]:
        try:
            for number in itertools.count():
                yield number
                await asyncio.sleep(0)
        finally:
            closed.append(threading.get_ident())

    log: list[int] = []
    subscription = rxops.from_async_iterable(count()).subscribe(log.append)
    await turns()
    await asyncio.to_thread(subscription.dispose)
    await turns()
    before = len(log)
    await turns()
    assert (closed, len(log)) == ([threading.get_ident()], before)


async def test_held_from_a_thread() -> None:
    """A thread may hold it, and with it its socket, and let both go on."""
    sources: list[Any] = []

    async def letters(message: str) -> AsyncIterator[str]:
        for letter in message:
            yield letter
            await turns(5)

    def handler(incoming: Any) -> Any:
        parts = ops.flat_map(lambda message: rxops.from_async_iterable(letters(message)))
        return incoming.pipe(parts, ops.do_action(lambda _: sources.append(current_source.get())))

    socket, peer = serve(handler)
    peer.send("abc")
    await turns(2)
    in_a_thread(sources[0].hold)
    await turns()
    before = list(peer.sent)
    assert (len(before) < 3, socket._life.held) == (True, True)
    in_a_thread(sources[0].release)
    await turns(40)
    assert (peer.sent, socket._life.held) == (["a", "b", "c"], False)
    peer.drop()
    await ended(socket)


@pytest.mark.parametrize("way", ["error", "end"])
def test_the_end_of_the_loop(way: str) -> None:
    """When the event loop ends, an iterable ends in silence, whatever it makes of that."""
    log: list[Any] = []

    async def stubborn() -> AsyncIterator[int]:
        yield 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if way == "error":
                raise LookupError from None

    async def main() -> None:
        rxops.from_async_iterable(stubborn()).subscribe(log.append, log.append)
        await turns()

    asyncio.run(main())
    assert log == [1]


async def page(number: int) -> AsyncIterator[int]:
    await asyncio.sleep(0)
    yield number + 1


async def following(number: int) -> int:
    await asyncio.sleep(0)
    return number + 1


@pytest.mark.parametrize(
    "follow",
    [
        lambda number: rxops.from_async_iterable(page(number)),
        lambda number: rxops.from_async_iterable(page(number)).pipe(rxops.buffered(1)),
        lambda number: reactivex.of(number).pipe(rxops.map_async(following)),
    ],
)
async def test_pages_without_end_keep_no_chain(follow: Callable[[int], Observable[int]]) -> None:
    """Where each page names the next one, those before it are let go."""

    def count_held() -> int:
        gc.collect()
        return sum(issubclass(type(one), Held) for one in gc.get_objects())

    before, there = count_held(), list[int]()

    def look(number: int) -> None:
        if number == 300:
            there.append(count_held())

    work = ops.map(int), ops.expand(follow), ops.do_action(look), ops.take(301)
    socket, peer = serve(lambda incoming: incoming.pipe(*work).subscribe())
    peer.send("0")
    await turns(2000)
    assert there[0] <= before + 10
    peer.drop()
    await ended(socket)


@pytest.mark.since_python(3, 12)
async def test_an_iteration_may_be_eager() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        seen = watch(r=rxops.from_async_iterable(count([])))
    finally:
        loop.set_task_factory(None)
    assert seen == [("r", 0), ("r", 1), ("r", 2), "r|"]
