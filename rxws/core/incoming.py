"""What the peer sends: for all subscribers, or for one reader that asks for each message. Without both, it waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol, TypeVar

from reactivex import abc

from rxws.close import Close
from rxws.rx.broadcast import Broadcast, Hot, Subscriber
from rxws.rx.endings import how_it_ended, tell_ending
from rxws.rx.foreign import call
from rxws.rx.holds import Source, last_taken, notify_from, present_owner
from rxws.rx.loop_thread import LoopThread, running_loop, set_result
from rxws.rx.scheduler import when_subscribed

T = TypeVar("T")

BESIDE_OTHERS: Final = "To read beside others, iterate over rxws.operators.to_async_iterable(socket.incoming)."
SECOND_READER: Final = (
    "socket.receive() or `async for` is waiting for the next message of this socket, and reads it alone: "
    f"another reader may come when it has got that message. {BESIDE_OTHERS}"
)
SUBSCRIBED: Final = (
    "socket.receive() and `async for` read a socket alone, and socket.incoming has a subscriber: "
    f"dispose that subscription first. {BESIDE_OTHERS}"
)


class MessageSource(Source, Protocol):
    """Where messages come from. It is held while nobody reads them."""

    @property
    def thread(self) -> LoopThread:
        """Where they are read."""
        ...

    def now_shared(self) -> None:
        """Record that there are several readers, and that they do not all belong to one handler."""
        ...

    def deserted(self, how: Close) -> None:
        """Record that the last reader has left because a socket ended, and how."""
        ...


class Incoming(Hot[T]):
    """Emits what the peer sends, to those who are subscribed when it comes; completes when the socket closes.

    Nothing is lost before the first subscriber and between two: reading is held while nobody is subscribed. When
    `readers` want messages anyway, those that nobody is there for are dropped. An observer that raises does not keep an
    item from the others; what it raised goes to `errors`. It never fails.

    What completes at once because of it can ask how the socket has ended, see `rxws.rx.endings`: so `outgoing` of
    another socket closes with the same code and reason.

    Subscribing raises `RuntimeError` while its cursor waits for a message.
    """

    readers: Readers[T]

    def __init__(self, owner: MessageSource, on_raise: Callable[[Exception], object]) -> None:
        self.readers = self._broadcast = Readers(owner, on_raise)  # without `[T]`: that costs microseconds
        self.emit = self.readers.emit  # Broadcast.emit

    def monitor(self, observer: abc.ObserverBase[T]) -> abc.DisposableBase:
        """Add an observer that sees each message before the others and does not count as a reader."""
        return self.readers.subscribe(Monitor(self.readers, observer), first=True)

    def look(self, on_next: abc.OnNext[T], on_completed: abc.OnCompleted) -> abc.DisposableBase:
        """Add a reader that looks for an answer and passes nothing on."""
        looking = Looking(self.readers, on_next, None, on_completed)
        self.readers.admit(looking)
        return looking

    def _admit(self, observer: abc.ObserverBase[T]) -> None:
        self.readers.admit(observer)


class Readers(Broadcast[T]):
    """The observers of an `Incoming`. It holds reading while there are none, unless messages are wanted anyway."""

    __slots__ = ("_for", "_owner", "_wanted", "held", "how", "kept", "repeats", "shared", "waiter")
    is_source = True

    def __init__(self, owner: MessageSource, on_raise: Callable[[Exception], object]) -> None:
        super().__init__(on_raise)
        self._owner: MessageSource | None = owner
        self.waiter: asyncio.Future[None] | None = None
        """What the task awaits that has asked the cursor for the next message; `None` if no task has."""
        self._wanted = False
        self.held = True
        """Whether reading is held because nobody reads."""
        self.kept: tuple[T, ...] = ()
        """Messages for the next reader: emitted while nobody read, or given to the cursor and not taken yet."""
        self.repeats = False
        """Whether a kept message is being emitted: monitors have seen it before, when it came."""
        self._for: Source | None = None  # the socket in whose handler they have subscribed
        self.shared = False
        """Whether they are several, and not all of one handler."""
        self.how: Close | None = None
        """The `Close` for another socket that ends because this one does; `None` until then."""

    @property
    def source(self) -> MessageSource | None:
        """Where the message comes from that the cursor took last; `None` if anyone reads now, or at the end."""
        return None if self.present else self._owner

    @property
    def present(self) -> bool:
        """Whether anyone reads."""
        return not MONITORS.issuperset(map(type, self.observers))

    def admit(self, observer: abc.ObserverBase[T]) -> None:
        """Add a reader, unless the cursor waits."""
        self.check_cursor()
        owner = present_owner()
        if WATCHING.issuperset(map(type, self.observers)):
            self._for, self.shared = owner, False
        elif type(observer) not in WATCHING and not self.shared and (owner is None or owner is not self._for):
            self.shared = True
            if self._owner is not None:
                self._owner.now_shared()
        self.add(observer)

    def check_cursor(self) -> None:
        """Raise `RuntimeError` if the cursor waits, and reads alone."""
        if self.waiter is not None:
            raise RuntimeError(SECOND_READER)

    def add(self, observer: abc.ObserverBase[T], *, first: bool = False) -> None:
        """Add an observer, before the others if `first`; after the end it gets just that."""
        super().add(observer, first=first)
        self._changed()

    def remove(self, observer: abc.ObserverBase[T]) -> None:
        """Forget an observer, if it is there."""
        if self.observers:
            super().remove(observer)
            self._changed()

    def want(self) -> None:
        """Let messages come, even if nobody reads them; does nothing while the cursor waits."""
        if self.waiter is None:
            self._wanted = True
            if self.held:
                self._follow()

    def join(self, cursor: Cursor[T]) -> None:
        """Let the cursor read, in sequence: what comes when it does not waits."""
        self._wanted = self.shared = False
        self.add(cursor)

    def put(self, message: T) -> None:
        """Emit a message, or keep it for the next reader if there is none now."""
        owner, held = self._owner, self.held
        if owner is not None:
            notify_from(owner, self.emit, message)
            if held:
                self.kept += (message,)

    def take(self) -> T:
        """Remove the oldest kept message, and return it."""
        message, *kept = self.kept
        self.kept = tuple(kept)
        return message

    def end(self, error: Exception | None = None) -> None:
        """Complete, or fail, behind what was kept."""
        if self.stopped:
            return
        while self.kept and self._give():
            pass
        self.how = self.how or how_it_ended()
        self._owner = self._for = None  # which have this, too
        super().end(error)

    def _end_of(self, observer: abc.ObserverBase[T]) -> None:
        if self.kept and type(observer) is not Monitor:
            kept, self.kept = self.kept, ()
            for message in kept:
                call(self._on_raise, "a subscriber", observer.on_next, message)
        tell_ending(self.how, super()._end_of, observer)

    def _changed(self) -> None:
        owner = self._owner
        if owner is None:
            return
        thread = owner.thread
        if running_loop() is thread.loop:
            self._follow()
        else:
            when_subscribed(lambda: thread.run_once(self._follow))

    def _follow(self) -> None:
        """Hold reading when the last reader has left, and let it go on when one is there."""
        owner, held = self._owner, not (self._wanted or self.present)
        if owner is None or held is self.held:
            return
        if held:
            self.held = True
            owner.hold()
            if (how := how_it_ended()) is not None:
                owner.deserted(how)
        elif self.kept:
            owner.thread.loop.call_soon(self._give)
        else:
            self.held = False
            owner.release()

    def _give(self) -> bool:
        """Emit the oldest kept message if anyone reads, and return whether it was. The others follow, one a turn."""
        owner = self._owner
        if owner is None or not self.kept or not (self._wanted or self.present):
            return False
        self.repeats = True
        try:
            notify_from(owner, self.emit, self.take())
        finally:
            self.repeats = False
            self._follow()
        return True


class Monitor(abc.ObserverBase[T]):
    """An observer that sees every message once, and does not count as a reader."""

    __slots__ = ("_observer", "_readers")

    def __init__(self, readers: Readers[T], observer: abc.ObserverBase[T]) -> None:
        self._readers = readers
        self._observer = observer

    def on_next(self, value: T) -> None:
        """Show a message."""
        if not self._readers.repeats:
            self._observer.on_next(value)

    def on_error(self, error: Exception) -> None:
        """Show the end."""
        self._observer.on_error(error)

    def on_completed(self) -> None:
        """Show the end."""
        self._observer.on_completed()


class Looking(Subscriber[T]):
    """A reader that does not consume: a request, which waits for its answer."""


MONITORS: Final = frozenset[type]({Monitor})
"""Observers that do not count as readers."""

WATCHING: Final = frozenset[type]({Monitor, Looking})
"""Observers that pass nothing on."""


class Cursor(abc.ObserverBase[T], AsyncIterator[T]):
    """Iterates over what the peer sends: it asks for one message at a time, and ends when the socket closes.

    Reading is held while it is not asked. It outlives the task that waits: when that is cancelled, by a timeout, say, a
    message that was on its way to it stays for the next reader, of whichever kind. One task may wait at a time, and
    nobody else may read meanwhile: a second reader gets a `RuntimeError`.
    """

    __slots__ = ("_readers",)

    def __init__(self, readers: Readers[T]) -> None:
        self._readers = readers

    async def __anext__(self) -> T:
        readers = self._readers
        readers.check_cursor()
        if readers.present:
            raise RuntimeError(SUBSCRIBED)
        if not readers.kept and not readers.stopped:
            readers.waiter = asyncio.get_running_loop().create_future()
            try:
                readers.join(self)
                await readers.waiter
            finally:
                readers.waiter = None
                readers.remove(self)
        last_taken.set(readers)
        if not readers.kept:
            raise StopAsyncIteration
        return readers.take()

    # What it waits for

    def on_next(self, value: T) -> None:
        """Keep the message for the task that waits, or for the next one."""
        self._readers.kept += (value,)
        self._readers.remove(self)
        self._wake()

    def on_error(self, error: Exception) -> None:
        """Wake the task that waits: nothing more comes."""
        self._wake()

    def on_completed(self) -> None:
        """Wake the task that waits: nothing more comes."""
        self._wake()

    def _wake(self) -> None:
        if (waiter := self._readers.waiter) is not None:
            set_result(waiter, None)
