"""`rxws record URL`: keep what happens on a socket."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import rxws
from rxws.cli.options import (
    STATUS,
    LineSink,
    add_options,
    opened,
    receive,
    remark,
    send_first,
    status_of,
    values,
)
from rxws.cli.running import Leave, fail, run_command
from rxws.cli.talk import Talk
from rxws.cli.terminal import CLEAR_LINE
from rxws.client.secrets import without_secrets
from rxws.client.socket import ClientWebSocket
from rxws.core.log import escape
from rxws.marbles.layout import size_of
from rxws.operators import of_type
from rxws.recording import Event, Recording
from rxws.recording.disk import wait_for_disk
from rxws.recording.recorder import MAX_BYTES, EventSink, Recorder
from rxws.recording.writer import FileSink


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
    parser.add_argument("-o", "--output", metavar="FILE", help="the output file (default: -, the standard output)")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument("--json", action="store_true", help="write messages that are JSON as values, not as texts")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.output == "-":
        options.output = None
    if options.output is not None and not options.force and Path(options.output).is_file():
        return fail(f"{options.output} exists: choose another name, or overwrite it with --force", 2)
    files: list[_File] = []
    plain = values if options.json else _as_it_is

    def sink_of(recording: Recording, leave: Leave) -> EventSink:
        if options.output is None:
            return LineSink(recording, sys.stdout, leave, plain)
        files.append(_File(recording, options.output, plain, leave))
        return files[0]

    status = run_command(lambda leave: _record(options, partial(sink_of, leave=leave)))
    if files and wait_for_disk() and files[0].has_failed:  # however the socket closed before that was seen
        return 1
    return status


class _File(FileSink):
    """A file that ends the command when it takes nothing further: with 1 if it has failed, with 0 at its limit."""

    def __init__(self, recording: Recording, file: str, plain: Callable[[Any], Any], leave: Leave) -> None:
        super().__init__(recording, file, MAX_BYTES, plain)
        self._leave = leave

    def put(self, event: Event) -> bool:
        """Take an event, or end the command; the log says why."""
        taken = super().put(event)
        if not taken:
            self._leave(int(self.has_failed))
        return taken


def _as_it_is(data: Any) -> Any:
    return data


async def _record(options: argparse.Namespace, sink_of: Callable[[Recording], EventSink]) -> int:
    async with opened(options) as socket:
        recorder = Recorder(socket, {"url": without_secrets(options.url)}, sink_of)
        in_terminal = options.output is None and sys.stdout.isatty()
        progress = asyncio.create_task(_progress(socket, in_terminal))
        talk = Talk(socket, _above_progress, sys.stderr)
        socket.errors.subscribe(talk.error)
        socket.states.pipe(of_type(rxws.Waiting)).subscribe(talk.state)
        try:
            has_opened = send_first(socket, options.send)
            receive(socket, options.messages, _as_it_is, talk.leave)
            try:
                async with asyncio.timeout(options.seconds):
                    close = await socket.closed
            except (TimeoutError, asyncio.CancelledError):  # it was told to end, or nobody reads
                talk.leave()
                close = await socket.closed
        finally:
            progress.cancel()
            recorder.dispose()
    remark(f"{_so_far(socket)}; closed {close.code} {escape(close.reason)}".rstrip())
    return status_of(close, ours=talk.closing, opened=has_opened())


async def _progress(socket: ClientWebSocket[Any, Any], in_terminal: bool) -> None:
    """Tell twice a second what there is, in a terminal that does not show the recording itself."""
    if in_terminal or not sys.stderr.isatty():
        return
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(0.5)
            print(f"{CLEAR_LINE}{_so_far(socket)} ", end="", file=sys.stderr, flush=True)
    print(CLEAR_LINE, end="", file=sys.stderr, flush=True)


def _above_progress(text: str) -> None:
    remark(f"{CLEAR_LINE}{text}" if sys.stderr.isatty() else text)


def _so_far(socket: ClientWebSocket[Any, Any]) -> str:
    stats = socket.stats
    return f"{stats.received:,} messages in, {size_of(stats.received_bytes)}; {stats.sent:,} out"
