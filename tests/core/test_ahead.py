"""What a thread makes of a message, and how heavy it is."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import rxws
from rxws.core import encoding
from rxws.core.ahead import encode_ahead
from rxws.core.encoding import encode, sharing
from tests.streams import raising


class Impure:
    """A codec that only the event loop may call."""

    def __init__(self) -> None:
        self.asked = 0

    def encode(self, message: Any) -> str:
        self.asked += 1
        return "x"

    def decode(self, data: str | bytes) -> Any:
        return data


def test_pure_codec_is_asked() -> None:
    """A pure codec makes the frame, whose weight is that of the buffer."""
    frame, weight = encode_ahead(rxws.json, {"a": "é"})
    assert frame is not None
    assert (frame.data, weight) == ('{"a":"é"}'.encode(), 64 + 10)


def test_other_codec_is_not_asked() -> None:
    """A codec that does not say that it is pure is not asked."""
    codec = Impure()
    frame, weight = encode_ahead(codec, "x" * 1000)
    assert (frame, codec.asked) == (None, 0)
    assert 1000 < weight < 1200


@pytest.mark.parametrize("raised", [ValueError(), rxws.Close(4000)], ids=repr)
def test_codec_that_refuses(raised: Exception) -> None:
    """What a codec refuses is weighed: the event loop tells of it in its turn."""
    codec = type("Refusing", (), {"pure": True, "encode": staticmethod(raising(raised))})()
    frame, weight = encode_ahead(codec, [b"x" * 1000])
    assert frame is None
    assert weight > 1000


def test_frame_is_not_kept() -> None:
    """What a thread makes is not used again for what the event loop shares meanwhile, and may change later."""
    news = {"bid": 1}
    with sharing(news):
        thread = threading.Thread(target=encode_ahead, args=(rxws.json, news))
        thread.start()
        thread.join()
        assert encoding._shared.made[1] is encoding.NO_FRAME
        assert encode(rxws.json, news).data == b'{"bid":1}'
