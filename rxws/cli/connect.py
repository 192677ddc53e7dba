"""`rxws connect URL`: type and see."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

from reactivex import operators as ops

import rxws
from rxws.checks import number
from rxws.cli.line_editor import Line
from rxws.cli.options import (
    STATUS,
    LineSink,
    add_options,
    argument,
    number_in,
    opened,
    receive,
    remark,
    send_first,
    status_of,
)
from rxws.cli.running import Leave, cannot_print, fail, run_command
from rxws.cli.talk import COMMANDS, Talk
from rxws.cli.terminal import compact, write_message
from rxws.client.secrets import without_secrets
from rxws.client.socket import ClientWebSocket
from rxws.operators import of_type
from rxws.recording.recorder import Recorder

MAX_LINE: Final = 16 * 2**20
"""Bytes of a line from a pipe."""

INPUT_CHUNK: Final = 64 * 1024
"""Bytes of the input that are read at once."""

ANSWERS_WITHIN: Final = 1.0
"""Seconds after the end of the input within which answers may come."""


def add_to(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "connect",
        help="talk to a socket",
        description="Send each line that you type. Show messages, with JSON indented, and how the socket closes. "
        "From a pipe, or into one, send the lines of the input and print only the messages.",
        epilog=f"in a terminal: {COMMANDS}\n\n{STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument("--jsonl", action="store_true", help="print a recording, as JSON lines")
    parser.add_argument("--compact", action="store_true", help="print JSON without white space, one message per line")
    parser.add_argument(
        "--linger",
        type=_linger,
        metavar="SECONDS",
        help="from a pipe: close when this long after its end no message has come on an open connection "
        f"(default: {ANSWERS_WITHIN}; with --messages or --seconds these end it)",
    )
    parser.set_defaults(run=_run)


@argument
def _linger(text: str) -> float:
    return number("the time", number_in(text), "a number of seconds", lambda seconds: 0 <= seconds < float("inf"))


def _run(options: argparse.Namespace) -> int:
    if options.linger is None and options.messages is None and options.seconds is None:
        options.linger = ANSWERS_WITHIN
    return run_command(lambda leave: _connect(options, leave))


async def _connect(options: argparse.Namespace, leave: Leave) -> int:
    typed = sys.stdin.isatty() and sys.stdout.isatty() and not options.jsonl
    async with opened(options, heartbeat=5.0 if typed else 20.0) as socket:
        if options.jsonl:
            about = {"url": without_secrets(options.url)}
            recorder = Recorder(socket, about, lambda recording: LineSink(recording, sys.stdout, leave))
            work = _silently(socket, options.linger)
        else:
            recorder = None
            work = _in_terminal(socket, options.compact, leave) if typed else _through_pipe(socket, options, leave)
        async with work as talk:
            has_opened = send_first(socket, options.send)
            receive(socket, options.messages, talk.message, talk.leave)
            try:
                async with asyncio.timeout(options.seconds):
                    close = await socket.closed
            except TimeoutError:
                talk.leave()
                close = await socket.closed
            except asyncio.CancelledError:  # Ctrl-C, or nobody reads
                talk.end()
                close = await socket.closed
    if recorder is not None:
        recorder.dispose()
    status = status_of(close, ours=talk.closing, opened=has_opened())
    return status or int(talk.has_failed)


@asynccontextmanager
async def _in_terminal(socket: ClientWebSocket[Any, Any], is_compact: bool, leave: Leave) -> AsyncGenerator[Talk, None]:
    """Let lines be typed, with the last round trip before them."""
    with _keys() as listen:
        talk: Talk
        line = Line("> ", sys.stdout, entered=lambda text: talk.enter(text), ended=lambda: talk.end())
        talk = Talk(socket, line.show, sys.stdout, is_compact=is_compact)
        socket.errors.subscribe(talk.error)
        socket.states.subscribe(talk.state)
        talk.say(COMMANDS, "dim")
        listen(line.feed, lambda: leave(0))
        telling = asyncio.create_task(_tell_rtt(socket, line))
        try:
            yield talk
        finally:
            telling.cancel()
            talk.stop()
            line.clear()


@asynccontextmanager
async def _through_pipe(
    socket: ClientWebSocket[Any, Any], options: argparse.Namespace, leave: Leave
) -> AsyncGenerator[Talk, None]:
    """Print messages alone, for the next program; remarks go to stderr."""

    def show(message: str | bytes) -> None:
        try:
            write_message(compact(message) if options.compact and isinstance(message, str) else message)
        except OSError as error:
            cannot_print(error, leave)

    async with _feeding(socket, options.linger) as talk:
        socket.errors.subscribe(talk.error)
        socket.states.subscribe(talk.state)
        talk.message = show
        yield talk


@asynccontextmanager
async def _silently(socket: ClientWebSocket[Any, Any], linger: float | None) -> AsyncGenerator[Talk, None]:
    """Say only what keeps it from connecting."""
    async with _feeding(socket, linger) as talk:
        socket.states.pipe(of_type(rxws.Waiting)).subscribe(talk.state)
        yield talk


@asynccontextmanager
async def _feeding(socket: ClientWebSocket[Any, Any], linger: float | None) -> AsyncGenerator[Talk, None]:
    """Send the lines of stdin, as fast as the peer takes them, and close when they are over and it has answered."""

    async def feed() -> None:
        life = socket._life  # pyright: ignore[reportPrivateUsage]
        try:
            async for text in _lines():
                socket.outgoing.on_next(text)
                await life.outgoing.room()
        except (OSError, ValueError) as error:
            fail(f"cannot read the input: {error}")
            talk.has_failed = True
        if linger is None:
            return
        received = -1
        while socket.stats.received != received or life.connection is None:
            if not await socket.states.pipe(of_type(rxws.Open), ops.some()):  # no answer can come
                return
            received = socket.stats.received
            await asyncio.sleep(linger)
        talk.end()

    talk = Talk(socket, remark, sys.stderr)
    talk.message = lambda message: None
    feeding = asyncio.create_task(feed())
    try:
        yield talk
    finally:
        feeding.cancel()


async def _tell_rtt(socket: ClientWebSocket[Any, Any], line: Line) -> None:
    while True:
        await asyncio.sleep(0.25)
        prompt = "> " if socket.rtt is None else f"{socket.rtt * 1000:.1f} ms > "
        if prompt != line.prompt:
            line.prompt = prompt
            line.draw()


@contextmanager
def _keys() -> Generator[Callable[[Callable[[bytes], object], Callable[[], object]], None], None, None]:
    """Give each key at once, not line by line, or tell that the terminal has gone; and give it back as it was."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    loop = asyncio.get_running_loop()
    tty.setcbreak(terminal)

    def read(feed: Callable[[bytes], object], gone: Callable[[], object]) -> None:
        keys = b""
        with suppress(OSError):
            keys = os.read(terminal, INPUT_CHUNK)
        if keys:
            feed(keys)
        else:
            loop.remove_reader(terminal)
            gone()

    try:
        yield lambda feed, gone: loop.add_reader(terminal, read, feed, gone)
    finally:
        loop.remove_reader(terminal)
        with suppress(termios.error):
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)


async def _lines() -> AsyncIterator[str]:
    """Read stdin: a pipe, a socket or a terminal as it comes, what never has to be waited for at once.

    It stays a stream that blocks, for the other programs that have it.
    """
    stdin, rest = sys.stdin.fileno(), b""
    while chunk := await _read(stdin):
        *lines, rest = (rest + chunk).split(b"\n")
        for text in lines:
            yield text.decode(errors="replace")
        if len(rest) > MAX_LINE:
            raise ValueError(f"a line of more than {MAX_LINE} bytes")
    if rest:
        yield rest.decode(errors="replace")


async def _read(file: int) -> bytes:
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(file, lambda: readable.done() or readable.set_result(None))
    except (OSError, NotImplementedError):  # of a file one never has to wait
        return os.read(file, INPUT_CHUNK)
    try:
        await readable
        return os.read(file, INPUT_CHUNK)
    except BlockingIOError:  # another program has read it
        return await _read(file)
    finally:
        loop.remove_reader(file)
