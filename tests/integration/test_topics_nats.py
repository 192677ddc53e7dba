"""Topics over a real NATS server: the contract of all engines, and what is NATS's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import nats
import pytest

import rxws
from rxws.testing import serve
from rxws.topics import Topics
from rxws.topics.engines.nats import follower, link
from rxws.topics.engines.nats.stream import Stream
from rxws.topics.history import Seam
from tests.integration.broker import Broker
from tests.topics.engines.contract import LIMIT, Contract, positions, publish, ready, values

Eventually = Callable[..., Any]


@pytest.fixture
def open_topics(broker: Broker, open_topics: Callable[..., Topics[Any]]) -> Callable[..., Topics[Any]]:
    return lambda url=None, **options: open_topics(url or broker.fresh(), **options)


@pytest.fixture
def topics(open_topics: Callable[..., Topics[Any]]) -> Topics[Any]:
    return open_topics(max_messages=LIMIT)


class TestContract(Contract):
    """What every engine promises."""


async def test_local_sockets_share_one_subscription(
    broker: Broker, open_topics: Callable[..., Topics[Any]], eventually: Eventually
) -> None:
    """All local sockets share one subscription at the broker."""
    topics = open_topics(url := broker.fresh())
    name = url.rpartition("/")[2]

    async def subjects() -> list[str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{broker.monitor}/connz?subs=1") as answer,
        ):
            connections = (await answer.json())["connections"]
        everything = [subject for connection in connections for subject in connection.get("subscriptions_list", [])]
        return [subject for subject in everything if subject.startswith(f"{name}.live.")]

    def room(incoming: Any) -> Any:
        incoming.subscribe(topics["room"])
        return topics["room"]

    peers = [serve(room, codec=rxws.json)[1] for _ in range(20)]
    await asyncio.sleep(0)
    peers[0].send("1")
    await eventually(lambda: all(peer.sent == ["1"] for peer in peers))
    late = values(topics["room"].history())
    await eventually(lambda: late == [1])
    assert await subjects() == [f"{name}.live.room"]
    for peer in peers[1:]:
        peer.drop()
    peers[0].send("2")
    await eventually(lambda: peers[0].sent == ["1", "2"])
    assert await subjects() == [f"{name}.live.room"]


@pytest.mark.parametrize(
    "limits", [{"max_age": 0.1}, {"max_age": 9e9}, {"max_messages": 2**63 - 1}, {"max_bytes": 1, "max_messages": 1}]
)
async def test_extreme_limits_work(
    open_topics: Callable[..., Topics[Any]], eventually: Eventually, limits: dict[str, Any]
) -> None:
    """The broker takes the extremes of what is allowed."""
    topics = open_topics(**limits)
    errors = values(topics.errors)
    await topics.confirmed()
    topics["a"].subscribe()
    await eventually(lambda: topics._engine.is_up or errors)
    assert errors == []


async def test_later_messages_do_not_prolong_a_wait(open_topics: Callable[..., Topics[Any]]) -> None:
    """Who waits for the broker's confirmation does not wait for what others publish meanwhile."""
    topics = open_topics()
    topics["a"].on_next("first")
    waiting = asyncio.ensure_future(topics.confirmed())
    later = 0
    while not waiting.done() and later < 20_000:
        topics["a"].on_next(later)  # one is on its way at any time
        later += 1
        await asyncio.sleep(0)
    assert waiting.done()


async def test_last_subscriber_unsubscribes_at_the_broker(
    broker: Broker, open_topics: Callable[..., Topics[Any]], eventually: Eventually
) -> None:
    """Nobody listens at the broker when the last subscriber has left."""
    topics = open_topics(url := broker.fresh())
    subscription = topics["a"].subscribe()
    topics["b"].latest().subscribe()
    seen = values(topics["b"])
    subscription.dispose()
    topics["b"].on_next(1)
    await eventually(lambda: seen == [1])
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{broker.monitor}/connz?subs=1") as answer,
    ):
        text = await answer.text()
    name = url.rpartition("/")[2]
    assert f"{name}.live.b" in text
    assert f"{name}.live.a" not in text


async def test_any_client_may_publish_and_listen(
    broker: Broker, open_topics: Callable[..., Topics[Any]], eventually: Eventually
) -> None:
    """Any program may publish and listen with a NATS client of its own."""
    topics = open_topics(url := broker.fresh())
    name = url.rpartition("/")[2]
    log = values(topics["a"])
    topics["a"].on_next({"from": "rxws"})
    await eventually(lambda: len(log) == 1)
    client = await nats.connect(broker.url)
    heard = await client.subscribe(f"{name}.live.a")
    await client.publish(f"{name}.in.a", b'{"from": "another"}')
    message = await heard.next_msg(5)
    await client.close()
    await eventually(lambda: log == [{"from": "rxws"}, {"from": "another"}])
    assert message.data == b'{"from": "another"}'


async def test_what_the_client_library_drops_is_read_again(
    broker: Broker, open_topics: Callable[..., Topics[Any]], eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "CLIENT_PENDING", 5)
    url = broker.fresh()
    reader, writer = (open_topics(url, max_messages=10_000) for _ in range(2))
    doubts = 0
    doubt = Seam.doubt

    def count(self: Any) -> None:
        nonlocal doubts
        doubts += 1
        doubt(self)

    monkeypatch.setattr(Seam, "doubt", count)
    live, history = values(reader["a"].messages), values(reader["*"].messages.history())
    await ready(reader, eventually)
    writer["a"].on_next(0)
    await eventually(lambda: live == history == [0])
    for number in range(1, 3000):
        writer["a"].on_next(number)
    await eventually(lambda: len(live) >= 3000 and len(history) >= 3000, timeout=20)
    assert live == history == [*range(3000)]
    assert doubts > 0


async def test_lost_messages_are_read_again(
    broker: Broker, open_topics: Callable[..., Topics[Any]], eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that is lost on the way is noticed and read again."""
    taken = 0
    take = follower.Follower._take

    def lossy(self: Any, stream: Any, message: Any) -> None:
        nonlocal taken
        taken += 1
        if taken % 7:
            take(self, stream, message)

    monkeypatch.setattr(follower.Follower, "_take", lossy)
    topics = open_topics()
    logs = [values(topics[name].messages) for name in ("a", "*")]
    for number in range(200):
        topics["a"].on_next(number)
        await asyncio.sleep(0.001)
    for number in range(200, 202):  # so that the last one to be lost has a successor
        await asyncio.sleep(0.1)
        topics["a"].on_next(number)
    await eventually(lambda: all(200 in log for log in logs))
    for log in logs:
        assert log[: log.index(200) + 1] == [*range(201)]


async def test_other_limits_of_the_stream_are_told_once(
    broker: Broker, open_topics: Callable[..., Topics[Any]], eventually: Eventually
) -> None:
    """A process that reads from a stream with other limits than its own is told once."""
    url = broker.fresh()
    first, second = open_topics(url, max_messages=5, max_age=60.0), open_topics(url, max_messages=6, max_age=60)
    await first.confirmed()
    publish(first["a"], range(10))
    await first.confirmed()
    errors: list[Exception] = []
    second.errors.subscribe(errors.append)
    logs = [values(second["a"].history()) for _ in range(2)]
    own = values(first.errors), values(first["a"].history())
    await eventually(lambda: own[1] == logs[0] == logs[1] == [*range(5, 10)])
    assert own[0] == []
    (error,) = errors
    name = url.rpartition("/")[2]
    limits = f"max_messages=5, max_bytes={64 * 1024 * 1024}, max_age=60.0"
    assert str(error) == f"the stream {name!r} has the limits of the program that made it: {limits}"


@pytest.mark.parametrize("last", [2, 5, 300, 999, 1000, 1001])
async def test_last_messages_are_found_by_a_few_requests(
    open_topics: Callable[..., Topics[Any]],
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
    last: int,
) -> None:
    """The last messages of a topic are found wherever they are among those of others, and just so many."""
    topics = open_topics(max_messages=10_000, max_buffered=10**9)
    publish(topics["dense"], range(1000))
    for number in range(3000):
        topics["other"].on_next(number)
        if number % 3 == 0:
            topics["sparse"].on_next(number // 3)
    await topics.confirmed()
    asked: list[str] = []
    ask_many = link.Link.ask_many

    async def count(self: Any, subject: str, *more: Any) -> Any:
        asked.append(subject)
        return await ask_many(self, subject, *more)

    monkeypatch.setattr(link.Link, "ask_many", count)
    for name in ("dense", "sparse"):
        topics[name].subscribe()
        await ready(topics, eventually)
        asked.clear()
        log = values(topics[name].history(last=last))
        await eventually(lambda log=log: log[-1:] == [999])
        assert log == [*range(1000)][-last:]
        assert len(asked) <= 12  # 9 as a rule


@pytest.mark.parametrize("more", [0, 200, 300, 3000])
async def test_last_messages_are_followed_by_all_others(
    open_topics: Callable[..., Topics[Any]], eventually: Eventually, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """What is published while the last messages are looked for follows them, however much it is."""
    topics = open_topics(max_messages=10_000, max_buffered=10**9)
    errors = values(topics.errors)
    publish(topics["a"], range(100))
    await topics.confirmed()
    last = Stream.last

    async def slowly(self: Any, pattern: str) -> int:
        number = await last(self, pattern)
        publish(topics["a"], range(100, 100 + more))
        await topics.confirmed()
        return number

    monkeypatch.setattr(Stream, "last", slowly)
    log = values(topics["a"].messages.history(last=3))
    await eventually(lambda: log[-1:] == [99 + more])
    assert log == [*range(97, 100 + more)]
    assert errors == []


async def test_lowered_limit_is_a_gap(
    broker: Broker, open_topics: Callable[..., Topics[Any]], eventually: Eventually
) -> None:
    """What goes because a limit was lowered meanwhile is a gap."""
    url = broker.fresh()
    topics = open_topics(url)
    topics["b"].on_next("stays, the oldest of all")
    publish(topics["a"], range(LIMIT))
    known = (await positions(topics, "a", LIMIT))[1]
    name = url.rpartition("/")[2]
    client = await nats.connect(broker.url)
    await client.jetstream().update_stream(
        (await client.jetstream().stream_info(name)).config.evolve(max_msgs_per_subject=5)
    )
    await client.close()
    log = values(topics["a"].messages.history(since=known))
    await eventually(lambda: log == ["gap", *range(LIMIT - 5, LIMIT)])


async def test_pattern_of_too_many_topics_is_a_gap(
    broker: Broker, open_topics: Callable[..., Topics[Any]], eventually: Eventually
) -> None:
    """A pattern of more topics than the server tells at a time is a gap, in case."""
    url = broker.fresh()
    name = url.rpartition("/")[2]
    topics = open_topics(url, max_messages=2)
    topics["first"].on_next(0)
    await topics.confirmed()
    client = await nats.connect(broker.url)
    for number in range(100_000):
        await client.publish(f"{name}.in.a.{number}", b"1")
        if number % 1000 == 999:
            await client.request(f"{name}.in.a.{number}", b"1")  # the server drops those that it cannot keep up with
    await client.close()
    publish(topics["zz.a"], [0])
    (known,) = await positions(topics, "zz.a", 1)
    publish(topics["zz.a"], [1, 2, 3])
    await topics.confirmed()
    log = values(topics[">"].messages.history(since=known))
    await eventually(lambda: log[-1:] == [3], timeout=20)
    assert log == ["gap", 2, 3]


async def test_a_stream_that_does_not_do_is_reported_clearly(
    broker: Broker, open_topics: Callable[..., Topics[Any]], eventually: Eventually
) -> None:
    client = await nats.connect(broker.url)
    await client.jetstream().add_stream(name="foreign", subjects=["foreign.in.>"])
    await client.close()
    topics = open_topics(f"{broker.url}/foreign")
    errors: list[Exception] = []
    topics.errors.subscribe(errors.append)
    topics["a"].subscribe()
    await eventually(lambda: errors)
    assert "the stream 'foreign' has republish None: topics need {'src': 'foreign.in.>'" in str(errors[0])


@pytest.mark.parametrize("steps", range(1, 6))
async def test_cancelled_closing_of_a_link_leaves_no_task(broker: Broker, steps: int) -> None:
    """Closing a connection leaves no task, even if it is cancelled."""
    connection = link.Link()
    await connection.open([broker.url])
    await connection.subscribe("a", print)
    closing = asyncio.create_task(connection.close())
    for _ in range(steps):
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing})
    assert connection.client.is_closed


async def test_server_without_jetstream_is_reported(
    tmp_path: Path, open_topics: Callable[..., Topics[Any]], eventually: Eventually
) -> None:
    """A server without JetStream is reported clearly."""
    with Broker(tmp_path, jetstream=False) as plain:
        topics = open_topics(plain.url)
        errors: list[Exception] = []
        topics.errors.subscribe(errors.append)
        topics["a"].subscribe()
        await eventually(lambda: errors)
        assert "the NATS server has no JetStream: start it with -js" in str(errors[0])
        await topics.close()
