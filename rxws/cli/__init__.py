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
from rxws.cli.running import INTERRUPTED, reader_has_left


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status. A reader of the output that leaves ends it quietly, with 0."""
    _complete_streams()
    parser = argparse.ArgumentParser(prog="rxws", description="Reactive WebSockets.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the versions, and exit")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for command in (demo, connect, publish, record, replay, marbles):
        command.add_to(commands)
    try:
        options = parser.parse_args(arguments)
        if options.command is None:
            parser.print_help()
            return 0
        status = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        return reader_has_left()
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


class _Version(argparse.Action):
    """Shows what runs, as a report of a fault should say it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        others = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "reactivex"))
        print(f"rxws {rxws.__version__} ({others}, Python {platform.python_version()})")
        parser.exit()


def _complete_streams() -> None:
    """Open what the caller has closed, and let nothing that a peer or a file says be unprintable."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the end of the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
