"""What arguments may be, in one wording: what was expected, and what was given."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import partial
from types import CodeType
from typing import Any, Final, cast

ASYNC: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
"""Flags of functions that run only when what they return is awaited."""


def positive(name: str, value: object, unit: str = "", *, none: str = "") -> float:
    """Return a number above 0; `none` says what `None` means, where the caller takes that too.

    Raises `TypeError` for what is not a number, `ValueError` for one that is 0 or less, infinite, or not a number.

    >>> positive("heartbeat", 0, "seconds", none="off")
    Traceback (most recent call last):
        ...
    ValueError: heartbeat must be a positive number of seconds, or None for off, not 0
    """
    return float(number(name, value, _expected("number", unit, none), lambda given: 0 < given <= sys.float_info.max))


def positive_int(name: str, value: object, unit: str = "", *, none: str = "") -> int:
    """Return a whole number above 0, an `int`; otherwise as `positive`.

    >>> positive_int("limit", 2.5, "rows")
    Traceback (most recent call last):
        ...
    TypeError: limit must be a positive whole number of rows, not 2.5
    """
    return number(name, value, _expected("whole number", unit, none), lambda given: given > 0, int)


def number(
    name: str, value: object, expected: str, fits: Callable[[Any], bool], kind: type | tuple[type, ...] = (int, float)
) -> Any:
    """Return a number of a kind that `fits` what is expected. A `bool` is not a number.

    >>> number("port", 8080, "0 to 65535", lambda port: 0 <= port < 65_536, int)
    8080
    """
    if isinstance(value, bool) or not isinstance(value, kind):
        raise TypeError(f"{name} must be {expected}, not {value!r}{_as_number(value)}")
    if not fits(value):
        raise ValueError(f"{name} must be {expected}, not {value!r}")
    return value


def flag(name: str, value: object) -> bool:
    """Return `True` or `False`; raises `TypeError` for anything else.

    >>> flag("ordered", "no")
    Traceback (most recent call last):
        ...
    TypeError: ordered must be True or False, not 'no'
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value


def one_of(name: str, value: Any, choices: Iterable[str], more: str = "") -> Any:
    """Return one of some words; raises `ValueError` for anything else. `more` is what else the caller takes.

    >>> one_of("overflow", "burn", ("fail", "drop_oldest"))
    Traceback (most recent call last):
        ...
    ValueError: overflow must be one of 'fail', 'drop_oldest', not 'burn'
    """
    words = tuple(choices)
    if value not in words:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, words))}{more and ', '}{more}, not {value!r}")
    return value


def unknown(name: str, known: Iterable[str]) -> str:
    """Say that there is no such option, and which one is meant.

    >>> unknown("hartbeat", ("heartbeat", "codec"))
    "unknown option 'hartbeat': did you mean 'heartbeat'?"
    >>> unknown("xyz", ("heartbeat", "codec"))
    "unknown option 'xyz': the options are codec, heartbeat"
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(names)}"
    return f"unknown option {name!r}: {hint}"


def called(name: str, function: Any, instead: str = "write 'def'") -> None:
    """Raise `TypeError` for a coroutine function where a function is called, and what it returns is not awaited.

    >>> async def save(item): ...
    >>> called("on_next", save, "use map_async")
    Traceback (most recent call last):
        ...
    TypeError: on_next is called, not awaited, so the coroutine function save would never run: use map_async
    >>> called("on_next", print)
    """
    if is_async(function):
        raise TypeError(
            f"{name} is called, not awaited, so the coroutine function {named(function)} would never run: {instead}"
        )


def function_of(argument: str, name: str, function: Any) -> None:
    """Raise `TypeError` for what is not a function, or is a coroutine function, where a function is called.

    >>> function_of("a message", "key", "id")
    Traceback (most recent call last):
        ...
    TypeError: key must be a function of a message, not 'id'
    """
    if not callable(function):
        raise TypeError(f"{name} must be a function of {argument}, not {function!r}")
    called(name, function)


def is_async(function: Any) -> bool:
    """Return whether a call makes a coroutine or an asynchronous generator, as far as that is known before.

    >>> async def save(item): ...
    >>> is_async(partial(save, 1)), is_async(print), is_async(None)
    (True, False, False)
    """
    code = getattr(function, "__code__", None)
    if type(code) is CodeType:
        return code.co_flags & ASYNC != 0
    while isinstance(function, partial):
        function = function.func
    called_by = getattr(cast("Any", type(function)), "__call__", None)  # noqa: B004 - it may be an object
    code = getattr(function, "__code__", None) or getattr(called_by, "__code__", None)
    return type(code) is CodeType and code.co_flags & ASYNC != 0


def awaited(operator: str, function: Any, instead: str) -> None:
    """Raise `TypeError` for what cannot be a coroutine function; of a `def`, it is not known before it is called.

    >>> awaited("map_async", str.upper, "ops.map")
    Traceback (most recent call last):
        ...
    TypeError: map_async takes a coroutine function, not str.upper, which returns at once: use ops.map for that
    """
    if not callable(function):
        raise TypeError(f"{operator} takes a coroutine function, written with 'async def', not {function!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{operator} takes a coroutine function, not {named(function)}, which yields: for several results of an "
            "item, ops.flat_map(lambda item: rxws.operators.from_async_iterable(...))"
        )
    owner = function if inspect.isclass(function) else getattr(function, "__objclass__", None)
    module = getattr(owner or function, "__module__", None)
    if module == "builtins" and not inspect.isfunction(function):
        raise TypeError(
            f"{operator} takes a coroutine function, not {named(function)}, which returns at once: "
            f"use {instead} for that"
        )


def not_awaitable(operator: str, function: str, result: object, instead: str) -> str:
    """Say that a function which was to be awaited has returned at once.

    >>> not_awaitable("map_async", "shout", "HELLO", "ops.map")
    "map_async takes a coroutine function, but shout returned a str at once: write 'async def', or use ops.map"
    """
    return (
        f"{operator} takes a coroutine function, but {function} returned a {type(result).__name__} at once: "
        f"write 'async def', or use {instead}"
    )


def named(function: Any) -> str:
    """Name a function for a message.

    >>> named(str.upper), named(partial(print, 1)), named(3)
    ('str.upper', 'print', '3')
    """
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__qualname__", None) or repr(function)


def _as_number(value: object) -> str:
    """Say what to do with a number in a string, of an environment variable say."""
    try:
        return f", a string: write {float(value):g}, or convert it" if isinstance(value, str) else ""
    except ValueError:
        return ""


def _expected(what: str, unit: str, none: str) -> str:
    return f"a positive {what}{unit and f' of {unit}'}{none and f', or None for {none}'}"
