"""What keeps the event loop for long is named in the log, and the lag is a metric."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
import traceback
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.server import loop_watch
from tests.integration.server import serving

BOTH_LOOPS = True
pytestmark = pytest.mark.fast_wire  # the wire does not matter here
Eventually = Callable[..., Any]


def ponder(seconds: str) -> str:
    time.sleep(float(seconds))
    return seconds


@rxws.websocket
def pipeline(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(ponder))


@rxws.websocket
async def coroutine(socket: rxws.WebSocket[str, str]) -> None:
    async for message in socket:
        socket.outgoing.on_next(ponder(message))


async def page(_: web.Request) -> web.Response:
    return web.Response(text=ponder("0.8"))


async def test_who_blocks_is_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    """A pipeline, a coroutine or a page that blocks is named: which code, of which path, how long; each once."""
    monkeypatch.setattr(loop_watch, "BLOCKED", 0.4)
    app = web.Application()
    app.add_routes([web.get("/pipeline", pipeline), web.get("/coroutine", coroutine), web.get("/page", page)])

    def named() -> list[Any]:
        blocked = [record for record in caplog.records if getattr(record, "ws_event", "") == "blocked"]
        return [record for record in blocked if "ponder" in record.ws_place]  # a busy machine blocks elsewhere, too

    async with serving(app=app) as server, aiohttp.ClientSession() as session:
        assert server.hub is not None
        for told, path in enumerate(("pipeline", "coroutine")):
            async with rxws.connect(f"{server.url}{path}") as socket:
                for seconds in ("0.05", "0.8", "0.8"):
                    socket.outgoing.on_next(seconds)
                    assert await socket.receive() == seconds
                    await asyncio.sleep(0.25)
            await eventually(lambda told=told: len(named()) == told + 1)
        while len(named()) < 3:  # a busy machine may look too seldom
            async with session.get(f"{server.http}page"):
                await asyncio.sleep(0.25)
        assert 0.6 < server.hub.stats.loop_lag < 10
    for record, path in zip(named(), ("/pipeline", "/coroutine", None), strict=True):
        assert (record.levelno, record.name, getattr(record, "ws_path", None)) == (logging.WARNING, "rxws.server", path)
        assert record.ws_place.startswith(f"ponder ({__file__}:")
        assert 0.4 < record.ws_seconds < 10
        assert record.getMessage().startswith(f"the event loop was blocked for {record.ws_seconds:.1f} s, and all")
    assert getattr(named()[0], "ws_remote", None) == "127.0.0.1"


async def test_call_without_an_end_is_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A call that does not end is named while it blocks; another thread may read the lag meanwhile."""
    monkeypatch.setattr(loop_watch, "BLOCKED", 0.3)
    monkeypatch.setattr(loop_watch, "NO_END", 0.5)
    async with serving(page) as server:
        assert server.hub is not None
        await asyncio.sleep(0.3)
        deadline = time.monotonic() + 15
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "s so far, and all sockets waited: by test_call_without_an_end_is_named" in caplog.text
        assert await asyncio.to_thread(lambda: server.hub.stats.loop_lag) > 0.4


async def test_what_a_call_held_is_freed_with_it(monkeypatch: pytest.MonkeyPatch, eventually: Eventually) -> None:
    """What a call held that blocked is freed when it ends, and not when Python next collects garbage."""
    monkeypatch.setattr(loop_watch, "BLOCKED", 0.2)

    class Held:
        pass

    def block() -> weakref.ref[Held]:
        held = Held()
        time.sleep(0.6)
        return weakref.ref(held)

    async with serving(page):
        await asyncio.sleep(0.2)
        gc.disable()
        try:
            held = block()
            await eventually(lambda: held() is None, timeout=5)
        finally:
            gc.enable()


async def test_looking_collects_no_garbage() -> None:
    """No garbage is collected while the thread that watches looks: before Python 3.12, a crash might follow."""
    looking: list[bool] = []

    def note(phase: str, _: dict[str, int]) -> None:
        callers = [frame.name for frame in traceback.extract_stack()]
        looking.append(loop_watch.LoopWatch._calls.__name__ in callers)

    def look() -> int:
        threshold = gc.get_threshold()
        gc.set_threshold(1)
        try:
            return len(watch._calls())
        finally:
            gc.set_threshold(*threshold)

    watch = loop_watch.LoopWatch()
    watch.start()
    await asyncio.sleep(0.01)
    gc.callbacks.append(note)
    try:
        await asyncio.to_thread(look)
    finally:
        gc.callbacks.remove(note)
        watch.stop()
    assert looking
    assert not any(looking)


def test_watch_that_stops_meanwhile() -> None:
    """A thread that asks how late the loop is while another one stops the watch gets a number."""

    class Stopping(loop_watch.LoopWatch):
        dues: ClassVar[list[float | None]] = [None, time.monotonic() - 7]

        @property
        def _due(self) -> float | None:  # pyright: ignore[reportIncompatibleVariableOverride]
            return self.dues.pop()

        @_due.setter
        def _due(self, value: float | None) -> None:
            pass

    assert Stopping().lag >= 7
