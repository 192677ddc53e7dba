"""A wall clock that tests can set, as an operator or NTP sets the machine's: what reads it sees it jump."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, tzinfo

import pytest
from reactivex.internal import basic

_time, _time_ns = time.time, time.time_ns


class WallClock:
    """The clock; its time is the machine's and what it was put forward by, or back."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def put(self, forward: float) -> None:
        """Put it forward by so many seconds, or back if they are negative."""
        self.ahead += forward

    def now(self) -> datetime:
        """Return what a user's `datetime.now(UTC)` returns."""
        return datetime.now(UTC) + timedelta(seconds=self.ahead)


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """Make all that RxPY and rxws read the wall clock with follow this one; the monotonic clock goes on."""
    clock = WallClock()

    class Date(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(seconds=clock.ahead)

    monkeypatch.setattr(basic, "datetime", Date)
    monkeypatch.setattr(time, "time", lambda: _time() + clock.ahead)
    monkeypatch.setattr(time, "time_ns", lambda: _time_ns() + round(clock.ahead * 1e9))
    return clock
