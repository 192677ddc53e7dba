"""`rxws` as a user runs it."""

from importlib.metadata import version
from pathlib import Path

import pytest
import trustme

import rxws
from rxws.cli import main
from rxws.recording import Event, Recording, read, write


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
        (
            ["replay", "file", "--serve=8080"],
            "argument --serve: expected an address like :8080 or 0.0.0.0:8080, not '8080'",
        ),
        (["connect", "http"], "argument URL: 'http' is not a WebSocket URL"),
        (["connect", "ws://a", "-Hx"], "argument -H/--header: expected a header like 'Name: value', not 'x'"),
        (["connect", "ws://a", "-Hbad name: x"], "expected a header like 'Name: value', not 'bad name: x'"),
        (["connect", "ws://a", "-HA: b\r\nC: d"], "-H/--header: the value of a header must be one line"),
        (["connect", "ws://a", "-HUpgrade: x"], "-H/--header: headers must not hold Upgrade"),
        (
            ["connect", "ws://a", "-p", "bad name"],
            "-p/--protocol: protocols holds 'bad name': expected letters, digits",
        ),
        (["record", "ws://a", "-p", "one", "-p", "one"], "-p/--protocol: protocols holds 'one' more than once"),
        (["connect", "ws://a", "--linger=nan"], "--linger: the time must be a number of seconds, not nan"),
        (["connect", "ws://a", "--messages=0"], "--messages: the number must be a positive whole number of messages"),
        (["connect", "ws://a", "--proxy=host:3128"], "'host:3128' is not a proxy's URL: expected http://host:port"),
        (["connect", "wss://a", "--ca=/nowhere"], "'/nowhere' has no certificates that can be read: No such file"),
        (["connect", "wss://a", f"--ca={__file__}"], "has no certificates that can be read"),
    ],
)
def test_wrong_arguments(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong argument is refused before anything is tried, and the message says what was expected."""
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert (exit.value.code, says in capsys.readouterr().err) == (2, True)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the program shows its help: the same as with --help."""
    assert main([]) == 0
    shown = capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert (stop.value.code, capsys.readouterr().out) == (0, shown)
    assert "usage: rxws [-h] [--version] COMMAND" in shown
    assert "talk to a socket" in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The versions that a report of a fault needs, on one line."""
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    line = capsys.readouterr().out
    assert line.startswith(
        f"rxws {rxws.__version__} (aiohttp {version('aiohttp')}, reactivex {version('reactivex')}, Py"
    )


def test_arguments_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What one argument alone does not tell is a usage error too, before anything is tried."""
    file, authority = tmp_path / "made.jsonl", tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(authority))
    write(Recording([Event(0.0, "ticks", "next", 1)], ("ticks",)), file)
    for arguments, says in (
        (["replay", str(file), "--lane=nosuch"], "has no lane 'nosuch': use --lane with one of 'ticks'"),
        (["replay", str(file), "--serve=:0"], "has no lane 'incoming': use --lane with one of 'ticks'"),
        (["record", "ws://a", "-o", str(file)], "exists: choose another name, or overwrite it with --force"),
        (["connect", "ws://a/?token=SECRET", f"--ca={authority}"], "--ca is for wss: the URL 'ws://a/'"),
    ):
        assert main(arguments) == 2
        shown = capsys.readouterr()
        assert (shown.out, says in shown.err, len(shown.err.splitlines())) == ("", True, 1), shown.err
    assert [event.data for event in read(file)] == [1]
