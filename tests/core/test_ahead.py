"""What a thread makes of a message, and how heavy it is."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import rxws
from rxws.core import encoding
from rxws.core.ahead import MAX_WEIGHED, encode_ahead, weigh
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


@pytest.mark.parametrize(
    ("message", "at_least"),
    [
        ("x" * 1000, 1000),
        ("€" * 1000, 2000),
        (bytearray(1000), 1000),
        ({"a": "x" * 1000}, 1000),
        ({"x" * 1000: 1}, 1000),
        ([({"x" * 1000},), frozenset({"y" * 1000})], 2000),
        (list(range(1000)), 32_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_weight(message: Any, at_least: int) -> None:
    """A message weighs about what it takes, with what is in it."""
    assert at_least < weigh(message) < 1.4 * at_least + 900


def test_weight_of_what_contains_itself() -> None:
    """What is there twice, or in itself, weighs once."""
    message: list[Any] = ["x" * 1000] * 100
    message.append(message)
    assert weigh(message) < 3000


def test_weighing_ends() -> None:
    """The weighing of what is heavier than anything that may wait ends."""
    began = time.perf_counter()
    assert MAX_WEIGHED <= weigh([bytes(2**20) for _ in range(80)]) < MAX_WEIGHED + 2**21
    assert time.perf_counter() - began < 5
