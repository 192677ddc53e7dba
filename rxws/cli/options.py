"""What `connect` and `record` share: the options of a connection, and the exit status of one that ends."""

from __future__ import annotations

import argparse
import itertools
import json
import re
import ssl
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final, Literal, TextIO, TypeVar

from reactivex import operators as ops
from yarl import URL

import rxws
from rxws import options as socket_options
from rxws.checks import positive, positive_int
from rxws.cli.running import Leave, WrongArguments, cannot_print
from rxws.client.secrets import without_secrets
from rxws.client.socket import ClientWebSocket
from rxws.client.targets import check_headers, check_proxy, check_url
from rxws.recording import Event, Recording
from rxws.recording.lines import header_line, line
from rxws.wires.aiohttp import SECURE
from rxws.wires.negotiation import TOKEN

T = TypeVar("T")

NORMAL_EXITS: Final = (1000, 1001, 1005)

STATUS: Final = """\
exit status:
  0    closed normally, with 1000, 1001 or no code, or by you: Ctrl-C, a limit, a reader of the output that leaves
  1    no connection, or an input or output that fails
  2    wrong arguments
  3    closed with another code, or lost (1006)
  130  Ctrl-C before there was a connection; 143 after SIGTERM
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
    protocol = {"action": _Protocol, "default": (), "metavar": "NAME", "help": "a subprotocol to offer"}
    parser.add_argument("-p", "--protocol", **protocol)
    parser.add_argument("-r", "--reconnect", action="store_true", help="reconnect when the connection is lost")
    parser.add_argument("-s", "--send", action="append", default=[], metavar="TEXT", help="a message to send first")
    parser.add_argument("--messages", type=_count, metavar="N", help="end after this many messages from the peer")
    parser.add_argument("--seconds", type=_seconds, metavar="N", help="end after this many seconds")
    proxy = "through this proxy, http://[USER:PASSWORD@]HOST:PORT; env: the one that the environment names"
    parser.add_argument("--proxy", type=_proxy, metavar="URL", help=proxy)
    parser.add_argument("--ca", type=_ca, metavar="FILE", help="trust these certificates (PEM), and no others")


@asynccontextmanager
async def opened(
    options: argparse.Namespace, heartbeat: float = 20.0
) -> AsyncGenerator[ClientWebSocket[Any, Any], None]:
    """Connect as the options say; the messages to send at first are sent whenever a connection opens."""
    if options.ca is not None and URL(options.url).scheme not in SECURE:
        raise WrongArguments(f"--ca is for wss: the URL {without_secrets(options.url)!r} asks for no encryption")
    try:
        connecting = rxws.connect(
            options.url,
            headers=dict(options.header),
            protocols=options.protocol,
            heartbeat=heartbeat,
            reconnect=rxws.Backoff() if options.reconnect else None,
            proxy=options.proxy,
            ssl=options.ca or True,
        )
    except ValueError as error:  # options that do not fit one another
        raise WrongArguments(str(error)) from error
    async with connecting as socket:
        yield socket


def send_first(socket: ClientWebSocket[Any, Any], messages: list[str]) -> Callable[[], bool]:
    """Send messages now, and again whenever another connection opens; return what says whether one has."""
    has_opened = False

    def send(state: object) -> None:
        nonlocal has_opened
        if isinstance(state, rxws.Open):
            has_opened = True
            for message in messages:
                socket.outgoing.on_next(message)

    socket.states.subscribe(send)
    return lambda: has_opened


def receive(
    socket: ClientWebSocket[Any, Any],
    number: int | None,
    show: Callable[[Any], object],
    enough: Callable[[], object],
) -> None:
    """Show the messages that come, at most `number`, and call `enough` after the last one."""
    counter = itertools.count(1)

    def take(message: Any) -> None:
        show(message)
        if next(counter) == number:
            enough()

    socket.incoming.pipe(*([] if number is None else [ops.take(number)])).subscribe(take)


def values(data: Any) -> Any:
    """Read the text of a message as JSON; what is not JSON stays.

    >>> values('{"a": 1}'), values("hello"), values("NaN"), values(b"1")
    ({'a': 1}, 'hello', 'NaN', b'1')
    """
    if isinstance(data, str):
        with suppress(ValueError, RecursionError):
            return json.loads(data, parse_constant=_refuse)
    return data


class LineSink:
    """A stream that gets a recording's lines; what `plain` makes of the messages. Calls `leave` if that fails."""

    def __init__(
        self, recording: Recording, stream: TextIO, leave: Leave, plain: Callable[[Any], Any] = lambda data: data
    ) -> None:
        self._stream = stream
        self._leave = leave
        self._plain = plain
        self._in_terminal = stream.isatty()
        self._write(header_line(recording))

    def put(self, event: Event) -> bool:
        """Write an event; `False` if that fails."""
        return self._write(line(replace(event, data=self._plain(event.data))))

    def close(self) -> None:
        """Flush."""
        with suppress(OSError):  # `put` has told it
            self._stream.flush()

    def _write(self, text: str) -> bool:
        if self._in_terminal and not text.isprintable():
            text = "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except OSError as error:
            cannot_print(error, self._leave)
            return False
        return True


def status_of(close: rxws.Close, *, ours: bool, opened: bool) -> int:
    """Choose the exit status."""
    if ours or close.code in NORMAL_EXITS:
        return 0
    return 3 if opened else 1


def remark(text: str) -> None:
    """Write a line to stderr, for people; what it shows of a peer must be escaped."""
    with suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


@argument
def _url(text: str) -> str:
    return str(check_url(text))


@argument
def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(TOKEN, name.strip(), re.ASCII):
        raise ValueError(f"expected a header like 'Name: value', not {text!r}")
    if any(character in value for character in "\r\n\0"):
        raise ValueError("the value of a header must be one line")
    check_headers({name.strip(): value})
    return name.strip(), value.strip()


@argument
def _seconds(text: str) -> float:
    return positive("the time", number_in(text), "seconds")


@argument
def _count(text: str) -> int:
    return positive_int("the number", number_in(text), "messages")


@argument
def _proxy(text: str) -> str | Literal[True]:
    proxy = True if text == "env" else text
    check_proxy(proxy)
    return proxy


@argument
def _ca(text: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=text)
    except OSError as error:  # of TLS, too
        raise ValueError(f"{text!r} has no certificates that can be read: {error.strerror or error}") from error


class _Protocol(argparse.Action):
    """Adds a subprotocol to those that are offered, if they may be offered together."""

    def __call__(self, parser: argparse.ArgumentParser, options: argparse.Namespace, name: Any, *_: Any) -> None:
        protocols = (*options.protocol, name)
        try:
            socket_options.check({"protocols": protocols})
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from error
        options.protocol = protocols
