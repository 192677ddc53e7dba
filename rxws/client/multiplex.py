"""One topic of a socket that carries many."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from reactivex import abc
from reactivex.disposable import CompositeDisposable, Disposable, SingleAssignmentDisposable

from rxws.checks import called, function_of
from rxws.client.states import Open, State, States
from rxws.core.encoding import is_pure
from rxws.core.lifecycle import Lifecycle
from rxws.errors import ConnectionLost, raise_fatal
from rxws.rx.broadcast import Broadcast, Unlocked
from rxws.rx.foreign import as_error, call
from rxws.rx.loop_thread import RAN_AHEAD

T = TypeVar("T")


class TopicBroadcast(Broadcast[T]):
    """The subscribers of one topic. If it fails, the socket reports that for subscribers without `on_error`."""

    __slots__ = ()

    def _not_handled(self, error: Exception) -> None:
        self._on_raise(error)


class Subscriptions:
    """The subscriptions of a socket. Topics with the same `subscribe` share one.

    Memory: an entry for each topic that has subscribers.
    """

    def __init__(self, life: Lifecycle, states: States) -> None:
        self.life = life
        self.states = states
        self._asking: dict[Hashable, list[MultiplexedTopic[Any]]] = {}
        self._leaving: dict[Hashable, MultiplexedTopic[Any]] = {}  # the last topic of each that is to be unsubscribed

    def name(self, subscribe: Any) -> Hashable:
        """Return a key for a `subscribe`: the frame of the message, or the function that makes the message.

        A codec that is not pure must not be called just for this. Then the key is the message's `repr`.
        """
        try:
            if callable(subscribe):
                hash(subscribe)
                return subscribe  # not its id: each access to a method makes another object, equal to the first
            if not is_pure(self.life.outgoing.codec):
                return type(subscribe).__qualname__, repr(subscribe)
            frame = self.life.outgoing.encode(subscribe)
        except Exception:  # the message cannot be encoded, and sending it will report that
            return id(subscribe)
        return frame.opcode, frame.data, frame.parts

    def join(self, topic: MultiplexedTopic[Any], name: Hashable) -> None:
        """Add a topic; its subscribers may be the first for this subscription."""
        self.unsubscribe(name)
        self._asking.setdefault(name, []).append(topic)

    def leave(self, topic: MultiplexedTopic[Any], name: Hashable) -> None:
        """Remove a topic. After the last one, `unsubscribe` is due."""
        asking = self._asking[name]
        asking.remove(topic)
        if not asking:
            del self._asking[name]
            self._leaving[name] = topic

    def unsubscribe(self, name: Hashable) -> None:
        """Send the message that unsubscribes, if it is due and there is a connection."""
        topic = self._leaving.pop(name, None)
        if topic is not None and isinstance(self.states.present, Open):
            topic.send_unsubscribe()

    def forget(self, name: Hashable) -> None:
        """Send no message that unsubscribes, since the subscription failed."""
        self._leaving.pop(name, None)

    def is_first(self, topic: MultiplexedTopic[Any], name: Hashable) -> bool:
        """Return whether this topic sends `subscribe`, for all topics that share the subscription."""
        return self._asking[name][0] is topic


class MultiplexedTopic(Unlocked[T]):
    """Emits the messages of one topic to all its subscribers; made by `socket.multiplex`, which says how it ends."""

    def __init__(
        self, subscriptions: Subscriptions, subscribe: Any, unsubscribe: Any, matches: Callable[[T], bool]
    ) -> None:
        super().__init__()
        self._subscriptions = subscriptions
        self._name: Hashable = None
        self._life = life = subscriptions.life
        self._states = subscriptions.states
        self._subscribe_message = subscribe
        self._unsubscribe_message = unsubscribe
        function_of("a message", "matches", matches)
        for name, message in (("subscribe", subscribe), ("unsubscribe", unsubscribe)):
            called(name, message, "give a message, or a function that returns one")
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
            except RuntimeError:  # another reader has claimed the socket
                subscription.dispose()
                self._leave()
                self._subscriptions.forget(self._name)
                raise

        def leave() -> None:
            subscription.dispose()
            if not (broadcast.stopped or broadcast.observers):
                self._leave()
                self._subscriptions.unsubscribe(self._name)

        return Disposable(lambda: self._life.thread.run(leave))

    def _begin(self) -> None:
        self._upstream = upstream = CompositeDisposable()
        self._name = self._subscriptions.name(self._subscribe_message)
        self._subscriptions.join(self, self._name)
        upstream.add(self._life.incoming.subscribe(self._take, on_completed=self._end))
        if not upstream.is_disposed:
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
        if isinstance(state, Open) and self._subscriptions.is_first(self, self._name):
            try:
                self._send(self._subscribe_message)
            except BaseException as error:
                self._leave()
                self._subscriptions.forget(self._name)
                self._broadcast.end(as_error(error, "subscribe"))
                raise_fatal(error)

    def _end(self, error: Exception | None = None) -> None:
        """End for all subscribers, then unsubscribe.

        If a subscriber subscribes again at once, `unsubscribe` is sent first.
        """
        name = self._name
        self._leave()
        try:
            self._broadcast.end(error)
        finally:
            self._subscriptions.unsubscribe(name)

    def _leave(self) -> None:
        self._upstream.dispose()
        self._subscriptions.leave(self, self._name)

    def send_unsubscribe(self) -> None:
        """Send the message that ends the subscription."""
        call(self._life.report, "unsubscribe", self._send, self._unsubscribe_message)

    def _send(self, message: Any) -> None:
        if message is not None:
            self._life.outgoing.send_on(self._life.connection, message() if callable(message) else message)
