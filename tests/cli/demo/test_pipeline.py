"""The pipeline of the demo, in virtual time."""

from typing import Any

import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import TestScheduler

import rxws
from rxws.cli.demo.controls import Control, End, Problem, Rate, Threshold, Window
from rxws.cli.demo.pipeline import compose
from rxws.cli.demo.telemetry import Sample


def at(second: float, cpu: float) -> Sample:
    return Sample(at=second, cpu=(cpu,), memory=1.0, net_in=2, net_out=3, load=4.0)


def run(*controls: tuple[float, Control], cpu: Any = lambda second: 50.0, until: float = 10) -> list[dict[str, Any]]:
    """Run the pipeline for some virtual seconds."""
    scheduler = TestScheduler()
    subject = Subject[Control]()

    def sampled(hz: int) -> Observable[Sample]:
        now = lambda _: scheduler.clock  # noqa: E731
        return reactivex.interval(1 / hz).pipe(ops.map(now), ops.map(lambda second: at(second, cpu(second))))

    messages: list[dict[str, Any]] = []
    failures: list[Exception] = []
    compose(subject, sampled).subscribe(messages.append, failures.append, scheduler=scheduler)
    for second, control in controls:
        scheduler.schedule_absolute(second, lambda *_, control=control: subject.on_next(control))
    scheduler.advance_to(until)
    return messages + [{"type": "failed", "error": error} for error in failures]


def of(kind: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in messages if message["type"] == kind]


def test_default_settings() -> None:
    """The first settings are sent, and samples follow at their rate."""
    messages = run(until=2.1)
    assert messages[0] == {"type": "settings", "hz": 4, "seconds": 10, "percent": 80}
    assert len(of("sample", messages)) == 8


def test_change_rate() -> None:
    """Another rate replaces the old one."""
    assert len(of("sample", run((1.05, Rate(1)), until=5.1))) == 4 + 4


def test_window() -> None:
    """The window summarizes its last seconds."""
    messages = of("sample", run((0.5, Rate(1)), (0.75, Window(3)), cpu=lambda second: second, until=7))
    assert messages[-1]["window"] == {"min": 4.5, "mean": 5.5, "max": 6.5}


def test_alert_once_per_crossing() -> None:
    """An alert comes once for each crossing of the threshold."""
    messages = run((0, Rate(1)), cpu=lambda second: 90.0 if 3 <= second < 5 else 10.0, until=8.1)
    assert [alert["on"] for alert in of("alert", messages)] == [False, True, False]


def test_change_threshold() -> None:
    """Another threshold is judged at once."""
    messages = run((0, Rate(1)), (2.5, Threshold(40)), until=4.1)
    assert [(alert["on"], alert["percent"]) for alert in of("alert", messages)] == [(False, 80), (True, 40)]


def test_problem() -> None:
    """A problem is reported, and the pipeline goes on."""
    messages = run((1, Problem("bad")), until=3)
    assert of("error", messages) == [{"type": "error", "message": "bad"}]
    assert len(of("sample", messages)) > 8


def test_an_end_ends_it() -> None:
    messages = run((1.1, End(rxws.Close(4001))), until=5)
    assert messages[-1]["error"] == rxws.Close(4001)
    assert len(of("sample", messages)) == 4
