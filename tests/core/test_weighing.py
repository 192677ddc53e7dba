"""How heavy a message is that has no frame yet."""

from __future__ import annotations

import time
from typing import Any

import pytest

from rxws.core.weighing import MAX_WEIGHED, weigh


@pytest.mark.parametrize(
    ("message", "at_least"),
    [
        ("x" * 1000, 1000),
        ("€" * 1000, 2000),
        (bytearray(1000), 1000),
        ({"a": "x" * 1000}, 1000),
        ({"x" * 1000: 1}, 1000),
        ([({"x" * 1000},), frozenset({"y" * 1000})], 2000),
        (list(range(1000)), 32_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_weight(message: Any, at_least: int) -> None:
    """A message weighs about what it takes, with what is in it."""
    assert at_least < weigh(message) < 1.4 * at_least + 900


def test_weight_of_what_contains_itself() -> None:
    """What is there twice, or in itself, weighs once."""
    message: list[Any] = ["x" * 1000] * 100
    message.append(message)
    assert weigh(message) < 3000


def test_weighing_ends() -> None:
    """The weighing of what is heavier than anything that may wait ends."""
    began = time.perf_counter()
    assert MAX_WEIGHED <= weigh([bytes(2**20) for _ in range(80)]) < MAX_WEIGHED + 2**21
    assert time.perf_counter() - began < 5
