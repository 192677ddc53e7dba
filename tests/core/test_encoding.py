"""From a message to a frame."""

from typing import Any

from rxws.testing import serve
from tests.streams import turns, watch


def idle(incoming: Any) -> None:
    """A handler that does nothing."""


async def test_text_and_bytes_go_as_they_are() -> None:
    socket, peer = serve(idle)
    for message in ("é", b"\x00\xff", bytearray(b"ab"), memoryview(b"cd")):
        socket.outgoing.on_next(message)
    await turns()
    assert peer.sent == ["é", b"\x00\xff", b"ab", b"cd"]
    assert (socket.stats.sent, socket.stats.sent_bytes) == (4, 8)
    peer.drop()


async def test_bad_codec_result() -> None:
    """A codec that returns something else is an EncodeError."""

    class Wrong:
        def decode(self, data: Any) -> Any:
            return data

        def encode(self, message: Any) -> Any:
            return 3

    socket, peer = serve(idle, codec=Wrong())
    log = watch(errors=socket.errors)
    socket.outgoing.on_next("a")
    assert "Wrong.encode must return str or bytes, not int" in str(log[0][1])
    peer.drop()


async def test_subclass_of_bytes() -> None:
    """A subclass of bytes goes out as its bytes."""

    class Blob(bytes):
        pass

    socket, peer = serve(idle)
    socket.outgoing.on_next(Blob(b"ab"))
    await turns()
    assert [(type(message), message) for message in peer.sent] == [(bytes, b"ab")]
    peer.drop()
