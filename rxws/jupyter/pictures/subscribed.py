"""The subscription of a picture to its Observable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from reactivex import Observable, abc

from rxws.rx.scheduler import loop_scheduler


class Subscribed(ABC):
    """A picture of the items of one Observable, which may come from any thread. `end` is how it ended, or `None`."""

    interval = 0.1

    def __init__(self, observable: Observable[Any]) -> None:
        if not isinstance(observable, Observable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"expected an Observable, not {observable!r}")
        self.end: Exception | str | None = None
        self.items = 0
        self._observable = observable
        self._drawn = -1
        self._subscription: abc.DisposableBase | None = None

    def start(self, changed: Callable[[], object], end: Callable[[], object]) -> None:
        """Subscribe. What `_take` raises ends the subscription, as it does for operators."""

        def take(item: Any) -> None:
            if self.end is None:
                try:
                    self._take(item)
                except Exception as error:
                    finish(error)
                else:
                    self.items += 1
                    changed()

        def finish(how: Exception | str) -> None:
            if self.end is None:
                self.end = how
                self.stop()
                end()

        self._subscription = self._observable.subscribe(
            take, finish, lambda: finish("completed"), scheduler=loop_scheduler()
        )
        del self._observable  # a picture keeps no socket
        if self.end is not None:
            self.stop()

    def stop(self) -> None:
        """Dispose; idempotent."""
        if self._subscription is not None:
            self._subscription.dispose()

    def settled(self) -> bool:
        """Return whether the newest item is drawn."""
        return self._drawn == self.items

    def ending(self) -> str:
        """Say how it ended, if it has."""
        match self.end:
            case None:
                return ""
            case Exception() as error:
                return f"; failed: {type(error).__name__}: {error}"
            case str(how):
                return f"; {how}"

    @abstractmethod
    def _take(self, item: Any) -> None: ...
