import asyncio
import threading
import time
from threading import Lock
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.errors import FeedbackLoop
from rxws.rx.holds import current_source
from rxws.testing import serve
from tests.operators.jobs import Jobs, finish
from tests.streams import ended, turns, watch
from tests.threads import in_a_thread


def busy_with(jobs: Jobs, source: Any, limit: int, **options: Any) -> list[Any]:
    return watch(r=source.pipe(rxops.buffered(limit, **options), rxops.map_async(jobs)))


async def test_idle_buffer_passes_at_once() -> None:
    """A buffer passes items at once while nobody is busy."""
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
    with pytest.raises(ValueError, match="limit must be a positive whole number of items, not 0"):
        rxops.buffered(0)
    with pytest.raises(ValueError, match="overflow must be one of 'fail', 'drop_oldest', 'drop_newest', not 'burn'"):
        rxops.buffered(1, overflow="burn")  # type: ignore[arg-type]


async def test_what_a_buffer_gets_while_it_emits_follows() -> None:
    source = Subject[int]()
    passed = source.pipe(rxops.buffered(5))
    log: list[int] = []
    passed.subscribe(lambda number: (log.append(number), source.on_next(number + 1) if number < 3 else None))
    source.on_next(1)
    assert log == [1, 2, 3]


@pytest.mark.parametrize("busy", [True, False])
async def test_error_behind_a_buffer_is_the_socket_s(busy: bool) -> None:
    """What a subscriber behind a buffer raises is an error of the socket."""

    async def same(message: str) -> str:
        return message

    def handler(incoming: Any, errors: Any) -> None:
        errors.subscribe(seen.append)
        work = rxops.map_async(same) if busy else ops.map(str.upper)
        incoming.pipe(rxops.buffered(2), work).subscribe(lambda message: 1 / 0)

    seen: list[Exception] = []
    socket, peer = serve(handler)
    peer.send("a", "b", "c")
    await turns(30)
    assert [type(error) for error in seen] == [ZeroDivisionError] * 3
    peer.close(rxws.Close())
    await ended(socket)


async def test_error_goes_to_a_source_without_a_socket() -> None:
    """What a subscriber raises goes to a source that is not a socket."""
    source: Subject[str] = Subject()
    source.pipe(rxops.buffered(2)).subscribe(lambda message: 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            source.on_next("a")


async def test_full_buffer_drops_what_other_sockets_bring() -> None:
    """A buffer that drops is bounded by its limit, also where sockets share it."""
    jobs, room, dropped = Jobs(), Subject[str](), list[str]()
    log = watch(r=room.pipe(rxops.buffered(1, overflow="drop_newest", dropped=dropped.append), rxops.map_async(jobs)))
    peers = [serve(lambda incoming: incoming.subscribe(room.on_next))[1] for _ in range(2)]
    peers[0].send("a", "b", "c")
    peers[1].send("d", "e")
    await turns()
    await finish(jobs)
    assert ([value for _, value in log], dropped) == (["a!", "b!", "c!"], ["d", "e"])
    for peer in peers:
        peer.drop()
    await turns()


async def test_full_buffer_has_room_for_each_held_socket() -> None:
    """A full buffer has room for one more item of each socket that it holds."""
    jobs, room = Jobs(), Subject[str]()
    log = watch(r=room.pipe(rxops.buffered(2), rxops.map_async(jobs)))
    peers = [serve(lambda incoming: incoming.subscribe(room.on_next))[1] for _ in range(8)]
    for number, peer in enumerate(peers):
        peer.send(str(number), str(number + 10))
    await turns()
    await finish(jobs)
    assert {value for _, value in log} == {f"{number + ten}!" for number in range(8) for ten in (0, 10)}
    for peer in peers:
        peer.drop()
    await turns()


@pytest.mark.parametrize("limit", [2, 2000])
async def test_buffer_that_feeds_itself_fails(limit: int) -> None:
    """A result that goes back into its source is cut, after as many items as the buffer holds, or 1,000."""
    source, seen = Subject[int](), list[int]()

    def feed(number: int) -> None:
        assert len(seen) < 10_000, "it would never end"
        seen.append(number)
        source.on_next(number + 1)

    log = watch(r=source.pipe(rxops.buffered(limit), ops.do_action(feed)))
    source.on_next(0)
    assert log[:-1] == [("r", number) for number in range(max(limit, 1000) + 1)]
    assert (log[-1][0], type(log[-1][1])) == ("r#", FeedbackLoop)


async def test_buffer_that_is_full_of_fed_items_fails() -> None:
    """What goes back into the source later cannot be held either: the operators behind would wait for themselves."""
    source, jobs = Subject[str](), Jobs()
    log = watch(r=source.pipe(rxops.buffered(2), rxops.map_async(jobs), ops.do_action(source.on_next)))
    for item in "abc":
        source.on_next(item)
    await turns()
    await jobs.end("a")
    assert [type(value) for _, value in log] == [OverflowError]  # before the result that was fed back


async def test_subscriber_that_raises_once() -> None:
    """What a subscriber raises over one item keeps no other item, and no completion."""
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    source, log, busy = Subject[int](), list[Any](), list[Any]()

    def note(item: int) -> None:
        log.append(item)
        if item == 1:
            busy.append(current_source.get())
            busy[0].hold()
        if item == 2:
            raise LookupError

    source.pipe(rxops.buffered(10)).subscribe(note, on_completed=lambda: log.append("|"))
    for item in (1, 2, 3, 4):
        source.on_next(item)
    source.on_completed()
    assert log == [1]
    busy[0].release()
    assert log == [1, 2, 3, 4, "|"]
    assert [(context["message"], type(context["exception"])) for context in told] == [
        ("a subscriber of buffered raised", LookupError)
    ]


THREADED: list[tuple[Any, list[int], list[int]]] = [
    ("drop_oldest", [98, 99], list(range(98))),
    ("drop_newest", [0, 1], list(range(2, 100))),
]


@pytest.mark.parametrize(("overflow", "passed", "lost"), THREADED)
async def test_bound_and_policy_hold_for_threads(overflow: Any, passed: list[int], lost: list[int]) -> None:
    """What a thread brings meets the bound and the policy while the event loop is busy; the loop emits it."""
    jobs, source, dropped, threads = Jobs(), Subject[int](), list[int](), set[int]()
    buffer = rxops.buffered(2, overflow=overflow, dropped=dropped.append)
    note = ops.do_action(lambda _: threads.add(threading.get_ident()))
    log = watch(r=source.pipe(buffer, note, rxops.map_async(jobs)))
    in_a_thread(lambda: [*map(source.on_next, range(100)), source.on_completed()])
    assert (dropped, jobs.started) == (lost, [])
    await turns()
    await finish(jobs)
    assert log == [*(("r", f"{item}!") for item in passed), "r|"]
    assert threads == {threading.get_ident()}


async def test_thread_overflows() -> None:
    """A thread that brings more than fits fails the result, behind what came before; what follows is ignored."""
    source = Subject[int]()
    log = watch(r=source.pipe(rxops.buffered(2)))
    in_a_thread(lambda: [*map(source.on_next, range(4))])
    await turns()
    assert log[:-1] == [("r", 0), ("r", 1)]
    assert (log[-1][0], type(log[-1][1])) == ("r#", OverflowError)
    assert not source.observers


async def test_threads_do_not_keep_the_loop() -> None:
    """What threads bring while an item is emitted follows in the next turn, and is not what feeds itself."""
    source, log = Subject[int](), list[int]()

    def note(item: int) -> None:
        log.append(item)
        in_a_thread(source.on_next, item + 1)

    subscription = source.pipe(rxops.buffered(5)).subscribe(note)
    source.on_next(0)
    assert log == [0]
    await turns(2000)
    assert len(log) > 1000
    subscription.dispose()
    source.on_next(-1)
    await turns()
    assert -1 not in log


async def test_thread_fills_it() -> None:
    """A socket whose items threads bring is held when the buffer is full, until there is room."""
    jobs, room = Jobs(), Subject[str]()
    room.pipe(rxops.buffered(1), rxops.map_async(jobs)).subscribe()
    socket, peer = serve(lambda incoming: incoming.subscribe(lambda message: in_a_thread(room.on_next, message)))
    for message in "abc":
        peer.send(message)
        await turns()
    assert (jobs.started, socket.stats.received, socket._life.held) == (["a"], 2, True)
    await finish(jobs)
    assert (jobs.started, socket._life.held) == (["a", "b", "c"], False)
    peer.drop()
    await ended(socket)


def test_without_an_event_loop() -> None:
    """Where there is no event loop, threads take turns in emitting: one item at a time, all of them."""
    source, log, busy = Subject[int](), list[int](), Lock()

    def note(item: int) -> None:
        assert busy.acquire(blocking=False), "two at a time"
        time.sleep(0.0001)
        log.append(item)
        busy.release()

    done: list[str] = []
    source.pipe(rxops.buffered(1000)).subscribe(note, on_completed=lambda: done.append("|"))
    threads = [threading.Thread(target=lambda: [*map(source.on_next, range(50))]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    source.on_completed()
    assert (sorted(log), done) == (sorted([*range(50)] * 4), ["|"])


def test_all_that_is_raised_without_a_loop() -> None:
    """Where there is no event loop, the emitter gets what subscribers raise, also over what it did not emit."""
    source = Subject[int]()

    def note(item: int) -> None:
        if item < 3:
            source.on_next(item + 1)
        raise LookupError(item)

    source.pipe(rxops.buffered(5)).subscribe(note, lambda error: None)
    with pytest.raises(BaseExceptionGroup) as raised:
        source.on_next(1)
    assert [error.args for error in raised.value.exceptions] == [(1,), (2,), (3,)]
    source.on_error(ValueError())


def test_its_loop_is_closed() -> None:
    """Items for a loop that is closed go nowhere, and keep nothing: the sources are let go."""
    source, log = Subject[int](), list[int]()

    async def leave() -> None:
        source.pipe(rxops.buffered(5)).subscribe(log.append)

    asyncio.run(leave())
    source.on_next(1)
    assert (log, source.observers) == ([], [])


async def test_subscriber_ends_the_program() -> None:
    """What ends the program is raised on, and nobody else is kept from emitting."""
    source, log = Subject[int](), list[int]()

    def note(item: int) -> None:
        log.append(item)
        if item == 1:
            raise KeyboardInterrupt

    source.pipe(rxops.buffered(5)).subscribe(note)
    with pytest.raises(KeyboardInterrupt):
        source.on_next(1)
    source.on_next(2)
    assert log == [1, 2]


async def test_completed_within_an_emission() -> None:
    """A source that completes while its item is emitted completes the result behind what waits."""
    source, log = Subject[int](), list[Any]()

    def note(item: int) -> None:
        log.append(item)
        if item == 1:
            source.on_next(2)
            source.on_completed()

    source.pipe(rxops.buffered(5)).subscribe(note, on_completed=lambda: log.append("|"))
    source.on_next(1)
    assert log == [1, 2, "|"]
