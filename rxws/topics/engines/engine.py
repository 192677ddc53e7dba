"""What topics need from an engine, and what an engine needs from topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from reactivex import abc

from rxws.core.wire import Binary, Text
from rxws.topics.message import Gap, Position, Record

Item = Record | Gap
PublishOverflow = Literal["drop_oldest", "drop_newest"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept for `latest` and `history`. Beyond any of these limits, the oldest messages are discarded."""

    count: int
    """Messages of one topic."""
    size: int
    """Bytes of all topics together."""
    age: float | None
    """Seconds; `None` for no limit."""


@dataclass(frozen=True, slots=True)
class Last:
    """Read the last messages."""

    count: int
    """How many at most."""


@dataclass(frozen=True, slots=True)
class Since:
    """Read the messages after a position. `None` means all that are kept, without a `Gap` at the beginning."""

    position: Position | None


class Reader(Protocol):
    """Takes the messages that `Engine.read` reads."""

    def batch(self, items: Sequence[Item]) -> None:
        """Take the next messages, in order."""

    def caught_up(self) -> None:
        """Record that all was read: messages that are published from now on come live."""


class Following(Protocol):
    """The subscription of a process to a topic or pattern."""

    pattern: str

    def take(self, item: Item) -> None:
        """Take the next message, in the order of positions, or a `Gap` in place of messages that were lost."""


class Engine(Protocol):
    """Carries messages between processes with the same URL. All calls come from the event loop's thread."""

    @property
    def is_up(self) -> bool:
        """Whether the broker can be reached, as far as is known."""
        ...

    def start(self, report: Callable[[Exception], object]) -> None:
        """Begin, in the running event loop; `report` takes errors."""

    def publish(self, topic: str, frame: Text | Binary) -> None:
        """Publish soon, or `report` an `Unpublished`. Never blocks."""

    def follow(self, following: Following) -> None:
        """Pass on the messages that are published from now on."""

    def unfollow(self, following: Following) -> None:
        """Pass on no more messages."""

    def read(self, pattern: str, start: Last | Since, reader: Reader) -> abc.DisposableBase:
        """Give the reader the kept messages, now or soon; disposing ends that."""
        ...

    async def confirmed(self) -> None:
        """Wait until each message that was published is kept, or was reported."""

    async def close(self) -> None:
        """End; report messages that could not be published."""
