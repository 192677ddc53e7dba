"""Fixtures for all tests; under CI a skipped test is a failed one."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import version
from typing import Any

import pytest
import uvloop

import rxws
from rxws.core.phases import TRANSITIONS, Phase, Phased
from rxws.testing import VirtualLoop
from rxws.topics import Topics


def release_of(package: str) -> tuple[int, ...]:
    """Give the release of a package that is installed."""
    return tuple(map(int, re.findall(r"\d+", version(package))[:3]))


def pytest_configure() -> None:
    """Let Ctrl-C reach the programs that tests start, also where a script runs them in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """Choose the event loops of a module's tests.

    Modules that say `VIRTUAL = True` run in virtual time, those that say `BOTH_LOOPS = True` on asyncio's loop and on
    uvloop's, the others on asyncio's.
    """
    if getattr(item.module, "VIRTUAL", False):  # type: ignore[attr-defined]
        return {"virtual": VirtualLoop}
    if getattr(item.module, "BOTH_LOOPS", False):  # type: ignore[attr-defined]
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests of what is not there, or not asked for: a skipped test would be a failed one under CI."""

    def applies(item: pytest.Item) -> bool:
        python, aiohttp = (item.get_closest_marker(f"since_{name}") for name in ("python", "aiohttp"))
        is_new_enough = python is None or sys.version_info >= python.args
        is_new_enough &= aiohttp is None or release_of("aiohttp") >= aiohttp.args
        if item.get_closest_marker("cluster") is not None and not os.environ.get("CLUSTER"):
            return False
        parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
        if parameters.get("transport") == "asgi" and "uvloop" in item.name:
            return False  # what uvloop changes is the server's
        return is_new_enough and (rxws.wire_mode == "fast" or item.get_closest_marker("fast_wire") is None)

    config.hook.pytest_deselected(items=[item for item in items if not applies(item)])
    items[:] = filter(applies, items)


def pytest_collection_finish() -> None:
    """Keep the modules from the garbage collector, which would walk through them at each collection of a test."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def walked(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[Phase, Phase]]]:
    """Note the changes of phase, and fail on one that is not listed."""
    changes = set[tuple[Phase, Phase]]()
    enter = Phased.enter

    def note(self: Any, phase: Phase) -> None:
        changes.add((self.phase, phase))
        enter(self, phase)

    monkeypatch.setattr(Phased, "enter", note)
    yield changes
    assert [(before, after) for before, after in changes if after not in TRANSITIONS[before]] == []


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    """Every test leaves as many tasks as it found."""
    before = asyncio.all_tasks()
    yield
    left: set[asyncio.Task[object]] = set()
    for _ in range(250):
        left = asyncio.all_tasks() - before - {asyncio.current_task()}  # type: ignore[arg-type]
        if not left:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"tasks left: {left}")


@pytest.fixture
def eventually() -> Callable[..., object]:
    """Wait until a condition holds, looked at `every` so many seconds; fail after `timeout` seconds."""

    async def wait(condition: Callable[[], object], timeout: float = 15.0, every: float = 0.005) -> None:
        async with asyncio.timeout(timeout):
            while not condition():
                await asyncio.sleep(every)

    return wait


@pytest.fixture
def own_heap() -> None:
    """Keep what all the tests before have left from the collector: 200 ms a collection, which are not the product's.

    It stays kept: with it, each collection of the tests that follow would walk through all modules again.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
async def open_topics() -> AsyncIterator[Callable[..., Topics[Any]]]:
    """Open topics as `rxws.topics` does; all are closed after the test."""
    opened: list[Topics[Any]] = []

    def open_topics(url: str, **options: Any) -> Topics[Any]:
        topics = rxws.topics(url, **options)
        opened.append(topics)
        return topics

    yield open_topics
    await asyncio.gather(*(topics.close() for topics in opened))


@pytest.fixture
def collected() -> Callable[[], None]:
    """Collect garbage, thoroughly."""

    def collect() -> None:
        for _ in range(3):
            gc.collect()

    return collect
