"""`python -m rxws COMMAND`: one module a command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rxws.cli import connect, demo, marbles, publish, record, replay


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m rxws", description="Reactive WebSockets.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (demo, connect, publish, record, replay, marbles):
        command.add_to(commands)
    options = parser.parse_args(arguments)
    return options.run(options)
