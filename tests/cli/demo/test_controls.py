"""What the page of the demo asks for."""

from typing import Any

import pytest

import rxws
from rxws.cli.demo.controls import Control, End, Problem, Rate, Threshold, Window, control_of


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
    assert control_of(message) == control


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
    assert isinstance(control_of(message), Problem)


def test_the_page_may_ask_for_an_error() -> None:
    end = control_of({"type": "fail"})
    assert isinstance(end, End)
    assert isinstance(end.error, RuntimeError)
