"""A client that moves in mid-stream between two processes, one of which is killed: it misses nothing, or is told."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

import rxws
from tests.integration.broker import Broker
from tests.integration.test_topics_faults import publish

Eventually = Callable[..., Any]
OPTIONS = {"max_bytes": 4_000_000, "max_messages": 10_000}


class Station:
    """A process of its own."""

    def __init__(self, url: str, **options: Any) -> None:
        arguments = [url, json.dumps({**OPTIONS, **options})]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.station", *arguments], stdout=subprocess.PIPE, text=True
        )

    async def url(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.to_thread(self.process.stdout.readline)).strip()

    def kill(self) -> None:
        with self.process:
            self.process.kill()


class Client:
    """One that comes back, where `there` says, with the position of the last message that it has."""

    def __init__(self, there: str) -> None:
        self.there = there
        self.position = ""
        self.received: list[Any] = []

    def url(self) -> URL:
        return URL(self.there).update_query(since=self.position) if self.position else URL(self.there)

    def take(self, message: list[Any]) -> None:
        self.received.append(message[0])
        self.position = message[-1] if len(message) > 1 else self.position


@pytest.fixture
async def stations(tmp_path: Path) -> AsyncIterator[Callable[..., Station]]:
    broker = Broker(tmp_path)
    broker.start()
    running: list[Station] = []

    def start(**options: Any) -> Station:
        running.append(Station(broker.url, **options))
        return running[-1]

    start.broker = broker  # type: ignore[attr-defined]
    yield start
    for station in running:
        station.kill()
    broker.stop()


async def test_client_of_a_killed_process_misses_nothing(stations: Any, eventually: Eventually) -> None:
    """A client whose process is killed goes on at another one, and misses nothing."""
    one, two = stations(), stations()
    first, second = await one.url(), await two.url()
    client = Client(first)
    async with rxws.topics(stations.broker.url, **OPTIONS) as topics:
        backoff = rxws.Backoff(initial=0.1, maximum=0.1)
        async with rxws.connect(client.url, codec=rxws.json, reconnect=backoff) as socket:
            socket.incoming.subscribe(client.take)
            publishing = asyncio.ensure_future(publish(topics["a"], range(600), 300))
            await eventually(lambda: len(client.received) > 100)
            client.there = second
            one.kill()
            await publishing
            await eventually(lambda: client.received[-1:] == [599])
    assert client.received == [*range(600)]


async def test_client_that_was_away_too_long_is_told(stations: Any, eventually: Eventually) -> None:
    """A client that was away for too long is told so by the other process."""
    options = {"max_messages": 50}
    one, two = stations(**options), stations(**options)
    first, second = await one.url(), await two.url()
    client = Client(first)
    async with rxws.topics(stations.broker.url, **{**OPTIONS, **options}) as topics:
        backoff = rxws.Backoff(initial=1.0, maximum=1.0, jitter=lambda ceiling: ceiling)
        async with rxws.connect(client.url, codec=rxws.json, reconnect=backoff) as socket:
            socket.incoming.subscribe(client.take)
            await publish(topics["a"], range(100), 1000)
            await eventually(lambda: client.received[-1:] == [99])
            one.kill()
            await publish(topics["a"], range(100, 300), 1000)
            await topics.confirmed()
            client.there = second
            await eventually(lambda: client.received[-1:] == [299])
    assert client.received == [*range(client.received[0], 100), "gap", *range(250, 300)]
