"""A topic: a Subject that spans processes."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from reactivex import Observable, abc
from reactivex.subject import Subject

from rxws.checks import positive_int
from rxws.topics.engines.engine import Last, Since
from rxws.topics.feed import Arrival
from rxws.topics.message import Gap, Message, Position
from rxws.topics.names import is_pattern
from rxws.topics.presence.present import Attending, Presence

T = TypeVar("T")
Start = Last | Since | None
ArrivalObserver = abc.ObserverBase[Arrival | Gap]


class Exchange(Attending, Protocol):
    """What a topic asks of those it belongs to."""

    def publish(self, name: str, value: Any) -> None:
        """Publish a value; from any thread."""
        ...

    def listen(self, name: str, start: Start, subscriber: ArrivalObserver) -> abc.DisposableBase:
        """Subscribe."""
        ...

    def report(self, error: Exception) -> None:
        """Take an error; from any thread."""
        ...


class Topic(Subject[T]):
    """An Observable and an Observer of values: what anyone publishes, in any process, all subscribers get.

    Hot: subscribers get what is published from then on. It never fails, and completes when its `topics` are closed.
    `on_next` publishes, from any thread; it neither blocks nor raises for a bad value, which `topics.errors` emits as
    an `EncodeError`. While 16,384 calls of other threads wait for the event loop, another one's value is `Unpublished`.
    `on_error` does no more than report the error there, and `on_completed` does nothing: the end of one publisher is
    not the topic's. Publishing to a pattern is a `ValueError`.

    All subscribers get the same object: do not change it. A topic takes no memory; see `history` for what is kept.
    """

    def __init__(self, exchange: Exchange, name: str) -> None:
        super().__init__()
        self.name = name
        self._exchange = exchange
        self._is_pattern = is_pattern(name)

    @property
    def messages(self) -> Messages[T]:
        """The same with positions: emits a `Message` for each value, and a `Gap` where messages may be missing."""
        return Messages(self._exchange, self.name)

    @property
    def presence(self) -> Presence:
        """Who is in the topic, and how to be; a pattern's is a `ValueError`."""
        self.check_one()
        return Presence(self._exchange, self.name)

    def latest(self) -> Observable[T]:
        """Make an Observable like a BehaviorSubject: the newest value that is kept, if there is one, then live ones."""
        return self.history(last=1)

    def history(self, *, last: int | None = None, since: str | None = None) -> Observable[T]:
        """Make an Observable like a bounded ReplaySubject: values that are kept, then live ones, each once, in order.

        `last`: so many; `since`: those after the message of this position; neither: all that are kept. Where values
        may be missing, `topics.errors` emits a `Gap`, and `messages.history` emits it in its place. Raises `TypeError`
        or `ValueError` for a wrong argument. Memory: at most 1,024 live values that wait while older ones are read.
        """
        return _Values(self._exchange, self.name, start_of(last, since))

    def on_next(self, value: T) -> None:
        """Publish a value."""
        self.check_one()
        self._exchange.publish(self.name, value)

    def check_one(self) -> None:
        """Raise `ValueError` if this is a pattern, which can be subscribed to and no more."""
        if self._is_pattern:
            raise ValueError(f"{self.name!r} stands for many topics: subscribe to it, publish to or join one of them")

    def on_error(self, error: Exception) -> None:
        """Report an error of a publisher on `topics.errors`."""
        self._exchange.report(error)

    def on_completed(self) -> None:
        """Do nothing: others publish too."""

    def dispose(self) -> None:
        """Do nothing: others publish too."""

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._exchange.listen(self.name, None, _ToValues(observer))


class Messages(Observable[Message[T] | Gap]):
    """A topic's messages with their positions, and the gaps between them."""

    def __init__(self, exchange: Exchange, name: str, start: Start = None) -> None:
        super().__init__()
        self._exchange = exchange
        self._name = name
        self._start = start

    def latest(self) -> Observable[Message[T] | Gap]:
        """As `Topic.latest`, of messages."""
        return self.history(last=1)

    def history(self, *, last: int | None = None, since: str | None = None) -> Observable[Message[T] | Gap]:
        """As `Topic.history`, of messages; a `Gap` comes where messages may be missing."""
        return Messages[T](self._exchange, self._name, start_of(last, since))

    def _subscribe_core(
        self, observer: abc.ObserverBase[Message[T] | Gap], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._exchange.listen(self._name, self._start, _ToMessages(observer))


def start_of(last: int | None, since: str | None) -> Last | Since:
    """Check the arguments of `history`."""
    if last is not None and since is not None:
        raise TypeError("history takes last or since, not both")
    if last is None:
        return Since(None if since is None else Position.parse(since))
    return Last(positive_int("last", last, "messages"))


class _Values(Observable[T]):
    def __init__(self, exchange: Exchange, name: str, start: Start) -> None:
        super().__init__()
        self._exchange = exchange
        self._name = name
        self._start = start

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._exchange.listen(self._name, self._start, _ToValues(observer))


class _To(ArrivalObserver):
    def __init__(self, observer: abc.ObserverBase[Any]) -> None:
        self._emit = observer.on_next
        self._complete = observer.on_completed

    def on_error(self, error: Exception) -> None:
        """Topics do not fail."""

    def on_completed(self) -> None:
        self._complete()


class _ToValues(_To):
    def on_next(self, value: Arrival | Gap) -> None:
        if isinstance(value, Arrival):
            self._emit(value.value)


class _ToMessages(_To):
    def on_next(self, value: Arrival | Gap) -> None:
        self._emit(value.message if isinstance(value, Arrival) else value)
