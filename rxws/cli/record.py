"""`python -m rxws record URL`: keep what happens on a socket."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from typing import Any

from reactivex import operators as ops

from rxws.checks import positive, positive_int
from rxws.cli.options import (
    STATUS,
    LineSink,
    add_options,
    argument,
    number_in,
    opened,
    run_command,
    send_first,
    status_of,
)
from rxws.client.secrets import without_secrets
from rxws.client.socket import ClientWebSocket
from rxws.core.log import escape
from rxws.recording import record
from rxws.recording.recorder import Recorder


def add_to(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "record",
        help="record a socket, as JSON lines",
        description="Write what happens on a socket, until it closes, the limit is reached, or Ctrl-C.",
        epilog=STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="where to (default: stdout)")
    parser.add_argument("--seconds", type=_seconds, help="end after so long")
    parser.add_argument("--messages", type=_count, help="end after so many messages of the peer's")
    parser.set_defaults(run=_run)


@argument
def _seconds(text: str) -> float:
    return positive("the time", number_in(text), "seconds")


@argument
def _count(text: str) -> int:
    return positive_int("the number", number_in(text), "messages")


def _run(options: argparse.Namespace) -> int:
    return run_command(_record(options))


async def _record(options: argparse.Namespace) -> int:
    async with opened(options) as socket:
        about = {"url": without_secrets(options.url)}
        if options.output is None:
            recorder = Recorder(socket, about, lambda recording: LineSink(recording, sys.stdout))
        else:
            recorder = record(socket, options.output, about=about)
        progress = asyncio.create_task(_progress(socket))
        ours = False
        try:
            send_first(socket, options.send)
            if options.messages is not None:
                socket.incoming.pipe(ops.take(options.messages)).subscribe(on_completed=socket.dispose)
            else:
                socket.incoming.subscribe()
            try:
                async with asyncio.timeout(options.seconds):
                    close = await socket.closed
            except (TimeoutError, asyncio.CancelledError):
                ours = True
                socket.dispose()
                close = await socket.closed
        finally:
            progress.cancel()
            recorder.dispose()
    done = options.messages is not None and socket.stats.received >= options.messages
    print(f"{_so_far(socket)}; closed {close.code} {escape(close.reason)}".rstrip(), file=sys.stderr)
    return status_of(close, ours=ours or done)


async def _progress(socket: ClientWebSocket[Any, Any]) -> None:
    """Tell twice a second what there is, where somebody looks."""
    if not sys.stderr.isatty():
        return
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(0.5)
            print(f"\r\x1b[K{_so_far(socket)} ", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _so_far(socket: ClientWebSocket[Any, Any]) -> str:
    stats = socket.stats
    return f"{stats.received:,} messages in, {stats.received_bytes / 1e6:,.1f} MB; {stats.sent:,} out"
