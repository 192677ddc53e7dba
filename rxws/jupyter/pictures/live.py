"""A picture in a notebook that is drawn again while what it shows goes on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import sys
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, Final, Protocol, cast

import anywidget
import traitlets

from rxws.jupyter.errors import ipython_shell, show_exception

STORE_EVERY: Final = 2.0
"""Seconds between two pictures that are stored in the notebook while it goes on."""
VIEW: Final = "application/vnd.jupyter.widget-view+json"
FITTING: Final = "max-width:100%;height:auto"
"""The style of an image that becomes narrower with its cell."""


class Picture(Protocol):
    """What is shown."""

    interval: float
    """Seconds between two frames at least."""

    def start(self, changed: Callable[[], object], end: Callable[[], object]) -> None:
        """Begin to watch; call `changed` when there is something to draw, `end` when nothing more comes."""

    def stop(self) -> None:
        """Stop watching; idempotent."""

    async def draw(self) -> str:
        """Make a frame, as HTML."""
        ...

    def still(self) -> str:
        """Make HTML that needs no script and no style sheet; of the newest frame."""
        ...

    def text(self) -> str:
        """Make plain text."""
        ...

    def settled(self) -> bool:
        """Return whether the next frame would be like the last one."""
        ...


class Frames(anywidget.AnyWidget):
    """What the browser knows of a picture."""

    _esm = Path(__file__).with_name("live.js")
    html = traitlets.Unicode().tag(sync=True)
    live = traitlets.Bool(True).tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)


class Live:
    """A picture that goes on: the last line of a cell, or `await picture.done(timeout=...)`.

    It is drawn on the notebook's event loop, at most 20 times a second, and after the page was loaded again. Beside it,
    a still picture is kept in the notebook for where scripts do not run, every two seconds and at the end.
    """

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        """What is shown."""
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError("a live picture needs a running event loop, such as a notebook's") from None
        self._name = secrets.token_hex(4)
        self.frames = Frames(name=self._name)
        """The widget."""
        self._still: Any = None  # the handle of what is stored
        self._stored_at = self._loop.time()
        self._ended = asyncio.Event()
        self._changed = asyncio.Event()
        self._failed = False
        self._over = False
        picture.start(self._on_change, self._on_end)
        self._begin()

    @property
    def html(self) -> str:
        """The newest frame."""
        return self.frames.html

    async def done(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the end is not an error
        """Show it, wait until all it shows has ended, or for `timeout` seconds, and stop it.

        Args:
            timeout: Seconds to wait; `None`: until all that it shows has ended.
        """
        if self._still is None:
            self.show()
        await self._wait(timeout)
        self.stop()
        await asyncio.wait({self._task})
        self._store()  # in the name of this cell: executors of notebooks ignore what comes in that of an earlier one

    def stop(self) -> None:
        """Stop watching; the last picture stays. Idempotent."""
        self._ended.set()
        self._wake()

    def show(self) -> None:
        """Show it below the present cell."""
        if ipython_shell() is None:
            marimo = sys.modules.get("marimo")
            if marimo is not None and marimo.running_in_notebook():
                marimo.output.append(self.frames)
            return
        import IPython.display

        display = cast("Any", IPython.display).display
        self._still = display(self._stored(), raw=True, display_id=True)
        display({VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.frames.model_id}}, raw=True)

    def _ipython_display_(self) -> None:
        self.show()

    def _display_(self) -> Any:
        """What marimo shows."""
        return self.frames

    def __repr__(self) -> str:
        return f"<{type(self.picture).__name__} {'ended' if self._ended.is_set() else 'live'}>"

    def _on_change(self) -> None:
        if not self._changed.is_set():
            self._call(self._wake)

    def _on_end(self) -> None:
        self._call(self.stop)

    def _call(self, function: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._go_on(), name="rxws picture")

    def _wake(self) -> None:
        self._changed.set()
        if self._task.done() and not self._over and not self._loop.is_closed():
            self._begin()

    async def _go_on(self) -> None:
        """Draw until the end, or until nothing changes: then there is no task, which nobody would hold."""
        is_quiet = False
        try:
            is_quiet = await self._follow()
        except Exception as error:
            self._fail(error)
        finally:
            if not is_quiet:
                await self._end()

    async def _follow(self) -> bool:
        """Draw what changes; return whether it has not ended, and the newest picture is stored."""
        while not self._ended.is_set():
            began = self._loop.time()
            await self._draw()
            took = self._loop.time() - began
            if began - self._stored_at >= STORE_EVERY:
                self._store()
                self._stored_at = began
            await self._wait(max(self.picture.interval, took))  # draws for half of the time at most
            self._changed.clear()
            if self.picture.settled() and not self._ended.is_set() and not await self._changes():
                return True
        return False

    async def _changes(self) -> bool:
        """Return whether anything changes until the picture is to be stored; if not, store it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._stored_at + STORE_EVERY):
                return await self._changed.wait()
        self._store()
        self._stored_at = self._loop.time()
        return self._changed.is_set()

    async def _end(self) -> None:
        self._ended.set()
        self._over = True
        self.picture.stop()
        try:
            if not self._failed:
                await self._draw()
                self._store()
        except Exception as error:
            self._fail(error)
        self.frames.live = False

    def _fail(self, error: Exception) -> None:
        self._failed = True
        show_exception(error)

    async def _wait(self, seconds: float | None) -> None:
        """Wait for the end, for at most these seconds; `None`: without a limit."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()

    async def _draw(self) -> None:
        self.frames.html = await self.picture.draw()

    def _store(self) -> None:
        if self._still is not None:
            self._still.update(self._stored(), raw=True)

    def _stored(self) -> dict[str, str]:
        html = f'<div class="rxws-still-{self._name}">{self.picture.still()}</div>'
        return {"text/html": html, "text/plain": self.picture.text()}


def scrolling(table: str) -> str:
    """Let a table that is wider than its cell be scrolled within it."""
    return f'<div style="max-width:100%;overflow-x:auto">{table}</div>'


def image(svg: str, alternative: str) -> str:
    """Make an image of an SVG, which shows where scripts and inline SVG do not."""
    encoded = base64.b64encode(svg.encode()).decode()
    return f'<img alt="{escape(alternative)}" src="data:image/svg+xml;base64,{encoded}" style="{FITTING}">'
