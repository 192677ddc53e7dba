"""The presence of all topics in one process: when it begins, beats, and ends."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import rxws
from rxws.testing import virtual_time
from rxws.topics import Topics
from rxws.topics.engines.engine import Limits
from rxws.topics.engines.memory import MemoryEngine
from rxws.topics.presence.attendance import BEATS
from rxws.topics.presence.register import TOPICS_A_TURN, TTL, Register
from tests.streams import turns, watch
from tests.topics.presence.contract import changes
from tests.topics.presence.processes import Broker, Line, processes


@virtual_time
async def test_forked_processes_are_not_taken_for_one() -> None:
    """Processes that were forked before the beginning are not taken for one."""
    broker = Broker()
    made = Register(Line(broker))
    registers = [copy.deepcopy(made, {id(broker): broker}) for _ in range(2)]
    one, two = (Topics[Any](MemoryEngine(Limits(1, 1000, None)), register, rxws.json) for register in registers)
    async with one, two:
        ada, bob = changes(one["a"].presence.joining("ada")), changes(two["a"].presence.joining("bob"))
        assert (ada, bob) == ([":ada", "+bob:ada,bob"], [":ada,bob"])


@virtual_time
async def test_a_process_that_ends_properly_says_so_at_once() -> None:
    async with processes(2) as (broker, lines, (one, two)):
        log = changes(two["a"].presence)
        ended = watch(a=one["a"].presence.joining("ada"))
        one["a"].presence.joining("bob").subscribe()
        await one.close()
        assert log == [":", "+ada:ada", "+bob:ada,bob", "-ada-bob:"]
        assert ended[-1] == "a|"
        assert lines[0].closes == 1
        before = len(broker.published)
        await asyncio.sleep(TTL * 2)
        assert len(broker.published) > before  # the other one's


@virtual_time
async def test_a_topic_that_nobody_asks_about_costs_nothing() -> None:
    async with processes(1) as (broker, (line,), (one,)):
        await asyncio.sleep(TTL)
        assert line.starts == 0
        one["a"].presence.subscribe().dispose()
        one["a"].presence.joining("ada").subscribe().dispose()
        assert line.starts == 1
        assert broker._patterns == {}
        assert [data for _, data in broker.published][-1] == b"{}"
        before = len(broker.published)
        await asyncio.sleep(TTL * 3)
        assert len(broker.published) == before


@virtual_time
async def test_loop_turns_between_beats() -> None:
    """The event loop turns between the beats of many topics."""
    async with processes(1) as (broker, _, (one,)):
        stays = [one[f"a.{number}"].presence.subscribe() for number in range(TOPICS_A_TURN * 2)]
        await asyncio.sleep(TTL / BEATS - 0.1)
        before = len(broker.published)
        await asyncio.sleep(0.1)
        assert before < len(broker.published) < before + len(stays)
        for stay in stays[TOPICS_A_TURN:]:
            stay.dispose()
        await turns()
        assert len(broker.published) == before + TOPICS_A_TURN
