"""The engine of one process."""

from __future__ import annotations

import copy
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from rxws import processes
from rxws.core.wire import Text
from rxws.errors import EncodeError, FeedbackLoop
from rxws.rx.loop_thread import MAX_HANDED_OVER
from rxws.topics import Topic, Topics
from rxws.topics.engines.engine import Limits, Since
from rxws.topics.engines.memory import TOPIC_WEIGHT, MemoryEngine
from rxws.topics.history import MAX_PENDING
from tests.topics.engines.contract import LIMIT, Contract, positions, values


@pytest.fixture
def open_topics(open_topics: Callable[..., Topics[Any]]) -> Callable[..., Topics[Any]]:
    return partial(open_topics, "memory://")


@pytest.fixture
def topics(open_topics: Callable[..., Topics[Any]]) -> Topics[Any]:
    return open_topics(max_messages=LIMIT)


class TestContract(Contract):
    """What every engine promises."""


async def test_each_call_makes_topics_of_its_own(open_topics: Callable[..., Topics[Any]]) -> None:
    first, second = open_topics(), open_topics()
    log = values(second["a"])
    first["a"].on_next(1)
    assert log == []


async def test_forgotten_topic_is_a_gap(open_topics: Callable[..., Topics[Any]]) -> None:
    """A topic that has been forgotten altogether is a gap, too."""
    topics = open_topics(max_bytes=500 + 2 * TOPIC_WEIGHT)
    topics["a"].on_next(1)
    topics["a"].on_next(2)
    known = await positions(topics, "a", 2)
    topics["b"].on_next("x" * 1400)
    assert values(topics["*"].history()) == ["x" * 1400]
    assert [values(topics["a"].messages.history(since=position)) for position in known] == [["gap"], []]


async def test_one_of_several_processes_is_warned(
    open_topics: Callable[..., Topics[Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that is one of several is warned that its memory is its own."""
    open_topics()["a"].on_next(1)
    monkeypatch.setattr(processes, "count", 3)
    topics = open_topics()
    topics["a"].on_next(1)
    topics["a"].on_next(2)
    (record,) = caplog.records
    assert record.getMessage() == "memory:// reaches only this process, one of 3: use topics over NATS for all"


async def test_forked_processes_have_different_positions() -> None:
    """Processes that were forked before the beginning have different positions."""
    made = MemoryEngine(Limits(count=10, size=5000, age=None))
    engines = [copy.deepcopy(made) for _ in range(2)]
    for engine in engines:
        engine.start(print)
        engine.publish("a", Text(b"1"))
    one, other = (record.position for engine in engines for record, _ in engine._kept.values())
    assert one.epoch != other.epoch
    assert one.number == other.number


def test_memory_is_flat_whatever_is_published() -> None:
    engine = MemoryEngine(Limits(count=10, size=5000, age=None))
    assert engine.is_up
    for number in range(2000):
        engine.publish(f"t{number % 700}", Text(b"x" * (number % 300)))
    inside = vars(engine)
    weight = sum(kept.weight for kept in inside["_kept"].values()) + TOPIC_WEIGHT * len(inside["_by_topic"])
    assert inside["_weight"] == weight <= 5000
    assert sum(map(len, inside["_by_topic"].values())) == len(inside["_kept"])
    assert set(inside["_discarded"]) <= set(inside["_by_topic"])


def test_topics_of_many_names_take_what_they_weigh() -> None:
    """A million rooms with a short message each, whose names strangers choose, take no more than `max_bytes`."""
    size = 2 * 2**20
    engine = MemoryEngine(Limits(count=10, size=size, age=None))
    tracemalloc.start()
    try:
        for number in range(20_000):
            engine.publish(f"room.{number}", Text(b"1"))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / 2 < taken < size * 1.5


def test_one_message_is_kept_however_little_room_there_is() -> None:
    engine = MemoryEngine(Limits(count=10, size=100, age=None))
    for number in range(3):
        engine.publish("ab"[number % 2], Text(b"1"))
    assert len(vars(engine)["_kept"]) == 1


def test_age_ends_at_the_clock_s_time_not_before() -> None:
    now = [0.0]
    engine = MemoryEngine(Limits(count=10, size=5000, age=5.0), clock=lambda: now[0])
    engine.publish("a", Text(b"1"))
    now[0] = 3.0
    engine.publish("a", Text(b"2"))

    class Reading:
        def __init__(self) -> None:
            self.items: list[Any] = []
            self.caught_up = lambda: None
            self.batch = self.items.extend

    def kept() -> list[bytes]:
        reading = Reading()
        engine.read("a", Since(None), reading)
        return [record.data for record in reading.items]

    found = []
    for time in (4.9, 5.0, 7.9, 8.0):
        now[0] = time
        found.append(kept())
    assert found == [[b"1", b"2"], [b"2"], [b"2"], []]


def answering(topic: Topic[Any], seen: list[int]) -> Callable[[int], None]:
    """Give a subscriber that publishes one more for each number."""

    def answer(number: int) -> None:
        assert len(seen) < 100_000, "it would never end"
        seen.append(number)
        topic.on_next(number + 1)

    return answer


async def test_topic_that_feeds_itself_is_cut(topics: Topics[Any]) -> None:
    """What waits is not handed on, and `errors` says so, once."""
    errors: list[Exception] = []
    topics.errors.subscribe(errors.append)
    seen: list[int] = []

    topics["a"].subscribe(answering(topics["a"], seen))
    topics["a"].on_next(0)
    assert [type(error) for error in errors] == [FeedbackLoop]
    assert len(seen) == MAX_HANDED_OVER + 1


async def test_history_that_feeds_itself_is_cut(topics: Topics[Any]) -> None:
    """One who reads what is kept, and publishes to the same topic, is cut off as one who hears it live."""
    errors: list[Exception] = []
    topics.errors.subscribe(errors.append)
    seen: list[int] = []

    topics["a"].on_next(0)
    topics["a"].latest().subscribe(answering(topics["a"], seen))
    assert [type(error) for error in errors] == [FeedbackLoop]


async def test_reader_may_publish_much(topics: Topics[Any]) -> None:
    """What one who reads publishes meanwhile comes to it, too, however much that is."""
    many = MAX_PENDING + 100
    seen: list[int] = []

    def answer(number: int) -> None:
        seen.append(number)
        if number < 2:
            for later in range(number + 1, 2 if number == 0 else many):
                topics["a"].on_next(later)

    topics["a"].on_next(0)
    topics["a"].history().subscribe(answer)
    assert seen == [*range(many)]


async def test_errors_of_topics_that_feed_themselves_are_cut(topics: Topics[Any]) -> None:
    """Publishing an error that cannot be encoded is an error."""
    errors: list[Exception] = []

    def publish(error: Exception) -> None:
        assert len(errors) < 10_000, "it would never end"
        errors.append(error)
        topics["a"].on_next({"error": error})

    topics.errors.subscribe(publish)
    topics["a"].on_next({1})
    assert [type(error) for error in errors] == [EncodeError] * 1001
