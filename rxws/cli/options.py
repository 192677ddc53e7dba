"""What `connect` and `record` share: the options of a connection, and how one that ends is told."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TextIO, TypeVar

import rxws
from rxws.client.socket import ClientWebSocket
from rxws.client.targets import check_url
from rxws.core.log import escape
from rxws.recording import Event, Recording
from rxws.recording.lines import header_line, line

T = TypeVar("T")

NORMAL_EXITS: Final = (1000, 1001, 1005)

STATUS: Final = """\
exit status:
  0  closed normally, with 1000, 1001 or no code, or by you
  1  no connection
  2  wrong arguments
  3  closed with another code, or lost (1006)
"""


def argument(read: Callable[[str], T]) -> Callable[[str], T]:
    """Let argparse show what a type raises, a `TypeError` or `ValueError`."""

    def checked(text: str) -> T:
        try:
            return read(text)
        except (TypeError, ValueError) as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


def number_in(text: str) -> int | float | str:
    """Read a number; other text stays what it is, for a check to refuse."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def add_options(parser: Any) -> None:
    """Add the options of a connection."""
    parser.add_argument("url", metavar="URL", type=_url, help="ws://, wss://, http:// or https://")
    parser.add_argument("-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", type=_header)
    parser.add_argument("-p", "--protocol", action="append", default=[], metavar="NAME", help="a subprotocol to offer")
    parser.add_argument("-r", "--reconnect", action="store_true", help="come back when the connection is lost")
    parser.add_argument("-s", "--send", action="append", default=[], metavar="TEXT", help="a message to send at first")


@asynccontextmanager
async def opened(
    options: argparse.Namespace, heartbeat: float = 20.0
) -> AsyncGenerator[ClientWebSocket[Any, Any], None]:
    """Connect as the options say; the messages to send at first are sent whenever a connection opens."""
    reconnect = rxws.Backoff() if options.reconnect else None
    async with rxws.connect(
        options.url, headers=dict(options.header), protocols=options.protocol, heartbeat=heartbeat, reconnect=reconnect
    ) as socket:
        yield socket


def send_first(socket: ClientWebSocket[Any, Any], messages: list[str]) -> None:
    """Send messages now, and again whenever another connection opens."""

    def send(state: object) -> None:
        if isinstance(state, rxws.Open):
            for message in messages:
                socket.outgoing.on_next(message)

    socket.states.subscribe(send)


class LineSink:
    """A stream that gets a recording's lines."""

    def __init__(self, recording: Recording, stream: TextIO) -> None:
        self._stream = stream
        self._write(header_line(recording))

    def put(self, event: Event) -> bool:
        """Write an event; `False` if nobody reads."""
        return self._write(line(event))

    def close(self) -> None:
        """Flush."""
        with suppress(BrokenPipeError):
            self._stream.flush()

    def _write(self, text: str) -> bool:
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except BrokenPipeError:
            return False
        return True


def status_of(close: rxws.Close, *, ours: bool) -> int:
    """Choose the exit status."""
    return 0 if ours or close.code in NORMAL_EXITS else 3


def fail(message: object, status: int = 1) -> int:
    """Say what is wrong, and give the exit status."""
    print(f"rxws: {escape(str(message))}", file=sys.stderr)
    return status


def run_command(main: Any) -> int:
    """Run a command's coroutine; Ctrl-C is an end like any other."""
    try:
        return asyncio.run(main)
    except KeyboardInterrupt:
        return 130
    except rxws.ConnectError as error:
        return fail(f"no connection: {error}")
    except OSError as error:
        return fail(error)


@argument
def _url(text: str) -> str:
    return str(check_url(text))


@argument
def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"a header is like 'Name: value', not {text!r}")
    return name.strip(), value.strip()
