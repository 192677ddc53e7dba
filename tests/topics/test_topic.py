"""What a topic refuses by itself, and what is between topics and engines; the rest is in `engines/contract.py`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from reactivex import abc
from reactivex.disposable import Disposable

import rxws
from rxws.core.wire import Binary, Text
from rxws.rx.loop_thread import MAX_HANDED_OVER
from rxws.topics import Gap, Topics, Unpublished
from rxws.topics.engines.engine import Following, Last, Reader, Since
from rxws.topics.message import Position, Record
from rxws.topics.presence.register import Register
from tests.streams import turns, watch
from tests.threads import in_a_thread
from tests.topics.engines.contract import values


class Script:
    """An engine that does what a test says."""

    def __init__(self) -> None:
        self.followings: list[Following] = []
        self.readers: list[Reader] = []
        self.started = 0
        self.closed = 0
        self.may_close = asyncio.Event()
        self.may_close.set()

    is_up = True

    def start(self, report: Callable[[Exception], object]) -> None:
        self.started += 1

    def publish(self, topic: str, frame: Text | Binary) -> None: ...

    def follow(self, following: Following) -> None:
        self.followings.append(following)

    def unfollow(self, following: Following) -> None:
        self.followings.remove(following)

    def read(self, pattern: str, start: Last | Since, reader: Reader) -> abc.DisposableBase:
        self.readers.append(reader)
        return Disposable()

    async def confirmed(self) -> None: ...

    async def close(self) -> None:
        await self.may_close.wait()
        self.closed += 1


def record(number: int, data: bytes = b"1") -> Record:
    return Record("a", Position(1, number), data)


async def test_topic_has_one_subscription_a_process() -> None:
    """A topic has one subscription a process while it has subscribers."""
    engine = Script()
    topics = Topics[Any](engine, Register(None), rxws.json)
    subscriptions = [observable.subscribe() for _ in range(3) for observable in (topics["a"], topics["a"].latest())]
    assert [following.pattern for following in engine.followings] == ["a"]
    other = topics["b"].messages.subscribe()
    for subscription in subscriptions:
        assert len(engine.followings) == 2
        subscription.dispose()
    assert [following.pattern for following in engine.followings] == ["b"]
    other.dispose()
    other.dispose()
    assert engine.followings == []
    topics["a"].subscribe()
    assert len(engine.followings) == 1
    await topics.close()
    assert engine.closed == 1


async def test_closing_goes_on_without_its_waiter() -> None:
    """Closing goes on when the caller that waits for it gives up."""
    engine = Script()
    engine.may_close.clear()
    topics = Topics[Any](engine, Register(None), rxws.json)
    ended = watch(a=topics["a"], errors=topics.errors)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(topics.close(), 0.01)
    again = asyncio.ensure_future(topics.close())
    await turns()
    assert (again.done(), ended) == (False, [])
    engine.may_close.set()
    await again
    await topics.close()
    assert engine.closed == 1
    assert ended == ["a|", "errors|"]


async def test_cancelled_closing_completes_subscribers() -> None:
    """Subscribers see the end even if the closing itself is cancelled."""
    engine = Script()
    engine.may_close.clear()
    topics = Topics[Any](engine, Register(None), rxws.json)
    ended = watch(a=topics["a"], errors=topics.errors)
    before = asyncio.all_tasks()
    closing = asyncio.ensure_future(topics.close())
    await turns()
    for task in asyncio.all_tasks() - before - {closing}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert ended == ["a|", "errors|"]


async def test_closed_topics_begin_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Closed topics begin nothing, and say so."""
    engine = Script()
    topics = Topics[Any](engine, Register(None), rxws.json)
    await topics.close()
    topics["a"].on_next(1)
    assert watch(a=topics["a"]) == ["a|"]
    with pytest.raises(RuntimeError, match="the topics are closed"):
        await topics.confirmed()
    with pytest.raises(RuntimeError, match="the topics are closed"):
        await topics.__aenter__()
    assert engine.started == 0
    assert "a message to 'a' was not published: the topics are closed" in caplog.text


def test_early_error_is_emitted() -> None:
    """An error of a publisher before the beginning is emitted."""
    topics = rxws.topics("memory://")
    errors = values(topics.errors)
    error = ValueError("early")
    topics["a"].on_error(error)
    assert errors == [error]


async def test_live_gap_comes_in_its_place() -> None:
    """A gap of a live subscription comes in its place, and is reported."""
    engine = Script()
    topics = Topics[Any](engine, Register(None), rxws.json)
    log = watch(plain=topics["a"], placed=topics["a"].messages, kept=topics["a"].history(), errors=topics.errors)
    engine.readers[0].batch([record(1)])
    engine.readers[0].caught_up()
    gap = Gap("a", "1-1", "the broker was away")
    engine.followings[0].take(gap)
    engine.followings[0].take(record(5))
    streams = {name: [item for stream, item in log if stream == name] for name in ("plain", "kept", "errors")}
    assert streams == {"plain": [1], "kept": [1, 1], "errors": [gap]}
    placed = [item for name, item in log if name == "placed"]
    assert placed[0] is gap
    assert (placed[1].value, placed[1].position) == (1, "1-5")
    await topics.close()


async def test_kept_and_live_messages_meet() -> None:
    """Kept and live messages meet without a gap or a double."""
    engine = Script()
    topics = Topics[Any](engine, Register(None), rxws.json)
    log = values(topics["a"].history())
    for number in (3, 4):
        engine.followings[0].take(record(number, b"%d" % number))
    engine.readers[0].batch([record(number, b"%d" % number) for number in (1, 2, 3)])
    assert log == [1, 2, 3]
    engine.readers[0].caught_up()
    assert log == [1, 2, 3, 4]
    await topics.close()


async def test_what_nobody_observes_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    topics = Topics[Any](Script(), Register(None), rxws.json)
    topics["a"].subscribe()
    topics["a"].on_error(Gap("a", "1-1", "the broker was away"))
    topics["a"].on_error(KeyError("x"))
    topics["a"].on_next(object())
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "ERROR"]
    assert "messages of 'a' after position 1-1 may be missing: the broker was away" in caplog.text
    await topics.close()


async def test_raising_codec_is_an_encode_error() -> None:
    """What a codec raises while encoding is an `EncodeError`."""

    class Closing:
        def encode(self, message: Any) -> str:
            raise rxws.Close(4000)

        def decode(self, data: str | bytes) -> Any: ...

    topics = Topics[Any](Script(), Register(None), Closing())
    errors = values(topics.errors)
    topics["a"].on_next(1)
    assert isinstance(errors[0], rxws.EncodeError)
    await topics.close()


async def test_thread_that_runs_ahead_is_told(eventually: Callable[..., Any]) -> None:
    """A thread that runs ahead of the event loop is told what is not published."""
    async with rxws.topics("memory://") as topics:
        log, errors = values(topics["a"]), values(topics.errors)
        numbers = range(MAX_HANDED_OVER + 5)
        thread = threading.Thread(target=lambda: [topics["a"].on_next(number) for number in numbers])
        thread.start()
        thread.join()
        await eventually(lambda: len(log) + len(errors) == len(numbers))
        assert log == [*numbers[:-5]]
        assert [error.value for error in errors] == [*numbers[-5:]]
        assert {type(error) for error in errors} == {Unpublished}


async def test_thread_that_runs_ahead_in_bytes(caplog: pytest.LogCaptureFixture) -> None:
    """A thread that runs ahead in bytes is told, too, of as much as may wait; the rest is logged."""
    async with rxws.topics("memory://") as topics:
        log, errors = values(topics["a"]), values(topics.errors)
        await asyncio.sleep(0)
        send = [f"{number:0500000}" for number in range(30)]
        in_a_thread(lambda: [topics["a"].on_next(text) for text in send])
        await turns()
        assert (log, [error.value for error in errors]) == (send[:8], send[8:16])
        assert len([record for record in caplog.records if "4 MiB" in record.getMessage()]) == 30 - 16


async def test_thread_that_may_run_ahead() -> None:
    """A larger `max_buffered` holds for what threads publish, too."""
    async with rxws.topics("memory://", max_buffered=20_000_000) as topics:
        log, errors = values(topics["a"]), values(topics.errors)
        send = [f"{number:0500000}" for number in range(30)]
        in_a_thread(lambda: [topics["a"].on_next(text) for text in send])
        await turns()
        assert (log, errors) == (send, [])


@pytest.mark.parametrize("pure", [True, False])
async def test_thread_publishes_what_a_codec_makes(pure: bool) -> None:
    """A thread calls a pure codec, so that a value goes out as it was; the event loop calls another one."""

    class Codec:
        def __init__(self) -> None:
            self.pure = pure
            self.threads: list[int] = []

        def encode(self, message: Any) -> str:
            self.threads.append(threading.get_ident())
            return rxws.json.encode(message)

        decode = staticmethod(rxws.json.decode)

    def work() -> None:
        topics["a"].on_next(value)
        value["bid"] = 2
        topics["a"].on_next({3})

    codec, value = Codec(), {"bid": 1}
    async with rxws.topics("memory://", codec=codec) as topics:
        log, errors = values(topics["a"]), values(topics.errors)
        in_a_thread(work)
        await turns()
        assert log == [{"bid": 1 if pure else 2}]
        assert [type(error) for error in errors] == [rxws.EncodeError]
        assert (codec.threads[0] == threading.get_ident()) is not pure


async def test_disposing_in_another_thread_before_the_beginning() -> None:
    """A subscription of another thread may be disposed before it begins."""
    async with rxws.topics("memory://") as topics:
        log: list[Any] = []
        thread = threading.Thread(target=lambda: topics["a"].subscribe(log.append).dispose())
        thread.start()
        thread.join()
        await turns()
        topics["a"].on_next(1)
        assert log == []


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        ({"last": 1, "since": "1-1"}, TypeError, "last or since, not both"),
        ({"last": 0}, ValueError, "last must be a positive whole number of messages, not 0"),
        ({"last": True}, TypeError, "last must be a positive whole number of messages, not True"),
        ({"since": 3}, TypeError, "expected the position of a message, a str"),
        ({"since": "3"}, ValueError, "expected the position of a message"),
    ],
)
def test_bad_arguments_of_history(arguments: dict[str, Any], kind: type[Exception], says: str) -> None:
    topic = rxws.topics("memory://")["a"]
    for make in (topic.history, topic.messages.history):
        with pytest.raises(kind, match=says):
            make(**arguments)


def test_subscribed_after_the_loop() -> None:
    """One who subscribes when the topics' event loop is closed still gets their end."""
    topics = rxws.topics("memory://")

    async def begin_and_close() -> None:
        async with topics:
            pass

    asyncio.run(begin_and_close())
    topic = topics["a"]
    assert watch(live=topic, kept=topic.latest(), present=topic.presence) == ["live|", "kept|", "present|"]


def test_loop_that_is_closed_before_the_topics() -> None:
    """Topics of an event loop that is closed refuse to begin anything, which would be lost."""
    topics = rxws.topics("memory://")

    async def publish() -> None:
        topics["a"].on_next(1)

    asyncio.run(publish())
    with pytest.raises(RuntimeError, match="the event loop of these topics is closed: make others"):
        asyncio.run(publish())
    for late in (topics["a"], topics["a"].latest(), topics["a"].presence):
        ((event, error),) = watch(late=late)
        assert (event, type(error)) == ("late#", RuntimeError)
    asyncio.run(topics.close())
    assert watch(late=topics["a"]) == ["late|"]


def test_published_after_the_topics_and_their_loop(caplog: pytest.LogCaptureFixture) -> None:
    """What is published, or reported, when the topics and their event loop are closed is in the log."""
    topics = rxws.topics("memory://")

    async def begin_and_close() -> None:
        async with topics:
            pass

    asyncio.run(begin_and_close())
    topics["a"].on_next(1)
    topics["a"].on_error(ValueError("late"))
    assert [record.getMessage() for record in caplog.records] == [
        "a message to 'a' was not published: the topics are closed",
        "ValueError('late'), which nobody observed",
    ]
