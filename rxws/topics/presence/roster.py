"""The members of one topic: the announcements of all processes, merged."""

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
    """A member's stay in a topic, as a process announces it."""

    since: float
    """When it began: seconds since 1970, by that process's clock."""
    metadata: Any


class Roster:
    """Emits the members to its subscribers, and every change, once all kept announcements were read (`open`)."""

    def __init__(self, report: Callable[[Exception], object]) -> None:
        self._announced: dict[str, Mapping[str, Stay]] = {}
        self._shown: dict[str, Any] | None = None
        self._showing = False
        self._report = report
        self._broadcast = Broadcast[Present](report)

    def has_room_for(self, who: str) -> bool:
        """Return whether this member may join."""
        members = self._merged() if self._shown is None else self._shown
        return who in members or len(members) < MAX_MEMBERS

    def update(self, process: str, stays: Mapping[str, Stay]) -> None:
        """Take an announcement of a process: all its members."""
        if stays:
            self._announced[process] = stays
        else:
            self._announced.pop(process, None)
        self._show()

    def open(self) -> None:
        """Begin to emit: the members that were there before are known."""
        if self._shown is None:
            self._shown = self._merged()
            self._emit(Present(self._shown))

    def subscribe(self, observer: abc.ObserverBase[Present]) -> abc.DisposableBase:
        """Emit the members that other subscribers see now, then every change."""
        if self._shown is None:
            return self._broadcast.subscribe(observer)
        showing, self._showing = self._showing, True  # if it joins or leaves now, that is emitted as a change below
        try:
            call(self._report, "a subscriber", observer.on_next, Present(self._shown))
        finally:
            self._showing = showing
        subscription = self._broadcast.subscribe(observer)
        self._show()
        return subscription

    def end(self) -> None:
        """Complete for all subscribers."""
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
        """Emit without a source, so that a busy subscriber does not hold the one that joins."""
        notify_from(None, self._broadcast.emit, present)

    def _merged(self) -> dict[str, Any]:
        """Merge the members of all processes. Of several stays the newest counts, the same one in all processes."""
        newest: dict[str, Stay] = {}
        for process in sorted(self._announced):
            for who, stay in self._announced[process].items():
                if who not in newest or stay.since >= newest[who].since:
                    newest[who] = stay
        return {who: newest[who].metadata for who in sorted(newest)}
