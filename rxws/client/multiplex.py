"""One topic of a socket that carries many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable, SingleAssignmentDisposable

from rxws.client.states import Open, State, States
from rxws.core.lifecycle import Lifecycle
from rxws.errors import ConnectionLost, raise_fatal
from rxws.rx.broadcast import Broadcast
from rxws.rx.foreign import as_error, call
from rxws.rx.loop_thread import RAN_AHEAD

T = TypeVar("T")


class TopicBroadcast(Broadcast[T]):
    """The subscribers of one topic. That it fails is told by whoever takes no errors, too: nobody else tells it."""

    __slots__ = ()

    def _not_handled(self, error: Exception) -> None:
        self._on_raise(error)


class MultiplexedTopic(Observable[T]):
    """Emits the messages of one topic to all its subscribers, while there are any; made by `socket.multiplex`."""

    def __init__(
        self, life: Lifecycle, states: States, subscribe: Any, unsubscribe: Any, matches: Callable[[T], bool]
    ) -> None:
        super().__init__()
        self._life = life
        self._states = states
        self._subscribe_message = subscribe
        self._unsubscribe_message = unsubscribe
        self._matches = matches
        self._broadcast: TopicBroadcast[T] = TopicBroadcast(life.report)
        self._upstream = CompositeDisposable()

    def _subscribe_core(self, observer: abc.ObserverBase[T], scheduler: object = None) -> abc.DisposableBase:
        thread = self._life.thread
        if thread.here() or thread.loop.is_closed():
            return self._join(observer)
        joined = SingleAssignmentDisposable()

        def join() -> None:
            try:
                joined.disposable = self._join(observer)
            except RuntimeError as error:
                observer.on_error(error)

        if not thread.hand_over(join):
            observer.on_error(ConnectionLost(RAN_AHEAD))
        return Disposable(lambda: thread.run(joined.dispose))

    def _join(self, observer: abc.ObserverBase[T]) -> abc.DisposableBase:
        broadcast = self._broadcast
        if broadcast.stopped or not broadcast.observers:
            broadcast = self._broadcast = TopicBroadcast(self._life.report)
        subscription = broadcast.subscribe(observer)
        if len(broadcast.observers) == 1:
            try:
                self._begin()
            except RuntimeError:  # somebody reads the socket alone
                subscription.dispose()
                raise

        def leave() -> None:
            subscription.dispose()
            if not (broadcast.stopped or broadcast.observers):
                self._stop()

        return Disposable(lambda: self._life.thread.run(leave))

    def _begin(self) -> None:
        upstream = CompositeDisposable(self._life.incoming.subscribe(self._take, on_completed=self._end))
        self._upstream = upstream
        upstream.add(self._states.subscribe(self._open_again))

    def _take(self, message: T) -> None:
        try:
            is_ours = self._matches(message)
        except BaseException as error:
            self._end(as_error(error, "matches"))
            raise_fatal(error)
        else:
            if is_ours:
                self._broadcast.emit(message)

    def _open_again(self, state: State) -> None:
        if isinstance(state, Open):
            try:
                self._send(self._subscribe_message)
            except BaseException as error:
                self._upstream.dispose()
                self._broadcast.end(as_error(error, "subscribe"))
                raise_fatal(error)

    def _end(self, error: Exception | None = None) -> None:
        self._stop()
        self._broadcast.end(error)

    def _stop(self) -> None:
        self._upstream.dispose()
        if isinstance(self._states.present, Open):
            call(self._life.report, "unsubscribe", self._send, self._unsubscribe_message)

    def _send(self, message: Any) -> None:
        if message is not None:
            self._life.outgoing.send_on(self._life.connection, message() if callable(message) else message)
