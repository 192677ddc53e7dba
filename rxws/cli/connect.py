"""`python -m rxws connect URL`: type and see."""

from __future__ import annotations

import argparse
import asyncio
import os
import stat
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from rxws.cli.line_editor import Line
from rxws.cli.options import STATUS, LineSink, add_options, opened, run_command, send_first, status_of
from rxws.cli.talk import COMMANDS, Talk
from rxws.client.secrets import without_secrets
from rxws.client.socket import ClientWebSocket
from rxws.recording.recorder import Recorder

MAX_LINE: Final = 16 * 2**20
"""Bytes of a line from a pipe."""

INPUT_CHUNK: Final = 64 * 1024
"""Bytes that are read from a terminal at once."""


def add_to(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "connect",
        help="talk to a socket",
        description="Send what is typed, line by line; show what comes, JSON spread out, and how the socket closes. "
        "From a pipe, send its lines and print the messages alone.",
        epilog=f"in a terminal: {COMMANDS}\n\n{STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument("--jsonl", action="store_true", help="print a recording, as JSON lines")
    parser.add_argument(
        "--linger",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="from a pipe: close when so long after its end nothing has come (default: %(default)s)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    return run_command(_connect(options))


async def _connect(options: argparse.Namespace) -> int:
    typed = sys.stdin.isatty() and not options.jsonl
    async with opened(options, heartbeat=5.0 if typed else 20.0) as socket:
        if options.jsonl:
            about = {"url": without_secrets(options.url)}
            recorder = Recorder(socket, about, lambda recording: LineSink(recording, sys.stdout))
            work = _feed(socket, options.linger)
        else:
            recorder = None
            work = _in_terminal(socket) if typed else _through_pipe(socket, options.linger)
        async with work as talk:
            send_first(socket, options.send)
            socket.incoming.subscribe(talk.message)
            try:
                close = await socket.closed
            except asyncio.CancelledError:  # Ctrl-C
                talk.end()
                close = await socket.closed
    if recorder is not None:
        recorder.dispose()
    return status_of(close, ours=talk.closing)


@asynccontextmanager
async def _in_terminal(socket: ClientWebSocket[Any, Any]) -> AsyncGenerator[Talk, None]:
    """Let lines be typed, with the last round trip before them."""
    with _keys() as listen:
        line = Line("> ", sys.stdout, entered=lambda text: talk.enter(text), ended=lambda: talk.end())
        talk = Talk(socket, line.show)
        socket.errors.subscribe(talk.error)
        socket.states.subscribe(talk.state)
        talk.say(COMMANDS, "dim")
        listen(line.feed)
        telling = asyncio.create_task(_tell_rtt(socket, line))
        try:
            yield talk
        finally:
            telling.cancel()
            talk.stop()
            line.clear()


@asynccontextmanager
async def _through_pipe(socket: ClientWebSocket[Any, Any], linger: float) -> AsyncGenerator[Talk, None]:
    """Print messages alone, for the next program; remarks go to stderr."""
    async with _feed(socket, linger) as talk:
        socket.errors.subscribe(talk.error)
        socket.states.subscribe(talk.state)
        socket.incoming.subscribe(_print)
        yield talk


@asynccontextmanager
async def _feed(socket: ClientWebSocket[Any, Any], linger: float) -> AsyncGenerator[Talk, None]:
    """Send the lines of stdin, as fast as the peer takes them, and close when they are over and it has answered."""

    async def feed() -> None:
        outgoing = socket._life.outgoing  # pyright: ignore[reportPrivateUsage]
        async for text in _lines():
            socket.outgoing.on_next(text)
            await outgoing.room()
        received = -1
        while socket.stats.received != received:
            received = socket.stats.received
            await asyncio.sleep(linger)
        talk.end()

    talk = Talk(socket, lambda text: print(text, file=sys.stderr, flush=True))
    talk.message = lambda message: None
    feeding = asyncio.create_task(feed())
    try:
        yield talk
    finally:
        feeding.cancel()


def _print(message: str | bytes) -> None:
    if isinstance(message, bytes):
        sys.stdout.buffer.write(message)
        sys.stdout.buffer.flush()
    else:
        print(message, flush=True)


async def _tell_rtt(socket: ClientWebSocket[Any, Any], line: Line) -> None:
    while True:
        await asyncio.sleep(0.25)
        prompt = "> " if socket.rtt is None else f"{socket.rtt * 1000:.1f} ms > "
        if prompt != line.prompt:
            line.prompt = prompt
            line.draw()


@contextmanager
def _keys() -> Generator[Callable[[Callable[[bytes], object]], None], None, None]:
    """Give each key at once, not line by line; and the terminal back as it was."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    loop = asyncio.get_running_loop()
    tty.setcbreak(terminal)
    try:
        yield lambda feed: loop.add_reader(terminal, lambda: feed(os.read(terminal, INPUT_CHUNK)))
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


async def _lines() -> AsyncIterator[str]:
    """Read stdin: a pipe, a socket or a terminal as it comes, what never has to be waited for at once."""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()):
        for text in sys.stdin:
            yield text.rstrip("\n")
        return
    reader = asyncio.StreamReader(MAX_LINE)
    loop = asyncio.get_running_loop()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while text := await reader.readline():
            yield text.decode(errors="replace").rstrip("\n")
    finally:
        pipe.close()
