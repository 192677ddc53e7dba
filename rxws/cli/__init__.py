"""`rxws COMMAND`, or `python -m rxws COMMAND`: one module a command."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from io import TextIOWrapper
from typing import Any

import rxws
from rxws.cli import connect, demo, marbles, publish, record, replay
from rxws.cli.running import INTERRUPTED, fail, give_up_output, reader_has_left


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status. A reader of the output that leaves ends it quietly, with 0."""
    _complete_streams()
    status = 0
    try:
        try:
            status = _run(arguments)
        finally:  # argparse exits after --help
            sys.stdout.flush()
    except BrokenPipeError:
        return reader_has_left()
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:  # of the output, such as a disk that is full; what failed before has said so
        give_up_output()
        return status or fail(error)
    return status


def _run(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="rxws", description="Reactive WebSockets.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the versions, and exit")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for command in (demo, connect, publish, record, replay, marbles):
        command.add_to(commands)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    return options.run(options)


class _Version(argparse.Action):
    """Shows what runs, as a report of a fault should say it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        others = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "reactivex"))
        print(f"rxws {rxws.__version__} ({others}, Python {platform.python_version()})")
        parser.exit()


def _complete_streams() -> None:
    """Open what the caller has closed; let nothing that comes in be unreadable, or unprintable."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the end of the process
    replacing = "backslashreplace"
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, replacing), (sys.stderr, replacing)):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=errors)
