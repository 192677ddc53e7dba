"""One connection: its closing handshake, its codec, its limit of pings."""

import logging
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.core.connection import PINGS
from rxws.errors import ConnectionLost
from rxws.testing import serve
from tests.streams import ended, turns

VIRTUAL = True


def hold_open(incoming: Observable[Any]) -> Any:
    """A handler that wants messages and does nothing with them."""
    return incoming.subscribe(lambda _: None)


@pytest.mark.parametrize("code", [1002, 1007, 1009])
async def test_violation(code: int, caplog: pytest.LogCaptureFixture) -> None:
    """A violation closes with its code at once."""
    socket, peer = serve(hold_open)
    socket.outgoing.on_next("never read")
    peer.violate(code)
    assert await ended(socket) == rxws.Close(code) == peer.close_sent
    assert peer.sent == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_no_close_frame() -> None:
    """A peer that leaves without a close frame is 1006."""
    socket, peer = serve(hold_open)
    await turns()
    peer.drop()
    assert await ended(socket) == rxws.Close.received(1006)


@pytest.mark.parametrize(
    ("received", "answer"),
    [(None, rxws.Close()), (rxws.Close(4001, "bye"), rxws.Close(4001, "bye")), (rxws.Close(), rxws.Close())],
)
async def test_close_answered(received: rxws.Close | None, answer: rxws.Close) -> None:
    """The peer's close is answered with its code."""
    socket, peer = serve(hold_open)
    await turns()
    socket.outgoing.on_next("never read")
    peer.close(received)
    assert await ended(socket) == (received or rxws.Close.received(1005))
    assert (peer.close_sent, peer.sent) == (answer, [])


@pytest.mark.parametrize("fault", ["mute", "congested"])
async def test_close_deadline(fault: str) -> None:
    """A close has a deadline, whatever the peer does."""
    socket, peer = serve(hold_open, close_timeout=0.05)
    setattr(peer, fault, True)
    socket.outgoing.on_next("queued")
    socket.close(4001, "bye")
    await turns()
    assert not peer.aborted
    assert await ended(socket) == rxws.Close(4001, "bye")
    assert peer.aborted
    left: list[Any] = []
    socket.undelivered.subscribe(left.append)
    assert left == (["queued"] if fault == "congested" else [])


async def test_codec_by_subprotocol() -> None:
    """The subprotocol chooses the codec."""
    protocols = {"v1.json": rxws.json}
    socket, peer = serve(lambda incoming: incoming.pipe(ops.map(repr)), protocol="v1.json", protocols=protocols)
    peer.send('{"a": 1}')
    await turns()
    assert (socket.protocol, peer.sent) == ("v1.json", ["\"{'a': 1}\""])
    peer.drop()


async def test_no_heartbeat() -> None:
    """Without a heartbeat, signs of life mean nothing."""
    socket, peer = serve(hold_open, heartbeat=None)
    await turns()
    peer.congested = True
    peer.congested = False
    peer.pong(b"not asked for")
    assert socket.rtt is None
    peer.drop()


def idle(incoming: Any) -> None:
    incoming.subscribe()


async def test_given_up_twice() -> None:
    """A connection that is given up while it ends is dropped, and what ended it stays the cause."""
    socket, peer = serve(hold_open)
    await turns()
    errors: list[Exception] = []
    socket.errors.subscribe(errors.append)
    connection = socket._life.connection
    assert connection is not None
    connection.give_up(ConnectionLost("first"))
    connection.give_up(ConnectionLost("second"))
    assert await ended(socket) == rxws.Close.received(1006)
    assert [str(error) for error in errors] == ["first"]
    assert peer.close_sent is None


async def test_ping_flood() -> None:
    """Pings and pongs beyond a thousand a second are 1008."""
    for flood in ("pings", "pongs"):
        socket, peer = serve(idle)
        await turns()
        number = int(PINGS) + 100
        if flood == "pings":
            peer.ping(number)
        else:
            for _ in range(number):
                peer.pong(b"unasked")
        assert await ended(socket) == rxws.Close(1008, "Too Many Pings") == peer.close_sent
        assert peer.ignored


async def test_ping_burst() -> None:
    """A burst of a thousand pings passes."""
    _, peer = serve(idle)
    await turns()
    peer.ping(int(PINGS))
    await turns()
    assert peer.close_sent is None
    peer.drop()


async def test_exit_in_a_codec(caplog: pytest.LogCaptureFixture) -> None:
    """An exit of the program in a codec is reported like any error, and goes on."""

    class Leaving:
        def decode(self, data: Any) -> Any:
            raise SystemExit

        def encode(self, message: Any) -> Any:
            return message

    socket, peer = serve(hold_open, codec=Leaving())
    await turns()
    with pytest.raises(SystemExit):
        peer.send("a")
    assert await ended(socket) == rxws.Close(1007, "Invalid Message") == peer.close_sent
    assert "cannot decode 'a'" in caplog.text
