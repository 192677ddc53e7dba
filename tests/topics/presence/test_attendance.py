"""One topic's presence between processes, over an engine that they share."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from rxws.core.wire import Text
from rxws.testing import virtual_time
from rxws.topics import Gap, Present, Unpublished
from rxws.topics.engines.engine import Since
from rxws.topics.presence.attendance import BEATS
from rxws.topics.presence.register import TTL
from tests.streams import watch
from tests.topics.presence.contract import changes
from tests.topics.presence.processes import processes


@virtual_time
async def test_members_of_all_processes_are_seen_in_all() -> None:
    async with processes(3) as (_, _, (one, two, three)):
        early = changes(two["a"].presence)
        ada = one["a"].presence.joining("ada", 1).subscribe()
        bob = watch(bob=two["a"].presence.joining("bob"))
        late = changes(three["a"].presence)
        ada.dispose()
        assert early == [":", "+ada:ada", "+bob:ada,bob", "-ada:bob"]
        assert bob[0] == ("bob", Present({"ada": 1, "bob": None}))
        assert late == [":ada,bob", "-ada:bob"]
        await asyncio.sleep(TTL * 3)
        assert late == [":ada,bob", "-ada:bob"]


@virtual_time
async def test_newest_metadata_count_everywhere() -> None:
    """A name that is in two processes is one member, and the newest metadata count everywhere."""
    async with processes(3) as (_, _, (one, two, three)):
        log = watch(a=three["a"].presence)
        old = one["a"].presence.joining("ada", "old").subscribe()
        time.sleep(0.001)
        new = two["a"].presence.joining("ada", "new").subscribe()
        seen = [watch(a=topics["a"].presence) for topics in (one, two)]
        assert seen == [[("a", Present({"ada": "new"}))]] * 2
        new.dispose()
        old.dispose()
        assert [present for _, present in log] == [
            Present({}),
            Present({"ada": "old"}, joined={"ada": "old"}),
            Present({"ada": "new"}),
            Present({"ada": "old"}),
            Present({}, left={"ada": "old"}),
        ]


@virtual_time
async def test_silent_process_loses_its_members() -> None:
    """The members of a process that fell silent have left in time, and come back with it."""
    async with processes(2) as (broker, lines, (one, two)):
        here, there = changes(one["a"].presence.joining("ada")), changes(two["a"].presence.joining("bob"))
        await asyncio.sleep(TTL * 2)
        assert (here, there) == ([":ada", "+bob:ada,bob"], [":ada,bob"])
        lines[1].cut = True
        await asyncio.sleep(TTL * (BEATS - 1) / BEATS - 0.1)
        assert here == [":ada", "+bob:ada,bob"]
        await asyncio.sleep(TTL / BEATS + 0.1)
        assert here[2:] == ["-bob:ada"]
        await asyncio.sleep(TTL * 5)
        assert there == [":ada,bob"]  # who hears nothing, not even himself, judges nobody
        lines[1].cut = False
        await asyncio.sleep(TTL)
        assert (here[3:], there) == (["+bob:ada,bob"], [":ada,bob"])


@virtual_time
async def test_nobody_leaves_while_the_broker_is_away() -> None:
    """While the broker is away, nobody leaves and nothing piles up."""
    async with processes(2) as (broker, lines, (one, two)):
        logs = [changes(one["a"].presence.joining("ada")), changes(two["a"].presence.joining("bob"))]
        await asyncio.sleep(TTL)
        for line in lines:
            line.up = False
        before = len(broker.published)
        await asyncio.sleep(TTL * 5)
        cleo = two["a"].presence.joining("cleo").subscribe()
        assert len(broker.published) == before
        assert (logs[0][2:], logs[1][1:]) == ([], ["+cleo:ada,bob,cleo"])
        for line in lines:
            line.up = True
        await asyncio.sleep(TTL)
        assert (logs[0][2:], logs[1][1:]) == (["+cleo:ada,bob,cleo"], ["+cleo:ada,bob,cleo"])
        cleo.dispose()
        assert logs[0][3:] == ["-cleo:ada,bob"]


@virtual_time
async def test_many_joins_are_one_message() -> None:
    """Many members that join while the broker answers are one message."""
    async with processes(2) as (broker, lines, (one, two)):
        log = changes(two["a"].presence)
        held: list[Any] = []
        publish = lines[0].publish
        lines[0].publish = lambda *message: held.append(message)
        for number in range(100):
            one["a"].presence.joining(f"{number:02}").subscribe()
        assert len(held) == 1
        lines[0].publish = publish
        publish(*held[0])
        assert len(broker.published) == 2
        assert [entry.count("+") for entry in log] == [0, 1, 99]


@virtual_time
async def test_leaving_while_the_broker_answers() -> None:
    """A member that leaves while the broker answers has left for the others, too."""
    async with processes(2) as (_, lines, (one, two)):
        log = changes(two["a"].presence)
        held: list[Any] = []
        publish = lines[0].publish
        lines[0].publish = lambda *message: held.append(message)
        one["a"].presence.joining("ada").subscribe().dispose()
        for message in held:
            publish(*message)
        assert log == [":", "+ada:ada", "-ada:"]


@virtual_time
async def test_joining_before_there_is_a_broker() -> None:
    """A member that joined before there was a broker is announced as soon as there is one."""
    async with processes(1) as (broker, (line,), (one,)):
        readings: list[Any] = []
        line.read = lambda pattern, start, reading: (readings.append((pattern, start, reading)), broker)[1]
        broker.dispose = lambda: None
        line.up = False
        log = changes(one["a"].presence.joining("ada"))
        assert one["a"].presence.joining("bob").subscribe()
        assert (log, broker.published) == ([], [])
        line.up = True
        broker.read(*readings[0])
        readings[0][2].caught_up()
        assert log == [":ada,bob"]
        assert len(broker.published) == 1
        assert readings[0][1] == Since(None)


@virtual_time
async def test_nonsense_of_others_is_reported() -> None:
    """Nonsense that other processes say is reported and skipped."""
    async with processes(1) as (broker, _, (one,)):
        errors, log = watch(errors=one.errors), changes(one["a"].presence)
        nonsense = [b"1", b'{"ada": 1}', b'{"ada": ["then", 1]}', b"\xff", b"[", b'{"ada": [' + b"9" * 400 + b", 1]}"]
        for data in nonsense:
            broker.publish("a.other", Text(data))
        broker.publish("a.other", Text(b'{"ada": [1, null]}'))
        assert log == [":", "+ada:ada"]
        assert [error.message for _, error in errors] == nonsense


@virtual_time
async def test_what_is_never_published_is_reported_once() -> None:
    """That nothing of what a process says reaches the others is reported, once until something does."""
    async with processes(1) as (broker, (line,), (one,)):
        errors, log = watch(errors=one.errors), changes(one["a"].presence.joining("ada"))
        for _ in range(3):
            for _ in range(5):
                line.report(Unpublished("a.x", None, "a test"))
            await asyncio.sleep(TTL / BEATS + 0.1)
        assert log == [":ada"]
        assert [str(error) for _, error in errors] == [
            "other processes are not told who is in 'a' here: a message to 'a.x' was not published: a test"
        ] * 3


@virtual_time
async def test_late_messages_and_gaps_change_nothing() -> None:
    """Late messages and gaps change nothing; a lost message that will be said again is not reported."""
    async with processes(1) as (broker, (line,), (one,)):
        errors, log = watch(errors=one.errors), changes(one["a"].presence)
        (following,) = broker._patterns
        taken: list[Any] = []
        take = following.take
        following.take = lambda item: (taken.append(item), take(item))
        broker.publish("a.other", Text(b'{"ada": [1, null]}'))
        broker.publish("a.other", Text(b"{}"))
        take(taken[0])
        take(Gap("a.*", "1-1", "a test"))
        assert log == [":", "+ada:ada", "-ada:"]
        line.report(Unpublished("a.x", None, "a test"))
        line.report(Unpublished("gone.x", None, "a test"))
        assert errors == []
        line.report(error := OSError("a test"))
        assert errors == [("errors", error)]
