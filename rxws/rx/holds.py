"""Where an item comes from, so that an operator that is busy with it can hold its source.

Dispatch is synchronous. An item that reaches an operator while a socket emits a message came from that socket, whatever
RxPY operators are in between. The source is a `ContextVar`, so a task that is started meanwhile inherits it.

The operator and the source may be in different event loops or threads. All functions here take calls from any thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from contextvars import ContextVar
from threading import Lock
from typing import Any, Final, Generic, Protocol, TypeVar

from rxws.errors import raise_fatal
from rxws.rx.fan_outs import goes_to_many
from rxws.rx.foreign import as_error

counting: Final = Lock()
"""Guards the counts that several threads change."""


class Holdable(Protocol):
    """Something that emits, and can be told to wait. It goes on when each hold has been released."""

    def hold(self) -> None:
        """Stop emitting, as soon as possible."""
        ...

    def release(self) -> None:
        """End one hold."""
        ...


class Held:
    """Counts its holds. The first hold and the last release call `_follow_holds`, in the caller's thread."""

    __slots__ = ()
    _held: int
    owner: Source | None = None
    """The socket in whose handler it was made; `None` outside of handlers."""
    shared = False
    """Whether its items go to many. Then a peer that reads slowly must not slow it, and with it the others."""
    stopped = False
    """Whether it has ended, and emits nothing more."""
    patient = False
    """Whether its items stay fresh while it is held, since it makes them on demand."""

    def share(self) -> None:
        """Record that its items go to many."""
        self.shared = True

    def belongs_to(self, owner: Source | None) -> bool:
        """Return whether all its items go to the peer of one socket, which has this owner."""
        return self.owner is owner and not self.shared

    def when_shared(self, action: Callable[[], object]) -> None:
        """Call `action` when it turns out that its items go to many; perhaps more than once."""

    def forget(self, action: Callable[[], object]) -> None:
        """Take back `when_shared(action)`."""

    def hold(self) -> None:
        """Add a hold."""
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
        """Stop or go on, in its own event loop, according to `_held`."""
        raise NotImplementedError


class Source(Holdable, Protocol):
    """Where an item comes from."""

    @property
    def gone(self) -> bool:
        """Whether it can emit nothing more, held or not."""
        ...

    @property
    def owner(self) -> Source | None:
        """The socket in whose handler it was made; `None` outside of handlers."""
        ...

    def report(self, error: Exception) -> None:
        """Take an error that a subscriber has raised over an item from this source."""
        ...

    def take_in_hand(self) -> None:
        """Count an item that an operator works on. The socket's end waits for it."""
        ...

    def let_go(self) -> None:
        """Count such an item as done."""
        ...


current_source: Final = ContextVar[Source | None]("rxws_source", default=None)
"""The source of the item that is being emitted; `None` if it has none that can be held."""

current_socket: Final = ContextVar[Source | None]("rxws_socket", default=None)
"""The socket whose handler runs. It owns what the handler subscribes."""


class Taken(Protocol):
    """What a task takes items from: an `async for`, for example."""

    @property
    def source(self) -> Source | None:
        """The source of the last item; `None` after the end."""
        ...


last_taken: Final = ContextVar[Taken | None]("rxws_last_taken", default=None)
"""What the present task took its last item from."""


def source_of_work() -> Source | None:
    """Return the source of the item that is worked on here: the one being emitted, or the last one that was taken."""
    source, taken = current_source.get(), last_taken.get()
    return source if source is not None or taken is None else taken.source


class Downstream:
    """A source that makes its items from those of another source."""

    __slots__ = ()
    source: Source | None

    def take_in_hand(self) -> None:
        """Have the socket count an item that an operator works on."""
        if (socket := socket_of(self.source)) is not None:
            socket.take_in_hand()

    def let_go(self) -> None:
        """Have the socket count such an item as done."""
        if (socket := socket_of(self.source)) is not None:
            socket.let_go()


def socket_of(source: Source | None) -> Source | None:
    """Return the socket that a chain of sources begins with; `None` if it begins with something else."""
    while isinstance(source, Downstream):
        source = source.source
    return source


def live_source(source: Source | None) -> Source | None:
    """Return a source, or the first one before it that has not ended.

    With `ops.expand`, each item may make the source of the next one: each page names the next page, for example.
    Without this, the chain of sources would grow with each round.
    """
    while isinstance(source, Downstream):
        operator = source.operator if isinstance(source, Via) else source
        if not isinstance(operator, Held) or not operator.stopped:
            break
        source = source.source
    return source


class Via(Downstream):
    """The source of the items that an operator emits. A hold stops the operator; errors go to the source before it."""

    __slots__ = ("hold", "operator", "release", "source")
    gone = False

    def __init__(self, operator: Held, source: Source | None) -> None:
        self.source = live_source(source)
        self.operator = operator
        self.hold = operator.hold
        self.release = operator.release

    @property
    def owner(self) -> Source | None:
        """The socket in whose handler the operator was subscribed."""
        return self.operator.owner

    def report(self, error: Exception) -> None:
        """Report an error to the source before; raise it if there is none."""
        if self.source is None:
            raise error
        self.source.report(error)


def source_before(operator: Held) -> Source | None:
    """Return the source that the present item had before it first came to this operator.

    An item that the operator emitted may come back to it. Its source would then be the operator, which would hold
    itself and wait forever, and the chain of sources would grow with each round.
    """
    before = source = current_source.get()
    while isinstance(source, Downstream):
        if isinstance(source, Via) and source.operator is operator:
            before = source.source
        source = source.source
    return before


class Chosen(Downstream):
    """The source of the items that `when_full` emits. `holds` is whether a full socket holds the source before."""

    __slots__ = ("hold", "holds", "owner", "release", "report", "source")

    def __init__(self, source: Source, holds: bool) -> None:
        self.source = source
        self.holds = holds
        self.owner = source.owner
        self.hold, self.release, self.report = source.hold, source.release, source.report

    @property
    def gone(self) -> bool:
        """Whether it can emit nothing more, held or not."""
        assert self.source is not None
        return self.source.gone


def present_owner() -> Source | None:
    """Return the socket whose handler runs, or whose handler subscribed what runs; `None` outside of handlers."""
    socket = current_socket.get()
    if socket is None and (source := socket_of(current_source.get())) is not None:
        return source.owner
    return socket


def sources_to_hold(socket: Held, source: Source | None, lossless: bool) -> tuple[Held, ...] | None:
    """Return what a full socket holds if `source` sent it its last item; `None` if it is not known what.

    `lossless` is whether the overflow policy drops nothing.

    - If `when_full` is in the chain of sources, that decides: all of the chain, or nothing.
    - If the chain begins with the socket: that, and the operators of its owner in between. They must be patient,
      unless `lossless`.
    - If the whole chain was made for this peer alone, in its handler: all of it. The first one must be patient, such as
      an iterable, unless `lossless`.
    """
    found: list[Any] = []
    origin = source
    holds: bool | None = None
    while source is not None:
        if not isinstance(source, Chosen):
            found.append(source.operator if isinstance(source, Via) else source)
        elif holds is None:
            holds = source.holds
        origin, source = source, source.source if isinstance(source, Downstream) else None
    if holds is False:
        return ()
    if not isinstance(origin, Held):
        return None
    if holds:
        return tuple(found)
    own = [one for one in found if one is socket or one.belongs_to(socket.owner)]
    if origin is socket:
        return tuple(one for one in own if one is socket or one.patient or lossless)
    if (lossless or origin.patient) and own == found and not check_shared(origin):
        return tuple(own)
    return None


def check_shared(source: Source | None) -> bool:
    """Return whether items from the first source of a chain go to many; record it if the present item does.

    An operator that keeps an item must call this first: once the item waits, the call stack no longer shows its way.
    """
    while isinstance(source, Downstream) and source.source is not None:
        source = source.source
    if not isinstance(source, Held):
        return False
    if not source.shared and goes_to_many():
        source.share()
    return source.shared


def notify_from(source: Source | None, notify: Callable[..., object], *item: Any) -> None:
    """Call `notify` while `current_source` is `source`, and report what it raises to the source.

    With `None`, a busy subscriber holds no source, and errors propagate.
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
    """The holds of one operator that is full: on each source whose item it has, or gets meanwhile."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: set[Holdable] = set()

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, source: Holdable | None) -> bool:
        """Hold a source, unless this holds it already; return whether the hold is new."""
        if source is None or source in self._held:
            return False
        source.hold()  # first: `release` in another thread must not come before it
        with counting:
            if source not in self._held:
                self._held.add(source)
                return True
        source.release()
        return False

    def release(self) -> Collection[Holdable]:
        """Release all sources, and return them."""
        if not self._held:
            return ()
        with counting:
            held, self._held = self._held, set[Holdable]()
        for source in held:
            source.release()
        return held


T = TypeVar("T")

MAX_UNHELD: Final = 1024
"""Items that may wait without a hold: their source cannot be held, emits although it is held, or has ended."""


class WaitingItems(Generic[T]):
    """A queue. Its bound is one item for each source that is held because of the item, and `MAX_UNHELD` others."""

    def __init__(self) -> None:
        self._items: deque[tuple[T, Source | None]] = deque()
        self._allowed = MAX_UNHELD  # when the sources were last counted; to count them for each item would be slow

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T, held: Source | None) -> bool:
        """Append an item, and the source that is `held` because of it, if any; return whether there was room."""
        with counting:
            if len(self._items) >= self._allowed:
                self._allowed = MAX_UNHELD + sum(source is not None and not source.gone for _, source in self._items)
                if len(self._items) >= self._allowed:
                    return False
            self._items.append((item, held))
        return True

    def pop(self) -> T:
        """Remove and return the oldest item."""
        with counting:
            return self._items.popleft()[0]

    def clear(self) -> list[T]:
        """Remove and return all items."""
        with counting:
            items, self._items = self._items, deque[tuple[T, Source | None]]()
        return [item for item, _ in items]
