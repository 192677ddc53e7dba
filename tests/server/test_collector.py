"""How often Python's collector runs while many sockets open, and afterward."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from rxws.server.collector import OBJECTS, SELDOM, Collector

BEFORE = 700, 10, 12
PATIENT = OBJECTS, 10, SELDOM * 12


class Asking:
    pass


@pytest.fixture(autouse=True)
def _thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*BEFORE)
    yield
    gc.set_threshold(*before)


def test_patient_while_anybody_asks() -> None:
    """It is patient from the first that asks to the last that has had enough, each of which may say so again."""
    collector, first, second = Collector(), Asking(), Asking()
    seen: list[tuple[int, int, int]] = []
    for say, asking in (
        (collector.be_patient, first),
        (collector.be_patient, first),
        (collector.be_patient, second),
        (collector.go_on, first),
        (collector.go_on, first),
        (collector.go_on, second),
        (collector.be_patient, first),
        (collector.go_on, first),
    ):
        say(asking)
        seen.append(gc.get_threshold())
    assert seen == [PATIENT] * 5 + [BEFORE, PATIENT, BEFORE]


def test_one_that_was_freed_has_had_enough() -> None:
    """An event loop that ends before its time is over leaves nothing behind."""
    collector, asking = Collector(), Asking()
    collector.be_patient(asking)
    assert gc.get_threshold() == PATIENT
    del asking
    assert gc.get_threshold() == BEFORE


def test_one_is_freed_while_another_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection may run at any time, and free one that asks in the thread that has the lock."""
    collector, others, asking = Collector(), [Asking()], Asking()
    collector.be_patient(others[0])
    get_threshold = gc.get_threshold

    def freeing() -> tuple[int, int, int]:
        others.clear()
        return get_threshold()

    monkeypatch.setattr(gc, "get_threshold", freeing)
    collector.be_patient(asking)
    assert get_threshold() == PATIENT
    collector.go_on(asking)
    assert get_threshold() == BEFORE


@pytest.mark.parametrize("chosen", [(50_000, 10, 10), (OBJECTS, 5, 5), (0, 10, 10)])
def test_a_program_that_is_more_patient_keeps_its_threshold(chosen: tuple[int, int, int]) -> None:
    collector, asking = Collector(), Asking()
    gc.set_threshold(*chosen)
    collector.be_patient(asking)
    assert gc.get_threshold() == chosen
    collector.go_on(asking)
    assert gc.get_threshold() == chosen


def test_what_a_program_chooses_meanwhile_stays() -> None:
    collector, asking = Collector(), Asking()
    collector.be_patient(asking)
    gc.set_threshold(1000, 20, 20)
    collector.go_on(asking)
    assert gc.get_threshold() == (1000, 20, 20)
