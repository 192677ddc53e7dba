from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.errors import FeedbackLoop
from rxws.testing import serve
from tests.operators.jobs import Jobs, finish
from tests.streams import ended, turns, watch


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
