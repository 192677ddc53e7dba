"""Processes that share an engine: here all are in this one, and time does not pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import rxws
from rxws.core.wire import Binary, Text
from rxws.topics import Topics
from rxws.topics.engines.engine import Following, Limits, Reader
from rxws.topics.engines.memory import MemoryEngine
from rxws.topics.presence.register import TTL, Register


class Broker(MemoryEngine):
    """An engine that several processes share."""

    def __init__(self) -> None:
        self.now = asyncio.get_running_loop().time
        super().__init__(Limits(1, 1_000_000, TTL), clock=self.now)
        self.published: list[tuple[str, bytes]] = []

    def publish(self, topic: str, frame: Text | Binary) -> None:
        self.published.append((topic, frame.data))
        super().publish(topic, frame)

    def silent(self, seconds: float = TTL + 1) -> Any:
        return asyncio.sleep(seconds)


class Line(Broker):
    """One process's way to it, which may be cut: then it hears nothing, and what it says is lost."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.up = True
        self.cut = False
        self.starts = 0
        self.closes = 0

    @property
    def is_up(self) -> bool:
        return self.up

    def start(self, report: Any) -> None:
        self.starts += 1
        self.report = report

    async def close(self) -> None:
        self.closes += 1

    def publish(self, topic: str, frame: Text | Binary) -> None:
        if not self.cut:
            self.broker.publish(topic, frame)

    def follow(self, following: Following) -> None:
        take = following.take
        following.take = lambda item: None if self.cut else take(item)  # type: ignore[method-assign]
        self.broker._patterns[following] = lambda topic: topic.rpartition(".")[0] == following.pattern[:-2]

    def unfollow(self, following: Following) -> None:
        self.broker.unfollow(following)

    def read(self, pattern: str, start: Any, reader: Reader) -> Any:
        return self.broker.read(pattern, start, reader)


@asynccontextmanager
async def processes(number: int) -> AsyncIterator[tuple[Any, ...]]:
    broker = Broker()
    lines = [Line(broker) for _ in range(number)]
    opened = [Topics[Any](MemoryEngine(Limits(1, 1000, None)), Register(line), rxws.json) for line in lines]
    for topics in opened:
        await topics.__aenter__()
    yield broker, lines, opened
    for topics in opened:
        await topics.close()
