"""The messages of topics, each with its position, the gaps between them, and errors of topics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from rxws.core.wire import Binary, Text
from rxws.errors import RxwsError

T = TypeVar("T")


class Position(NamedTuple):
    """The place of a message among all messages of a broker. Later messages have greater positions.

    >>> Position.parse("18f-a") == (0x18f, 10), str(Position(0x18f, 10))
    (True, '18f-a')
    """

    epoch: int
    """When counting began. It begins again when the kept messages are lost, for example with a new stream."""
    number: int
    """Counts the messages of all topics since then."""

    def __str__(self) -> str:
        return f"{self.epoch:x}-{self.number:x}"

    @classmethod
    def parse(cls, text: object) -> Position:
        """Parse the `position` of a message; raises `TypeError` or `ValueError` for anything else."""
        if not isinstance(text, str):
            raise TypeError(f"expected the position of a message, a str, not {text!r}")
        epoch, _, number = text.partition("-")
        try:
            return cls(_hexadecimal(epoch), _hexadecimal(number))
        except ValueError:
            raise ValueError(f"expected the position of a message, not {text[:80]!r}") from None


def _hexadecimal(digits: str) -> int:
    if not digits or len(digits) > 16 or not set(digits) <= set("0123456789abcdef"):
        raise ValueError(digits)
    return int(digits, 16)


@dataclass(frozen=True, slots=True)
class Message(Generic[T]):
    """A message as `topic.messages` emits it."""

    topic: str
    """The topic that it was published to."""
    position: str
    """Where to resume: `topic.messages.history(since=position)`. Each message has its own position."""
    value: T
    """What was published. All subscribers get the same object: do not change it."""


class Gap(RxwsError):
    """Messages may be missing here: what followed `since` was discarded, or never kept.

    `topic.messages` emits it as a value, in place of the messages; `topics.errors` emits it too. Where there is no
    `Gap`, nothing is missing.
    """

    def __init__(self, topic: str, since: str, why: str, *, anew: bool = False) -> None:
        super().__init__(f"messages of {topic!r} after position {since} may be missing: {why}")
        self.topic = topic
        self.since = since
        self.anew = anew
        """Whether counting began again: then messages that follow may be ones that the subscriber already has."""


class TopicsError(RxwsError):
    """What `topics.errors` emits if the broker cannot be reached, or misbehaves. `__cause__` may say more."""


class Unpublished(TopicsError):
    """A message was not published, or it is not known whether it was."""

    def __init__(self, topic: str, value: Any, why: str) -> None:
        super().__init__(f"a message to {topic!r} was not published: {why}")
        self.topic = topic
        self.value = value


class Record(NamedTuple):
    """A message as the engine keeps it: encoded."""

    topic: str
    position: Position
    data: bytes
    is_binary: bool = False

    def frame(self, message: Any) -> Text | Binary:
        """Make the frame for sockets with the same codec."""
        return (Binary if self.is_binary else Text)(self.data, message)
