"""Topics over a cluster of three NATS servers, with a stream of three replicas."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.errors import Error
from reactivex import operators as ops

from rxws.topics import Gap, Topics
from rxws.topics.engines.engine import Limits
from rxws.topics.engines.nats import engine
from rxws.topics.engines.nats.stream import Stream, _config
from tests.integration.broker import Broker
from tests.topics.engines.contract import values

Eventually = Callable[..., Any]
Open = Callable[..., Topics[Any]]


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[list[str]]:
    """The URLs of all three, once they have made the stream."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [probe.getsockname()[1] for probe in probes]
    routes = ", ".join(f"'nats://127.0.0.1:{port}'" for port in ports)
    brokers: list[Broker] = []
    for number, (probe, port) in enumerate(zip(probes, ports, strict=True)):
        (tmp_path / str(number)).mkdir()
        cluster = f"cluster {{ name: c, listen: '127.0.0.1:{port}', routes: [{routes}] }}"
        brokers.append(Broker(tmp_path / str(number), more=f"server_name: s{number}\n{cluster}"))
        probe.close()
    try:
        for broker in brokers:
            await asyncio.to_thread(broker.start)
        await make_stream(brokers[0].url)
        yield [broker.url for broker in brokers]
    finally:
        for broker in brokers:
            broker.stop()
        shutil.rmtree(tmp_path)


async def make_stream(url: str) -> None:
    client = await nats.connect(url)
    config = {**_config("rxws", Limits(10_000, 64_000_000, None)), "num_replicas": 3}
    async with asyncio.timeout(30):
        while True:
            try:
                answer = await client.request("$JS.API.STREAM.CREATE.rxws", json.dumps(config).encode(), timeout=1)
                if "error" not in json.loads(answer.data):
                    break
            except Error:
                await asyncio.sleep(0.1)
    await client.close()


async def test_lagging_replica_makes_no_silent_hole(
    servers: list[str], open_topics: Open, eventually: Eventually
) -> None:
    """A replica that lags behind makes no silent hole.

    A reader that comes back just when a message was heard reads it, too, whichever replica answers.
    """
    publisher, *readers = (open_topics(url, max_messages=10_000) for url in (servers[0], *servers))
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
    servers: list[str], open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LAGS", 3)
    topics = open_topics(servers[0])
    after = Stream.after

    async def stuck(self: Any, pattern: str, number: int, count: int = 256) -> Any:
        records, _ = await after(self, pattern, number, count)
        return [record for record in records if int(record.data) < 2], 0

    for number in range(4):
        topics["a"].on_next(number)
    await topics.confirmed()
    with monkeypatch.context() as lag:
        lag.setattr(Stream, "after", stuck)
        log = values(topics["a"].messages.history())
        await eventually(lambda: log == [0, 1, "gap"])
    topics["a"].on_next(4)
    await eventually(lambda: log[-1] == 4)
