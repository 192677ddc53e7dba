"""Signals that come at once are one."""

import pytest

from rxws.processes import stops
from rxws.processes.stops import ONE_STOP, Stops


def test_signals_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal counts if half a second has passed since the last one that did."""
    now = 100.0
    monkeypatch.setattr(stops.time, "monotonic", lambda: now)
    told = Stops()
    assert (told.told(), told.told()) == (True, False)
    now += ONE_STOP * 0.9
    assert not told.told()
    now += ONE_STOP * 0.2
    assert (told.told(), told.told(), told.number) == (True, False, 2)
