"""A publisher without an event loop, on an engine of one process, so that the core's coverage needs no network."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import reactivex

import rxws
from rxws.codecs import JsonCodec
from rxws.topics import Topics
from rxws.topics.engines.engine import Limits
from rxws.topics.engines.memory import MemoryEngine
from rxws.topics.presence.register import Register
from rxws.topics.publishing import MAX_AHEAD, Publisher


def test_publishes_from_any_thread() -> None:
    """A publisher publishes from any thread, and reports errors."""
    topics = rxws.topics("memory://")
    log: list[Any] = []
    errors: list[Any] = []
    with Publisher(topics) as publisher:
        publisher.errors.subscribe(errors.append)
        topics["a"].subscribe(log.append)
        reactivex.range(MAX_AHEAD + 1).subscribe(publisher["a"])
        thread = threading.Thread(target=publisher["a"].on_next, args=("thread",))
        thread.start()
        thread.join()
        error = ValueError("a source's")
        publisher["a"].on_error(error)
        publisher["a"].on_next(object())
    assert log == [*range(MAX_AHEAD + 1), "thread"]
    assert errors[0] is error
    assert isinstance(errors[1], rxws.EncodeError)


class Unconfirming(MemoryEngine):
    """An engine that carries messages and confirms none."""

    def __init__(self) -> None:
        super().__init__(Limits(count=10, size=1_000_000, age=None))
        self.is_asked = threading.Event()

    async def confirmed(self) -> None:
        self.is_asked.set()
        await asyncio.Event().wait()


def topics_over(engine: MemoryEngine) -> Topics[Any]:
    return Topics[Any](engine, Register(None), rxws.json)


def test_it_goes_on_when_the_broker_does_not_confirm() -> None:
    topics = topics_over(Unconfirming())
    log: list[Any] = []
    with Publisher(topics, confirm_timeout=0.01) as publisher:
        topics["a"].subscribe(log.append)
        for number in range(MAX_AHEAD + 1):
            publisher["a"].on_next(number)
    assert log == [*range(MAX_AHEAD + 1)]


def test_large_messages_wait_for_the_broker() -> None:
    """Messages for which `max_buffered` has no room wait until those before are confirmed, and none is dropped."""
    asked: list[int] = []

    class Confirming(Unconfirming):
        async def confirmed(self) -> None:
            asked.append(len(log))

    topics = topics_over(Confirming())
    log: list[Any] = []
    with Publisher(topics, max_buffered=1000) as publisher:
        topics["a"].subscribe(log.append)
        for number in range(5):
            publisher["a"].on_next(str(number) * 300)
        publisher["a"].on_next("x" * 2000)
        publisher["a"].on_next("y")
    assert [len(message) for message in log] == [*[300] * 5, 2000, 1]
    assert asked == [2, 4, 5, 6]


def test_broker_that_confirms_nothing_holds_for_its_time() -> None:
    """A message waits for room until the time of the broker is over, and is then published."""
    engine = Unconfirming()
    topics = topics_over(engine)
    log: list[Any] = []
    with Publisher(topics, confirm_timeout=0.01, max_buffered=1000) as publisher:
        topics["a"].subscribe(log.append)
        for number in range(5):
            publisher["a"].on_next(str(number) * 300)
    assert engine.is_asked.is_set()
    assert len(log) == 5


def test_published_too_late_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """What another thread publishes when the event loop has run its last turn is reported; nobody waits for it."""

    class Late(Publisher):
        def _run(self) -> None:
            super()._run()
            thread = threading.Thread(target=self["a"].on_next, args=("late",))
            thread.start()
            thread.join()
            self.report(ValueError("late, too"))

    with Late(rxws.topics("memory://")) as publisher:
        for number in range(MAX_AHEAD - 1):
            publisher["a"].on_next(number)
    publisher["a"].on_error(ValueError("an error"))
    assert [record.getMessage() for record in caplog.records] == [
        "a message to 'a' was not published: the topics are closed",
        "ValueError('late, too'), which nobody observed",
        "ValueError('an error'), which nobody observed",
    ]


def test_encoded_too_late_is_an_error() -> None:
    """A thread that is not done with encoding a message when the block has been left gets a `RuntimeError`."""
    begun, left = threading.Event(), threading.Event()
    raised: list[Exception] = []

    class Slow(JsonCodec):
        def encode(self, message: Any, /) -> str:
            begun.set()
            left.wait(5)
            return super().encode(message)

    def publish() -> None:
        try:
            publisher["a"].on_next(1)
        except RuntimeError as error:
            raised.append(error)

    with Publisher(rxws.topics("memory://", codec=Slow())) as publisher:
        thread = threading.Thread(target=publish)
        thread.start()
        assert begun.wait(5)
    left.set()
    thread.join()
    assert "publish within the block" in str(raised[0])


def test_leaving_the_block_wakes_waiting_threads() -> None:
    """A thread that waits for the broker goes on when the block is left."""
    engine = Unconfirming()
    with Publisher(topics_over(engine), confirm_timeout=60) as publisher:
        topic = publisher["a"]
        thread = threading.Thread(target=lambda: [topic.on_next(number) for number in range(MAX_AHEAD)], daemon=True)
        thread.start()
        assert engine.is_asked.wait(5)
    thread.join(5)
    assert not thread.is_alive()


def test_subscriber_of_errors_may_publish() -> None:
    """A subscriber of `errors` may publish as much as it likes."""
    topics = rxws.topics("memory://")
    log: list[Any] = []
    done = threading.Event()

    def tell(error: Exception) -> None:
        for number in range(2 * MAX_AHEAD):
            publisher["log"].on_next(number)
        done.set()

    with Publisher(topics) as publisher:
        topics["log"].subscribe(log.append)
        publisher.errors.subscribe(tell)
        publisher["a"].on_error(ValueError("a source's"))
        assert done.wait(5)
    assert log == [*range(2 * MAX_AHEAD)]


def test_a_publisher_is_for_one_block() -> None:
    with Publisher(rxws.topics("memory://")) as publisher:
        pass
    with pytest.raises(RuntimeError, match="a publisher is for one block"), publisher:
        pass


def test_what_makes_no_sense_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match="a publisher needs a broker, such as 'nats://localhost:4222'"):
        rxws.topics.publisher("memory://")
    publisher = rxws.topics.publisher("nats://localhost:4222")
    with pytest.raises(ValueError, match="stands for many topics"):
        publisher["a.*"]
    with pytest.raises(RuntimeError, match="publish within the block"):
        publisher["a"].on_next(1)
