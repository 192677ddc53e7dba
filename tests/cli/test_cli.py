"""`python -m rxws` as a user runs it."""

import pytest

from rxws.cli import main


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["demo", "--port=99999"], "argument --port: the port must be 0 to 65535, not 99999"),
        (["demo", "--port=-1"], "argument --port: the port must be 0 to 65535, not -1"),
        (["demo", "--port=http"], "argument --port: the port must be 0 to 65535, not 'http'"),
        (["record", "ws://a", "--messages=-1"], "--messages: the number must be a positive whole number of messages"),
        (["record", "ws://a", "--messages=2.5"], "--messages: the number must be a positive whole number of messages"),
        (["record", "ws://a", "--seconds=nan"], "--seconds: the time must be a positive number of seconds, not nan"),
        (["marbles", "file", "--width=0"], "--width: the width must be a positive whole number of pixels or columns"),
        (["replay", "file", "--speed=0"], "argument --speed: speed must be a positive number, or inf, not 0"),
        (["replay", "file", "--serve=8080"], "argument --serve: an address is like :8080 or 0.0.0.0:8080, not '8080'"),
        (["connect", "http"], "argument URL: 'http' is no WebSocket URL"),
        (["connect", "ws://a", "-Hx"], "argument -H/--header: a header is like 'Name: value', not 'x'"),
    ],
)
def test_wrong_arguments(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong argument is refused before anything is tried, and the message says what was expected."""
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert (exit.value.code, says in capsys.readouterr().err) == (2, True)


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the program shows its usage."""
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
