"""How the items of one subscription get from one thread to another."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any, Final, Literal

from reactivex import abc

from rxws.rx.endings import how_it_ended, tell_ending
from rxws.rx.holds import Downstream, Held, Holds, Source, current_source, notify_from
from rxws.rx.loop_thread import LoopThread

HIGH: Final = 1024
"""Items under way above which their socket is held, until a quarter of them are left."""

PROGRESS_TIMEOUT: Final = 5.0
"""Seconds without any progress after which the hold ends: the peer would think that the socket is dead."""

MAX_CROSSING: Final = 16_384
"""Items under way at most; then the oldest is dropped."""

NOTIFICATIONS_A_TURN: Final = 256
"""Items that are handed on in one turn of the event loop."""

NotificationKind = Literal["next", "error", "completed"]


class Crossing(Held, Downstream, abc.ObserverBase[Any]):
    """Takes notifications in the thread of their source, and gives them to an observer on another event loop.

    Above 1,024 items under way their socket is held, so that its peer slows down. If the other loop then makes no
    progress for 5 s, it is blocked: rather than the socket, the oldest items are lost, beyond 16,384 of them. `lost` is
    told how many, when it goes on. Operators behind can hold the source, from there.
    """

    gone = False

    def __init__(
        self,
        observer: abc.ObserverBase[Any],
        home: LoopThread,
        here: asyncio.AbstractEventLoop,
        lost: Callable[[int], object],
    ) -> None:
        self._observer = observer
        self._home = home
        self._here = here
        self._lost = lost
        self._missing = 0
        self._progress = 0  # items handed on so far
        self._blocked = False
        self._changing = Lock()
        self._waiting = deque[tuple[NotificationKind, Any, Source | None]]()
        self._coming = False  # whether the loop here is about to hand on
        self._stopped = False
        self._holds = Holds()
        self._holding = False
        self._held = 0  # by operators here
        self.source: Source | None = None  # of the newest item that was handed on

    # In the source's thread

    def on_next(self, value: Any) -> None:
        """Take an item."""
        source = current_source.get()
        self._put("next", value, source)
        if len(self._waiting) > HIGH and not self._blocked:
            if not self._holding:
                self._holding = True
                self._home.loop.call_later(PROGRESS_TIMEOUT, self._look_for_progress, self._progress)
            self._holds.hold(source)
            if len(self._waiting) <= HIGH // 4:  # the other thread was quicker
                self._release()

    def on_error(self, error: Exception) -> None:
        """Take the end."""
        self._put("error", error, None)

    def on_completed(self) -> None:
        """Take the end."""
        self._put("completed", how_it_ended(), None)

    def waiting(self) -> list[Any]:
        """Give the items that are under way."""
        with self._changing:
            return [value for kind, value, _ in self._waiting if kind == "next"]

    def drain(self) -> Iterator[Any]:
        """Take over the items that are under way, one after the other; the end stays."""
        while True:
            with self._changing:
                if not self._waiting or self._waiting[0][0] != "next":
                    return
                _, value, _ = self._waiting.popleft()
            if self._holding and len(self._waiting) <= HIGH // 4:
                self._home.run(self._release)
            yield value

    def _release(self) -> None:
        self._holding = False
        self._holds.release()

    def _look_for_progress(self, before: int) -> None:
        if not self._holding:
            return
        if self._progress == before and not self._held:
            self._blocked = True
            self._release()
        else:
            self._home.loop.call_later(PROGRESS_TIMEOUT, self._look_for_progress, self._progress)

    def _put(self, kind: NotificationKind, value: Any, source: Source | None) -> None:
        with self._changing:
            if self._stopped:
                return
            self._stopped = kind != "next"
            self._waiting.append((kind, value, source))
            if len(self._waiting) > MAX_CROSSING:
                self._waiting.popleft()
                self._missing += 1
            coming, self._coming = self._coming, True
        if not coming:
            try:
                self._here.call_soon_threadsafe(self._hand_on)
            except RuntimeError:  # the event loop is closed
                self.stop()

    # In the other thread

    def stop(self) -> None:
        """Forget what is under way, and let the source go."""
        with self._changing:
            self._stopped = True
            self._waiting.clear()
        self._home.run(self._release)

    def _hand_on(self) -> None:
        for _turn in range(NOTIFICATIONS_A_TURN):
            with self._changing:
                if not self._waiting or self._held:
                    self._coming = False
                    break
                kind, value, source = self._waiting.popleft()
                missing, self._missing = self._missing, 0
            self._progress += 1
            self._blocked = False
            try:
                if missing:
                    self._lost(missing)
                self._notify(kind, value, source)
            except BaseException:  # an interrupt, which does not end a notebook
                self._here.call_soon(self._hand_on)
                raise
        else:
            self._here.call_soon(self._hand_on)
        if self._holding and len(self._waiting) <= HIGH // 4:
            self._home.run(self._release)

    def _notify(self, kind: NotificationKind, value: Any, source: Source | None) -> None:
        if kind == "next":
            self.source = source
            notify_from(None if source is None else self, self._observer.on_next, value)
        elif kind == "error":
            self._observer.on_error(value)
        else:
            tell_ending(value, self._observer.on_completed)

    # The source of what it hands on

    def _follow_holds(self) -> None:
        """Stop handing on while it is held: what waits then holds the source."""
        if not self._held:
            with self._changing:
                coming, self._coming = self._coming, True
            if not coming:
                self._here.call_soon_threadsafe(self._hand_on)

    def take_in_hand(self) -> None:
        """Do nothing: what a notebook works on does not keep the socket's end waiting."""

    let_go = take_in_hand

    def report(self, error: Exception) -> None:
        """Let the source have what a subscriber has raised."""
        if self.source is not None:
            self._home.run(self.source.report, error)
