import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.testing import MemoryDialer, connect, serve
from tests.operators.test_map_async import Jobs
from tests.streams import ended, turns, watch


async def test_filter_async_keeps_what_a_coroutine_says_true_of() -> None:
    jobs, source = Jobs(), Subject[int]()
    log = watch(r=source.pipe(rxops.filter_async(jobs, max_concurrent=3)))
    for number in (1, 2, 3):
        source.on_next(number)
    await turns()
    source.on_completed()
    await jobs.end(3, 1)
    await jobs.end(2, False)
    await jobs.end(1, True)
    assert log == [("r", 1), ("r", 3), "r|"]


async def test_of_type_keeps_one_type() -> None:
    assert watch(r=reactivex.of(1, "a", 2.0, True).pipe(rxops.of_type(int))) == [("r", 1), ("r", True), "r|"]


# skip_errors


async def test_a_pipeline_survives_its_errors() -> None:
    def handler(incoming: Any, errors: Any) -> Any:
        errors.subscribe(seen.append)
        return incoming.pipe(ops.map(lambda n: 12 // n), rxops.skip_errors(into=errors))

    seen: list[Exception] = []
    socket, peer = serve(handler, codec=rxws.json)
    peer.send("1", "0", "2", '"a"', "3")
    await turns()
    assert peer.sent == ["12", "6", "4"]
    assert [type(error) for error in seen] == [ZeroDivisionError, TypeError]
    peer.close(rxws.Close())
    await ended(socket)


async def test_an_error_of_a_cold_source_is_passed_on() -> None:
    errors: Subject[Exception] = Subject()
    reported = watch(e=errors)
    error = LookupError()
    assert watch(r=reactivex.throw(error).pipe(rxops.skip_errors(into=errors))) == [("r#", error)]
    assert reported == []


async def test_a_pipeline_disposed_by_its_own_error_stays_so() -> None:
    source, errors = Subject[int](), Subject[Exception]()
    failing = source.pipe(ops.map(lambda n: 1 // n), rxops.skip_errors(into=errors))
    subscription = failing.subscribe()
    errors.subscribe(lambda _: subscription.dispose())
    source.on_next(0)
    assert source.observers == []


# buffered


def busy_with(jobs: Jobs, source: Any, limit: int, **options: Any) -> list[Any]:
    return watch(r=source.pipe(rxops.buffered(limit, **options), rxops.map_async(jobs)))


async def finish(jobs: Jobs) -> None:
    while jobs.waiting:
        await jobs.end(next(iter(jobs.waiting)))


async def test_a_buffer_passes_at_once_what_nobody_is_busy_with() -> None:
    source = Subject[int]()
    log = watch(r=source.pipe(rxops.buffered(1)))
    for number in range(5):
        source.on_next(number)
    source.on_completed()
    assert log == [*(("r", number) for number in range(5)), "r|"]


@pytest.mark.parametrize(("overflow", "passed", "lost"), [("drop_oldest", "ade", "bc"), ("drop_newest", "abc", "de")])
async def test_a_full_buffer_drops(overflow: Any, passed: str, lost: str) -> None:
    jobs, source = Jobs(), Subject[str]()
    dropped: list[str] = []
    log = busy_with(jobs, source, 2, overflow=overflow, dropped=dropped.append)
    for item in "abcde":
        source.on_next(item)
    source.on_completed()
    await turns()
    await finish(jobs)
    assert log == [*(("r", f"{item}!") for item in passed), "r|"]
    assert "".join(dropped) == lost


async def test_a_full_buffer_fails_by_default() -> None:
    jobs, source = Jobs(), Subject[str]()
    log = busy_with(jobs, source, 2)
    for item in "abcd":
        source.on_next(item)
    assert str(log[0][1]) == "2 items are buffered, and one more came"


async def test_a_full_buffer_holds_the_socket() -> None:
    jobs = Jobs()
    socket, peer = serve(lambda incoming: incoming.pipe(rxops.buffered(2), rxops.map_async(jobs)))
    peer.send(*"abcdefgh")
    await turns()
    assert (jobs.started, socket.stats.received) == (["a"], 3)
    await finish(jobs)
    assert peer.sent == [f"{item}!" for item in "abcdefgh"]
    peer.drop()
    await ended(socket)


async def test_an_error_of_the_source_is_not_buffered() -> None:
    jobs, source = Jobs(), Subject[str]()
    log = busy_with(jobs, source, 5)
    for item in "abc":
        source.on_next(item)
    await turns()
    error = LookupError()
    source.on_error(error)
    await turns()
    assert log == [("r#", error)]
    assert jobs.cancelled == ["a"]


def test_a_buffer_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="room for one item or more, not 0"):
        rxops.buffered(0)
    with pytest.raises(ValueError, match="overflow must be one of fail, drop_oldest, drop_newest, not 'burn'"):
        rxops.buffered(1, overflow="burn")  # type: ignore[arg-type]


# Asynchronous iterables


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


async def test_an_iterable_that_never_waits_lets_others_have_their_turn() -> None:
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


async def test_what_a_buffer_gets_while_it_emits_follows() -> None:
    source = Subject[int]()
    passed = source.pipe(rxops.buffered(5))
    log: list[int] = []
    passed.subscribe(lambda number: (log.append(number), source.on_next(number + 1) if number < 3 else None))
    source.on_next(1)
    assert log == [1, 2, 3]


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


async def test_a_socket_can_be_iterated_and_a_slow_loop_holds_it() -> None:
    async def handler(socket: Any) -> None:
        await asyncio.sleep(60)

    socket, peer = serve(handler)
    messages = aiter(socket)
    peer.send(*"abc")
    assert await anext(messages) == "a"
    await turns()
    assert socket.stats.received == 1
    assert [await anext(messages), await anext(messages)] == ["b", "c"]
    peer.close(rxws.Close())
    with pytest.raises(StopAsyncIteration):
        await anext(messages)
    await ended(socket)


async def test_a_client_can_be_iterated_from_its_first_message() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        dialer.peer.send("a", "b")
        await turns()
        seen: list[Any] = []
        async for message in socket:
            seen.append(message)
            if message == "b":
                break
        assert seen == ["a", "b"]


async def test_iterating_raises_what_the_observable_fails_with_after_its_items() -> None:
    source = reactivex.concat(reactivex.of(1, 2), reactivex.throw(LookupError()))
    seen: list[int] = []

    async def iterate() -> None:
        async for item in rxops.to_async_iterable(source):
            seen.append(item)

    with pytest.raises(LookupError):
        await iterate()
    assert seen == [1, 2]


async def test_leaving_the_loop_disposes() -> None:
    source = Subject[int]()
    iterator = rxops.to_async_iterable(source)
    asyncio.get_running_loop().call_soon(source.on_next, 1)
    assert await anext(iterator) == 1
    await iterator.aclose()
    assert source.observers == []


async def test_iterating_over_what_nobody_can_hold_is_bounded() -> None:
    source = Subject[int]()
    iterator = rxops.to_async_iterable(source)

    def flood() -> None:
        for number in range(1030):
            source.on_next(number)

    asyncio.get_running_loop().call_soon(flood)
    assert await anext(iterator) == 0
    with pytest.raises(OverflowError, match="1024 items wait for the loop"):
        async for _ in iterator:
            pass
