"""What a socket and its transport give each other: frames, and the peer's close frame."""

from typing import Any

import pytest

import rxws
from rxws.core.wire import MESSAGE_WEIGHT, Binary, Frame, Limited, Rest, Text, close_received


@pytest.mark.parametrize("frame", [Text(b""), Text(b"abc", "abc"), Binary(b"abc")])
def test_weight(frame: Frame) -> None:
    """A frame weighs its bytes and what its objects cost, also if it is for one connection, or for some time."""
    assert frame.weight == len(frame.data) + MESSAGE_WEIGHT
    limited = Limited(frame, connection="this", expires=1.5)
    assert (limited.data, limited.message, limited.opcode) == (frame.data, frame.message, frame.opcode)
    assert (limited.weight, limited.connection, limited.expires) == (frame.weight, "this", 1.5)
    assert (frame.connection, frame.expires) == (None, None)


def test_rest_of_a_frame() -> None:
    """It weighs as its frame does, and ends when it is told to."""
    rest = Rest("ab", iter("12"))
    assert (len(rest), rest.advance(), rest.message) == (2, True, "1")
    rest.close()
    assert not rest.advance()


class Calls:
    """An endpoint that takes note of what it is told."""

    def __init__(self) -> None:
        self.closes: list[rxws.Close] = []
        self.violations: list[rxws.Close] = []

    def close_received(self, close: rxws.Close) -> None:
        self.closes.append(close)

    def protocol_violated(self, error: Exception, close: rxws.Close) -> None:
        self.violations.append(close)


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (4001, "bye"), (None, ""), (0, "")])
def test_close_received(code: int | None, reason: str) -> None:
    """A close frame without a code is 1005."""
    calls: Any = Calls()
    close_received(calls, code, reason)
    assert (calls.closes, calls.violations) == ([rxws.Close.received(code or 1005, reason)], [])


@pytest.mark.parametrize("code", [1, 999, 1004, 1005, 1006, 1015, 5000])
def test_close_with_an_illegal_code(code: int) -> None:
    """A close frame with a code that no frame may carry is a violation."""
    calls: Any = Calls()
    close_received(calls, code, "")
    assert (calls.closes, calls.violations) == ([], [rxws.Close(1002)])
