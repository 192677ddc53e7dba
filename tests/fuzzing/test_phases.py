"""The phases that the machines walk through."""

from __future__ import annotations

from rxws.core.phases import TRANSITIONS, ConnectionPhase, Phase, SocketPhase
from tests.fuzzing import test_lifecycle, test_reconnect


def test_machines_walk_all_phases(walked: set[tuple[Phase, Phase]]) -> None:
    """The machines reach every phase but a rare one, by no change that is not listed."""
    test_lifecycle.test_socket_ends_once_whatever_happens()
    test_reconnect.test_client_ends_once_whatever_happens()
    assert {phase for change in walked for phase in change} >= {*SocketPhase, *ConnectionPhase} - {
        SocketPhase.FINISHING
    }
    assert [change for change in walked if change[1] not in TRANSITIONS[change[0]]] == []
