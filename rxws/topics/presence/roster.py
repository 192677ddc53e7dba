"""The members of one topic: what each process says, made one set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from reactivex import abc

from rxws.errors import FeedbackLoop
from rxws.rx.broadcast import Broadcast
from rxws.rx.foreign import call
from rxws.rx.holds import notify_from
from rxws.topics.presence.present import MAX_MEMBERS, Present


class Stay(NamedTuple):
    """One member's being there, as a process says it."""

    since: float
    """Seconds since 1970, by that process's clock."""
    metadata: Any


class Roster:
    """Shows its subscribers one set, and every change of it, once it is open."""

    def __init__(self, report: Callable[[Exception], object]) -> None:
        self._said: dict[str, Mapping[str, Stay]] = {}
        self._shown: dict[str, Any] | None = None
        self._showing = False
        self._report = report
        self._broadcast = Broadcast[Present](report)

    def has_room_for(self, who: str) -> bool:
        """Tell whether one more may join."""
        members = self._merged() if self._shown is None else self._shown
        return who in members or len(members) < MAX_MEMBERS

    def say(self, process: str, stays: Mapping[str, Stay]) -> None:
        """Take what a process says now: all its members."""
        if stays:
            self._said[process] = stays
        else:
            self._said.pop(process, None)
        self._show()

    def open(self) -> None:
        """Show the members: all that were there before have been said."""
        if self._shown is None:
            self._shown = self._merged()
            self._emit(Present(self._shown))

    def subscribe(self, observer: abc.ObserverBase[Present]) -> abc.DisposableBase:
        """Show the members that all others have been shown, then what changes."""
        if self._shown is None:
            return self._broadcast.subscribe(observer)
        showing, self._showing = self._showing, True  # what it does meanwhile is a change, which it is shown after that
        try:
            call(self._report, "a subscriber", observer.on_next, Present(self._shown))
        finally:
            self._showing = showing
        subscription = self._broadcast.subscribe(observer)
        self._show()
        return subscription

    def end(self) -> None:
        """Complete."""
        self._broadcast.end()

    def _show(self) -> None:
        if self._shown is None or self._showing:
            return
        self._showing = True
        try:
            fed = 0
            while (members := self._merged()) != (before := self._shown):
                joined = {who: metadata for who, metadata in members.items() if who not in before}
                left = {who: metadata for who, metadata in before.items() if who not in members}
                present = Present(members, joined, left)
                fed += 1
                if fed > Broadcast.max_fed:
                    self._report(FeedbackLoop(present, fed))
                    break
                self._shown = members
                self._emit(present)
        finally:
            self._showing = False

    def _emit(self, present: Present) -> None:
        """Emit in nobody's name: a subscriber that is busy holds nobody who joins."""
        notify_from(None, self._broadcast.emit, present)

    def _merged(self) -> dict[str, Any]:
        """Of several stays the newest counts, the same one in all processes."""
        newest: dict[str, Stay] = {}
        for process in sorted(self._said):
            for who, stay in self._said[process].items():
                if who not in newest or stay.since >= newest[who].since:
                    newest[who] = stay
        return {who: newest[who].metadata for who in sorted(newest)}
