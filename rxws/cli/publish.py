"""`rxws publish URL SUBJECT`: what is on the standard input, a message a line."""

from __future__ import annotations

import argparse
import json
import sys
from threading import Event
from typing import Any, Final

from rxws.cli.running import INTERRUPTED, fail
from rxws.errors import EncodeError
from rxws.topics.message import Unpublished
from rxws.topics.publishing import publisher

LOST: Final = (Unpublished, EncodeError)
"""Errors that mean a lost line. Others, such as those of a broker that is away for a while, are only reported."""


def add_to(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "publish",
        help="publish the lines of the standard input to a topic",
        description="Publish each line of the standard input to a topic, and wait until the broker has confirmed it. "
        "The status is 0 if it has confirmed all, 130 after Ctrl-C, else 1.",
    )
    parser.add_argument("url", metavar="URL", help="the broker's URL, such as nats://localhost:4222")
    parser.add_argument("subject", metavar="SUBJECT", help="the topic, such as room.tea")
    parser.add_argument("--text", action="store_true", help="lines are texts; without it, each is a JSON value")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    has_failed = Event()

    def lose(why: str) -> None:
        has_failed.set()
        fail(why)

    def report(error: Exception) -> None:
        if isinstance(error, LOST):
            lose(str(error))
        else:
            fail(str(error))

    try:
        broker = publisher(options.url)
        broker.errors.subscribe(report)
        with broker:
            topic = broker[options.subject]
            for number, line in enumerate(sys.stdin, 1):
                text = line.rstrip("\n")
                try:
                    topic.on_next(text if options.text else json.loads(text))
                except (ValueError, RecursionError) as error:
                    lose(f"line {number} is not JSON ({error}): use --text for texts")
    except (ValueError, ImportError) as error:
        return fail(error, 2)
    except KeyboardInterrupt:
        return INTERRUPTED
    return int(has_failed.is_set())
