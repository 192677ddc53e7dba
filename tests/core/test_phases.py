"""The phases that the machines walk through; `walked` fails on a change that is not listed, in every test."""

from __future__ import annotations

import pytest

from rxws.core.phases import TRANSITIONS, ConnectionPhase, Phase, Phased, SocketPhase
from tests.fuzzing import test_lifecycle, test_reconnect


def test_machines_walk_all_phases(walked: set[tuple[Phase, Phase]]) -> None:
    """The machines reach every phase but a rare one, by no change that is not listed."""
    test_lifecycle.test_socket_ends_once_whatever_happens()
    test_reconnect.test_client_ends_once_whatever_happens()
    assert {phase for change in walked for phase in change} >= {*SocketPhase, *ConnectionPhase} - {
        SocketPhase.FINISHING
    }
    assert [change for change in walked if change[1] not in TRANSITIONS[change[0]]] == []


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
    assert "a fault of rxws" in caplog.text
    walked.clear()
