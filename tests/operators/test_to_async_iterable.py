import asyncio
import time
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.testing import MemoryDialer, connect, serve
from tests.operators.jobs import come_and_go
from tests.streams import ended, raising, turns
from tests.threads import in_a_thread


async def test_slow_loop_holds_the_socket() -> None:
    """A socket can be iterated over, and a slow loop holds it."""

    async def handler(socket: Any) -> None:
        await asyncio.sleep(60)

    socket, peer = serve(handler, close_timeout=0.1)
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


async def test_client_is_iterated_from_its_first_message() -> None:
    """A client can be iterated over from its first message."""
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


async def test_iterating_raises_the_observable_s_error() -> None:
    """Iterating raises what the Observable fails with, after its items."""
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


async def test_iterating_is_bounded() -> None:
    """Iterating over what nobody can hold is bounded."""
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


async def test_brief_sockets_are_told_that_it_is_full() -> None:
    """Sockets that come and go are told that it is full."""
    room = Subject[str]()
    iterator = rxops.to_async_iterable(room)
    first = asyncio.ensure_future(anext(iterator))
    await turns()
    told = await come_and_go(room, 1027)
    assert await first == "0"
    assert len([error for error in told if isinstance(error, OverflowError)]) == 2
    assert [await anext(iterator) for _ in range(1024)][-1] == "1024"
    await iterator.aclose()


async def test_one_task_waits_at_a_time() -> None:
    """A second task that asks for the next item, while one waits, is told what to do."""
    source = Subject[str]()
    items: Any = rxops.to_async_iterable(source)
    first = asyncio.create_task(anext(items))
    await turns()
    with pytest.raises(RuntimeError, match="give each its own"):
        await anext(items)
    source.on_next("a")
    assert await first == "a"
    source.on_next("b")
    assert await items.asend(None) == "b"
    await items.aclose()


def test_iterable_that_is_never_asked() -> None:
    """An iterable that nobody iterates over needs no event loop to go."""
    source = Subject[str]()
    items: Any = rxops.to_async_iterable(source)
    del items
    assert source.observers == []


async def test_items_of_threads_wake_the_loop() -> None:
    """RxPY's timers run on threads; what they bring, and their end, wakes the loop that waits."""
    began = time.monotonic()
    assert [item async for item in rxops.to_async_iterable(reactivex.timer(0.05, 0.05).pipe(ops.take(2)))] == [0, 1]
    with pytest.raises(LookupError):
        await anext(rxops.to_async_iterable(reactivex.timer(0.05).pipe(ops.map(raising(LookupError())))))
    assert time.monotonic() - began < 2


async def test_threads_overflow() -> None:
    """What threads bring is bounded: what came before it is there, then the error; what comes later is ignored."""
    source = Subject[int]()
    iterator = rxops.to_async_iterable(source)
    waiting = asyncio.ensure_future(anext(iterator))
    await turns()
    in_a_thread(lambda: [*map(source.on_next, range(1030))])
    assert [await waiting, *[await anext(iterator) for _ in range(1023)]] == [*range(1024)]
    with pytest.raises(OverflowError):
        await anext(iterator)


async def test_thread_comes_too_late() -> None:
    """What a thread brings while the loop is left is forgotten, and holds nobody."""
    room = Subject[str]()
    iterator = rxops.to_async_iterable(room)
    waiting = asyncio.ensure_future(anext(iterator))
    socket, peer = serve(lambda incoming: incoming.subscribe(lambda message: in_a_thread(room.on_next, message)))
    await turns()
    peer.send("a")
    waiting.cancel()
    await iterator.aclose()
    await turns()
    assert (socket.stats.received, socket._life.held, room.observers) == (1, False, [])
    peer.drop()
    await ended(socket)


def test_its_loop_is_closed() -> None:
    """Items for a loop that is closed go nowhere, and keep nothing: the sources are let go."""
    source = Subject[int]()

    async def leave() -> None:
        waiting = asyncio.ensure_future(anext(iterators[0]))
        await asyncio.sleep(0)
        assert source.observers
        waiting.cancel()

    iterators = [rxops.to_async_iterable(source)]
    asyncio.run(leave())
    source.on_next(1)
    assert source.observers == []
