"""Exceptions that nobody catches, shown in the notebook."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType
from typing import Any, Final

from rxws.core.log import harmless

FOREIGN: Final = ("rxws", "reactivex")
"""Packages whose frames say nothing about a cell."""


def show_exception(error: Exception) -> None:
    """Show an exception below the present cell, with the traceback from the first line that is the notebook's own."""
    shell, error = ipython_shell(), harmless(error)
    trace = _own(error.__traceback__)
    if shell is None or trace is None:
        text = "".join(traceback.format_exception(type(error), error, trace))
    else:
        text = "\n".join(shell.InteractiveTB.structured_traceback(type(error), error, trace))
    print(text.rstrip(), file=sys.stderr)


def _own(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).split(".")[0] in FOREIGN:
        trace = trace.tb_next
    return trace


def ipython_shell() -> Any:
    """Give IPython's shell, where one runs."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
