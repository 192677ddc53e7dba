"""What topics need from an engine, and what an engine needs from them."""

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
    """What is kept for `latest` and `history`; beyond any of these limits the oldest go."""

    count: int
    """Messages of one topic."""
    size: int
    """Bytes of all topics together."""
    age: float | None
    """Seconds; `None` for no limit."""


@dataclass(frozen=True, slots=True)
class Last:
    """Read the last messages, up to a number."""

    count: int


@dataclass(frozen=True, slots=True)
class Since:
    """Read the messages after a position; after `None` all that are kept, without a `Gap` at the beginning."""

    position: Position | None


class Reader(Protocol):
    """Takes what was asked of `Engine.read`."""

    def batch(self, items: Sequence[Item]) -> None:
        """Take some of it, in order."""

    def caught_up(self) -> None:
        """Record that what is published from now on comes live."""


class Following(Protocol):
    """One subscription of a process, of a topic or a pattern."""

    pattern: str

    def take(self, item: Item) -> None:
        """Take the next message: all come, in the order of their positions, or a `Gap` in their place."""


class Engine(Protocol):
    """Carries messages between processes with the same URL. All calls are in the loop's thread."""

    @property
    def is_up(self) -> bool:
        """Whether the broker is there, as far as is known."""
        ...

    def start(self, report: Callable[[Exception], object]) -> None:
        """Begin, within the running event loop; `report` takes what goes wrong."""

    def publish(self, topic: str, frame: Text | Binary) -> None:
        """Publish soon, or `report` that it could not be done. Never blocks."""

    def follow(self, following: Following) -> None:
        """Hand on what is published from now on."""

    def unfollow(self, following: Following) -> None:
        """Stop that."""

    def read(self, pattern: str, start: Last | Since, reader: Reader) -> abc.DisposableBase:
        """Hand over what is kept, at once or soon."""
        ...

    async def confirmed(self) -> None:
        """Wait until all that was published is kept, or was reported."""

    async def close(self) -> None:
        """End; what could not be published is reported."""
