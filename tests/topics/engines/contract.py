"""What topics promise, whatever engine carries them: each engine's tests run this suite on a fixture `topics`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws import operators as rxops
from rxws.testing import serve
from rxws.topics import Gap, Message, Topics, Unpublished
from tests.streams import watch

Eventually = Callable[..., Any]
LIMIT = 20
"""Messages of a topic that the fixture's topics keep."""


def values(observable: Observable[Any]) -> list[Any]:
    """What an Observable emits, gaps as `"gap"`, messages as their values."""
    log: list[Any] = []
    observable.subscribe(
        lambda item: log.append(item.value if isinstance(item, Message) else "gap" if isinstance(item, Gap) else item)
    )
    return log


def publish(topic: Any, items: Iterable[Any]) -> None:
    for item in items:
        topic.on_next(item)


async def positions(topics: Topics[Any], name: str, count: int) -> list[str]:
    """The positions of all messages that are kept, when there are so many."""
    found: list[str] = []
    subscription = topics[name].messages.history().subscribe(lambda message: found.append(message.position))
    async with asyncio.timeout(5):
        while len(found) < count:
            await asyncio.sleep(0.005)
    subscription.dispose()
    return found


async def ready(topics: Topics[Any], eventually: Eventually) -> None:
    """Wait until what is subscribed now has begun at the broker."""
    seen = values(topics["ready.x"])
    topics["ready.x"].on_next(1)
    await eventually(lambda: seen, timeout=60)


class Contract:
    """The suite."""

    # Live, as a Subject

    async def test_subscribers_get_live_messages(self, topics: Topics[Any], eventually: Eventually) -> None:
        """Subscribers get what is published from when they subscribed."""
        first = values(topics["room.tea"])
        publish(topics["room.tea"], [1])
        await eventually(lambda: first == [1])
        second = values(topics["room.tea"])
        publish(topics["room.tea"], [2, {"a": [None]}])
        await eventually(lambda: (first, second) == ([1, 2, {"a": [None]}], [2, {"a": [None]}]))

    async def test_wildcards_are_those_of_nats(self, topics: Topics[Any], eventually: Eventually) -> None:
        one, rest, other = values(topics["room.*"]), values(topics["room.>"]), values(topics["room.coffee"])
        middle = values(topics["*.tea"])
        publish(topics["room.tea"], ["tea"])
        publish(topics["room.tea.green"], ["green"])
        publish(topics["hall.tea"], ["hall"])
        publish(topics["room.coffee"], ["coffee"])
        await eventually(lambda: other == ["coffee"] and len(middle) == 2 and len(rest) == 3 and len(one) == 2)
        assert (one, rest) == (["tea", "coffee"], ["tea", "green", "coffee"])
        assert middle == ["tea", "hall"]

    async def test_a_value_is_what_the_codec_makes_of_it(self, topics: Topics[Any], eventually: Eventually) -> None:
        log = values(topics["a"])
        value = {"pair": (1, 2)}
        topics["a"].on_next(value)
        value["pair"] = (3, 4)
        await eventually(lambda: log == [{"pair": [1, 2]}])

    async def test_text_and_bytes_stay_what_they_are(
        self, open_topics: Callable[..., Topics[Any]], eventually: Eventually
    ) -> None:
        topics = open_topics(codec=rxws.codecs.text)
        log = values(topics["a"])
        publish(topics["a"], ["é", b"\x00\xff", "", b""])
        await eventually(lambda: log == ["é", b"\x00\xff", "", b""])
        kept = values(topics["a"].history())
        await eventually(lambda: kept == log)

    async def test_the_order_is_that_of_each_publisher(self, topics: Topics[Any], eventually: Eventually) -> None:
        log = values(topics["a.*"])
        for number in range(300):
            topics["a.one"].on_next([1, number])
            topics["a.two"].on_next([2, number])
            if number % 50 == 0:
                await asyncio.sleep(0)
        await eventually(lambda: len(log) == 600)
        for publisher in (1, 2):
            assert [number for who, number in log if who == publisher] == list(range(300))

    async def test_what_a_subscriber_publishes_follows_for_all(
        self, topics: Topics[Any], eventually: Eventually
    ) -> None:
        topics["a"].pipe(ops.filter(lambda number: number < 5), ops.map(lambda number: number + 1)).subscribe(
            topics["a"]
        )
        exact, pattern, replay = values(topics["a"]), values(topics["*"]), values(topics["*"].history())
        topics["a"].on_next(0)
        await eventually(lambda: exact == pattern == replay == [0, 1, 2, 3, 4, 5])

    async def test_the_end_of_a_publisher_is_not_the_topic_s(self, topics: Topics[Any], eventually: Eventually) -> None:
        log, errors = watch(a=topics["a"]), watch(errors=topics.errors)
        error = ValueError("a publisher's")
        for end in (topics["a"].on_completed, topics["a"].dispose, lambda: topics["a"].on_error(error)):
            end()
        topics["a"].on_next(1)
        await eventually(lambda: log == [("a", 1)])
        assert errors == [("errors", error)]

    async def test_publishing_from_other_threads_keeps_the_order(
        self, topics: Topics[Any], eventually: Eventually
    ) -> None:
        log = values(topics["a"])
        thread = threading.Thread(target=publish, args=(topics["a"], range(100)))
        thread.start()
        await eventually(lambda: len(log) == 100)
        thread.join()
        assert log == list(range(100))

    async def test_subscriber_of_another_thread(self, topics: Topics[Any], eventually: Eventually) -> None:
        """A subscriber of another thread gets its messages."""
        other = values(topics["b"])
        log: list[Any] = []
        subscriptions: list[Any] = []
        thread = threading.Thread(target=lambda: subscriptions.append(topics["a"].subscribe(log.append)))
        thread.start()
        thread.join()
        await asyncio.sleep(0)
        publish(topics["a"], [1])
        await eventually(lambda: log == [1])
        thread = threading.Thread(target=subscriptions[0].dispose)
        thread.start()
        thread.join()
        await asyncio.sleep(0)
        publish(topics["a"], [2])
        publish(topics["b"], [3])
        await eventually(lambda: other == [3])
        assert log == [1]

    async def test_what_is_confirmed_is_kept(self, topics: Topics[Any], eventually: Eventually) -> None:
        publish(topics["a"], range(10))
        await topics.confirmed()
        log = values(topics["a"].history(last=10))
        await eventually(lambda: len(log) == 10)
        assert log == [*range(10)]

    # Errors

    async def test_unencodable_value_is_reported(self, topics: Topics[Any], eventually: Eventually) -> None:
        """A value that cannot be encoded is reported and skipped."""
        log, errors = values(topics["a"]), values(topics.errors)
        value = object()
        publish(topics["a"], [1, value, 2])
        await eventually(lambda: log == [1, 2])
        assert isinstance(errors[0], rxws.EncodeError)
        assert errors[0].value is value

    async def test_what_does_not_decode_is_reported_and_skipped(
        self, topics: Topics[Any], open_topics: Callable[..., Topics[Any]], eventually: Eventually
    ) -> None:
        class Picky:
            def encode(self, message: Any) -> str:
                return str(message)

            def decode(self, data: str | bytes) -> int:
                return int(data)

        picky = open_topics(codec=Picky())
        log, errors = values(picky["a"]), values(picky.errors)
        publish(picky["a"], [1, "one", 2])
        await eventually(lambda: log == [1, 2])
        kept = values(picky["a"].history())
        await eventually(lambda: kept == [1, 2])
        assert [type(error) for error in errors] == [rxws.DecodeError] * 2

    async def test_raising_subscriber_takes_nothing_from_others(
        self, topics: Topics[Any], eventually: Eventually
    ) -> None:
        """A subscriber that raises takes nothing from the others."""
        errors = values(topics.errors)
        error = ValueError("a subscriber's")

        def fail(value: Any) -> None:
            raise error

        topics["a"].on_next(0)
        topics["a"].subscribe(fail)
        topics["a"].history().subscribe(fail)
        log = values(topics["a"])
        topics["a"].on_next(1)
        await eventually(lambda: log[-1:] == [1] and len(errors) >= 2)
        assert set(errors) == {error}
        topics["a"].history().subscribe(fail)
        await eventually(lambda: len(errors) >= 5)

    async def test_publishing_to_a_pattern_is_a_clear_error(self, topics: Topics[Any]) -> None:
        with pytest.raises(ValueError, match="stands for many topics"):
            topics["room.*"].on_next(1)

    async def test_message_larger_than_the_limit_is_reported(
        self, open_topics: Callable[..., Topics[Any]], eventually: Eventually
    ) -> None:
        """A message that is larger than all that may be kept is reported."""
        topics = open_topics(max_bytes=10_000)
        log, errors = values(topics["a"]), values(topics.errors)
        publish(topics["a"], ["x" * 20_000, "y"])
        await eventually(lambda: log == ["y"] and len(errors) == 1)
        assert isinstance(errors[0], Unpublished)
        assert (errors[0].topic, errors[0].value) == ("a", "x" * 20_000)

    # History

    async def test_latest_is_the_newest_then_what_is_live(self, topics: Topics[Any], eventually: Eventually) -> None:
        none = values(topics["a"].latest())
        publish(topics["a"], [1, 2])
        await eventually(lambda: none == [1, 2])
        log, pattern = values(topics["a"].latest()), values(topics["*"].messages.latest())
        await eventually(lambda: log == pattern == [2])
        publish(topics["a"], [3])
        await eventually(lambda: log == pattern == [2, 3] and none == [1, 2, 3])

    async def test_history_then_live_messages(self, topics: Topics[Any], eventually: Eventually) -> None:
        """History gives the last messages or all of them, then the live ones."""
        publish(topics["a"], range(15))
        await positions(topics, "a", 15)
        logs = {last: values(topics["a"].history(last=last)) for last in (1, 3, 14, 15, 16, 1000)}
        everything = values(topics["a"].history())
        await eventually(lambda: all(log[-1:] == [14] for log in (everything, *logs.values())))
        publish(topics["a"], ["live"])
        await eventually(lambda: everything == [*range(15), "live"])
        await eventually(lambda: all(log == [*[*range(15)][-last:], "live"] for last, log in logs.items()))

    async def test_history_of_a_pattern_is_in_order(self, topics: Topics[Any], eventually: Eventually) -> None:
        """The history of a pattern is in the order of publication."""
        for number in range(10):
            topics[f"a.{number % 3}"].on_next(number)
            topics["b"].on_next("another")
        await positions(topics, "a.*", 10)
        log, last = values(topics["a.*"].history()), values(topics["a.*"].history(last=4))
        await eventually(lambda: log == [*range(10)])
        await eventually(lambda: last == [6, 7, 8, 9])

    async def test_no_gap_and_no_double_at_the_seam(self, topics: Topics[Any], eventually: Eventually) -> None:
        """Histories begin while messages are published; each has its beginning, then all, each once."""
        logs: list[list[Any]] = []
        reference = values(topics["a"])
        for number in range(200):
            topics["a"].on_next(number)
            if number % 10 == 5:
                logs.append(values(topics["a"].messages.history(last=5)))
                logs.append(values(topics["*"].messages.history(last=5)))
            await asyncio.sleep(0 if number % 3 else 0.001)
        await eventually(lambda: reference == [*range(200)])
        await eventually(lambda: all(log[-1:] == [199] for log in logs))
        for log in logs:
            assert log == [*range(log[0], 200)]

    async def test_client_that_comes_back_misses_nothing(self, topics: Topics[Any], eventually: Eventually) -> None:
        """A client that comes back with its position gets what it missed, and nothing twice."""
        publish(topics["a.1"], range(5))
        publish(topics["a.2"], range(5, 10))
        known = await positions(topics, "a.*", 10)
        assert len(set(known)) == 10
        for name, numbers in (("a.1", range(5)), ("a.2", range(5, 10)), ("a.*", range(10))):
            for number in numbers:
                log = values(topics[name].messages.history(since=known[number]))
                expected = [*numbers][numbers.index(number) + 1 :]
                await eventually(lambda log=log, expected=expected: log == expected)

    async def test_positions_are_unique_and_shared(self, topics: Topics[Any], eventually: Eventually) -> None:
        """Positions tell messages apart, and are the same for all subscribers."""
        first, second = watch(a=topics["a"].messages), watch(a=topics["*"].messages)
        publish(topics["a"], [1, 2])
        await eventually(lambda: len(first) == len(second) == 2)
        kept = watch(a=topics["a"].messages.history())
        await eventually(lambda: first == second == kept)
        assert first[0][1].position != first[1][1].position

    # Gaps

    async def test_what_is_no_longer_kept_is_a_gap(self, topics: Topics[Any], eventually: Eventually) -> None:
        publish(topics["a"], [0])
        (known,) = await positions(topics, "a", 1)
        publish(topics["a"], range(1, LIMIT + 5))
        await positions(topics, "a", LIMIT)
        errors = values(topics.errors)
        log, pattern = (values(topics[name].messages.history(since=known)) for name in ("a", "*"))
        plain = values(topics["a"].history(since=known))
        await eventually(lambda: log == pattern == ["gap", *range(5, LIMIT + 5)])
        await eventually(lambda: plain == [*range(5, LIMIT + 5)])
        assert errors == ["gap"] * 3

    async def test_what_other_topics_lose_is_no_gap(self, topics: Topics[Any], eventually: Eventually) -> None:
        publish(topics["a"], ["known"])
        (known,) = await positions(topics, "a", 1)
        publish(topics["b"], range(LIMIT * 2))
        publish(topics["a"], ["next"])
        log = values(topics["a"].messages.history(since=known))
        await eventually(lambda: log == ["next"])

    async def test_a_position_of_elsewhere_is_a_gap(self, topics: Topics[Any], eventually: Eventually) -> None:
        publish(topics["a"], [1])
        (known,) = await positions(topics, "a", 1)
        epoch, _ = known.split("-")
        for foreign in ("1-1", f"{epoch}-ffff", f"{epoch}-{'f' * 16}"):
            log = watch(a=topics["a"].messages.history(since=foreign))
            await eventually(lambda log=log: len(log) >= 1)
            assert isinstance(log[0][1], Gap)
            assert (log[0][1].topic, log[0][1].since) == ("a", foreign)
        log = values(topics["a"].messages.history(since="1-1"))
        await eventually(lambda: log == ["gap", 1])

    async def test_bytes_are_limited(self, open_topics: Callable[..., Topics[Any]], eventually: Eventually) -> None:
        """Bytes are limited, and what goes beyond the limit is a gap."""
        topics = open_topics(max_bytes=10_000)
        publish(topics["a"], [0, 1])
        known, _ = await positions(topics, "a", 2)
        live = values(topics["a"])
        publish(topics["b"], ["x" * 1000] * 15)
        publish(topics["a"], ["last"])
        await eventually(lambda: live == ["last"])
        log, kept = values(topics["a"].messages.history(since=known)), values(topics["*"].history())
        await eventually(lambda: log == ["gap", "last"])
        await eventually(lambda: kept[-1:] == ["last"])
        assert 5 <= len(kept) <= 10

    async def test_age_is_limited_and_what_goes_for_it_is_a_gap(
        self, open_topics: Callable[..., Topics[Any]], eventually: Eventually
    ) -> None:
        topics = open_topics(max_age=0.3)
        publish(topics["a"], [0])
        (known,) = await positions(topics, "a", 1)
        publish(topics["a"], [1])

        async def what_follows() -> list[Any]:
            log = values(topics["a"].messages.history(since=known))
            await eventually(lambda: log)
            return log

        async with asyncio.timeout(10):
            while await what_follows() != ["gap"]:
                await asyncio.sleep(0.1)

    # Sockets

    async def test_message_is_encoded_and_framed_once(
        self, open_topics: Callable[..., Topics[Any]], eventually: Eventually
    ) -> None:
        """A message is encoded once and framed once for all sockets, by a codec that says it is pure."""

        class Counting:
            pure = True
            encoded = 0
            decoded = 0

            def encode(self, message: Any) -> str:
                self.encoded += 1
                return rxws.json.encode(message)

            def decode(self, data: str | bytes) -> Any:
                self.decoded += 1
                return rxws.json.decode(data)

        codec = Counting()
        topics = open_topics(codec=codec)

        def room(incoming: Any) -> Any:
            incoming.subscribe(topics["room"])
            return topics["room"]

        peers = [serve(room, codec=codec)[1] for _ in range(20)]
        await asyncio.sleep(0)
        peers[0].send('{"a":1}')
        await eventually(lambda: all(peer.sent == ['{"a":1}'] for peer in peers))
        assert (codec.encoded, codec.decoded) == (1, 2)  # what the peer sent was decoded too

        def late() -> Any:
            return topics["room"].history()

        _, peer = serve(late, codec=codec)
        await eventually(lambda: peer.sent == ['{"a":1}'])
        assert codec.encoded == 1

    async def test_slow_socket_gets_its_policy(self, topics: Topics[Any], eventually: Eventually) -> None:
        """A slow socket gets its overflow policy, and the others do not notice."""

        def room(incoming: Any) -> Any:
            incoming.subscribe(topics["room"])
            return topics["room"]

        speaker, voice = serve(room, codec=rxws.json)
        slow, mute = serve(room, codec=rxws.json, max_buffered=1000, close_timeout=0.1)
        newest, late = serve(room, codec=rxws.json, overflow="latest")
        await asyncio.sleep(0)
        mute.congested = late.congested = True
        for number in range(100):
            voice.send(str(number))
        await eventually(lambda: len(voice.sent) == 100)
        assert (await slow.closed).code == 1013
        late.congested = False
        await eventually(lambda: late.sent == ["99"])
        assert newest.stats.dropped == 99
        assert speaker.stats.dropped == 0

    async def test_busy_subscriber_holds_no_publisher(self, topics: Topics[Any], eventually: Eventually) -> None:
        """A subscriber that is busy does not hold the publisher's socket."""
        begun: list[Any] = []

        async def work(item: Any) -> Any:
            begun.append(item)
            await asyncio.sleep(60)

        busy = topics["room"].pipe(rxops.map_async(work)).subscribe()

        def speak(incoming: Any) -> Any:
            incoming.subscribe(topics["room"])

        heard = values(topics["room"])
        _, peer = serve(speak, codec=rxws.json)
        await asyncio.sleep(0)
        for number in range(10):
            peer.send(str(number))
        await eventually(lambda: heard == [*range(10)])
        await eventually(lambda: begun == [0])
        busy.dispose()

    # The end

    async def test_closing_completes_the_subscriptions(self, topics: Topics[Any], eventually: Eventually) -> None:
        topics["a"].on_next(1)
        log = watch(live=topics["b"], kept=topics["a"].history(), errors=topics.errors)
        await eventually(lambda: ("kept", 1) in log)
        await topics.close()
        await topics.close()
        assert log == [("kept", 1), "live|", "kept|", "errors|"]
        assert watch(late=topics["a"].latest()) == ["late|"]

    async def test_publishing_after_the_end_is_reported(
        self, topics: Topics[Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        topics["a"].subscribe()
        await topics.close()
        topics["a"].on_next(1)
        assert "a message to 'a' was not published: the topics are closed" in caplog.text

    async def test_disposed_subscription_gets_nothing_more(self, topics: Topics[Any], eventually: Eventually) -> None:
        """A subscription that is disposed gets nothing more."""
        log, kept, other = [], [], values(topics["a"])
        live = topics["a"].subscribe(log.append)
        replay = topics["a"].history().subscribe(kept.append)
        topics["a"].on_next(1)
        await eventually(lambda: log == kept == other == [1])
        for _ in range(2):
            live.dispose()
            replay.dispose()
        topics["a"].on_next(2)
        await eventually(lambda: other == [1, 2])
        assert log == kept == [1]
        topics["b"].subscribe().dispose()
        late = values(topics["b"])
        topics["b"].on_next(3)
        await eventually(lambda: late == [3])
