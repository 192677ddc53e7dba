"""What the page may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard, cast

from rxws.close import Close


@dataclass(frozen=True, slots=True)
class Rate:
    """Set the number of samples a second."""

    hz: int = 4


@dataclass(frozen=True, slots=True)
class Window:
    """Set the seconds that a summary covers."""

    seconds: int = 10


@dataclass(frozen=True, slots=True)
class Threshold:
    """Set the percentage of CPU above which to alert."""

    percent: int = 80


@dataclass(frozen=True, slots=True)
class End:
    """End the socket: with a close, or with an error."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Problem:
    """What was wrong with a message."""

    message: str


Control = Rate | Window | Threshold | End | Problem


def control_of(message: Any) -> Control:
    """Make a control of a message; whatever it is, it must not end the pipeline."""
    match message:
        case {"type": "rate", "hz": hz} if _whole(hz, 1, 20):
            return Rate(hz)
        case {"type": "window", "seconds": seconds} if _whole(seconds, 1, 60):
            return Window(seconds)
        case {"type": "threshold", "percent": percent} if _whole(percent, 1, 100):
            return Threshold(percent)
        case {"type": "fail"}:
            return End(RuntimeError("the page asked for an error"))
        case {"type": "close", "code": code, **rest}:
            try:
                return End(Close(code, cast("str", rest.get("reason", ""))))
            except (TypeError, ValueError) as error:
                return Problem(str(error))
        case _:
            return Problem(f"expected a rate of 1-20, a window of 1-60, a threshold of 1-100, got {str(message)[:60]}")


def _whole(value: Any, low: int, high: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
