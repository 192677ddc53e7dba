"""One topic's presence in one process: what it says to the others, and what they say.

Each process says all its members of a topic, in one message of which the engine keeps the last: when one joins or
leaves, and at every beat. Who is silent for some beats has left. Beats are counted only while a process hears itself:
one that is cut off, or whose broker is away, judges nobody.
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
REFUSED: Final = 2
"""Messages in a row that were not published, of which the last is reported; one that is lost will be said again."""


class _Other:
    """Another process."""

    def __init__(self) -> None:
        self.position = Position(0, 0)
        self.silence = 0


class Attendance:
    """Follows one topic's presence for all its subscribers in this process."""

    def __init__(self, topic: str, me: str, engine: Engine | None, report: Callable[[Exception], object]) -> None:
        self.topic = topic
        self.pattern = f"{topic}.*"
        self.roster = Roster(report)
        self.users = 0
        """Subscribers, and those about to be."""
        self._me = me
        self._engine = engine
        self._report = report
        self._stays: dict[str, dict[object, Stay]] = {}
        self._others: dict[str, _Other] = {}
        self._reading: abc.DisposableBase = Disposable()
        self._is_said = False
        """Whether the others know of members here."""
        self._waiting = False
        """Whether what was said last has not come back yet; what changes meanwhile is said when it has."""
        self._changed = False
        self._heard = False
        """Whether anything of what this process says has come back since the last beat."""
        self._refused = 0
        """Messages that were not published since the last one that has come back."""
        self._ended = False

    def begin(self) -> None:
        """Read what is kept, and follow."""
        if self._engine is None:
            self.roster.open()
        else:
            self._engine.follow(self)
            self._reading = self._engine.read(self.pattern, Since(None), self)

    def enter(self, who: str, metadata: Any) -> abc.DisposableBase:
        """Let a member in, until that is disposed."""
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
        """Say who is here, and count who says nothing."""
        assert self._engine is not None
        is_fit = self._heard and self._engine.is_up
        self._heard = False
        for process, other in tuple(self._others.items()):
            other.silence = other.silence + 1 if is_fit else 0
            if other.silence >= BEATS:
                del self._others[process]
                self.roster.say(process, {})
        if self._engine.is_up:
            self._say(self._here())

    def unpublished(self, error: Unpublished) -> None:
        """Take that what was said last does not reach the others; report it, once, if that stays so."""
        self._refused += 1
        if self._refused == REFUSED:
            self._report(TopicsError(f"other processes are not told who is in {self.topic!r} here: {error}"))

    def end(self) -> None:
        """Say that nobody is left here, and stop following."""
        self._ended = True  # so that those whose subscriptions this completes leave together
        self.roster.end()
        if self._engine is not None:
            self._reading.dispose()
            self._engine.unfollow(self)
            if self._is_said:
                self._say({})

    # What the engine brings

    def batch(self, items: Sequence[Item]) -> None:
        """Take what is kept."""
        for item in items:
            self.take(item)

    def caught_up(self) -> None:
        """Show who is there."""
        self.roster.open()
        if self._changed:
            self._announce()

    def take(self, item: Item) -> None:
        """Take what a process says; what has been missed is said again."""
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
                self.roster.say(process, stays)

    def _change(self) -> None:
        if self._ended:
            return
        self.roster.say(self._me, self._here())
        self._changed = True
        self._announce()

    def _here(self) -> dict[str, Stay]:
        return {who: tuple(stays.values())[-1] for who, stays in self._stays.items()}

    def _announce(self) -> None:
        if self._engine is not None and self._engine.is_up and not self._waiting:
            self._say(self._here())

    def _say(self, stays: dict[str, Stay]) -> None:
        assert self._engine is not None
        self._changed = False
        self._waiting = True
        self._is_said = bool(stays)
        self._engine.publish(f"{self.topic}.{self._me}", Text(json.encode(stays).encode()))


def _parse(data: bytes) -> dict[str, Stay]:
    try:
        return {who: Stay(float(since), metadata) for who, (since, metadata) in json.decode(data).items()}
    except (ArithmeticError, AttributeError, TypeError, ValueError) as cause:
        raise DecodeError(data, described(cause, str)) from cause
