"""Every call that an end makes on its connection may raise: the socket is over all the same, and its place is free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import rxws
from rxws.wires.aiohttp.header_watch import HeaderWatch
from tests.integration.raw import CLOSE, Raw, raw
from tests.integration.server import serving

BOTH_LOOPS = True
Eventually = Callable[..., Any]

CALLS = [
    "write", "write_eof", "can_write_eof", "close", "abort", "is_closing", "pause_reading", "resume_reading",
    "get_write_buffer_size", "get_extra_info", "set_write_buffer_limits",
]  # fmt: skip


ERRORS = [(call, OSError(107, f"{call} raised")) for call in CALLS]
ERRORS += [(call, asyncio.CancelledError()) for call in ("write", "close", "abort", "is_closing")]


class Transport:
    """A transport of which one method raises."""

    def __init__(self, transport: Any, raises: str, error: BaseException) -> None:
        self._transport = transport
        self._raises = raises
        self._error = error

    def __getattr__(self, name: str) -> Any:
        if name == self._raises:
            raise self._error
        return getattr(self._transport, name)


def violates(peer: Raw, socket: Any) -> None:
    peer.send(CLOSE, b"\0\0")


def closes(peer: Raw, socket: Any) -> None:
    peer.send_close(4000)


def leaves(peer: Raw, socket: Any) -> None:
    peer.reset()


def is_closed(peer: Raw, socket: Any) -> None:
    socket.outgoing.on_next("last")
    socket.close(4001)


def is_disposed_of(peer: Raw, socket: Any) -> None:
    socket._life.abort()


ENDS = [violates, closes, leaves, is_closed, is_disposed_of]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
@pytest.mark.parametrize(("raises", "error"), ERRORS, ids=str)
async def test_transport_that_raises(
    raises: str, error: BaseException, end: Callable[..., None], eventually: Eventually
) -> None:
    """Whichever call on the transport raises, the socket leaves the hub within its deadline."""
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: print(context.get("exception"), context.get("message"))
    )
    async with serving(rxws.websocket(close_timeout=0.3)(lambda incoming: incoming)) as server:
        async with raw(server.port) as peer:
            await eventually(lambda: server.sockets)
            socket = server.sockets[0]
            wire: Any = socket._life.connection.wire  # type: ignore[union-attr]
            broken = Transport(wire._transport, raises, error)
            wire._transport = broken
            for part in ("_writer", "_read_buffer", "_pacing"):
                if hasattr(getattr(wire, part, None), "_transport"):
                    getattr(wire, part)._transport = broken
            end(peer, socket)
            async with asyncio.timeout(3):
                await socket.closed
        assert len(server.hub or ()) == 0


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
@pytest.mark.parametrize(
    "place", [pytest.param("aiohttp's protocol", marks=pytest.mark.fast_wire), "header watch", "log", "hub"]
)
async def test_neighbor_of_the_wire_that_raises(
    place: str, end: Callable[..., None], eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever an end calls besides may raise, too."""
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: print(context.get("exception"), context.get("message"))
    )

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("raised")

    served = rxws.websocket(close_timeout=0.3)(lambda incoming: incoming)
    async with serving(served) as server, raw(server.port) as peer:
        await eventually(lambda: server.sockets)
        socket = server.sockets[0]
        wire: Any = socket._life.connection.wire  # type: ignore[union-attr]
        with monkeypatch.context() as patch:
            match place:
                case "aiohttp's protocol":
                    inner = getattr(wire, "_aiohttp", None) or wire._aiohttp_protocol
                    patch.setattr(type(inner), "connection_lost", refuse)
                case "header watch":
                    patch.setattr(HeaderWatch, "end", refuse)
                case "log":
                    patch.setattr(type(socket._life.reports.log), "closed", refuse)
                case _:
                    patch.setattr(socket._life, "on_closed", refuse)
            end(peer, socket)
            async with asyncio.timeout(3):
                await socket.closed
