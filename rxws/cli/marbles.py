"""`rxws marbles FILE`: what was recorded, as a picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rxws import marbles
from rxws.checks import positive_int
from rxws.cli.options import argument, number_in
from rxws.cli.running import fail
from rxws.cli.terminal import CLEAR_LINE, terminal_width
from rxws.recording import Event, Recording, read

TOLD_EVERY: Final = 50_000
"""Events between two reports of the progress."""


def add_to(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "marbles",
        help="draw a recording",
        description="Draw a recording, or the WebSockets of a HAR file, as a marble diagram: in text, or as SVG.",
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--svg", metavar="FILE", help="write an SVG picture; - for stdout")
    parser.add_argument("--width", type=_width, help="pixels, or columns (default: 840, or what the terminal has)")
    parser.set_defaults(run=_run)


@argument
def _width(text: str) -> int:
    return positive_int("the width", number_in(text), "pixels or columns")


def _run(options: argparse.Namespace) -> int:
    try:
        recording = read(options.file)
        if sys.stderr.isatty():
            recording = replace(recording, events=_Progress(recording))
        if options.svg is None:
            print(marbles.ascii(recording, width=options.width or terminal_width()))
        elif options.svg == "-":
            print(marbles.svg(recording, width=options.width or 840), end="")
        else:
            Path(options.svg).write_text(marbles.svg(recording, width=options.width or 840), encoding="utf-8")
    except (OSError, ValueError) as error:
        return fail(error)
    return 0


class _Progress:
    """The events of a recording; shows on stderr how many have been read so far."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __iter__(self) -> Iterator[Event]:
        number = 0
        for number, event in enumerate(self._recording, 1):
            if number % TOLD_EVERY == 0:
                print(f"\r{number:,} events ", end="", file=sys.stderr, flush=True)
            yield event
        if number >= TOLD_EVERY:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
