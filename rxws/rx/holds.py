"""Where an item comes from, so that whoever is busy with it can hold its source.

Dispatch is synchronous: what reaches an operator while a socket hands on a message came from that socket, whatever
operators of RxPY's are in between. A task that is started meanwhile inherits it, as it inherits every `ContextVar`.

Whoever is busy may work on another event loop, or thread, than the source: all calls here may come from any thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from threading import Lock
from typing import Any, Final, Generic, Protocol, TypeVar

from rxws.errors import raise_fatal
from rxws.rx.foreign import as_error

counting: Final = Lock()
"""What is counted from several threads is counted under this."""


class Holdable(Protocol):
    """Who emits. It can be told to wait: as often held as released, it goes on. Takes calls from any thread."""

    def hold(self) -> None:
        """Emit no more, as soon as possible."""
        ...

    def release(self) -> None:
        """End one hold."""
        ...


class Held:
    """Counts its holds, whoever has them. The first and the last one count at once; what follows, it does at home."""

    __slots__ = ()
    _held: int

    def hold(self) -> None:
        """Emit no more, once more."""
        with counting:
            self._held += 1
            changed = self._held == 1
        if changed:
            self._follow_holds()

    def release(self) -> None:
        """End one hold; after the last one, go on."""
        with counting:
            self._held -= 1
            changed = self._held == 0
        if changed:
            self._follow_holds()

    def _follow_holds(self) -> None:
        """See to it that what `_held` says is so, in the own event loop."""
        raise NotImplementedError


class Source(Holdable, Protocol):
    """Where an item comes from."""

    @property
    def gone(self) -> bool:
        """Whether nothing more can come from there, held or not."""
        ...

    def report(self, error: Exception) -> None:
        """Take what a subscriber has raised over an item of this source's."""
        ...

    def take_in_hand(self) -> None:
        """Count an item that an operator works on: the source's end waits for it."""
        ...

    def let_go(self) -> None:
        """Count such an item as done."""
        ...


current_source: Final = ContextVar[Source | None]("rxws_source", default=None)
"""The source whose item is being handed on, if it can be held."""


current_socket: Final = ContextVar[Source | None]("rxws_socket", default=None)
"""The socket whose handler runs, and owns what that subscribes."""


class Downstream:
    """A source that has its items, or what it makes them of, from another one."""

    __slots__ = ()
    source: Source | None

    def take_in_hand(self) -> None:
        """Let the socket count an item that an operator works on."""
        if (socket := socket_of(self.source)) is not None:
            socket.take_in_hand()

    def let_go(self) -> None:
        """Let the socket count it as done."""
        if (socket := socket_of(self.source)) is not None:
            socket.let_go()


def socket_of(source: Source | None) -> Source | None:
    """Return the first source of a chain, which is a socket; `None` if there is none."""
    while isinstance(source, Downstream):
        source = source.source
    return source


class Via(Downstream):
    """The source of what an operator passes on: the operator is held, and its own source is told of errors."""

    __slots__ = ("hold", "release", "source")
    gone = False

    def __init__(self, operator: Holdable, source: Source | None) -> None:
        self.source = source
        self.hold = operator.hold
        self.release = operator.release

    def report(self, error: Exception) -> None:
        """Let the source have it, or raise it when there is none."""
        if self.source is None:
            raise error
        self.source.report(error)


def notify_from(source: Source | None, notify: Callable[..., object], *item: Any) -> None:
    """Notify in the name of a source, later than it emitted; what is raised meanwhile is for the source.

    In the name of nobody, `None`, a subscriber that is busy holds nobody, and what is raised is raised on.
    """
    token = current_source.set(source)
    try:
        notify(*item)
    except BaseException as error:
        if source is None:
            raise
        try:
            source.report(as_error(error, "a subscriber"))
        finally:
            raise_fatal(error)
    finally:
        current_source.reset(token)


class Holds:
    """The holds of one operator on its sources: while it is full, on everyone whose item comes or is there."""

    def __init__(self) -> None:
        self._held: set[Source] = set()

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, source: Source | None) -> bool:
        """Hold a source, once; tell whether it was not held before, and is now."""
        if source is None or source in self._held:
            return False
        source.hold()  # first: `release` in another thread must not come before it
        with counting:
            if source not in self._held:
                self._held.add(source)
                return True
        source.release()
        return False

    def release(self) -> None:
        """Release them all."""
        if not self._held:
            return
        with counting:
            held, self._held = self._held, set()
        for source in held:
            source.release()


T = TypeVar("T")

MAX_WAITING: Final = 1024
"""Items that may wait although nobody can hold their source: it cannot be, it emits in a hold, or it has ended."""


class WaitingItems(Generic[T]):
    """A queue of one item for each source that is held because of it, and of `MAX_WAITING` others."""

    def __init__(self) -> None:
        self._items: deque[tuple[T, Source | None]] = deque()
        self._allowed = MAX_WAITING

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T, held: Source | None) -> bool:
        """Keep an item, and the source that is `held` because of it; tell whether there was room."""
        with counting:
            if len(self._items) >= self._allowed:
                self._allowed = MAX_WAITING + sum(source is not None and not source.gone for _, source in self._items)
                if len(self._items) >= self._allowed:
                    return False
            self._items.append((item, held))
        return True

    def pop(self) -> T:
        """Take the oldest."""
        with counting:
            return self._items.popleft()[0]

    def clear(self) -> list[T]:
        """Give up all of them."""
        with counting:
            items, self._items = self._items, deque[tuple[T, Source | None]]()
        return [item for item, _ in items]
