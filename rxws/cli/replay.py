"""`rxws replay FILE`: what was recorded, again: in the terminal, or as a server."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops
from yarl import URL

import rxws
from rxws import codecs
from rxws.cli.options import argument, number_in
from rxws.cli.running import WrongArguments, fail, run_command
from rxws.cli.terminal import Paint, pretty, printable, write_message
from rxws.core.log import escape
from rxws.recording import Event, Recording, read, replay
from rxws.recording.plain import as_sent
from rxws.recording.playback import check_speed
from rxws.rx.foreign import described


def add_to(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "replay",
        help="play a recording again",
        description="Print a recording at its own pace. With --lane, print only the messages of that lane, for a pipe. "
        "With --serve, play them from the start to each client that connects. FILE is a recording, or a HAR "
        "file with WebSocket messages, as the developer tools of browsers and Playwright write it.",
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--serve", metavar="[HOST]:PORT", type=_address, help="serve the messages on a WebSocket")
    parser.add_argument("--speed", type=_speed, default=1.0, help="speed factor, or inf (default: %(default)s)")
    parser.add_argument(
        "--lane", metavar="NAME", help="the lane whose messages are printed, or served (default, served: incoming)"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        recording = read(options.file)
    except (OSError, ValueError) as error:
        return fail(error)
    if options.serve is not None:
        return run_command(lambda _: _serve(recording, options), is_filter=False)
    return run_command(lambda _: _print(recording, options))


def _check_lane(recording: Recording, lane: str, file: str) -> None:
    """Raise for a lane that a recording does not have."""
    if lane not in recording.lanes:
        lanes = dict.fromkeys([*recording.lanes, *(event.lane for event in recording)])
        if lane not in lanes:
            raise WrongArguments(f"{file} has no lane {lane!r}: use --lane with one of {', '.join(map(repr, lanes))}")


async def _print(recording: Recording, options: argparse.Namespace) -> int:
    paint = Paint(sys.stdout)
    margin = max(map(len, recording.lanes), default=0)

    def show(event: Event) -> None:
        lane = paint(f"{escape(event.lane):>{margin}}", "blue")
        print(f"{event.time:>10.3f}  {lane}  {_shown(event, paint)}", flush=True)

    def show_message(event: Event) -> None:
        if event.lane != options.lane:
            return
        if event.kind == "next" and not isinstance(event.data, BaseException):
            write_message(event.data if isinstance(event.data, (str, bytes)) else _text_of(event.data))
        elif event.kind not in ("completed", "error"):
            write_message(_shown(event, Paint(sys.stdout)))

    try:
        if options.lane is not None:
            _check_lane(recording, options.lane, options.file)
        shown = ops.do_action(show if options.lane is None else show_message)
        await replay(recording, speed=options.speed).pipe(shown, ops.count())
    except ValueError as error:
        return fail(error)
    return 0


def _shown(event: Event, paint: Paint) -> str:
    match event:
        case Event(kind="next", data=str() | bytes() as data):
            return pretty(data, paint)
        case Event(data=rxws.Close(code=code, reason=reason)):
            return paint(printable(f"close {code} {reason}".rstrip()), "bold")
        case Event(data=Exception() as error):
            return paint(printable(repr(error)), "red")
        case Event(kind="next", data=data):
            return pretty(_text_of(data), paint)
        case _:
            return paint(event.kind, "dim")


def _text_of(data: Any) -> str:
    try:
        return codecs.json.encode(data)
    except (TypeError, ValueError, RecursionError):
        return described(data)


async def _serve(recording: Recording, options: argparse.Namespace) -> int:
    lane = options.lane or "incoming"
    _check_lane(recording, lane, options.file)

    @rxws.websocket(origins="*")
    def play(incoming: Observable[Any]) -> Observable[Any]:
        return _messages(recording, lane, options.speed)

    app = web.Application()
    app.router.add_get("/{path:.*}", play)
    rxws.setup(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        host, port = options.serve
        site = web.TCPSite(runner, host, port)
        await site.start()
        host, port, *_ = runner.addresses[0]
        place = URL.build(scheme="ws", host=host, port=port, path="/")
        print(f"replaying {options.file} at {place}, Ctrl-C to stop", flush=True)
        await asyncio.get_running_loop().create_future()
    finally:
        await runner.cleanup()
    return 0


def _messages(recording: Recording, lane: str, speed: float) -> Observable[Any]:
    """Make the messages of a lane, and the close: the recorded one, as far as it may be sent."""

    def message(event: Event) -> Any:
        if not isinstance(event.data, rxws.Close):
            return as_sent(codecs.text, event.data)[0]
        code, reason = event.data.code, event.data.reason
        return rxws.Close(code, reason) if code not in (1005, 1006) else rxws.Close(1000 if code == 1005 else 1011)

    return replay(recording, speed=speed).pipe(
        ops.filter(
            lambda event: (
                (event.lane == lane and event.kind == "next") or (event.lane == "socket" and event.kind == "close")
            )
        ),
        ops.map(message),
    )


@argument
def _speed(text: str) -> float:
    return check_speed(number_in(text))


@argument
def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"expected an address like :8080 or 0.0.0.0:8080, not {text!r}")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)
