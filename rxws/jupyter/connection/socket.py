"""The socket of a notebook: its connection lives on a thread of its own, its streams here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.subject import Subject

from rxws.client.socket import ClientWebSocket
from rxws.client.states import State
from rxws.close import Close
from rxws.jupyter.connection.relay import HotRelay, IncomingRelay, Relay
from rxws.jupyter.errors import show_exception

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")


class NotebookSocket(ClientWebSocket[In, Out]):
    """A client's WebSocket for notebooks, used as any other: the connection does not notice cells that block.

    Its streams notify on the notebook's event loop; while that is busy, messages wait, and above 1,024 of them the
    peer is slowed down. Errors, and what subscribers raise, are shown in the notebook unless `errors` is observed, and
    do not close the socket.
    """

    def __init__(self, socket: ClientWebSocket[In, Out]) -> None:
        super().__init__(socket._life, socket._states, socket._reconnector)
        life = self._life
        self._incoming = IncomingRelay[In](super().incoming, life.thread, self._raised)
        self._outgoing = HotRelay[Any](super().outgoing, life.thread, self._raised)
        self._errors = HotRelay[Exception](super().errors, life.thread, show_exception)
        self._dropped = HotRelay[Any](super().dropped, life.thread, self._raised)
        Relay(super().errors, life.thread, show_exception).subscribe(self._show)

    @property
    def incoming(self) -> Observable[In]:
        """What the peer sends: hot, and held back while nobody reads; completes, never fails."""
        return self._incoming

    @property
    def _cursor(self) -> AsyncIterator[In]:
        return self._incoming.readers.cursor

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
        """
        return self._here(super().multiplex(**options))

    def request(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, message: Out, **options: Any
    ) -> Observable[In]:
        """Make an Observable of one answer; see `ClientWebSocket.request`. `matches` is called in another thread."""
        return self._here(super().request(message, **options))

    def _here(self, observable: Observable[T]) -> Observable[T]:
        return Relay(observable, self._life.thread, self._raised)

    def _raised(self, error: Exception) -> None:
        """Take what a subscriber has raised."""
        life = self._life
        if isinstance(error, Close) or self._errors.observed:
            life.thread.run(life.reports.report, error)
        else:
            show_exception(error)
            life.thread.run(life.reports.news.emit, ("error", error))

    def _show(self, error: Exception) -> None:
        if not self._errors.observed:
            show_exception(error)


class Gate(Subject[T]):
    """A Subject in another thread: what is emitted goes there, what is subscribed comes from there."""

    def __init__(self, there: Subject[T], here: Observable[T]) -> None:
        super().__init__()
        self.on_next = there.on_next
        self.on_error = there.on_error
        self.on_completed = there.on_completed
        self.dispose = there.dispose
        self._here = here

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._here.subscribe(observer, scheduler=scheduler)
