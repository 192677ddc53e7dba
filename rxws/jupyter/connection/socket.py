"""The socket of a notebook: its connection lives on a thread of its own, its streams here."""

from __future__ import annotations

from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.subject import Subject

from rxws.client.socket import ClientWebSocket
from rxws.client.states import State
from rxws.close import Close
from rxws.core.incoming import Readers
from rxws.core.lifecycle import Lifecycle
from rxws.errors import parted
from rxws.jupyter.connection.names import Lease
from rxws.jupyter.connection.relay import RAISED, HotRelay, IncomingRelay, Relay
from rxws.jupyter.errors import Shown, show_exception
from rxws.rx.broadcast import Broadcast, OwnSubject

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")


class NotebookSocket(ClientWebSocket[In, Out]):
    """A client's WebSocket for notebooks, used as any other: the connection does not notice cells that block.

    Its streams notify on the notebook's event loop; while that is busy, messages wait, and above 1,024 of them the
    peer is slowed down. Errors, and what subscribers raise, are shown in the notebook unless `errors` is observed, and
    do not close the socket. It and its streams hold the `lease`.
    """

    def __init__(self, socket: ClientWebSocket[In, Out], lease: Lease) -> None:
        super().__init__(socket._life, socket._states, socket._reconnector)
        thread = self._life.thread
        self._lease = lease
        self._errors = HotRelay[Exception](super().errors, thread, show_exception, lease)
        shown = Unobserved(self._life, self._errors.readers)
        self._raised = shown.raised
        self._incoming = IncomingRelay[In](super().incoming, thread, shown.raised, lease)
        self._outgoing = HotRelay[Any](super().outgoing, thread, shown.raised, lease)
        self._dropped = HotRelay[Any](super().dropped, thread, shown.raised, lease)
        Relay(super().errors, thread, show_exception, lease).subscribe(shown.show)

    @property
    def incoming(self) -> Observable[In]:
        """What the peer sends: hot, and held back while nobody reads; completes, never fails."""
        return self._incoming

    @property
    def _readers(self) -> Readers[In]:
        return self._incoming.readers

    @property
    def outgoing(self) -> Subject[Out | Close]:
        """What the peer gets; from any thread. Subscribing to it shows what is sent."""
        return Gate(super().outgoing, self._outgoing)

    @property
    def errors(self) -> Subject[Exception]:
        """What goes wrong; shown in the notebook while nobody is subscribed."""
        return Gate(super().errors, self._errors)

    @property
    def dropped(self) -> Observable[Any]:
        """The messages that the overflow policy drops, as it does."""
        return self._dropped

    @property
    def closed(self) -> Observable[Close]:
        """Emits how the socket ended, once, for late subscribers too."""
        return self._here(super().closed)

    @property
    def undelivered(self) -> Observable[Any]:
        """At the end, the messages that may not have arrived; for late subscribers too."""
        return self._here(super().undelivered)

    @property
    def states(self) -> Observable[State]:
        """The present state, then every change."""
        return self._here(super().states)

    def multiplex(self, **options: Any) -> Observable[In]:
        """Make an Observable of one topic, shared by its subscribers; see `ClientWebSocket.multiplex`.

        `matches` and functions that make messages are called in the connection's thread.

        Args:
            options: As of `ClientWebSocket.multiplex`.
        """
        return self._here(super().multiplex(**options))

    def request(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, message: Out, **options: Any
    ) -> Observable[In]:
        """Make an Observable of one answer; see `ClientWebSocket.request`. `matches` is called in another thread.

        Args:
            message: The question.
            options: As of `ClientWebSocket.request`.
        """
        return self._here(super().request(message, **options))

    def _here(self, observable: Observable[T]) -> Observable[T]:
        return Relay(observable, self._life.thread, self._raised, self._lease)


class Unobserved:
    """Shows what goes wrong while nobody observes the errors. It holds nothing that the notebook does."""

    def __init__(self, life: Lifecycle, observers: Broadcast[Exception]) -> None:
        self._life = life
        self._errors = observers
        self._shown = Shown()

    def raised(self, error: Exception) -> None:
        """Take what a subscriber has raised."""
        life = self._life
        if self._errors.observers:
            life.thread.run(life.reports.report, error)
            return
        close, rest = parted(error, Close)
        if close is not None:
            life.thread.run(life.reports.report, close)
        if rest is not None:
            (RAISED.get() or self._shown).show(rest)
            life.thread.run(life.reports.news.emit, ("error", rest))

    def show(self, error: Exception) -> None:
        """Show an error of the socket's."""
        if not self._errors.observers:
            self._shown.show(error)


class Gate(OwnSubject[T]):
    """A Subject in another thread: what is emitted goes there, what is subscribed comes from there."""

    def __init__(self, there: Subject[T], here: Observable[T]) -> None:
        super().__init__()
        self.on_next = there.on_next
        self.on_error = there.on_error
        self.on_completed = there.on_completed
        self.dispose = there.dispose
        self._there = there
        self._here = here

    @property
    def is_stopped(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it has ended there."""
        return self._there.is_stopped

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._here.subscribe(observer, scheduler=scheduler)
