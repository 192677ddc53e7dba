"""Topics over a cluster of three NATS servers, with a stream of three replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from reactivex import operators as ops

from rxws.topics import Gap, Topics
from rxws.topics.engines.nats import reading, stream
from rxws.topics.engines.nats.stream import Batch, Stream
from tests.integration.cluster import Cluster
from tests.topics.engines.contract import LIMIT, Contract, values
from tests.topics.presence.contract import PresenceContract

Eventually = Callable[..., Any]
Open = Callable[..., Topics[Any]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three servers, for the tests of this module."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    with ThreadPoolExecutor() as threads:
        threads.submit(asyncio.run, cluster.start()).result()
    yield cluster
    cluster.stop()


@pytest.fixture(autouse=True)
def three_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make streams of three replicas, as an operator does."""
    config = stream._config
    monkeypatch.setattr(stream, "_config", lambda name, limits: {**config(name, limits), "num_replicas": 3})


@pytest.fixture
def open_topics(cluster: Cluster, open_topics: Open) -> Open:
    return lambda url=None, **options: open_topics(url or cluster.fresh(), **options)


@pytest.fixture
def topics(open_topics: Open) -> Topics[Any]:
    return open_topics(max_messages=LIMIT)


class TestContract(Contract):
    """What every engine promises, with replicas of which any answers."""


class TestPresence(PresenceContract):
    """The same for presence, whose stream has three replicas too."""


async def test_lagging_replica_makes_no_silent_hole(
    cluster: Cluster, open_topics: Open, eventually: Eventually
) -> None:
    """A replica that lags behind makes no silent hole.

    A reader that comes back just when a message was heard reads it, too, whichever replica answers.
    """
    name = cluster.fresh().rpartition("/")[2]
    publisher, *readers = (
        open_topics(f"{url}/{name}", max_messages=10_000) for url in (cluster.urls[0], *cluster.urls)
    )
    histories: list[tuple[int, list[Any]]] = []
    logs: list[list[int]] = [[] for _ in readers]

    def follow(reader: Topics[Any], log: list[int]) -> None:
        known: str | None = None

        def take(message: Any) -> None:
            nonlocal known
            log.append(message.value)
            if known is not None:
                got: list[Any] = []
                histories.append((message.value, got))
                reader["a"].messages.history(since=known).pipe(ops.take(1)).subscribe(got.append)
            known = message.position

        reader["a"].messages.subscribe(take)

    for reader, log in zip(readers, logs, strict=True):
        follow(reader, log)
    ready = [values(reader["ready"]) for reader in readers]
    while not all(ready):
        publisher["ready"].on_next(1)
        await asyncio.sleep(0.05)
    for number in range(300):
        publisher["a"].on_next(number)
        await asyncio.sleep(0.01)
    await eventually(lambda: all(log[-1:] == [299] for log in logs), timeout=15)
    await eventually(lambda: all(got for _, got in histories), timeout=15)
    assert len(histories) == 3 * 299
    wrong = [number for number, (first, *_) in histories if not isinstance(first, Gap) and first.value != number]
    assert wrong == []


async def test_a_replica_that_does_not_catch_up_is_a_gap(
    open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PATIENCE", 0.1)
    topics = open_topics()
    after = Stream.after

    async def stuck(self: Any, pattern: str, number: int, count: int = 256) -> Any:
        batch = await after(self, pattern, number, count)
        records = [record for record in batch.records if int(record.data) < 2]
        return Batch(records, 0, records[-1].position.number if records else number)

    for number in range(4):
        topics["a"].on_next(number)
    await topics.confirmed()
    with monkeypatch.context() as lag:
        lag.setattr(Stream, "after", stuck)
        log = values(topics["a"].messages.history())
        await eventually(lambda: log == [0, 1, "gap"])
    topics["a"].on_next(4)
    await eventually(lambda: log[-1] == 4)
    assert log == [0, 1, "gap", 4]


async def test_busy_topic_costs_a_reader_a_few_requests(
    cluster: Cluster, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the leader has is asked for once: readers of a topic of 300 messages a second do not run after it.

    Nor does one that has lost its connection. A replica that lags behind under load is asked again a few times only.
    """
    monkeypatch.setattr(reading, "LAG", 3.0)
    monkeypatch.setattr(reading, "PATIENCE", 20.0)
    url = cluster.fresh()
    publisher = open_topics(url)
    readers = [open_topics(url.replace("//", "//reader:reader@")) for _ in range(10)]
    published = 0

    async def publish() -> None:
        nonlocal published
        began = asyncio.get_running_loop().time()
        while True:
            while published < (asyncio.get_running_loop().time() - began) * 300:
                publisher["a"].on_next(published)
                published += 1
            await asyncio.sleep(0.005)

    publisher["warm"].on_next(1)
    await publisher.confirmed()
    publishing = asyncio.ensure_future(publish())
    try:
        await asyncio.sleep(1)
        begun = published
        logs = [values(reader["a"].messages.history(last=5)) for reader in readers]
        await eventually(lambda: all(log[-1:] > [begun] for log in logs), timeout=60)
        assert 10 <= await cluster.requests("reader") <= 10 * 6
        await asyncio.sleep(1)
        assert await cluster.requests("reader") <= 10 * 6
        for reader in readers[:5]:
            reader._engine._stream.link.lost.set()
        await asyncio.sleep(2)
    finally:
        publishing.cancel()
    await eventually(lambda: all(log[-1:] == [published - 1] for log in logs), timeout=60)
    assert await cluster.requests("reader") <= 10 * 6 + 5 * 10
    assert [log for log in logs if log != [*range(log[0], published)]] == []
