"""Where an item comes from, so that an operator that is busy with it can hold its source.

Dispatch is synchronous: what reaches an operator while a socket hands on a message came from that socket, whatever
operators of RxPY's are in between. A task that is started meanwhile inherits it, as it inherits every `ContextVar`.

The operator may work on another event loop or thread than the source: all calls here may come from any thread.
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
"""What is counted from several threads is counted under this."""


class Holdable(Protocol):
    """Who emits. It can be told to wait: as often held as released, it goes on. Takes calls from any thread."""

    def hold(self) -> None:
        """Stop emitting, as soon as possible."""
        ...

    def release(self) -> None:
        """End one hold."""
        ...


class Held:
    """Counts its holds. The first and the last one count at once; it then acts in its own event loop."""

    __slots__ = ()
    _held: int
    owner: Source | None = None
    """The socket in whose handler it was made; `None` outside of handlers."""
    shared = False
    """Whether what it emits goes to many: then a peer that reads slowly is not to slow the others."""

    def share(self) -> None:
        """Say that it does."""
        self.shared = True

    stopped = False
    """Whether it has ended, and emits nothing more."""

    patient = False
    """Whether what it will emit does not grow old when it has to wait."""

    def belongs_to(self, owner: Source | None) -> bool:
        """Tell whether it is for the peer of a socket with this owner alone."""
        return self.owner is owner and not self.shared

    def when_shared(self, action: Callable[[], object]) -> None:
        """Act when it turns out to be shared, once or more often."""

    def forget(self, action: Callable[[], object]) -> None:
        """Do not act then."""

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
        """See to it that what `_held` says is so, in the own event loop."""
        raise NotImplementedError


class Source(Holdable, Protocol):
    """Where an item comes from."""

    @property
    def gone(self) -> bool:
        """Whether nothing more can come from there, held or not."""
        ...

    @property
    def owner(self) -> Source | None:
        """The socket in whose handler it was made; `None` outside of handlers."""
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


class Taken(Protocol):
    """Where a task takes items from, with `async for`, say. At its end it forgets."""

    @property
    def source(self) -> Source | None:
        """The source of the last one; `None` at the end."""
        ...


last_taken: Final = ContextVar[Taken | None]("rxws_last_taken", default=None)
"""Where the present task has taken its last item from."""


def source_of_work() -> Source | None:
    """Return the source of what is being worked on here: of the present item, or of the one that was taken last."""
    source, taken = current_source.get(), last_taken.get()
    return source if source is not None or taken is None else taken.source


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


def source_that_lasts(source: Source | None) -> Source | None:
    """Return a source, or the one before it if it has ended.

    Otherwise, the chain would grow with each round where an item makes the source of the next one, such as pages that
    name the next one, in `ops.expand`.
    """
    while isinstance(source, Downstream):
        operator = source.operator if isinstance(source, Via) else source
        if not isinstance(operator, Held) or not operator.stopped:
            break
        source = source.source
    return source


class Via(Downstream):
    """The source of what an operator passes on: the operator is held, and its own source is told of errors."""

    __slots__ = ("hold", "operator", "release", "source")
    gone = False

    def __init__(self, operator: Held, source: Source | None) -> None:
        self.source = source_that_lasts(source)
        self.operator = operator
        self.hold = operator.hold
        self.release = operator.release

    @property
    def owner(self) -> Source | None:
        """The socket in whose handler the operator was subscribed."""
        return self.operator.owner

    def report(self, error: Exception) -> None:
        """Let the source have it, or raise it when there is none."""
        if self.source is None:
            raise error
        self.source.report(error)


def source_before(operator: Held) -> Source | None:
    """Return the source of the present item, as it was before the operator.

    What an operator has emitted may come back to it, to be worked on again. Then it has the source that it had at
    first: an operator that held itself would wait forever, and the chain would grow with each round.
    """
    before = source = current_source.get()
    while isinstance(source, Downstream):
        if isinstance(source, Via) and source.operator is operator:
            before = source.source
        source = source.source
    return before


class Chosen(Downstream):
    """The source of what `when_full` passes on: it says whether a full socket behind it holds the source."""

    __slots__ = ("hold", "holds", "owner", "release", "report", "source")

    def __init__(self, source: Source, holds: bool) -> None:
        self.source = source
        self.holds = holds
        self.owner = source.owner
        self.hold, self.release, self.report = source.hold, source.release, source.report

    @property
    def gone(self) -> bool:
        """Whether nothing more can come from there, held or not."""
        assert self.source is not None
        return self.source.gone


def present_owner() -> Source | None:
    """Return the socket in whose handler we are, or whose handler's work this is; `None` outside of handlers."""
    socket = current_socket.get()
    if socket is None and (source := socket_of(current_source.get())) is not None:
        return source.owner
    return socket


def whom_to_hold(socket: Held, source: Source | None, lossless: bool) -> tuple[Held, ...] | None:
    """Find whom a socket slows that is full, and had the last item from a source; `None` if nobody is known.

    The socket itself, if the item came from there. Else what was made for its peer alone, in its handler: another
    socket, if the policy is to lose nothing, and iterables, which can wait without growing old. In both cases the
    operators in between, too. `when_full` decides for what comes from there.
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
    if (lossless or origin.patient) and own == found and not found_out(origin):
        return tuple(own)
    return None


def found_out(origin: Held) -> bool:
    """Look whether the present item, which comes from there, goes to many; say so from then on."""
    if not origin.shared and goes_to_many():
        origin.share()
    return origin.shared


def look_whether_shared(source: Source | None) -> None:
    """Look, where an item is kept for later, whether it goes to many: later nobody sees its way."""
    while isinstance(source, Downstream) and source.source is not None:
        source = source.source
    if isinstance(source, Held):
        found_out(source)


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

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: set[Holdable] = set()

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, source: Holdable | None) -> bool:
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

    def release(self) -> Collection[Holdable]:
        """Release them all, and say whom."""
        if not self._held:
            return ()
        with counting:
            held, self._held = self._held, set[Holdable]()
        for source in held:
            source.release()
        return held


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
