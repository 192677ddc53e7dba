"""The public face of a client."""

import pytest

import rxws
from rxws.testing import MemoryDialer, connect
from tests.streams import opened, turns, watch

VIRTUAL = True


QUICK = rxws.Backoff(initial=0.001, maximum=0.001)


async def test_codec_follows_subprotocol() -> None:
    """The codec follows the subprotocol."""
    dialer = MemoryDialer()
    dialer.protocol = "json"
    async with connect(dialer, QUICK, protocols={"json": rxws.json}) as socket:
        log = watch(i=socket.incoming)
        await opened(socket)
        dialer.peer.send("[1]")
        socket.outgoing.on_next({"a": 1})
        await turns()
        assert log == [("i", [1])]
        assert dialer.peer.sent == ['{"a":1}']


async def test_rotate_single() -> None:
    """Only a socket that comes back can rotate."""
    async with connect(MemoryDialer()) as socket:
        with pytest.raises(RuntimeError, match=r"rotate\(\) needs a client that reconnects"):
            socket.rotate()
