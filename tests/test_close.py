import pickle

import pytest
from aiohttp import WSCloseCode

from rxws import Close
from rxws.close import sendable

LEGAL = [*range(1000, 1004), *range(1007, 1015), 3000, 4000, 4999]
ILLEGAL = [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536]


@pytest.mark.parametrize("code", LEGAL)
def test_a_legal_code_makes_a_close(code: int) -> None:
    assert Close(code).code == code
    assert sendable(code)


@pytest.mark.parametrize("code", ILLEGAL)
def test_illegal_code(code: int) -> None:
    """An illegal code is a ValueError that says what to use."""
    with pytest.raises(ValueError, match=f"close code {code} may not be sent: use 1000-1003"):
        Close(code)


@pytest.mark.parametrize("code", ["1000", 1000.0, True, None])
def test_code_is_an_int(code: object) -> None:
    """A code that is not an int is a TypeError."""
    with pytest.raises(TypeError, match="a close code is an int"):
        Close(code)  # type: ignore[arg-type]


def test_code_of_an_enum() -> None:
    """A code may be of an enum; it is then just its number."""
    close = Close(WSCloseCode.GOING_AWAY)
    assert (type(close.code), close.args, repr(close)) == (int, (1001, ""), "Close(code=1001, reason='')")


def test_long_reason() -> None:
    """A reason has at most 123 bytes of UTF-8."""
    assert Close(1000, "x" * 123).reason == "x" * 123
    assert Close(1000, "é" * 61).reason == "é" * 61
    with pytest.raises(ValueError, match=r"at most 123 bytes of UTF-8, this one has 124"):
        Close(1000, "é" * 62)


def test_reason_is_text() -> None:
    """A reason must be text that UTF-8 can say."""
    with pytest.raises(ValueError, match="is not valid UTF-8"):
        Close(1000, "\ud800")
    with pytest.raises(TypeError, match="a close reason is a str"):
        Close(1000, b"bye")  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [1005, 1006])
def test_received_without_code(code: int) -> None:
    """A received Close may be 1005 or 1006."""
    assert Close.received(code).code == code


def test_received_is_checked() -> None:
    """A received Close is checked otherwise."""
    assert Close.received(4001, "bye") == Close(4001, "bye")
    with pytest.raises(ValueError, match="5000"):
        Close.received(5000)


def test_a_close_is_a_value() -> None:
    assert Close(4001, "bye") == Close(4001, "bye") != Close(4001)
    assert {Close(), Close()} == {Close(1000, "")}
    assert Close() != 1000
    assert pickle.loads(pickle.dumps(Close.received(1006))) == Close.received(1006)


def test_repr_escapes() -> None:
    """The repr of a Close escapes control characters."""
    assert repr(Close(4001, "a\r\n\x1b[31m")) == str(Close(4001, "a\r\n\x1b[31m"))
    assert repr(Close(4001, "a\r\n\x1b[31m")) == r"Close(code=4001, reason='a\r\n\x1b[31m')"
