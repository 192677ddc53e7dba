"""The demo's pipeline, in virtual time, and its parts."""

from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import TestScheduler

import rxws
from rxws.cli.demo.controls import Control, End, Problem, Rate, Threshold, Window, parse
from rxws.cli.demo.pipeline import compose
from rxws.cli.demo.telemetry import Sample, difference, machine, read, samples


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


@pytest.mark.parametrize(
    ("message", "control"),
    [
        ({"type": "rate", "hz": 20}, Rate(20)),
        ({"type": "window", "seconds": 60}, Window(60)),
        ({"type": "threshold", "percent": 100}, Threshold(100)),
        ({"type": "close", "code": 4001, "reason": "bye"}, End(rxws.Close(4001, "bye"))),
        ({"type": "close", "code": 1000}, End(rxws.Close())),
    ],
)
def test_a_control_is_read(message: Any, control: Control) -> None:
    assert parse(message) == control


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        "rate",
        {},
        {"type": "rate", "hz": 0},
        {"type": "rate", "hz": 21},
        {"type": "rate", "hz": True},
        {"type": "window", "seconds": "5"},
        {"type": "close", "code": 1006},
        {"type": "close", "code": 4001, "reason": 3},
    ],
)
def test_a_bad_control_is_a_problem(message: Any) -> None:
    assert isinstance(parse(message), Problem)


def test_the_page_may_ask_for_an_error() -> None:
    end = parse({"type": "fail"})
    assert isinstance(end, End)
    assert isinstance(end.error, RuntimeError)


def test_this_machine_can_be_sampled() -> None:
    sample = difference(read(), read())
    assert len(sample.cpu) == machine()["cores"]
    assert all(0 <= core <= 100 for core in sample.cpu)
    assert 0 < sample.memory <= 100


def test_shared_samples() -> None:
    """Two pages share the samples of one rate."""
    assert samples(5) is samples(5) is not samples(6)
