from asyncio import CancelledError
from typing import Any

import pytest

import rxws
from rxws.errors import close_for


class Teapot(Exception):
    close_code = 4018
    close_reason = "short and stout"


class Confused(Exception):
    close_code = 99


class Verbose(Exception):
    close_code = 4000
    close_reason = "x" * 124


class Speechless(Exception):
    close_code = 4000
    close_reason = None


@pytest.mark.parametrize(
    ("error", "close"),
    [
        (ValueError(), rxws.Close(1011, "Unexpected Error")),
        (rxws.RxwsError(), rxws.Close(1011, "Unexpected Error")),
        (rxws.EncodeError(1), rxws.Close(1011, "Unexpected Error")),
        (rxws.DecodeError("{"), rxws.Close(1007, "Invalid Message")),
        (rxws.ProtocolError("bad", 1009), rxws.Close(1009)),
        (rxws.Close(4001, "bye"), rxws.Close(4001, "bye")),
        (Teapot(), rxws.Close(4018, "short and stout")),
        (Confused(), rxws.Close(1011, "Unexpected Error")),
        (Verbose(), rxws.Close(4000)),
        (Speechless(), rxws.Close(4000)),
        (ExceptionGroup("", [ValueError(), Teapot()]), rxws.Close(4018, "short and stout")),
        (ExceptionGroup("", [Teapot(), ExceptionGroup("", [rxws.Close(4001, "bye")])]), rxws.Close(4001, "bye")),
        (BaseExceptionGroup("", [CancelledError(), rxws.Close(4001)]), rxws.Close(4001)),
        (ExceptionGroup("", [Confused(), ValueError()]), rxws.Close(1011, "Unexpected Error")),
    ],
)
def test_close_for_error(error: Exception, close: rxws.Close) -> None:
    """An error closes with the code of its class."""
    assert close_for(error) == close


@pytest.mark.parametrize("error", [rxws.ConnectionLost(), rxws.HeartbeatTimeout(), rxws.ConnectError("no", "tcp")])
def test_close_for_lost_connection(error: Exception) -> None:
    """A connection that was lost elsewhere closes with what may be sent."""
    assert close_for(error) == rxws.Close(1011, "Unexpected Error")


def test_error_text() -> None:
    """An error says what it is about, but not all of it."""
    assert str(rxws.DecodeError("{")) == "cannot decode '{'"
    assert str(rxws.EncodeError({1}, "no sets")) == "cannot send {1}: no sets"
    assert len(str(rxws.DecodeError("x" * 10_000_000))) < 120
    assert len(str(rxws.EncodeError(list(range(10_000))))) < 120
    assert rxws.DecodeError(b"\xff").message == b"\xff"
    assert rxws.EncodeError(...).value is ...


class Reticent(Exception):
    """An error of which one attribute raises."""

    close_code = 4000

    def __init__(self, name: str, error: BaseException) -> None:
        self._raises = name, error

    def __getattribute__(self, name: str) -> Any:
        asked, error = super().__getattribute__("_raises")
        if name == asked:
            raise error
        return super().__getattribute__(name)


def test_close_for_an_error_whose_attributes_raise() -> None:
    """An attribute that cannot be read is as good as none; what ends the program is raised on."""
    assert close_for(Reticent("close_reason", CancelledError())) == rxws.Close(4000)
    assert close_for(Reticent("close_code", KeyError())) == rxws.Close(1011, "Unexpected Error")
    with pytest.raises(KeyboardInterrupt):
        close_for(Reticent("close_code", KeyboardInterrupt()))


class Silent:
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __repr__(self) -> str:
        raise self._error


def test_an_error_is_made_of_a_value_without_a_repr() -> None:
    """A value that is nested too deep for `repr`, or whose class fails in it, is an `EncodeError` as any other."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert str(rxws.EncodeError(deep)) == "cannot send <list, whose repr raises RecursionError>"
    assert str(rxws.EncodeError(Silent(KeyError()), "no")) == "cannot send <Silent, whose repr raises KeyError>: no"
    assert str(rxws.EncodeError(Silent(CancelledError()))).endswith("whose repr raises CancelledError>")
    with pytest.raises(KeyboardInterrupt):
        rxws.EncodeError(Silent(KeyboardInterrupt()))
    while deep:
        deep = deep.pop()
