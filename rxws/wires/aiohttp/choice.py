"""Which wire runs."""

from __future__ import annotations

import asyncio
import os
from functools import cache
from types import SimpleNamespace
from typing import Any, Literal, cast

from aiohttp import ClientWebSocketResponse

from rxws.core.wire import Wire
from rxws.wires.aiohttp.header_watch import HeaderWatch
from rxws.wires.aiohttp.inside import AnyWebSocket, drop_handshake_state, protocol_of
from rxws.wires.aiohttp.marks import MarkFilter
from rxws.wires.aiohttp.masks import mask_unpredictably
from rxws.wires.aiohttp.public.pacing import Pacing
from rxws.wires.aiohttp.public.wire import PublicWire
from rxws.wires.deflate import Deflation


def _probe() -> Literal["fast", "public"]:
    """Find out whether aiohttp's parser and queue are what the fast wire needs, unless the environment says no."""
    if os.environ.get("RXWS_WIRE") == "public":
        return "public"
    try:
        from rxws.wires.aiohttp.fast.direct_queue import NO_PROTOCOL, DirectQueue, make_parser, next_message

        queue = DirectQueue(NO_PROTOCOL)
        seen: list[str] = []
        queue.receiver, queue.left = cast("Any", SimpleNamespace(message_received=seen.append)), 1
        queue.open()
        parser = make_parser(queue, 100)
        parser.feed_data(b"\x81\x02hi\x81\x02ho")
        queued = cast("Any", queue)._buffer
        passed = seen == ["hi"] and queued and next_message(queue)[1] == "ho" and not queued
        return "fast" if passed and queue.exception() is None else "public"
    except Exception:
        return "public"


wire_mode: Literal["fast", "public"] = _probe()
"""Which wire runs in this process: `fast`, or `public` where aiohttp's inside is not what the fast one needs."""


def open_wire(
    ws: AnyWebSocket,
    close_timeout: float,
    *,
    limit: int = 0,
    arrived: bytes | None = None,
    deflation: Deflation | None = None,
) -> Wire:
    """Make the wire of a prepared WebSocket.

    `arrived` is what came with the answer to a client's handshake, if that is known: its parser has not been given it,
    and is now. No message, or no frame of one, may have `limit` bytes, if that is not 0.
    """
    protocol = protocol_of(ws)
    if arrived is not None and not _is_public(ws):
        put_direct_queue(ws, protocol, limit, masked=False)
        protocol.set_parser(cast("Any", ws)._parser, cast("Any", ws)._reader)
    if arrived is not None or deflation is not None:
        put_header_watch(ws, protocol, limit, deflation=deflation)
    if arrived:
        protocol._payload_parser.feed_data(arrived)
    parser = getattr(protocol, "_payload_parser", None)  # aiohttp's protocol feeds it, until we do
    if _is_public(ws) or parser is None:
        if isinstance(ws, ClientWebSocketResponse):
            mask_unpredictably(ws)
        return PublicWire(ws, parser if isinstance(parser, Pacing) else Pacing(ws, _blind(parser)), close_timeout)
    fast_wire, _, _ = _fast()
    return fast_wire(ws, parser, parser if isinstance(parser, HeaderWatch) else _blind(parser), close_timeout)


@cache
def _fast() -> tuple[Any, Any, Any]:
    """Give what the fast wire is made of, which is made of what is inside aiohttp."""
    from rxws.wires.aiohttp.fast.direct_queue import DirectQueue, make_parser
    from rxws.wires.aiohttp.fast.wire import FastWire

    return FastWire, DirectQueue, make_parser


def _blind(parser: Any) -> HeaderWatch:
    """Make a watch that sees nothing."""
    return HeaderWatch(parser, None, asyncio.get_running_loop())


def _is_public(ws: Any) -> bool:
    return wire_mode == "public" or bool(ws._compress)


def start_directly(
    ws: Any, writer: Any, protocol: Any, subprotocol: str | None, limit: int, deflation: Deflation | None
) -> HeaderWatch | None:
    """Start a response whose answer is written as aiohttp does, but with a `DirectQueue`; `None` on the public wire.

    The response is then the fast wire's alone. What is returned watches it.
    """
    if _is_public(ws):
        return None
    ws._writer, ws._ws_protocol = writer, subprotocol
    put_direct_queue(ws, protocol, limit, masked=True)
    watch = _watch(ws, ws._parser, limit, deflation, masked=True)
    protocol.set_parser(watch)
    protocol.keep_alive(False)
    drop_handshake_state(ws, protocol)
    return watch


def put_direct_queue(ws: Any, protocol: Any, max_msg_size: int, *, masked: bool) -> None:
    """Give a WebSocket a `DirectQueue` and a parser of frames that are all `masked`, or none of them is."""
    _, direct_queue, make_parser = _fast()
    ws._reader = direct_queue(protocol, masked=masked, limit=max_msg_size)
    ws._parser = make_parser(ws._reader, max_msg_size)


def put_header_watch(ws: Any, protocol: Any, limit: int, *, deflation: Deflation | None = None) -> HeaderWatch | None:
    """Put a watch before the parser of aiohttp's protocol, which has been given nothing, and give it.

    With a `deflation`, whose limit rules, messages may be compressed.
    """
    parser = getattr(protocol, "_payload_parser", None)
    if parser is None:
        return None
    watch = _watch(ws, parser, limit, deflation, masked=not isinstance(ws, ClientWebSocketResponse))
    protocol._payload_parser = Pacing(ws, watch) if _is_public(ws) else watch
    return watch


def _watch(ws: Any, parser: Any, limit: int, deflation: Deflation | None, *, masked: bool) -> HeaderWatch:
    loop = asyncio.get_running_loop()
    if deflation is None:
        return HeaderWatch(parser, ws._reader, loop, masked=masked, limit=limit)
    return HeaderWatch(parser, ws._reader, loop, masked=masked, marks=MarkFilter(deflation))
