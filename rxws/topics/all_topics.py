"""All topics of one engine, in one process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable, SingleAssignmentDisposable

from rxws.codecs import Codec
from rxws.core.encoding import encode
from rxws.errors import EncodeError
from rxws.rx.broadcast import Hot
from rxws.rx.loop_thread import MAX_HANDED_OVER, LoopThread
from rxws.topics.engines.engine import Engine
from rxws.topics.feed import Feed
from rxws.topics.history import replay
from rxws.topics.message import Gap, TopicsError, Unpublished
from rxws.topics.names import check
from rxws.topics.presence.present import Member, Present
from rxws.topics.presence.register import Register
from rxws.topics.topic import ArrivalObserver, Start, Topic

logger = logging.getLogger("rxws")
T = TypeVar("T")


class Topics(Generic[T]):
    """What `rxws.topics(url)` returns: `topics[name]` is a Subject that spans all processes with the same URL.

    They begin with the first `subscribe` or `on_next`, within a running event loop, and belong to it from then on.
    Close them at the end: `async with rxws.topics(url) as topics`, or `await topics.close()`.
    """

    def __init__(self, engine: Engine, register: Register, codec: Codec[Any, Any]) -> None:
        self._engine = engine
        self._register = register
        self._codec = codec
        self._feeds: dict[str, Feed] = {}
        self._thread: LoopThread | None = None
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._errors = Hot[Exception](_log)

    def __getitem__(self, name: str) -> Topic[T]:
        """Name a topic: tokens with dots between; `*` stands for one token, `>` for the rest.

        Raises `TypeError` or `ValueError` for what is no name. `rxws.topics.token` makes a token of any text.
        """
        return Topic(self, check(name))

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

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        await self.close()

    async def confirmed(self) -> None:
        """Wait until the broker has all that was published, however long it is away; at once with `memory://`.

        Raises `RuntimeError` if they are closed; if they are being closed meanwhile, what is not confirmed by then is
        reported, and nothing is waited for any more.
        """
        self._check_open()
        self._begun()
        await self._engine.confirmed()

    async def close(self) -> None:
        """Publish what waits, within a deadline; complete all subscriptions, then `errors`.

        Each call waits until that is done; one that is cancelled gives up waiting, while the closing goes on.
        """
        if self._closing is None:
            self._closed = True
            self._closing = asyncio.get_running_loop().create_task(self._close())
        await asyncio.shield(self._closing)

    # What topics ask for

    def publish(self, name: str, value: Any) -> None:
        """Publish a value; from any thread, once the topics have begun."""
        thread = self._begun()
        if thread.here():
            self._publish(name, value)
        elif not thread.hand_over(self._publish, name, value, limit=MAX_HANDED_OVER):
            self.report(Unpublished(name, value, f"{MAX_HANDED_OVER} messages of other threads wait already"))

    def listen(self, name: str, start: Start, subscriber: ArrivalObserver) -> abc.DisposableBase:
        """Subscribe; from any thread, once the topics have begun."""
        return self._in_the_loop(lambda: self._listen(name, start, subscriber))

    def attend(self, name: str, member: Member | None, observer: abc.ObserverBase[Present]) -> abc.DisposableBase:
        """Tell an observer who is in a topic, where a member is until it leaves; from any thread likewise."""
        return self._in_the_loop(lambda: self._attend(name, member, observer))

    def report(self, error: Exception) -> None:
        """Emit an error; from any thread."""
        if self._thread is None:
            self._report(error)
        else:
            self._thread.run(self._report, error)

    async def _close(self) -> None:
        try:
            if self._thread is not None:
                await asyncio.gather(self._engine.close(), self._register.close())
        finally:
            feeds, self._feeds = self._feeds, {}
            for feed in feeds.values():
                feed.end()
            self._errors.end()

    def _publish(self, name: str, value: Any) -> None:
        if self._closed:
            self._report(Unpublished(name, value, "the topics are closed"))
            return
        try:
            frame = encode(self._codec, value)
        except Exception as error:
            self._report(error if isinstance(error, EncodeError) else EncodeError(value, str(error)))
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
            subscription = replay(
                subscriber, feed, start, read=self._engine.read, codec=self._codec, report=self._report
            )
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

        thread.run(assign)
        return Disposable(lambda: thread.run(subscription.dispose))

    def _leave(self, feed: Feed) -> None:
        if feed.is_deserted and self._feeds.get(feed.pattern) is feed:
            del self._feeds[feed.pattern]
            self._engine.unfollow(feed)

    def _begun(self) -> LoopThread:
        if self._thread is not None:
            return self._thread
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "topics belong to an event loop: subscribe or publish within it first, then from any thread"
            ) from None
        self._thread = LoopThread(loop)
        if not self._closed:
            self._engine.start(self._report)
        return self._thread

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the topics are closed: make others with rxws.topics(url)")

    def _report(self, error: Exception) -> None:
        if self._errors.observed:
            self._errors.emit(error)
        else:
            _log(error)


def _log(error: Exception) -> None:
    if isinstance(error, (Gap, TopicsError)):
        logger.warning("%s", error, exc_info=error.__cause__)
    else:
        logger.error("%r, which nobody observed", error, exc_info=error)
