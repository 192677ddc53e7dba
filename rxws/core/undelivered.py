"""The messages that were taken by `outgoing` and did not arrive, or may not have."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from reactivex import abc

from rxws.core.wire import Frame
from rxws.rx.broadcast import Broadcast, Source


class Undelivered(Source[Any]):
    """Emits messages when it is known that they were not delivered; completes when the socket closes.

    Late subscribers get those of before, too: the newest, as many as weigh `limit` bytes.
    """

    def __init__(self, limit: int, on_raise: Callable[[Exception], object]) -> None:
        self._limit = limit
        self._broadcast = Broadcast(on_raise)
        self._reported: deque[Frame] | None = None
        self._weight = 0

    def report(self, *items: Frame) -> None:
        """Emit messages, but not those of the socket's own that are sent again on the next connection."""
        for item in items:
            if item.connection is not None:
                continue
            reported = self._reported = self._reported or deque()
            reported.append(item)
            self._weight += item.weight
            while self._weight > self._limit and len(reported) > 1:
                self._weight -= reported.popleft().weight
            self._broadcast.emit(item.message)

    def end(self) -> None:
        """Complete."""
        self._broadcast.end()

    def _subscribe_core(
        self, observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        for item in tuple(self._reported or ()):
            observer.on_next(item.message)
        return self._broadcast.subscribe(observer)
