"""Topics when things break: each message is delivered, or reported as missed; none twice; in order."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import nats
import pytest

import rxws
from rxws.codecs import text
from rxws.topics import Gap, Topics, TopicsError, Unpublished
from rxws.topics.engines.engine import Limits
from rxws.topics.engines.nats import link, outbox
from rxws.topics.engines.nats.follower import Follower
from rxws.topics.engines.nats.stream import Stream, _config
from tests.integration.broker import Broker
from tests.integration.proxy import Fault, proxying
from tests.streams import turns
from tests.topics.engines.contract import ready, values

Eventually = Callable[..., Any]
Open = Callable[..., Topics[Any]]


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = Broker(tmp_path, "max_file_store: 8MB")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def open_topics(broker: Broker, open_topics: Open) -> Open:
    limits = {"max_bytes": 4_000_000, "max_messages": 10_000}
    return lambda url=broker.url, **options: open_topics(url, **limits | options)


async def publish(topic: Any, numbers: range, rate: float) -> None:
    """Publish numbers at a rate, whatever the event loop has to do besides."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for done, number in enumerate(numbers):
        await asyncio.sleep(max(0.0, began + done / rate - loop.time()))
        topic.on_next(number)


async def test_killed_broker_loses_nothing(broker: Broker, open_topics: Open, eventually: Eventually) -> None:
    """A broker that is killed for two seconds under 300 messages a second loses nothing."""
    publisher, one, two = open_topics(), open_topics(), open_topics()
    live, pattern = values(one["a"].messages), values(two["*"].messages)
    history = values(two["a"].messages.history())
    errors = {name: values(topics.errors) for name, topics in (("publisher", publisher), ("one", one), ("two", two))}
    await asyncio.gather(ready(one, eventually), ready(two, eventually))
    publisher["a"].on_next(0)
    await eventually(lambda: live == pattern == history == [0])
    publishing = asyncio.ensure_future(publish(publisher["a"], range(1, 1200), 300))
    await asyncio.sleep(1)
    await broker.restart(away=2)
    late = values(one["a"].messages.history())
    await publishing
    await eventually(lambda: all(log[-1:] == [1199] for log in (live, pattern, history, late)), timeout=15)
    assert live == pattern == history == late == [*range(1200)]
    for seen in errors.values():
        assert seen
        assert {type(error) for error in seen} == {TopicsError}


@pytest.mark.parametrize(("overflow", "kept"), [("drop_oldest", range(150, 200)), ("drop_newest", range(50))])
async def test_publishers_keep_max_buffered_and_report_the_rest(
    broker: Broker, open_topics: Open, eventually: Eventually, overflow: str, kept: range
) -> None:
    """While the broker is away, publishers keep `max_buffered` bytes and report the rest."""
    subscriber = open_topics()
    topics = open_topics(max_buffered=50 * (3 + 64), overflow=overflow)
    errors: list[Any] = []
    topics.errors.subscribe(errors.append)
    log = values(subscriber["a"])
    await ready(subscriber, eventually)
    topics["a"].on_next("first")
    await eventually(lambda: log == ["first"])
    broker.stop()
    await eventually(lambda: errors)
    for number in range(200):
        topics["a"].on_next(number + 100)
    await asyncio.to_thread(broker.start)
    await eventually(lambda: len(log) == 51, timeout=15)
    unpublished = [error.value - 100 for error in errors if isinstance(error, Unpublished)]
    assert log == ["first", *(number + 100 for number in kept)]
    assert unpublished == [number for number in range(200) if number not in kept]


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
async def test_a_message_that_would_never_fit_costs_no_other(
    broker: Broker, open_topics: Open, eventually: Eventually, overflow: str
) -> None:
    broker.stop()
    topics = open_topics(max_buffered=1000, overflow=overflow)
    errors, log = values(topics.errors), values(topics["a"])
    topics["a"].on_next(1)
    topics["a"].on_next("x" * 1000)
    topics["a"].on_next(2)
    (refused,) = (error for error in errors if isinstance(error, Unpublished))
    assert refused.value == "x" * 1000
    assert "it is larger than max_buffered, 1000 bytes" in str(refused)
    await asyncio.to_thread(broker.start)
    await eventually(lambda: log == [1, 2], timeout=15)


async def test_reasons_of_an_outage_are_told_once(broker: Broker, open_topics: Open, eventually: Eventually) -> None:
    """Each reason why the broker is away is told once, without a password."""
    broker.stop()
    topics = open_topics(broker.url.replace("//", "//bob:sesame@"))
    errors, log = values(topics.errors), values(topics["a"])
    topics["a"].on_next(1)
    await eventually(lambda: errors)
    broker.jetstream = False
    await asyncio.to_thread(broker.start)
    await eventually(lambda: "the NATS server has no JetStream" in str(errors[-1]), timeout=15)
    told = [str(error) for error in errors]
    assert all(text.startswith(f"NATS at 127.0.0.1:{broker.port} is away, trying again: ") for text in told)
    assert "sesame" not in " ".join(told)
    assert len({*told}) == len(told)
    broker.stop()
    broker.jetstream = True
    await asyncio.to_thread(broker.start)
    await eventually(lambda: log == [1], timeout=15)


async def test_unforeseen_failure_is_tried_again(
    open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure that nobody foresaw is reported, and the connection is tried again."""
    find, failures = Stream.find, iter([KeyError("created")])

    async def fail_once(*arguments: Any) -> Stream:
        for failure in failures:
            raise failure
        return await find(*arguments)

    monkeypatch.setattr(Stream, "find", fail_once)
    topics = open_topics()
    errors, log = values(topics.errors), values(topics["a"])
    topics["a"].on_next(1)
    await eventually(lambda: log == [1])
    assert [type(error.__cause__) for error in errors] == [KeyError]


async def test_subscription_that_fails_ends_the_others(
    open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If one subscription fails on a new connection, the others do not go on with it."""
    begin, streams, ended = Follower.begin, list[Stream](), list[str]()

    async def fail_once(self: Follower, stream: Stream) -> None:
        streams.append(stream)
        if stream is not streams[0]:
            await begin(self, stream)
        elif self.pattern == "a":
            await asyncio.sleep(0)
            raise KeyError("subscribed")
        else:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(self.pattern)

    monkeypatch.setattr(Follower, "begin", fail_once)
    topics = open_topics()
    errors, heard = values(topics.errors), values(topics["b"].messages)
    topics["a"].subscribe()
    await ready(topics, eventually)
    assert "b" in ended
    assert "subscribed" in str(errors[0])
    topics["b"].on_next(1)
    await eventually(lambda: heard == [1])


async def test_topics_may_begin_before_their_broker(broker: Broker, open_topics: Open, eventually: Eventually) -> None:
    broker.stop()
    topics = open_topics()
    live, history = values(topics["a"]), values(topics["a"].history())
    for number in range(10):
        topics["a"].on_next(number)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(broker.start)
    await eventually(lambda: live == history == [*range(10)], timeout=15)


async def test_what_was_not_confirmed_at_the_end_is_reported(
    broker: Broker, open_topics: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "DEADLINE", 0.2)
    broker.stop()
    topics = open_topics()
    errors: list[Any] = []
    topics.errors.subscribe(errors.append)
    topics["a"].on_next(1)
    topics["a"].on_next(2)
    await topics.close()
    assert [error.value for error in errors if isinstance(error, Unpublished)] == [1, 2]


async def test_closing_goes_on_without_its_waiter(
    open_topics: Open, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing goes on when its caller gives up waiting, and leaves nothing behind."""
    monkeypatch.setattr(outbox, "DEADLINE", 0.5)
    broker.stop()
    before = asyncio.all_tasks()
    topics = open_topics()
    errors = values(topics.errors)
    topics["a"].on_next(1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(topics.close(), 0.1)
    await topics.close()
    assert [error.value for error in errors if isinstance(error, Unpublished)] == [1]
    assert asyncio.all_tasks() <= before


async def test_cancelled_closing_leaves_nothing(open_topics: Open, broker: Broker) -> None:
    """Closing that is cancelled itself leaves nothing behind."""
    broker.stop()
    before = asyncio.all_tasks()
    topics = rxws.topics(broker.url)
    topics["a"].on_next(1)
    begun = asyncio.all_tasks()
    closing = asyncio.ensure_future(topics.close())
    await turns()
    for task in asyncio.all_tasks() - begun - {closing}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert asyncio.all_tasks() <= before


async def test_publishing_survives_what_the_client_raises(
    open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the client library raises when the connection is being lost, publishing goes on with the next one."""
    topics = open_topics()
    log = values(topics["a"])
    topics["a"].on_next(1)
    await topics.confirmed()
    publish = nats.aio.client.Client.publish
    broken: list[str] = []

    async def fail_once(self: Any, subject: str, *more: Any, **options: Any) -> None:
        if subject == "rxws.in.a" and not broken:
            broken.append(subject)
            raise AttributeError("asyncio's, of a transport that is closed")
        await publish(self, subject, *more, **options)

    monkeypatch.setattr(nats.aio.client.Client, "publish", fail_once)
    topics["a"].on_next(2)
    await asyncio.wait_for(topics.confirmed(), 10)
    assert broken
    await eventually(lambda: log == [1, 2])


async def test_closing_ends_waiting_for_confirmation(
    open_topics: Open, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for confirmation ends when the topics are closed."""
    monkeypatch.setattr(outbox, "DEADLINE", 0.2)
    broker.stop()
    topics = open_topics()
    topics["a"].on_next(1)
    waiting = asyncio.ensure_future(topics.confirmed())
    await asyncio.sleep(0)
    await topics.close()
    await asyncio.wait_for(waiting, 1)


async def test_broker_that_lost_everything_is_a_gap(broker: Broker, open_topics: Open, eventually: Eventually) -> None:
    """A broker that has lost everything is a gap, and then it goes on."""
    topics = open_topics()
    errors = values(topics.errors)
    live, history = values(topics["a"].messages), values(topics["a"].messages.history())
    for number in range(10):
        topics["a"].on_next(number)
    await eventually(lambda: live == history == [*range(10)])
    broker.stop()
    shutil.rmtree(broker.directory / "store")
    await asyncio.to_thread(broker.start)
    topics["a"].on_next("new")
    await eventually(lambda: live[-1:] == history[-1:] == ["new"], timeout=15)
    assert live == history == [*range(10), "gap", "new"]
    assert "gap" in errors


@pytest.mark.parametrize("heard", [0, 5])
async def test_stream_made_anew_is_a_gap(broker: Broker, open_topics: Open, eventually: Eventually, heard: int) -> None:
    """A stream that is made anew while all are connected is a gap, and then it goes on."""
    publisher, subscriber = open_topics(), open_topics()
    for number in range(10):
        publisher["a"].on_next(number)
    await publisher.confirmed()
    live, pattern = values(subscriber["a"].messages), values(subscriber["*"].messages)
    history = values(subscriber["a"].messages.history())
    await eventually(lambda: history == [*range(10)])
    await ready(subscriber, eventually)
    for number in range(10, 10 + heard):
        publisher["a"].on_next(number)
    await eventually(lambda: live == pattern == history[10:] == [*range(10, 10 + heard)])
    client = await nats.connect(broker.url)
    await client.request("$JS.API.STREAM.DELETE.rxws", b"")
    await client.close()
    publisher["a"].on_next("new")
    await eventually(lambda: live[-1:] == pattern[-1:] == history[-1:] == ["new"], timeout=15)
    assert live == pattern == [*range(10, 10 + heard), "gap", "new"]
    assert history == [*range(10 + heard), "gap", "new"]


async def test_partition_loses_nothing(
    broker: Broker, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition is noticed, and what came meanwhile is delivered."""
    monkeypatch.setattr(link, "PING_INTERVAL", 0.1)
    publisher = open_topics()
    async with proxying(broker.port) as proxy:
        proxy.faults.append(Fault("half_open", after=40_000, side="down"))
        subscriber = open_topics(f"nats://127.0.0.1:{proxy.port}")
        errors = values(subscriber.errors)
        live = values(subscriber["a"].messages)
        kept = values(subscriber["a"].messages.history())
        await publish(publisher["a"], range(600), 300)
        await eventually(lambda: kept[-1:] == live[-1:] == [599], timeout=15)
        assert kept == [*range(600)]
        assert live == [*range(live[0], 600)]
        assert len(errors) >= 1
        assert proxy.connections >= 2
        await subscriber.close()


async def test_messages_beyond_the_limit_are_one_gap(
    broker: Broker, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a limit took while a subscriber was away is one gap, and no more."""
    monkeypatch.setattr(link, "PING_INTERVAL", 0.1)
    publisher = open_topics(max_messages=100)
    async with proxying(broker.port) as proxy:
        proxy.faults.append(Fault("half_open", after=20_000, side="down"))
        subscriber = open_topics(f"nats://127.0.0.1:{proxy.port}", max_messages=100)
        errors: list[Any] = []
        subscriber.errors.subscribe(errors.append)
        log = values(subscriber["a"].messages.history())
        publisher["a"].on_next(0)
        await eventually(lambda: log == [0])
        for number in range(1, 1000):
            publisher["a"].on_next(number)
        await eventually(lambda: log[-1:] == [999], timeout=15)
        received = log.index("gap")
        assert log == [*range(received), "gap", *range(900, 1000)]
        assert len([error for error in errors if isinstance(error, Gap)]) == 1
        await subscriber.close()


async def test_broker_without_room_for_the_stream(
    broker: Broker, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that has no room for the stream is reported."""
    monkeypatch.setattr(outbox, "DEADLINE", 0.2)
    topics = open_topics(max_bytes=100_000_000)
    errors: list[Any] = []
    topics.errors.subscribe(errors.append)
    topics["a"].on_next(1)
    await eventually(lambda: errors)
    assert "insufficient storage resources available" in str(errors[0])
    await topics.close()
    assert [error.value for error in errors if isinstance(error, Unpublished)] == [1]


async def test_refused_message_is_reported(broker: Broker, open_topics: Open, eventually: Eventually) -> None:
    """A message that the stream refuses is reported, and the others go on."""
    client = await nats.connect(broker.url)
    config = {**_config("rxws", Limits(100, 4_000_000, None)), "max_msg_size": 100}
    await client.request("$JS.API.STREAM.CREATE.rxws", json.dumps(config).encode())
    await client.close()
    topics = open_topics()
    errors: list[Any] = []
    topics.errors.subscribe(errors.append)
    log = values(topics["a"])
    for value in (1, "x" * 200, 2):
        topics["a"].on_next(value)
    await eventually(lambda: log == [1, 2])
    assert [(type(error), error.value) for error in errors] == [(Unpublished, "x" * 200)]
    assert "message size exceeds maximum allowed" in str(errors[0])


@pytest.mark.parametrize("less", [1, 0, -1])
async def test_message_of_max_payload_harms_no_other(
    tmp_path: Path, open_topics: Open, eventually: Eventually, less: int
) -> None:
    """A message as large as the server takes harms no other message."""
    (tmp_path / "small").mkdir()
    with Broker(tmp_path / "small", more="max_payload: 4096") as broker:
        topics = open_topics(broker.url, codec=text)
        errors: list[Any] = []
        topics.errors.subscribe(errors.append)
        log = values(topics["a"])
        for value in ("first", "x" * (4096 - less), "y" * (4096 - outbox.HEADERS), "last"):
            topics["a"].on_next(value)
        await eventually(lambda: log[-1:] == ["last"])
        assert log == ["first", "y" * (4096 - outbox.HEADERS), "last"]
        assert [(type(error), len(error.value)) for error in errors] == [(Unpublished, 4096 - less)]
        assert f"it is larger than the NATS server takes, {4096 - outbox.HEADERS} bytes" in str(errors[0])
        await topics.close()


def permitting(directory: Path, permissions: str) -> Broker:
    """A broker whose user has permissions."""
    (directory / "strict").mkdir()
    user = f"{{user: u, password: p, permissions: {{ {permissions} }} }}"
    return Broker(directory / "strict", more=f"authorization {{ users: [ {user} ] }}")


async def test_forbidden_publishing_is_reported(tmp_path: Path, open_topics: Open, eventually: Eventually) -> None:
    """A topic that the user may not publish to is reported, and the others go on."""
    with permitting(tmp_path, 'publish: { deny: ["rxws.in.Secret"] }') as broker:
        topics = open_topics(f"nats://u:p@127.0.0.1:{broker.port}")
        errors: list[Any] = []
        topics.errors.subscribe(errors.append)
        log = values(topics["a"])
        for number in range(300):
            topics["Secret"].on_next(number)
        topics["a"].on_next("hello")
        await eventually(lambda: log == ["hello"])
        assert [(type(error), error.topic, error.value) for error in errors] == [
            (Unpublished, "Secret", number) for number in range(300)
        ]
        assert "no permission" in str(errors[0])
        await topics.close()


async def test_forbidden_subscription_is_reported(tmp_path: Path, open_topics: Open, eventually: Eventually) -> None:
    """A topic that the user may not subscribe to is reported."""
    with permitting(tmp_path, 'subscribe: { deny: ["rxws.live.secret"] }') as broker:
        topics = open_topics(f"nats://u:p@127.0.0.1:{broker.port}")
        errors: list[Any] = []
        topics.errors.subscribe(errors.append)
        log = values(topics["a"])
        topics["secret"].subscribe()
        await eventually(lambda: errors)
        topics["a"].on_next("hello")
        await eventually(lambda: log == ["hello"])
        (error,) = errors
        assert isinstance(error, TopicsError)
        assert "no permission for subscription to 'rxws.live.secret'" in str(error)
        await topics.close()


async def test_message_that_is_never_confirmed_is_reported(
    broker: Broker, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that is never confirmed is reported in the end."""
    monkeypatch.setattr(outbox, "DEADLINE", 0.2)
    monkeypatch.setattr(outbox, "LATE", 2)
    client = await nats.connect(broker.url)
    config = {**_config("rxws", Limits(100, 4_000_000, None)), "no_ack": True}
    await client.request("$JS.API.STREAM.CREATE.rxws", json.dumps(config).encode())
    await client.close()
    topics = open_topics()
    errors: list[Any] = []
    topics.errors.subscribe(errors.append)
    topics["a"].on_next(1)
    topics["b"].on_next(2)
    async with asyncio.timeout(15):
        await topics.confirmed()
    unpublished = [error for error in errors if isinstance(error, Unpublished)]
    assert [(error.topic, error.value) for error in unpublished] == [("a", 1), ("b", 2)]
    assert "NATS has not confirmed it on 2 connections" in str(unpublished[0])


async def test_full_store_is_reported(tmp_path: Path, open_topics: Open, eventually: Eventually) -> None:
    """A full store is reported for each message, and then it goes on."""
    (tmp_path / "small").mkdir()
    with Broker(tmp_path / "small", "max_file_store: 1MB") as broker:
        client = await nats.connect(broker.url)
        config = _config("rxws", Limits(10_000, -1, None))  # without a limit of its own
        await client.request("$JS.API.STREAM.CREATE.rxws", json.dumps(config).encode())
        topics = open_topics(broker.url)
        errors: list[Any] = []
        topics.errors.subscribe(errors.append)
        live = values(topics["a"])
        for number in range(100):
            topics["a"].on_next([number, "x" * 20_000])
        await topics.confirmed()
        await eventually(lambda: len(live) + len(errors) == 100, timeout=15)
        assert {type(error) for error in errors} == {Unpublished}
        assert "insufficient resources" in str(errors[0])
        assert 40 < len(live) < 60
        refused, errors[:] = errors[:], []
        kept = values(topics["a"].history())
        await eventually(lambda: len(kept) == len(live))
        assert [number for number, _ in kept] == [number for number, _ in live] == [*range(len(live))]
        assert [error.value[0] for error in refused] == [*range(len(live), 100)]
        await client.request("$JS.API.STREAM.PURGE.rxws", b"")
        await client.close()
        topics["a"].on_next("room again")
        await eventually(lambda: live[-1] == "room again")
        await topics.close()


async def test_client_that_moves_misses_nothing(broker: Broker, open_topics: Open, eventually: Eventually) -> None:
    """A client that moves between processes in mid-stream misses nothing."""
    publisher, *processes = (open_topics() for _ in range(4))
    publisher["a"].on_next(-1)
    publishing = asyncio.ensure_future(publish(publisher["a"], range(600), 300))
    received: list[Any] = []
    position: list[str | None] = [None]

    def take(item: Any) -> None:
        assert not isinstance(item, Gap)
        received.append(item.value)
        position[0] = item.position

    for move in range(12):
        messages = processes[move % 3]["a"].messages
        enough = len(received) + 20
        subscription = messages.history(since=position[0]).subscribe(take)
        await eventually(lambda enough=enough: len(received) >= enough or received[-1:] == [599])
        subscription.dispose()
        await asyncio.sleep(0.05)
    await publishing
    messages.history(since=position[0]).subscribe(take)
    await eventually(lambda: received[-1:] == [599])
    assert received == [*range(-1, 600)]
