from typing import Any

import pytest

import rxws
from rxws.testing import serve
from tests.streams import ended, turns

VIRTUAL = True


async def test_unpacks() -> None:
    """A socket unpacks into its three streams."""
    socket, peer = serve(lambda incoming: None)
    incoming, outgoing, errors = socket
    assert (incoming, outgoing, errors) == (socket.incoming, socket.outgoing, socket.errors)
    peer.drop()


async def test_stats_count_both_ways() -> None:
    socket, peer = serve(lambda incoming: None)
    await turns()
    peer.congested = True
    peer.send("ascii", "é", b"\x00\x01")
    socket.outgoing.on_next("waits")
    stats = socket.stats
    assert (stats.received, stats.received_bytes) == (3, 9)
    assert (stats.sent, stats.sent_bytes, stats.buffered, stats.buffered_bytes) == (0, 0, 1, 69)
    assert (stats.dropped, stats.rtt) == (0, None)
    peer.congested = False
    await turns()
    assert (socket.stats.sent, socket.stats.buffered) == (1, 0)
    peer.drop()


@pytest.mark.parametrize(("code", "reason"), [(1006, ""), (5000, ""), (4001, "x" * 124)])
async def test_illegal_close(code: int, reason: str) -> None:
    """An illegal close is a ValueError, and nothing goes on the wire."""
    socket, peer = serve(lambda incoming: None)
    with pytest.raises(ValueError, match=r"may not be sent|at most 123 bytes"):
        socket.close(code, reason)
    await turns()
    assert peer.close_sent is None
    peer.drop()


async def test_its_repr_tells_the_state() -> None:
    seen: list[str] = []
    socket, peer = serve(lambda socket: seen.append(repr(socket)))
    assert seen == ["<WebSocket nowhere connecting>"]
    assert repr(socket) == "<WebSocket memory open>"
    peer.close(rxws.Close(4001, "\x1b"))
    await ended(socket)
    assert repr(socket) == r"<WebSocket memory Close(code=4001, reason='\x1b')>"


async def test_no_request() -> None:
    """What a server's socket has besides is None without a request."""
    socket: rxws.WebSocket[Any, Any]
    socket, peer = serve(lambda incoming: None)
    assert (socket.request, socket.response, socket.protocol, socket.subscription) == (None, None, None, None)
    peer.drop()


async def test_remote_of_request() -> None:
    """The remote address of the request is the socket's."""

    class Request:
        remote = "192.0.2.1"

    from rxws.core.lifecycle import Lifecycle
    from rxws.options import check

    socket: rxws.WebSocket[Any, Any] = rxws.WebSocket(Lifecycle(check({})), request=Request())
    assert socket.remote == "192.0.2.1"
