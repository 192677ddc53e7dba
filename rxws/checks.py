"""What arguments may be, in one wording: what was expected, and what was given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any


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
        raise TypeError(f"{name} must be {expected}, not {value!r}")
    if not fits(value):
        raise ValueError(f"{name} must be {expected}, not {value!r}")
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


def _expected(what: str, unit: str, none: str) -> str:
    return f"a positive {what}{unit and f' of {unit}'}{none and f', or None for {none}'}"
