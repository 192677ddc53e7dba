"""The phases; `walked` fails on a change that is not listed, in every test."""

from __future__ import annotations

import pytest

from rxws.core.phases import TRANSITIONS, Phase, Phased, SocketPhase


def test_all_phases_lead_to_an_end() -> None:
    """From each phase the last one of its kind is reached, and no phase follows that one."""
    for phase, following in TRANSITIONS.items():
        *_, last = type(phase)
        assert bool(following) == (phase is not last)
        reached, more = {phase}, set(following)
        while more:
            reached |= more
            more = {after for before in more for after in TRANSITIONS[before]} - reached
        assert last in reached


class Thing(Phased):
    phase = SocketPhase.CLOSED


def test_illegal_change_is_made_and_logged(walked: set[tuple[Phase, Phase]], caplog: pytest.LogCaptureFixture) -> None:
    """An illegal change does not stop an end, but is logged; `advance` leaves it out."""
    thing = Thing()
    thing.advance(SocketPhase.OPEN)
    assert (thing.phase, caplog.records) == (SocketPhase.CLOSED, [])
    thing.enter(SocketPhase.OPEN)
    assert thing.phase is SocketPhase.OPEN
    assert "a bug in rxws" in caplog.text
    walked.clear()
