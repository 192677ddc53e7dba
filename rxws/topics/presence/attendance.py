"""One topic's presence in one process: what it announces to other processes, and what they announce.

Each process announces all its members of a topic in one message, when one joins or leaves, and at every beat. The
engine keeps the last such message of each process. A process that is silent for `BEATS` beats has ended, and its
members have left. Beats count only while a process receives its own messages: if it is cut off, or the broker is away,
the silence of others means nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from reactivex import abc
from reactivex.disposable import Disposable

from rxws.codecs import json
from rxws.core.wire import Text
from rxws.errors import DecodeError
from rxws.rx.foreign import described
from rxws.topics.engines.engine import Engine, Item, Since
from rxws.topics.message import Gap, Position, TopicsError, Unpublished
from rxws.topics.presence.roster import Roster, Stay

BEATS: Final = 4
"""Beats of silence after which a process counts as ended."""

MAX_REFUSED: Final = 2
"""Announcements in a row that were not published, of which the last is reported. A single one is repeated anyway."""


class _Other:
    """Another process."""

    def __init__(self) -> None:
        self.position = Position(0, 0)  # of its last announcement
        self.silence = 0  # beats since then


class Attendance:
    """Follows one topic's presence for all its subscribers in this process.

    Memory: the members of each process that announces some.
    """

    def __init__(self, topic: str, me: str, engine: Engine | None, report: Callable[[Exception], object]) -> None:
        self.topic = topic
        self.pattern = f"{topic}.*"
        self.roster = Roster(report)
        self.users = 0
        """The number of subscribers, including those that are about to subscribe."""
        self._me = me
        self._engine = engine
        self._report = report
        self._stays: dict[str, dict[object, Stay]] = {}
        self._others: dict[str, _Other] = {}
        self._reading: abc.DisposableBase = Disposable()
        self._is_announced = False
        """Whether other processes know of members here."""
        self._waiting = False
        """Whether the last announcement has not come back yet. Changes in the meantime are announced when it has."""
        self._changed = False
        self._heard = False
        """Whether any announcement of this process has come back since the last beat."""
        self._refused = 0
        """The number of announcements that were not published since the last one that has come back."""
        self._ended = False

    def begin(self) -> None:
        """Follow the announcements, and read the kept ones."""
        if self._engine is None:
            self.roster.open()
        else:
            self._engine.follow(self)
            self._reading = self._engine.read(self.pattern, Since(None), self)

    def enter(self, who: str, metadata: Any) -> abc.DisposableBase:
        """Add a member, until the result is disposed."""
        token = object()
        self._stays.setdefault(who, {})[token] = Stay(time.time(), metadata)

        def leave() -> None:
            stays = self._stays[who]
            del stays[token]
            if not stays:
                del self._stays[who]
            self._change()

        self._change()
        return Disposable(leave)

    def beat(self) -> None:
        """Announce the members here, and count the silence of other processes."""
        assert self._engine is not None
        is_fit = self._heard and self._engine.is_up
        self._heard = False
        for process, other in tuple(self._others.items()):
            other.silence = other.silence + 1 if is_fit else 0
            if other.silence >= BEATS:
                del self._others[process]
                self.roster.update(process, {})
        if self._engine.is_up:
            self._publish(self._here())

    def unpublished(self, error: Unpublished) -> None:
        """Record that the last announcement was not published; report the second such failure in a row."""
        self._refused += 1
        if self._refused == MAX_REFUSED:
            self._report(TopicsError(f"other processes are not told who is in {self.topic!r} here: {error}"))

    def end(self) -> None:
        """Announce that no member is left here, and stop following."""
        self._ended = True  # so that members whose subscriptions this completes leave in one announcement
        self.roster.end()
        if self._engine is not None:
            self._reading.dispose()
            self._engine.unfollow(self)
            if self._is_announced:
                self._publish({})

    # What the engine brings

    def batch(self, items: Sequence[Item]) -> None:
        """Take kept announcements."""
        for item in items:
            self.take(item)

    def caught_up(self) -> None:
        """Show the members: all kept announcements were read."""
        self.roster.open()
        if self._changed:
            self._announce()

    def take(self, item: Item) -> None:
        """Take an announcement. A gap does not matter: announcements are repeated."""
        if isinstance(item, Gap):
            return
        process = item.topic.rpartition(".")[2]
        if process == self._me:
            self._heard = True
            self._waiting = False
            self._refused = 0
            if self._changed:
                self._announce()
            return
        other = self._others.setdefault(process, _Other())
        if item.position > other.position:
            other.position = item.position
            other.silence = 0
            try:
                stays = _parse(item.data)
            except DecodeError as error:
                self._report(error)
            else:
                self.roster.update(process, stays)

    def _change(self) -> None:
        if self._ended:
            return
        self.roster.update(self._me, self._here())
        self._changed = True
        self._announce()

    def _here(self) -> dict[str, Stay]:
        return {who: tuple(stays.values())[-1] for who, stays in self._stays.items()}

    def _announce(self) -> None:
        if self._engine is not None and self._engine.is_up and not self._waiting:
            self._publish(self._here())

    def _publish(self, stays: dict[str, Stay]) -> None:
        assert self._engine is not None
        self._changed = False
        self._waiting = True
        self._is_announced = bool(stays)
        self._engine.publish(f"{self.topic}.{self._me}", Text(json.encode(stays).encode()))


def _parse(data: bytes) -> dict[str, Stay]:
    try:
        return {who: Stay(float(since), metadata) for who, (since, metadata) in json.decode(data).items()}
    except (ArithmeticError, AttributeError, TypeError, ValueError) as cause:
        raise DecodeError(data, described(cause, str)) from cause
