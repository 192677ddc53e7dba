"""What a cluster of three goes through under 300 messages a second: nothing is lost or doubled.

The short faults run with all other tests, all twelve by `make cluster-test`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import nats
import nats.js.errors
import pytest

from rxws.topics import Topics, TopicsError, Unpublished
from rxws.topics.engines.nats import stream
from tests.integration.broker import Broker
from tests.integration.cluster import Cluster
from tests.topics.engines.contract import ready, values

Eventually = Callable[..., Any]
Open = Callable[..., Topics[Any]]
Fault = Callable[[Cluster, Topics[Any]], Awaitable[None]]

RATE = 300


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path) as cluster:
        yield cluster


async def back(*brokers: Broker, away: float) -> None:
    """Start servers again after some seconds."""
    await asyncio.sleep(away)
    await asyncio.gather(*(asyncio.to_thread(broker.start) for broker in brokers))


def server_of(cluster: Cluster, topics: Topics[Any]) -> Broker:
    """The server that topics are connected to."""
    port = topics._engine._stream.link.client.connected_url.port
    return next(broker for broker in cluster.brokers if broker.port == port)


async def hang(broker: Broker, seconds: float) -> None:
    broker.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    broker.process.send_signal(signal.SIGCONT)


async def leader_steps_down(cluster: Cluster, publisher: Topics[Any]) -> None:
    await cluster.ask("$JS.API.STREAM.LEADER.STEPDOWN.rxws")


async def leader_steps_down_again_and_again(cluster: Cluster, publisher: Topics[Any]) -> None:
    for _ in range(8):
        await cluster.ask("$JS.API.STREAM.LEADER.STEPDOWN.rxws")
        await asyncio.sleep(1)


async def leader_is_killed(cluster: Cluster, publisher: Topics[Any]) -> None:
    leader = await cluster.leader()
    leader.stop()
    await back(leader, away=2)


async def leader_is_stopped(cluster: Cluster, publisher: Topics[Any]) -> None:
    leader = await cluster.leader()
    await asyncio.to_thread(leader.stop, signal.SIGTERM)
    await back(leader, away=8)


async def leader_hangs(cluster: Cluster, publisher: Topics[Any]) -> None:
    await hang(await cluster.leader(), 12)


async def follower_is_killed(cluster: Cluster, publisher: Topics[Any]) -> None:
    leader = await cluster.leader()
    follower = next(broker for broker in cluster.brokers if broker is not leader)
    follower.stop()
    await back(follower, away=5)


async def server_of_the_publisher_is_killed(cluster: Cluster, publisher: Topics[Any]) -> None:
    server = server_of(cluster, publisher)
    server.stop()
    await back(server, away=5)


async def server_of_the_publisher_hangs(cluster: Cluster, publisher: Topics[Any]) -> None:
    await hang(server_of(cluster, publisher), 12)


async def all_restart_in_turn(cluster: Cluster, publisher: Topics[Any]) -> None:
    for broker in cluster.brokers:
        await asyncio.to_thread(broker.stop, signal.SIGTERM)
        await back(broker, away=1)
        await cluster.leader()
        await asyncio.sleep(3)


async def two_are_killed(cluster: Cluster, publisher: Topics[Any]) -> None:
    for broker in cluster.brokers[:2]:
        broker.stop()
    await back(*cluster.brokers[:2], away=12)


async def all_are_killed(cluster: Cluster, publisher: Topics[Any]) -> None:
    for broker in cluster.brokers:
        broker.stop()
    await back(*cluster.brokers, away=5)


async def killed_in_turn(cluster: Cluster, publisher: Topics[Any]) -> None:
    for broker in cluster.brokers:
        broker.stop()
        await back(broker, away=1)
        await cluster.leader()
        await asyncio.sleep(2)


SHORT: list[Fault] = [leader_steps_down, leader_is_killed]
LONG: list[Fault] = [
    leader_steps_down_again_and_again,
    leader_is_stopped,
    leader_hangs,
    follower_is_killed,
    server_of_the_publisher_is_killed,
    server_of_the_publisher_hangs,
    all_restart_in_turn,
    two_are_killed,
    all_are_killed,
    killed_in_turn,
]


@pytest.mark.parametrize(
    "fault",
    [*SHORT, *(pytest.param(fault, marks=pytest.mark.cluster) for fault in LONG)],
    ids=lambda fault: fault.__name__,
)
async def test_cluster_loses_and_doubles_nothing(
    cluster: Cluster, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """All messages come, once, to live and to late subscribers, and in order, or else the publisher was told.

    Each reason is told once.
    """
    config = stream._config
    monkeypatch.setattr(stream, "_config", lambda name, limits: {**config(name, limits), "num_replicas": 3})
    url, limits = ",".join(cluster.urls), {"max_messages": 100_000, "max_buffered": 10**8}
    publisher, subscriber, other = (open_topics(url, **limits) for _ in range(3))
    publisher_errors: list[Exception] = []
    subscriber_errors: list[Exception] = []
    publisher.errors.subscribe(publisher_errors.append)
    subscriber.errors.subscribe(subscriber_errors.append)
    live, pattern = values(subscriber["a"].messages), values(other["*"].messages)
    await asyncio.gather(ready(subscriber, eventually), ready(other, eventually))
    loop = asyncio.get_running_loop()
    count = 0

    async def publish() -> None:
        nonlocal count
        began = loop.time()
        while True:
            while count < (loop.time() - began) * RATE:
                publisher["a"].on_next(count)
                count += 1
            await asyncio.sleep(0.003)

    publishing = asyncio.ensure_future(publish())
    await asyncio.sleep(1)
    history = values(subscriber["a"].messages.history())
    await eventually(lambda: history, timeout=60)
    await fault(cluster, publisher)
    late = values(subscriber["a"].messages.history())
    await asyncio.sleep(1)
    publishing.cancel()
    async with asyncio.timeout(60):
        await publisher.confirmed()
    logs = [live, pattern, history, late]
    await eventually(lambda: all(len(log) >= count for log in logs), timeout=60)
    published = [*range(count)]
    assert [sorted(log) for log in logs] == [published] * 4
    assert [error for error in publisher_errors if isinstance(error, Unpublished)] == []
    if not any("out of order" in str(error) for error in publisher_errors):
        assert logs == [published] * 4
    for errors in (publisher_errors, subscriber_errors):
        told = [str(error) for error in errors]
        assert len(told) == len({*told}) <= 8
        assert all(isinstance(error, TopicsError) for error in errors)


@pytest.mark.cluster
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_leaders_death_costs_what_an_election_takes(
    cluster: Cluster, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    """Topics are silent for no longer than a plain client of NATS that tries to publish ten times a second, but 2 s."""
    config = stream._config
    monkeypatch.setattr(stream, "_config", lambda name, limits: {**config(name, limits), "num_replicas": 3})
    publisher, subscriber = (open_topics(",".join(cluster.urls)) for _ in range(2))
    loop = asyncio.get_running_loop()
    heard: list[float] = []
    plain: list[float] = []
    subscriber["a"].subscribe(lambda value: heard.append(loop.time()))
    await ready(subscriber, eventually)

    async def publish() -> None:
        while True:
            publisher["a"].on_next(1)
            await asyncio.sleep(0.01)

    async def publish_plainly() -> None:
        client = await nats.connect(
            cluster.urls, max_reconnect_attempts=-1, reconnect_time_wait=0, connect_timeout=2, error_cb=ignore
        )
        try:
            while True:
                with contextlib.suppress(nats.errors.Error, nats.js.errors.Error, TimeoutError):
                    await client.jetstream().publish("rxws.in.plain", b"1", timeout=0.5)
                    plain.append(loop.time())
                await asyncio.sleep(0.1)
        finally:
            await client.close()

    tasks = [asyncio.ensure_future(publish()), asyncio.ensure_future(publish_plainly())]
    await eventually(lambda: heard and plain)
    leader = await cluster.leader()
    await asyncio.to_thread(leader.stop, how)
    died = loop.time()
    await eventually(lambda: max(heard) > died + 1 and max(plain) > died + 1, timeout=30)
    await asyncio.sleep(1)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    silences = [max(after - before for before, after in pairwise(times)) for times in (heard, plain)]
    print(f"silent for {silences[0]:.1f} s, a plain client {silences[1]:.1f} s")
    assert silences[0] < silences[1] + 2


async def ignore(error: Exception) -> None:
    """Take an error of a client that tries again."""
