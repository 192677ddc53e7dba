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
    ],
)
def test_an_error_closes_with_its_class_s_code(error: Exception, close: rxws.Close) -> None:
    assert close_for(error) == close


@pytest.mark.parametrize("error", [rxws.ConnectionLost(), rxws.HeartbeatTimeout(), rxws.ConnectError("no", "tcp")])
def test_a_connection_that_was_lost_elsewhere_closes_with_what_may_be_sent(error: Exception) -> None:
    assert close_for(error) == rxws.Close(1011, "Unexpected Error")


def test_an_error_says_what_it_is_about_but_not_all_of_it() -> None:
    assert str(rxws.DecodeError("{")) == "cannot decode '{'"
    assert str(rxws.EncodeError({1}, "no sets")) == "cannot send {1}: no sets"
    assert len(str(rxws.DecodeError("x" * 10_000_000))) < 120
    assert len(str(rxws.EncodeError(list(range(10_000))))) < 120
    assert rxws.DecodeError(b"\xff").message == b"\xff"
    assert rxws.EncodeError(...).value is ...
