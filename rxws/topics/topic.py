"""A topic is a Subject that spans processes; `Topics` are those of one engine in one process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Generic, Self, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable, SingleAssignmentDisposable

from rxws.checks import positive_int
from rxws.codecs import Codec
from rxws.core.ahead import encode_ahead
from rxws.core.encoding import encode
from rxws.core.log import log_line
from rxws.core.wire import Binary, Text
from rxws.errors import EncodeError
from rxws.rx.broadcast import Hot, OwnSubject, Unlocked
from rxws.rx.foreign import described
from rxws.rx.loop_thread import MAX_HANDED_OVER_BYTES, RAN_AHEAD, LoopThread
from rxws.topics.engines.engine import Engine, Last, Since
from rxws.topics.feed import Arrival, Feed
from rxws.topics.history import subscribe_with_history
from rxws.topics.message import Gap, Message, Position, TopicsError, Unpublished
from rxws.topics.names import check_name, is_pattern
from rxws.topics.presence.present import Member, Presence, Present
from rxws.topics.presence.register import Register

T = TypeVar("T")
Start = Last | Since | None
ArrivalObserver = abc.ObserverBase[Arrival | Gap]

OTHERS: Final = "make others with rxws.topics(url)"

logger = logging.getLogger("rxws")


class Topic(OwnSubject[T]):
    """An Observable and an Observer of values: all subscribers, in all processes, get what anyone publishes.

    Hot: subscribers get what is published from then on. It never fails, and completes when its `topics` are closed.
    `on_next` publishes, from any thread. It does not block. For a bad value it does not raise: `topics.errors` emits an
    `EncodeError`. If 16,384 calls from other threads wait for the event loop, or messages of 4 MiB (of `max_buffered`
    if that is more), the value of a further call is `Unpublished`. `on_error` only reports the error on
    `topics.errors`, and `on_completed` does nothing: the end of one publisher does not end the topic. Publishing to a
    pattern raises `ValueError`.

    All subscribers get the same object: do not change it. A topic takes no memory; see `history` for what is kept.
    """

    def __init__(self, topics: Topics[Any], name: str) -> None:
        super().__init__()
        self.name = name
        self._topics = topics

    @property
    def messages(self) -> Messages[T]:
        """The values with positions: emits a `Message` for each value, and a `Gap` where messages may be missing."""
        return Messages(self._topics, self.name)

    @property
    def presence(self) -> Presence:
        """Who is in the topic, and how to join it; raises `ValueError` for a pattern."""
        self.check_one()
        return Presence(self._topics.attend, self.name)

    def latest(self) -> Observable[T]:
        """Make an Observable like a BehaviorSubject: it emits the newest kept value, if any, then live ones."""
        return self.history(last=1)

    def history(self, *, last: int | None = None, since: str | None = None) -> Observable[T]:
        """Make an Observable like a bounded ReplaySubject: it emits kept values, then live ones, each once, in order.

        Without arguments, it begins with all kept values. Where values may be missing, `topics.errors` emits a `Gap`,
        and `messages.history` emits one in their place. Raises `TypeError` or `ValueError` for a wrong argument.
        Memory: at most 1,024 live values that wait while older ones are read.

        Args:
            last: The number of kept messages to begin with.
            since: The position of a message; begins with the messages after it.

        >>> import asyncio, rxws
        >>> async def main():
        ...     async with rxws.topics("memory://") as topics:
        ...         for drink in ("mate", "tea", "rooibos"):
        ...             topics["drinks"].on_next(drink)
        ...         topics["drinks"].history(last=2).subscribe(print)
        ...         topics["drinks"].on_next("cocoa")
        >>> asyncio.run(main())
        tea
        rooibos
        cocoa
        """
        start = start_of(last, since)
        return Observable(lambda observer, scheduler=None: self._topics.listen(self.name, start, _ToValues(observer)))

    def on_next(self, value: T) -> None:
        """Publish a value."""
        self.check_one()
        self._topics.publish(self.name, value)

    def check_one(self) -> None:
        """Raise `ValueError` if this is a pattern, which can only be subscribed to."""
        if is_pattern(self.name):
            raise ValueError(f"{self.name!r} stands for many topics: subscribe to it, publish to or join one of them")

    def on_error(self, error: Exception) -> None:
        """Report an error of a publisher on `topics.errors`."""
        self._topics.report(error)

    def on_completed(self) -> None:
        """Do nothing: other publishers may go on."""

    def dispose(self) -> None:
        """Do nothing: other publishers may go on."""

    def _subscribe_core(self, observer: abc.ObserverBase[T], scheduler: object = None) -> abc.DisposableBase:
        return self._topics.listen(self.name, None, _ToValues(observer))


class Messages(Unlocked[Message[T] | Gap]):
    """A topic's messages with their positions: `topic.messages`.

    Emits a `Message` for each value that is published from then on, and a `Gap` where messages may be missing.
    Completes when the `topics` are closed, and never fails. Memory: none of its own.

    >>> import asyncio, rxws
    >>> async def main():
    ...     async with rxws.topics("memory://") as topics:
    ...         topics["drinks"].messages.subscribe(lambda message: print(message.topic, message.value))
    ...         topics["drinks"].on_next("tea")
    >>> asyncio.run(main())
    drinks tea
    """

    def __init__(self, topics: Topics[Any], name: str, start: Start = None) -> None:
        super().__init__()
        self._topics = topics
        self._name = name
        self._start = start

    def latest(self) -> Observable[Message[T] | Gap]:
        """Like `Topic.latest`, with messages."""
        return self.history(last=1)

    def history(self, *, last: int | None = None, since: str | None = None) -> Observable[Message[T] | Gap]:
        """Like `Topic.history`, with messages; emits a `Gap` where messages may be missing.

        Args:
            last: As for `Topic.history`.
            since: As for `Topic.history`.
        """
        return Messages[T](self._topics, self._name, start_of(last, since))

    def _subscribe_core(
        self, observer: abc.ObserverBase[Message[T] | Gap], scheduler: object = None
    ) -> abc.DisposableBase:
        return self._topics.listen(self._name, self._start, _ToMessages(observer))


def start_of(last: int | None, since: str | None) -> Last | Since:
    """Return where a history begins; raises `TypeError` or `ValueError` for wrong arguments of `history`."""
    if last is not None and since is not None:
        raise TypeError("history takes last or since, not both")
    if last is None:
        return Since(None if since is None else Position.parse(since))
    return Last(positive_int("last", last, "messages"))


class _To(ArrivalObserver):
    """Passes items of a feed on to a subscriber."""

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


class Topics(Generic[T]):
    """What `rxws.topics(url)` returns: `topics[name]` is a Subject that spans all processes with the same URL.

    They begin with the first `subscribe` or `on_next`, within a running event loop, and belong to that loop. If it is
    closed before them, both raise `RuntimeError`. Close them at the end: `async with rxws.topics(url) as topics`, or
    `await topics.close()`.
    """

    def __init__(self, engine: Engine, register: Register, codec: Codec[Any, Any], max_buffered: int = 0) -> None:
        self._engine = engine
        self._register = register
        self._codec = codec
        self._max_handed_over = max(max_buffered, MAX_HANDED_OVER_BYTES)
        self._feeds: dict[str, Feed] = {}
        self._thread: LoopThread | None = None
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._errors = Hot[Exception](_log)

    def __getitem__(self, name: str) -> Topic[T]:
        """Name a topic: tokens with dots between; `*` stands for one token, `>` for the rest.

        Raises `TypeError` or `ValueError` for what is not a name. `rxws.topics.token` makes a token of any text.
        """
        return Topic(self, check_name(name))

    @property
    def errors(self) -> Observable[Exception]:
        """Emits what goes wrong: `EncodeError`, `DecodeError`, `Unpublished`, `Gap`, `TopicsError`, and what
        subscribers raise; completes when the topics are closed. What nobody observes is logged on the logger `rxws`.
        """  # noqa: D205
        return self._errors

    async def __aenter__(self) -> Self:
        """Begin; raises `RuntimeError` if they are closed."""
        self._check_open()
        self._begun()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End."""
        await self.close()

    async def confirmed(self) -> None:
        """Wait until the broker has all that was published before, however long that takes; returns at once with `memory://`.

        Raises `RuntimeError` if the topics are closed. If they are closed while it waits, it returns; `errors` emits
        each message that is not confirmed by then.
        """
        self._check_open()
        self._begun()
        await self._engine.confirmed()

    async def close(self) -> None:
        """Publish waiting messages, within a deadline; complete all subscriptions, then `errors`.

        Each call waits until that is done. Cancelling a call only ends its wait: closing continues.
        """
        if self._closing is None:
            self._closed = True
            self._closing = asyncio.get_running_loop().create_task(self._close())
        await asyncio.shield(self._closing)

    # What topics ask for

    def publish(self, name: str, value: Any) -> None:
        """Publish a value; from any thread once the topics have begun."""
        thread = self._begun()
        if thread.here() or thread.loop.is_closed():
            self._publish(name, value)
        else:
            self.hand_over(name, value, *self.encode_ahead(value))

    def encode_ahead(self, value: Any) -> tuple[Text | Binary | None, int]:
        """Encode a value in another thread than the loop's; return the frame and its weight in bytes.

        The frame is `None` if only the event loop may call the codec, or the codec refuses the value.
        """
        return encode_ahead(self._codec, value)

    def hand_over(self, name: str, value: Any, frame: Text | Binary | None, weight: int) -> None:
        """Publish a value from another thread, with the result of `encode_ahead`."""
        if not self._begun().hand_over(self._publish, name, value, frame, weight=weight):
            self.report(Unpublished(name, value, RAN_AHEAD), weight)

    def run_waiting(self) -> None:
        """Make the calls from other threads that still wait when the loop is closed."""
        self._begun().run_waiting()

    def listen(self, name: str, start: Start, subscriber: ArrivalObserver) -> abc.DisposableBase:
        """Subscribe to a topic or pattern; from any thread once the topics have begun."""
        return self._in_the_loop(lambda: self._listen(name, start, subscriber))

    def attend(self, name: str, member: Member | None, observer: abc.ObserverBase[Present]) -> abc.DisposableBase:
        """Emit to an observer who is in a topic; until that is disposed, `member` is in it. From any thread, too."""
        return self._in_the_loop(lambda: self._attend(name, member, observer))

    def report(self, error: Exception, weight: int = 0) -> None:
        """Emit an error on `errors`, from any thread. If too many calls wait for the event loop, log it instead.

        `weight` is the weight in bytes of a value that the error keeps in memory.
        """
        if self._thread is None or self._thread.here() or self._thread.loop.is_closed():
            self._report(error)
        elif not self._thread.hand_over(self._report, error, weight=weight, refusal=True):
            _log(error)

    async def _close(self) -> None:
        try:
            if self._thread is not None:
                await asyncio.gather(self._engine.close(), self._register.close())
        finally:
            feeds, self._feeds = self._feeds, {}
            for feed in feeds.values():
                feed.end()
            self._errors.end()

    def _publish(self, name: str, value: Any, frame: Text | Binary | None = None) -> None:
        if self._closed:
            self._report(Unpublished(name, value, "the topics are closed"))
            return
        try:
            frame = frame or encode(self._codec, value)
        except Exception as error:
            self._report(error if isinstance(error, EncodeError) else EncodeError(value, described(error, str)))
        else:
            self._engine.publish(name, frame)

    def _listen(self, name: str, start: Start, subscriber: ArrivalObserver) -> abc.DisposableBase:
        if self._closed:
            subscriber.on_completed()
            return Disposable()
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = Feed(name, self._codec, self._report)
            self._engine.follow(feed)
        if start is None:
            subscription = feed.subscribe(subscriber)
        else:
            subscription = subscribe_with_history(subscriber, feed, start, self._engine.read)
        return CompositeDisposable(subscription, Disposable(lambda: self._leave(feed)))

    def _attend(self, name: str, member: Member | None, observer: abc.ObserverBase[Present]) -> abc.DisposableBase:
        if self._closed:
            observer.on_completed()
            return Disposable()
        return self._register.attend(name, member, observer, self._report)

    def _in_the_loop(self, subscribe: Callable[[], abc.DisposableBase]) -> abc.DisposableBase:
        thread = self._begun()
        subscription = SingleAssignmentDisposable()

        def assign() -> None:
            subscription.disposable = subscribe()

        if thread.loop.is_closed():
            assign()  # `run` would ignore it
        else:
            thread.run(assign)
        return Disposable(lambda: thread.run(subscription.dispose))

    def _leave(self, feed: Feed) -> None:
        if feed.is_deserted and self._feeds.get(feed.pattern) is feed:
            del self._feeds[feed.pattern]
            self._engine.unfollow(feed)

    def _begun(self) -> LoopThread:
        if self._thread is not None:
            if self._thread.loop.is_closed() and not self._closed:
                raise RuntimeError(f"the event loop of these topics is closed: {OTHERS}")
            return self._thread
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "topics belong to an event loop: subscribe or publish within it first, then from any thread"
            ) from None
        self._thread = LoopThread(loop, max_bytes=self._max_handed_over)
        if not self._closed:
            self._engine.start(self._report)
        return self._thread

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"the topics are closed: {OTHERS}")

    def _report(self, error: Exception) -> None:
        if self._errors.observed:
            self._errors.emit(error)
        else:
            _log(error)


def _log(error: Exception) -> None:
    if isinstance(error, (Gap, TopicsError)):
        log_line(logger, logging.WARNING, "%s", error, error=error.__cause__)
    else:
        log_line(logger, logging.ERROR, "%s, which nobody observed", described(error), error=error)
