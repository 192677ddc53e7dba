"""Exceptions that nobody catches, shown in the notebook."""

from __future__ import annotations

import asyncio
import sys
import traceback
from types import TracebackType
from typing import Any, Final, cast

from rxws.core.log import escape, harmless
from rxws.errors import ConnectError
from rxws.rx.foreign import described

FOREIGN: Final = ("rxws", "reactivex")
"""Packages whose frames say nothing about a cell."""

MAX_PLACES: Final = 100
"""Places in the code whose errors are counted."""

FIRST_COUNT: Final = 0.1
NEXT_COUNT: Final = 1.0
"""Seconds after which a count is told, and told again while it grows."""


class Shown:
    """Shows the first error of each class and place in full, and counts those that follow."""

    def __init__(self) -> None:
        self._counts = dict[Any, _Count]()

    def show(self, error: Exception) -> None:
        """Show an error, or count it."""
        trace = _own(error.__traceback__)
        last = trace
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        place = (type(error), last and last.tb_frame.f_code, last and last.tb_lineno)
        count = self._counts.get(place)
        if count is not None:
            count.add(error)
            return
        if len(self._counts) >= MAX_PLACES:
            self._counts.clear()
        self._counts[place] = _Count()
        show_exception(error)

    def tell(self) -> None:
        """Tell what is counted and not yet told."""
        for count in self._counts.values():
            count.tell()


class _Count:
    """How often a place has raised: one line that changes in a notebook, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._number = self._told = 1
        self._last = ""
        self._wait = FIRST_COUNT
        self._timer: asyncio.TimerHandle | None = None
        self._line: Any = None

    def add(self, error: Exception) -> None:
        self._number += 1
        self._last = f"{type(error).__name__}: {escape(described(error, str))}"
        if self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(self._wait, self.tell)
            except RuntimeError:  # in a thread without a loop: with the next one that has one, or at the end
                return
            self._wait = NEXT_COUNT if self._line is not None or self._wait == FIRST_COUNT else 2 * self._wait

    def tell(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._number == self._told:
            return
        self._told = self._number
        text = f"{self._last} (raised {self._number:,} times so far, shown once)"
        if ipython_shell() is None:
            print(text, file=sys.stderr)
        elif self._line is None:
            import IPython.display

            self._line = cast("Any", IPython.display).display({"text/plain": text}, raw=True, display_id=True)
        else:
            self._line.update({"text/plain": text}, raw=True)


def show_exception(error: Exception) -> None:
    """Show an exception below the present cell, with the traceback from the first line that is the notebook's own."""
    shell, error = ipython_shell(), harmless(error)
    trace = _own(error.__traceback__)
    if shell is None or trace is None:
        text = "".join(traceback.format_exception(type(error), error, trace))
    else:
        text = "\n".join(shell.InteractiveTB.structured_traceback(type(error), error, trace))
    print(text.rstrip(), file=sys.stderr)


def show_briefly(error: ConnectError) -> None:
    """Have IPython show what it says, without the traceback through aiohttp, unless that leads to code of the user."""
    if error.stage not in ("request", "greeting"):
        lines = traceback.format_exception_only(harmless(error))
        cast("Any", error)._render_traceback_ = lambda: lines


def _own(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).split(".")[0] in FOREIGN:
        trace = trace.tb_next
    return trace


def ipython_shell() -> Any:
    """Give IPython's shell, where one runs."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
