from typing import Any

import pytest

from rxws.topics.message import Position


@pytest.mark.parametrize("position", [Position(0, 0), Position(1, 255), Position(2**63, 2**63)])
def test_a_position_is_written_and_read(position: Position) -> None:
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text", ["", "-", "1", "1-", "-1", "1-g", "1--1", "1- 1", "1_0-1", "+1-1", "0x1-1", "1-" + "f" * 17]
)
def test_what_is_no_position_is_a_clear_error(text: str) -> None:
    with pytest.raises(ValueError, match="expected the position of a message, not"):
        Position.parse(text)


@pytest.mark.parametrize("thing", [None, 7, b"1-1", ("1", "1")])
def test_a_position_is_a_str(thing: Any) -> None:
    with pytest.raises(TypeError, match="expected the position of a message, a str"):
        Position.parse(thing)


def test_later_ones_are_greater() -> None:
    assert Position(1, 9) < Position(1, 10) < Position(2, 1)
