"""Three real NATS servers that are one cluster, with streams of three replicas."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from pathlib import Path
from typing import Any, Self

import aiohttp
import nats
from nats.errors import Error

from tests.integration.broker import Broker

SIZE = 3
_names = itertools.count()


class Cluster:
    """The servers, of which any can be stopped, killed, hung, and started again."""

    def __init__(self, directory: Path) -> None:
        probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(SIZE)]
        ports = [probe.getsockname()[1] for probe in probes]
        routes = ", ".join(f"'nats://127.0.0.1:{port}'" for port in ports)
        self.brokers: list[Broker] = []
        for number, (probe, port) in enumerate(zip(probes, ports, strict=True)):
            (directory / str(number)).mkdir()
            more = (
                f"server_name: s{number}\n"
                f"cluster {{ name: c, listen: '127.0.0.1:{port}', routes: [{routes}] }}\n"
                'accounts { $SYS { users: [{ user: "sys", password: "sys" }] }, A { jetstream: enabled, '
                'users: [{ user: "a", password: "a" }, { user: "reader", password: "reader" }] } }\nno_auth_user: a'
            )
            self.brokers.append(Broker(directory / str(number), more=more))
            probe.close()

    def fresh(self) -> str:
        """A URL of all of them, with a stream of its own."""
        return ",".join(self.urls) + f"/test{next(_names)}"

    @property
    def urls(self) -> list[str]:
        return [broker.url for broker in self.brokers]

    async def start(self) -> None:
        """Start all, and wait until they take streams."""
        await asyncio.gather(*(asyncio.to_thread(broker.start) for broker in self.brokers))
        config = {"name": "probe", "subjects": ["probe"], "num_replicas": SIZE, "storage": "memory"}
        await self.ask("$JS.API.STREAM.CREATE.probe", config)
        await self.ask("$JS.API.STREAM.DELETE.probe")

    def stop(self) -> None:
        for broker in self.brokers:
            broker.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *because: object) -> None:
        self.stop()

    async def ask(self, subject: str, question: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the JetStream API until it answers without an error."""
        async with asyncio.timeout(120):
            while True:
                try:
                    client = await nats.connect(self.urls, allow_reconnect=False, error_cb=_ignore)
                    try:
                        answer = await client.request(subject, json.dumps(question or {}).encode(), timeout=3)
                    finally:
                        await client.close()
                    content = json.loads(answer.data)
                    if "error" not in content:
                        return content
                except (Error, OSError, TimeoutError):
                    pass
                await asyncio.sleep(0.1)

    async def leader(self, stream: str = "rxws") -> Broker:
        """The server that leads a stream."""
        while True:
            info = await self.ask(f"$JS.API.STREAM.INFO.{stream}")
            if name := info["cluster"].get("leader"):
                return self.brokers[int(name[1:])]

    async def requests(self, user: str) -> int:
        """How many messages clients of one user have sent to the servers until now."""
        total = 0
        async with aiohttp.ClientSession() as session:
            for broker in self.brokers:
                async with session.get(
                    f"http://127.0.0.1:{broker.monitor}/connz?auth=true&user={user}&state=any&limit=10000"
                ) as answer:
                    total += sum(one["in_msgs"] for one in (await answer.json())["connections"])
        return total


async def _ignore(error: Exception) -> None:
    """Take an error that `ask` sees, too."""
