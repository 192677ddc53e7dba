"""The messages of the peer, as a hot Observable."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reactivex import abc

from rxws.rx.broadcast import Hot

T = TypeVar("T")


class Incoming(Hot[T]):
    """Emits what the peer sends, to those who are subscribed when it comes; completes when the socket closes.

    Nothing is lost at the start: reading is held until the first subscriber is there. An observer that raises
    does not keep an item from the others; what it raised goes to `errors`. It never fails.
    """

    def __init__(self, on_raise: Callable[[Exception], object], on_first: Callable[[], object]) -> None:
        super().__init__(on_raise)
        self._on_first: Callable[[], object] | None = on_first

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        subscription = super()._subscribe_core(observer, scheduler)
        self.want()
        return subscription

    def want(self) -> None:
        """Let messages come, whether or not anyone is subscribed."""
        on_first, self._on_first = self._on_first, None
        if on_first is not None:
            on_first()
