"""Messages as JSON values."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

import rxws
from rxws.recording import keep, read, record
from rxws.recording.plain import plainly
from rxws.testing import serve
from tests.streams import ended, raising

VIRTUAL = True


class Tick(msgspec.Struct):
    price: float


async def test_typed_messages(tmp_path: Path) -> None:
    """Typed messages are recorded as JSON values."""
    codec = rxws.codecs.msgspec(Tick)
    recorders: list[Any] = []
    socket, peer = serve(
        lambda incoming: incoming,
        codec=codec,
        watch=lambda socket: recorders.extend([record(socket, tmp_path / "r.jsonl"), keep(socket)]),
    )
    peer.send('{"price":1.5}', b'{"price":2}', "{")
    await ended(socket)
    data = [event.data for event in read(tmp_path / "r.jsonl").lane("incoming")]
    assert data[:2] == [{"price": 1.5}, {"price": 2.0}]
    assert [event.data for event in recorders[1].recording.lane("incoming")][:1] == [Tick(1.5)]


class Odd:
    pure = True

    def decode(self, data: Any) -> Any:
        return data

    def encode(self, message: Any) -> Any:
        return {1: b"one", 2: "no json", 3: 1 / 0}[message]


@pytest.mark.parametrize(("item", "plain"), [(1, 1), ("a", "a"), (None, None)])
def test_not_made_plain(item: Any, plain: Any) -> None:
    """What a codec cannot make plain stays as it is."""
    from rxws.recording.plain import plainly

    assert plainly(Odd())(item) == plain


def test_codec_that_is_not_pure_is_not_asked() -> None:
    """What it counts is of what goes to its peer; its messages are recorded as they are."""
    asked: list[Any] = []

    class Stamping:
        decode = staticmethod(rxws.json.decode)
        encode = staticmethod(asked.append)

    assert plainly(Stamping())((1, 2)) == (1, 2)
    assert asked == []


class Raising:
    """A codec that raises whatever it is told to."""

    pure = True

    def __init__(self, error: BaseException) -> None:
        self.encode = self.decode = raising(error)


def test_codec_that_raises() -> None:
    """An item that a codec does not encode is recorded as it is; what ends the program is raised on."""
    assert plainly(Raising(GeneratorExit()))(1.5) == 1.5
    with pytest.raises(KeyboardInterrupt):
        plainly(Raising(KeyboardInterrupt()))(1.5)
