"""A feed hands on what a topic brings to its subscribers in this process."""

from __future__ import annotations

from typing import Any

import pytest
from reactivex import Observer

import rxws
from rxws.core.encoding import encode
from rxws.core.wire import Binary, Text
from rxws.rx.holds import current_source
from rxws.topics import Gap
from rxws.topics.feed import Arrival, Feed
from rxws.topics.message import Position, Record
from tests.streams import raising


class Counting:
    """A codec that counts what it decodes."""

    decoded = 0
    pure = False

    def encode(self, message: Any) -> str:
        return rxws.json.encode(message)

    def decode(self, data: str | bytes) -> Any:
        self.decoded += 1
        return rxws.json.decode(data)


def record(number: int, data: bytes = b"1") -> Record:
    return Record("a", Position(1, number), data)


def test_message_is_decoded_once_for_all() -> None:
    """A message is decoded once, and its public face made once, for all subscribers."""
    codec, messages = Counting(), list[Any]()
    feed = Feed("a", codec, print)
    for _ in range(3):
        feed.subscribe(Observer(lambda arrival: messages.append(arrival.message)))
    feed.take(record(7, b'{"a": 1}'))
    assert codec.decoded == 1
    assert [(one.topic, one.position, one.value) for one in messages] == [("a", "1-7", {"a": 1})] * 3
    assert messages[0] is messages[1] is messages[2]


@pytest.mark.parametrize("pure", [True, False])
def test_the_frame_is_for_sockets_whose_codec_is_pure(pure: bool) -> None:
    """The frame that came is the frame of the sockets with the topic's codec, if one frame is as good as another."""
    codec, frames = Counting(), list[Text | Binary]()
    codec.pure = pure
    feed = Feed("a", codec, print)
    for _ in range(2):
        feed.subscribe(Observer(lambda arrival: frames.append(encode(codec, arrival.value))))
    feed.take(record(7, b'{"a": 1}'))
    assert [frame.data for frame in frames] == [b'{"a": 1}' if pure else b'{"a":1}'] * 2
    assert (frames[0] is frames[1]) is pure


def test_undecodable_message_and_gap_are_reported() -> None:
    """A message that does not decode is reported and skipped; a gap is reported and handed on in its place."""
    errors, items = list[Exception](), list[Any]()
    feed = Feed("a", rxws.json, errors.append)
    feed.subscribe(Observer(lambda item: items.append(item if isinstance(item, Gap) else item.value)))
    gap = Gap("a", "1-1", "why")
    for item in (record(1, b"1"), record(2, b"{"), gap, record(3, b"3")):
        feed.take(item)
    assert items == [1, gap, 3]
    assert [type(error) for error in errors] == [rxws.DecodeError, Gap]


def test_subscribers_hold_no_publisher() -> None:
    """A feed emits in nobody's name, so that a busy subscriber does not hold the socket that published."""
    feed, sources = Feed("a", rxws.json, print), list[Any]()
    feed.subscribe(Observer(lambda _: sources.append(current_source.get())))
    publisher: Any = object()
    token = current_source.set(publisher)
    feed.take(record(1))
    assert sources == [None]
    assert current_source.get() is publisher
    current_source.reset(token)


def test_feed_is_deserted_without_subscribers() -> None:
    """A feed is deserted until it has a subscriber, and again when the last one has left."""
    feed = Feed("a", rxws.json, print)
    assert feed.is_deserted
    subscriptions = [feed.subscribe(Observer()) for _ in range(2)]
    subscriptions[0].dispose()
    assert not feed.is_deserted
    subscriptions[1].dispose()
    assert feed.is_deserted


class Raising:
    """A codec that raises whatever it is told to."""

    def __init__(self, error: BaseException) -> None:
        self.encode = self.decode = raising(error)


def test_arrival_that_does_not_decode() -> None:
    """Whatever a codec raises is a `DecodeError`; what ends the program is raised on."""
    arrived = Record("a", Position(1, 1), b"a")
    with pytest.raises(rxws.DecodeError) as caught:
        Arrival(Raising(GeneratorExit()), arrived)
    assert isinstance(caught.value.__cause__, GeneratorExit)
    with pytest.raises(KeyboardInterrupt):
        Arrival(Raising(KeyboardInterrupt()), arrived)
