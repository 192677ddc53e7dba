"""Presence over a real NATS server: the contract of all engines, and what happens when things break."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
import pytest

from rxws.backoff import Backoff
from rxws.topics import Topics, from_url
from rxws.topics.engines.nats import engine, link
from rxws.topics.presence import register
from tests.integration.broker import Broker
from tests.integration.proxy import Fault, proxying
from tests.topics.presence.contract import PresenceContract, changes

Eventually = Callable[..., Any]
Open = Callable[..., Topics[Any]]
TTL = 1.5
"""Seconds, in place of ten."""


@pytest.fixture
def topics(broker: Broker, open_topics: Open) -> Topics[Any]:
    return open_topics(broker.fresh())


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presence that ends, and connections that come back, a little sooner."""
    for module in (register, from_url):
        monkeypatch.setattr(module, "TTL", TTL)
    monkeypatch.setattr(engine, "RECONNECT_BACKOFF", Backoff(initial=0.1, maximum=0.3))


class TestContract(PresenceContract):
    """What every engine promises."""


async def test_members_of_all_processes_are_seen_in_all(
    broker: Broker, open_topics: Open, eventually: Eventually
) -> None:
    url = broker.fresh()
    one, two, three = (open_topics(url) for _ in range(3))
    early = changes(one["a"].presence)
    await eventually(lambda: early == [":"])
    ada = two["a"].presence.joining("ada").subscribe()
    await eventually(lambda: early[1:] == ["+ada:ada"])
    three["a"].presence.joining("ada").subscribe()
    bob = changes(three["a"].presence.joining("bob"))
    await eventually(lambda: early[2:] == ["+bob:ada,bob"] and bob)
    assert bob == [":ada,bob"]
    ada.dispose()
    late = changes(open_topics(url)["a"].presence)
    await eventually(lambda: late)
    await three.close()
    await eventually(lambda: early[-1].endswith(":") and late[-1].endswith(":"))
    assert late[0] == ":ada,bob"


CHILD = f"""
import asyncio, sys
import rxws, rxws.topics.from_url, rxws.topics.presence.register
rxws.topics.from_url.TTL = rxws.topics.presence.register.TTL = {TTL}

async def main():
    async with rxws.topics(sys.argv[1]) as topics:
        topics["a"].presence.joining("ada", {{"pid": 1}}).subscribe(lambda present: print(*present.members, flush=True))
        topics["a"].presence.joining("bob").subscribe()
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.usefixtures("short")
async def test_killed_process_loses_its_members(broker: Broker, open_topics: Open, eventually: Eventually) -> None:
    """The members of a process that is killed have left in time."""
    topics = open_topics(url := broker.fresh())
    with subprocess.Popen([sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE) as process:
        log = changes(topics["a"].presence.joining("bob"))
        await eventually(lambda: log[-1:] and log[-1].endswith(":ada,bob"), timeout=20)
        process.kill()
        killed = asyncio.get_running_loop().time()
        await eventually(lambda: log[-1] == "-ada:bob", timeout=20)
        took = asyncio.get_running_loop().time() - killed
    assert took < TTL + 3  # on a busy machine; the figure itself is tested in virtual time


@pytest.mark.usefixtures("short")
async def test_killed_broker_makes_nobody_leave(tmp_path: Path, open_topics: Open, eventually: Eventually) -> None:
    """A broker that is away for the time after which the silent have left makes nobody leave."""
    with Broker(tmp_path) as broker:
        one, two, three = (open_topics(broker.url) for _ in range(3))
        logs = [changes(topics["a"].presence.joining(name)) for topics, name in ((one, "ada"), (two, "bob"))]
        await eventually(lambda: all(log[-1:] and log[-1].endswith(":ada,bob") for log in logs))
        before = [len(log) for log in logs]
        await broker.restart(away=TTL)
        three["a"].presence.joining("cleo").subscribe()
        await eventually(lambda: all(log[-1] == "+cleo:ada,bob,cleo" for log in logs), timeout=15)
        await asyncio.sleep(TTL)
        assert [len(log) for log in logs] == [number + 1 for number in before]
        await asyncio.gather(*(topics.close() for topics in (one, two, three)))


@pytest.mark.usefixtures("short")
async def test_short_partition_makes_nobody_leave(
    broker: Broker, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition that is shorter than that time makes nobody leave."""
    monkeypatch.setattr(link, "PING_INTERVAL", 0.1)
    url = broker.fresh()
    async with proxying(broker.port) as proxy:
        proxy.faults += [None, Fault("half_open", after=9_000, side="down")]  # the second one is that of presence
        near = open_topics(url)
        far = open_topics(url.replace(str(broker.port), str(proxy.port)))
        await far.confirmed()
        logs = [changes(near["a"].presence.joining("ada")), changes(far["a"].presence.joining("bob"))]
        await eventually(lambda: all(log[-1:] and log[-1].endswith(":ada,bob") for log in logs))
        before = [len(log) for log in logs]
        await eventually(lambda: proxy.connections == 3, timeout=15)
        far["a"].presence.joining("cleo").subscribe()
        await eventually(lambda: all(log[-1] == "+cleo:ada,bob,cleo" for log in logs), timeout=15)
        assert [len(log) for log in logs] == [number + 1 for number in before]
        await far.close()


async def test_presence_stream_made_anew_is_noticed(broker: Broker, open_topics: Open, eventually: Eventually) -> None:
    """A stream of presence that is made anew is noticed by all."""
    url = broker.fresh()
    one, two = open_topics(url), open_topics(url)
    seen = changes(one["a"].presence)
    await eventually(lambda: seen == [":"])
    for _ in range(5):
        ada = two["a"].presence.joining("ada").subscribe()
        await eventually(lambda: seen[-1] == "+ada:ada")
        ada.dispose()
        await eventually(lambda: seen[-1] == "-ada:")
    client = await nats.connect(broker.url)
    await client.request(f"$JS.API.STREAM.DELETE.{url.rpartition('/')[2]}-presence", b"")
    await client.close()
    two["a"].presence.joining("bob").subscribe()
    await eventually(lambda: seen[-1] == "+bob:bob")
