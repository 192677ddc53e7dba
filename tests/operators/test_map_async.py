import asyncio
import contextvars
import gc
import itertools
import signal
import threading
import weakref
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.rx.holds import current_source, notify_from
from rxws.testing import serve, virtual_time
from tests.operators.jobs import Heedless, Jobs, Owner, come_and_go
from tests.streams import ended, raising, turns, watch
from tests.threads import in_a_thread, preempted


async def test_one_at_a_time_in_order() -> None:
    jobs, source = Jobs(), Subject[str]()
    log = watch(r=source.pipe(rxops.map_async(jobs)))
    for item in "abc":
        source.on_next(item)
    await turns()
    assert jobs.started == ["a"]
    await jobs.end("a")
    assert jobs.started == ["a", "b"]
    source.on_completed()
    await jobs.end("b")
    await jobs.end("c")
    assert log == [("r", "a!"), ("r", "b!"), ("r", "c!"), "r|"]


async def test_concurrent_results_keep_the_order() -> None:
    """Several calls at a time keep the order of the results, unless told otherwise."""
    for ordered, expected in ((True, ["a!", "b!", "c!"]), (False, ["c!", "b!", "a!"])):
        jobs, source = Jobs(), Subject[str]()
        log = watch(r=source.pipe(rxops.map_async(jobs, max_concurrent=3, ordered=ordered)))
        for item in "abcd":
            source.on_next(item)
        await turns()
        assert jobs.started == ["a", "b", "c"]
        for item in "cba":
            await jobs.end(item)
        assert [value for _, value in log] == expected
        source.on_completed()
        await jobs.end("d")
        assert log[-2:] == [("r", "d!"), "r|"]


async def test_an_empty_source_completes() -> None:
    assert watch(r=reactivex.empty().pipe(rxops.map_async(Jobs()))) == ["r|"]


@pytest.mark.parametrize("where", ["function", "source"])
async def test_first_error_cancels_the_others(where: str) -> None:
    """The first error ends the results and cancels the other calls."""
    jobs, source = Jobs(), Subject[str]()
    log = watch(r=source.pipe(rxops.map_async(jobs, max_concurrent=2)))
    for item in "abc":
        source.on_next(item)
    await turns()
    error = LookupError()
    if where == "function":
        await jobs.end("a", error)
    else:
        source.on_error(error)
        await turns()
    assert log == [("r#", error)]
    assert jobs.cancelled == (["b"] if where == "function" else ["a", "b"])
    assert jobs.started == ["a", "b"]


async def test_disposing_cancels_what_runs() -> None:
    jobs, source = Jobs(), Subject[str]()
    subscription = source.pipe(rxops.map_async(jobs, max_concurrent=2)).subscribe()
    for item in "abc":
        source.on_next(item)
    await turns()
    subscription.dispose()
    subscription.dispose()
    await turns()
    assert sorted(jobs.cancelled) == ["a", "b"]
    assert source.observers == []


async def test_what_nobody_can_hold_is_bounded() -> None:
    jobs, source = Jobs(), Subject[int]()
    log = watch(r=source.pipe(rxops.map_async(jobs)))
    for number in range(1026):
        source.on_next(number)
    assert log[0][0] == "r#"
    assert str(log[0][1]).startswith("1024 items wait for map_async: put buffered")


def test_it_needs_a_slot() -> None:
    with pytest.raises(ValueError, match="max_concurrent must be a positive whole number of items, not 0"):
        rxops.map_async(Jobs(), max_concurrent=0)


def test_ordered_is_a_bool() -> None:
    order: Any = "no"
    for operator in (rxops.map_async, rxops.filter_async):
        with pytest.raises(TypeError, match="ordered must be True or False, not 'no'"):
            operator(Jobs(), ordered=order)


# Holds


@pytest.mark.parametrize("way", ["returned", "by hand", "behind operators"])
async def test_a_busy_function_holds_the_socket(way: str) -> None:
    jobs = Jobs()

    def handler(incoming: Any, outgoing: Any) -> Any:
        busy = rxops.map_async(jobs, max_concurrent=2)
        match way:
            case "returned":
                return incoming.pipe(busy)
            case "by hand":
                incoming.pipe(busy).subscribe(outgoing)
                return None
            case _:
                return incoming.pipe(ops.map(str.lower), ops.filter(bool), ops.scan(lambda _, m: m), busy)

    socket, peer = serve(handler)
    peer.send(*"abcdef")
    await turns()
    assert (jobs.started, socket.stats.received) == (["a", "b"], 2)
    await jobs.end("b")
    assert socket.stats.received == 2  # its result waits for a's
    await jobs.end("a")
    assert socket.stats.received == 4
    for item in "cdef":
        await jobs.end(item)
    assert peer.sent == ["a!", "b!", "c!", "d!", "e!", "f!"]
    peer.close(rxws.Close())
    await ended(socket)


async def test_merged_sockets_are_held_separately() -> None:
    """Merged sockets are held, each for its own items."""
    jobs, both = Jobs(), Subject[Any]()
    one, first = serve(lambda incoming: incoming.subscribe(both.on_next))
    two, second = serve(lambda incoming: incoming.subscribe(both.on_next))
    log = watch(r=both.pipe(rxops.map_async(jobs)))
    first.send("a", "b")
    await turns()
    second.send("c", "d")
    await turns()
    assert (one.stats.received, two.stats.received) == (1, 1)
    await jobs.end("a")
    await jobs.end("c")
    while jobs.waiting:
        await jobs.end(next(iter(jobs.waiting)))
    assert sorted(value for _, value in log) == ["a!", "b!", "c!", "d!"]
    first.drop()
    second.drop()
    await turns()


async def test_stages_in_a_row_hold_the_socket_too() -> None:
    slow = Jobs()

    async def quick(item: str) -> str:
        await asyncio.sleep(0)
        return item.upper()

    socket, peer = serve(
        lambda incoming: incoming.pipe(rxops.map_async(quick, max_concurrent=4), rxops.map_async(slow))
    )
    peer.send(*"abcdef")
    await turns(50)
    assert slow.started == ["A"]
    assert socket.stats.received <= 5
    for item in "ABCDEF":
        await slow.end(item)
    assert peer.sent == ["A!", "B!", "C!", "D!", "E!", "F!"]
    peer.drop()
    await ended(socket)


async def test_disposing_ends_the_hold() -> None:
    jobs = Jobs()
    socket, peer = serve(lambda incoming: incoming.subscribe() and None)
    subscription = socket.incoming.pipe(rxops.map_async(jobs)).subscribe()
    peer.send("a", "b")
    await turns()
    assert socket.stats.received == 1
    subscription.dispose()
    await turns()
    assert socket.stats.received == 2
    peer.drop()
    await ended(socket)


@virtual_time
async def test_hold_handles_control_frames_and_departure() -> None:
    """Control frames and the peer's departure are handled during a hold."""
    jobs = Jobs()
    socket, peer = serve(lambda incoming: incoming.pipe(rxops.map_async(jobs)), heartbeat=0.03, close_timeout=0.1)
    peer.send("a", "b")
    await asyncio.sleep(0.05)
    peer.pong(peer.pings[-1])
    assert socket.rtt is not None
    peer.drop()
    assert await ended(socket) == rxws.Close.received(1006)
    await turns()
    assert jobs.cancelled == ["a"]


async def test_error_behind_map_async_is_the_socket_s() -> None:
    """What a subscriber behind `map_async` raises is an error of the socket."""

    async def same(message: str) -> str:
        return message

    def handler(incoming: Any, errors: Any) -> None:
        errors.subscribe(seen.append)
        for ordered in (True, False):
            incoming.pipe(rxops.map_async(same, ordered=ordered)).subscribe(refuse)
        incoming.subscribe(sibling.append)

    def refuse(message: str) -> None:
        raise {"a": KeyError, "b": asyncio.CancelledError}[message](message)

    seen: list[Exception] = []
    sibling: list[str] = []
    socket, peer = serve(handler)
    peer.send("a", "b")
    await turns(20)
    assert [type(error) for error in seen] == [KeyError, KeyError, RuntimeError, RuntimeError]
    assert sibling == ["a", "b"], "the socket is held no longer than it takes"
    peer.close(rxws.Close())
    await ended(socket)


async def test_foreign_cancellation_is_an_error() -> None:
    """A coroutine that other code cancelled is an error."""
    jobs, source = Jobs(), Subject[str]()
    log = watch(r=source.pipe(rxops.map_async(jobs)))
    source.on_next("a")
    await turns()
    jobs.waiting["a"].cancel()
    await turns()
    assert [type(entry[1]) for entry in log] == [RuntimeError]


async def test_error_over_an_item_without_a_socket() -> None:
    """What a subscriber raises over an item without a source goes to asyncio's exception handler."""
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    jobs, source = Jobs(), Subject[str]()
    source.pipe(rxops.map_async(jobs)).subscribe(lambda item: 1 / 0)
    source.on_next("a")
    await turns()
    await jobs.end("a")
    source.on_next("b")
    await turns()
    await jobs.end("b", LookupError())
    gc.collect()
    assert [type(error) for error in told] == [ZeroDivisionError, LookupError]


async def test_what_the_end_raises_is_an_error_of_the_socket() -> None:
    """Of a hand-made subscription, whose errors nobody takes, say."""

    async def fail(message: str) -> str:
        raise LookupError(message)

    async def same(message: str) -> str:
        return message

    def handler(incoming: Any, errors: Any) -> None:
        errors.subscribe(seen.append)
        incoming.pipe(rxops.map_async(fail)).subscribe()
        incoming.pipe(rxops.filter_async(fail)).subscribe()
        incoming.pipe(ops.take(1), rxops.map_async(same)).subscribe(on_completed=lambda: 1 // 0)

    seen: list[Exception] = []
    socket, peer = serve(handler)
    peer.send("a", "b")
    await turns(20)
    assert [type(error) for error in seen] == [LookupError, LookupError, ZeroDivisionError]
    unobserved, other = serve(lambda incoming: incoming.pipe(rxops.map_async(fail)).subscribe() and None)
    other.send("a")
    assert (await ended(unobserved)).code == 1011
    peer.close(rxws.Close())
    await ended(socket)


@pytest.mark.parametrize("ordered", [True, False])
async def test_each_item_keeps_its_context(ordered: bool) -> None:
    """Each item is worked on and emitted in the context in which it came."""
    user = contextvars.ContextVar[str]("user")
    room, seen = Subject[str](), list[tuple[str, str]]()

    async def note(message: str) -> str:
        seen.append((message, user.get()))
        await asyncio.sleep(0)
        seen.append((message, user.get()))
        return message

    def serve_for(name: str) -> Any:
        user.set(name)
        return serve(lambda incoming: incoming.subscribe(room.on_next))[1]

    peers = [contextvars.copy_context().run(serve_for, name) for name in ("alice", "bob")]
    work = rxops.map_async(note, max_concurrent=2, ordered=ordered), rxops.map_async(note), rxops.buffered(5)
    room.pipe(*work, rxops.map_async(note)).subscribe(lambda message: seen.append((message, user.get())))
    for _ in range(3):
        peers[0].send("alice")
        peers[1].send("bob")
    await turns(100)
    assert len(seen) == 6 * 7
    assert all(message == name for message, name in seen)
    for peer in peers:
        peer.drop()
    await turns()


async def test_brief_sockets_are_told_that_it_is_full() -> None:
    """Sockets that come and go do not end what others share, and are told that it is full."""
    jobs, room = Jobs(), Subject[str]()
    log = watch(r=room.pipe(rxops.map_async(jobs)))
    told = await come_and_go(room, 1030)
    overflows = [str(error) for error in told if isinstance(error, OverflowError)]
    assert len(overflows) == 5
    assert overflows[0].startswith("1024 items wait for map_async")
    await jobs.end("0")
    assert log == [("r", "0!")]
    assert jobs.started == ["0", "1"]
    room.on_error(LookupError())
    await turns()


async def test_those_who_stay_may_be_as_many_as_they_like() -> None:
    jobs, room = Jobs(), Subject[str]()
    log = watch(r=room.pipe(rxops.map_async(jobs)))
    peers = [serve(lambda incoming: incoming.subscribe(room.on_next))[1] for _ in range(2500)]
    for number, peer in enumerate(peers):
        peer.send(str(number), "more")
    await turns()
    await jobs.end("0")
    assert log == [("r", "0!")]
    room.on_error(LookupError())
    for peer in peers:
        peer.drop()
    await turns()


async def test_results_keep_their_slots() -> None:
    """Results keep their slots while the operators behind are busy."""
    slow = Jobs()

    async def quick(item: str) -> str:
        return item

    socket, peer = serve(
        lambda incoming: incoming.pipe(
            rxops.map_async(quick, max_concurrent=2000), rxops.map_async(slow), ops.ignore_elements()
        ),
        close_timeout=0.05,
    )
    peer.send(*map(str, range(5000)))
    await turns(50)
    assert socket.stats.received in (2000, 2001)
    for number in range(20):
        await slow.end(str(number))
    assert slow.started == [str(number) for number in range(21)]
    peer.drop()
    await ended(socket)


async def echo(item: Any) -> Any:
    await asyncio.sleep(0)
    return item


async def once(item: Any) -> Any:
    yield item


def length(source: Any) -> int:
    """Count the sources of a chain."""
    return 0 if source is None else 1 + length(getattr(source, "source", None))


FED: Any = [
    [rxops.map_async(echo)],
    [rxops.map_async(echo, max_concurrent=2, ordered=False)],
    [rxops.map_async(echo), rxops.map_async(echo)],
    [rxops.map_async(echo), rxops.buffered(1)],
    [rxops.map_async(echo), ops.flat_map(lambda item: rxops.from_async_iterable(once(item)))],
    [ops.flat_map(lambda item: rxops.from_async_iterable(once(item))), rxops.map_async(echo)],
]


@pytest.mark.parametrize("pipe", FED)
async def test_results_may_be_fed_back(pipe: list[Any]) -> None:
    """Results that are the source's next items, as links to follow are, hold nobody forever, and keep their order.

    The source of an item stays as short after many rounds.
    """
    todo, got, sources = Subject[int](), list[int](), list[Any]()

    def follow(item: int) -> None:
        got.append(item)
        sources.append(current_source.get())
        if item < 40:
            todo.on_next(item + 10)

    todo.pipe(*pipe).subscribe(follow)
    for item in (0, 1):
        todo.on_next(item)
    await turns(200)
    assert got == [0, 1, 10, 11, 20, 21, 30, 31, 40, 41]
    assert length(sources[-1]) == length(sources[0])


async def test_fed_items_hold_the_socket() -> None:
    """What the result of a socket's message feeds holds that socket, as the message did."""
    todo, jobs = Subject[str](), Jobs()
    _, peer = serve(lambda incoming: incoming.subscribe(todo.on_next))
    todo.pipe(rxops.map_async(jobs), ops.filter(lambda result: result == "a!")).subscribe(todo.on_next)
    peer.send("a", "b")
    await turns()
    await jobs.end("a")
    assert (jobs.started, peer.unread) == (["a", "a!"], 1)
    await jobs.end("a!")
    assert (jobs.started, peer.unread) == (["a", "a!", "b"], 0)
    await jobs.end("b")
    peer.drop()
    await turns()


@pytest.mark.parametrize("ordered", [True, False])
async def test_result_after_cancellation_is_ignored(ordered: bool) -> None:
    """What a function returns although it was cancelled is ignored."""
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def stubborn(item: str) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "cleaned up"
        return item

    source = Subject[str]()
    log: list[str] = []
    subscription = source.pipe(rxops.map_async(stubborn, ordered=ordered)).subscribe(log.append)
    source.on_next("a")
    await turns()
    subscription.dispose()
    source.on_next("b")
    await turns()
    gc.collect()
    assert (log, told) == ([], [])


async def test_items_and_the_end_may_come_from_other_threads() -> None:
    jobs, source = Jobs(), Subject[str]()
    log = watch(r=source.pipe(rxops.map_async(jobs)))
    await asyncio.to_thread(source.on_next, "a")
    await asyncio.to_thread(source.on_completed)
    await turns()
    await jobs.end("a")
    assert log == [("r", "a!"), "r|"]


async def test_disposing_forgets_other_threads_items() -> None:
    """Disposing forgets what another thread has brought."""
    jobs, source = Jobs(), Subject[str]()
    subscription = source.pipe(rxops.map_async(jobs)).subscribe()
    caller = threading.Thread(target=source.on_next, args=("a",))
    caller.start()
    caller.join()
    subscription.dispose()
    await turns()
    assert jobs.started == []


async def test_what_other_threads_bring_is_bounded_too() -> None:
    """What other threads bring beyond 1,024 items fails it, once, however many more they bring."""
    source, brought = Subject[Jobs](), list[weakref.ref[Jobs]]()
    log = watch(r=source.pipe(rxops.map_async(Jobs())))

    def bring() -> None:
        for _ in range(5000):
            item = Jobs()
            brought.append(weakref.ref(item))
            source.on_next(item)

    in_a_thread(bring)
    assert sum(item() is not None for item in brought) == 1024
    await turns()
    assert [type(entry[1]) for entry in log] == [OverflowError]


@pytest.mark.since_python(3, 12)
async def test_tasks_may_be_eager() -> None:
    loop, gate = asyncio.get_running_loop(), asyncio.Event()

    async def same(number: int) -> int:
        if not number:
            await gate.wait()
        return number

    source = Subject[int]()
    log = watch(r=source.pipe(rxops.map_async(same)))
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        for number in range(1000):
            source.on_next(number)
        gate.set()
        await turns()
    finally:
        loop.set_task_factory(None)
    assert log == [("r", number) for number in range(1000)]


@pytest.mark.parametrize("ordered", [True, False])
async def test_subscriber_that_raises_once(ordered: bool) -> None:
    """What a subscriber raises over one item keeps no other item, and no completion."""
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    jobs, source, log = Jobs(), Subject[int](), list[Any]()

    def note(result: str) -> None:
        log.append(result)
        if result == "1!":
            raise LookupError

    work = rxops.map_async(jobs, max_concurrent=3, ordered=ordered)
    source.pipe(work).subscribe(note, on_completed=lambda: log.append("|"))
    for item in (1, 2, 3, 4):
        source.on_next(item)
    source.on_completed()
    await turns()
    for item in (3, 2, 1) if ordered else (1, 2, 3):
        await jobs.end(item)
    await jobs.end(4)
    assert log == ["1!", "2!", "3!", "4!", "|"]
    assert [(context["message"], type(context["exception"])) for context in told] == [
        ("a subscriber of map_async raised", LookupError)
    ]


def test_subscriber_ends_the_program() -> None:
    """Ctrl-C within a subscriber ends the program, whosever item it works on."""

    async def same(item: str) -> str:
        return item

    async def main() -> None:
        source = Subject[str]()
        source.pipe(rxops.map_async(same)).subscribe(raising(KeyboardInterrupt()))
        source.on_next("a")
        await asyncio.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    gc.collect()  # of the task, whose exception nobody retrieves


@pytest.mark.parametrize("end", ["end", "Ctrl-C"])
@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("way", ["cancelled", "result", "error"])
def test_the_end_of_the_loop(way: str, skips: bool, end: str, caplog: pytest.LogCaptureFixture) -> None:
    """When the event loop ends, what works ends in silence, whatever it makes of that; nothing more begins."""
    started, log = list[int](), list[Any]()

    async def work(item: int) -> int:
        started.append(item)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if way == "error":
                raise LookupError from None
            if way == "cancelled":
                raise
        return item

    async def main() -> None:
        source, errors = Subject[int](), Subject[Exception]()
        errors.subscribe(log.append)
        skip = [rxops.skip_errors(into=errors)] if skips else []
        source.pipe(rxops.map_async(work, max_concurrent=2), *skip).subscribe(log.append, log.append)
        for number in range(5):
            source.on_next(number)
        await asyncio.sleep(0)
        if end == "Ctrl-C":
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(60)

    with caplog.at_level("DEBUG", "asyncio"):
        with pytest.raises(KeyboardInterrupt) if end == "Ctrl-C" else nullcontext():
            asyncio.run(main())
        gc.collect()
    assert (started, log) == ([0, 1], [])
    own = ["unhandled exception during asyncio.run() shutdown"] * 2 if way == "error" else []
    assert [record.getMessage().partition("\n")[0] for record in caplog.records if record.levelname == "ERROR"] == own


@pytest.mark.parametrize("goes_on", [True, False])
def test_coroutine_that_its_loop_left(goes_on: bool) -> None:
    """What a loop leaves that is closed with tasks on it ends in silence, and is let go; so is what comes later."""
    source, log, finished = Subject[int](), list[Any](), list[int]()

    async def work(item: int) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            finished.append(item)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: None)  # that a task was pending
    loop.call_soon(source.pipe(rxops.map_async(work)).subscribe, log.append, log.append)
    loop.call_soon(source.on_next, 1)
    loop.call_soon(loop.call_soon, loop.stop)  # in the turn in which the work begins, behind it
    loop.run_forever()
    loop.close()
    if goes_on:
        owner = Owner()
        notify_from(owner, source.on_next, 2)
        assert (source.observers, owner._held, owner.in_hand) == ([], 0, 0)
    del source
    gc.collect()
    assert (finished, log) == ([1], [])


@pytest.mark.parametrize("operator", ["map_async", "buffered", "to_async_iterable"])
async def test_disposed_while_a_thread_brings(operator: str) -> None:
    """Whenever one disposes while a thread brings an item, nothing stays held or in hand."""
    for line in itertools.count(1):
        source, owner = Subject[str](), Owner()
        if operator == "to_async_iterable":
            iterator = rxops.to_async_iterable(source)
            waiting = asyncio.ensure_future(anext(iterator, None))
            await turns(1)
            dispose: Any = iterator._items.stop
        else:
            work = rxops.map_async(Jobs()) if operator == "map_async" else rxops.buffered(1)
            dispose, waiting = source.pipe(work).subscribe().dispose, None
        came = preempted(partial(notify_from, owner, source.on_next, "a"), dispose, line)
        await turns(3)
        assert (owner._held, owner.in_hand, source.observers) == (0, 0, []), f"line {line}"
        if waiting is not None:
            await waiting
        if not came:
            break


@pytest.mark.parametrize("operator", [lambda: rxops.map_async(Jobs()), lambda: rxops.buffered(1)])
async def test_source_that_heeds_no_disposal(operator: Any) -> None:
    """What a source emits after it was disposed, and an error that a thread has sent before, are ignored."""
    source, failing, log = Heedless(), Subject[int](), list[Any]()
    subscriptions = [each.pipe(operator()).subscribe(log.append, log.append) for each in (source, failing)]
    in_a_thread(failing.on_error, LookupError())
    for subscription in subscriptions:
        subscription.dispose()
    owner = Owner()
    notify_from(owner, source.on_next, "a")
    await turns()
    assert (log, owner._held, owner.in_hand) == ([], 0, 0)


async def test_threads_hold_their_sources() -> None:
    """A socket whose items threads bring is held while there is no slot for them, and no longer."""
    jobs, room = Jobs(), Subject[str]()
    subscription = room.pipe(rxops.map_async(jobs)).subscribe()
    socket, peer = serve(lambda incoming: incoming.subscribe(lambda message: in_a_thread(room.on_next, message)))
    for message in "ab":
        peer.send(message)
        await turns()
    assert (jobs.started, socket.stats.received, socket._life.held) == (["a"], 1, True)
    await jobs.end("a")
    assert (jobs.started, socket.stats.received, socket._life.held) == (["a", "b"], 2, True)
    in_a_thread(room.on_next, "c")
    subscription.dispose()
    await turns()
    assert (jobs.cancelled, jobs.started, socket._life.held) == (["b"], ["a", "b"], False)
    peer.drop()
    await ended(socket)
