"""What cells have bound to names ends when the notebook no longer refers to it: a cell that reruns leaves nothing."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from typing import Any, Final

from rxws.jupyter.errors import ipython_shell

AUTOMATIC: Final = re.compile(r"_{1,3}|_\d+")
"""The names that IPython itself gives to what a cell shows."""


class Lease:
    """What a thing holds, and all that belongs to it and is of use without it."""

    __slots__ = ("__weakref__",)


_unnamed = weakref.WeakKeyDictionary[Any, tuple[weakref.ref[Any], Callable[[], object]]]()
_named = weakref.WeakSet[Any]()


def end_with_name(thing: object, lease: object, end: Callable[[], object]) -> None:
    """Call `end`, from any thread, when nothing holds the `lease` of a thing, which may be the thing itself.

    This begins at the end of a cell that has bound the thing to a name. IPython's history of outputs, which keeps
    whatever was the last line of a cell, does not count from then on. Outside IPython nothing happens.
    """
    shell = ipython_shell()
    if shell is not None:
        _unnamed[thing] = weakref.ref(lease), end
        shell.events.register("post_run_cell", _look)  # the same function counts once


def _look(_result: object) -> None:
    """Look which things have names now that a cell has ended."""
    shell = ipython_shell()
    names: dict[str, Any] = shell.user_ns
    bound = {id(value) for name, value in names.items() if not AUTOMATIC.fullmatch(name)}
    for thing in [thing for thing in _unnamed if id(thing) in bound]:
        lease, end = _unnamed.pop(thing)
        weakref.finalize(lease(), end).atexit = False
        _named.add(thing)
    for thing in [thing for thing in _named if id(thing) not in bound]:
        _named.discard(thing)
        names["_rxws"] = thing
        shell.del_var("_rxws", by_name=False)  # and from the history
