"""A feed that many subscribers share, over one connection while there are any."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any, Final, TypeVar

import reactivex
from reactivex import Observable, abc
from reactivex import operators as ops

from rxws.backoff import Backoff
from rxws.client.connecting import Connect
from rxws.client.socket import ClientWebSocket
from rxws.client.states import State
from rxws.close import Close
from rxws.core.encoding import sharing
from rxws.core.owned import OwnedSubscriber, OwnedSubscribers
from rxws.core.reports import News
from rxws.errors import DecodeError, EncodeError, close_for, raise_fatal
from rxws.rx.broadcast import Direct, Replaying, Subscriber
from rxws.rx.foreign import as_error, loop_ends
from rxws.rx.holds import current_socket, notify_from
from rxws.rx.loop_thread import LoopThread

T = TypeVar("T")

ONCE: Final = Backoff(final=lambda because: True)
"""Makes one connection and no other, like a client without `reconnect`."""

COMPLETING_CODES: Final = (1000, 1005)
"""Codes of a close that completes a feed, since the server has sent everything; 1005 is a close without a code."""


class SharedFeed(Direct[T]):
    """Emits what a server sends to all its subscribers, over one connection; made by `rxws.feed`.

    The first subscriber opens the connection. The last one that leaves closes it with 1000. A later subscriber starts a
    new connection. Subscribers get the messages that come from then on, all the same object. They may subscribe from
    any thread once the feed has an event loop: the one in which it was made, or in which the first one subscribed.
    Without an event loop, subscribing raises `RuntimeError`.

    Completes when the server closes with 1000 or without a code. Fails with any other final error: a `ConnectError`, a
    `ConnectionLost`, the server's `Close`, a `DecodeError` that nobody observes, or what your function for the URL
    or headers raises. With `reconnect`, outages appear on `states` only; a message that does not decode counts as an
    outage.

    A slow subscriber does not slow the others: it does not hold the connection, as it would hold its own socket. A
    socket that sends the feed on follows its `overflow` policy; `map_async` has room for 1,024 items. An exception in a
    subscriber goes to the socket whose handler subscribed it, or to the logger `rxws`. The others still get the
    message.

    Memory: that of one socket and its subscriptions.
    """

    def __init__(self, connect: Callable[[], Connect[T, Any]]) -> None:
        super().__init__()
        self._connect = connect
        self._changing = Lock()
        self._thread: LoopThread | None = None
        self._run = FeedConnection(self)
        with suppress(RuntimeError):
            self._thread = LoopThread(asyncio.get_running_loop())

    @property
    def states(self) -> Observable[State]:
        """The states of the connection, like `socket.states`: the present one, then every change, up to `Closed`.

        Without a connection, it waits for the next one. Subscribing here does not connect.
        """
        return self._of_socket(lambda socket: socket.states)

    @property
    def errors(self) -> Observable[Exception]:
        """The errors of the connection, like `socket.errors`. If observed, messages that do not decode are skipped.

        Completes with the connection; without one, it waits for the next one. Subscribing here does not connect.
        """
        return self._of_socket(lambda socket: socket.errors)

    @property
    def socket(self) -> ClientWebSocket[T, Any] | None:
        """The socket behind the feed while it has subscribers: to send, to make a request, or to `reconnect` now."""
        return self._run.socket

    def _join(self, *notify: Any) -> abc.DisposableBase:
        with self._changing:
            if self._thread is None or self._thread.loop.is_closed():
                self._thread = LoopThread(_running_loop())
                if self._run.begun:  # in the loop that is closed; others may wait for its states already
                    self._run = FeedConnection(self)
            run, thread = self._run, self._thread
            begins, run.begun = not run.begun, True
            member = OwnedSubscriber(run, *notify)
            run.add(member)
        if begins:
            thread.run(self._begin, run)
        return member

    def leave(self, run: FeedConnection[T]) -> None:
        """Close the connection, if it has no subscribers."""
        with self._changing:
            if run.observers or run is not self._run or self._thread is None:
                return
            self._run = FeedConnection(self)
            thread = self._thread
        thread.run(run.over.set)

    def _begin(self, run: FeedConnection[T]) -> None:
        run.task = asyncio.create_task(self._keep(run), name="rxws feed")

    async def _keep(self, run: FeedConnection[T]) -> None:
        """Own a connection from its first subscriber to its end.

        The first subscriber may be in a socket's handler. The connection is for all subscribers, so it has no owner.
        """
        current_socket.set(None)
        try:
            if not run.over.is_set():
                async with self._connect() as socket:
                    run.follow(socket)
                    await run.over.wait()
        finally:
            with self._changing:
                if self._run is run:
                    self._run = FeedConnection(self)
            if not loop_ends():
                run.finish()

    def _of_socket(self, stream: Callable[[ClientWebSocket[T, Any]], Observable[Any]]) -> Observable[Any]:
        return reactivex.defer(lambda _: self._run.sockets.pipe(ops.flat_map(stream)))


class FeedConnection(OwnedSubscribers[T]):
    """The subscribers of a feed during one connection, and the socket that they share."""

    __slots__ = ("_failure", "_feed", "begun", "over", "socket", "sockets", "task")

    def __init__(self, feed: SharedFeed[T]) -> None:
        super().__init__()
        self._feed = feed
        self._failure: Exception | None = None
        self.begun = False
        """Whether anyone has subscribed, so that the task exists or is about to."""
        self.over = asyncio.Event()
        """Set when the last subscriber has left, or the socket has ended."""
        self.socket: ClientWebSocket[T, Any] | None = None
        self.sockets: Replaying[ClientWebSocket[T, Any]] = Replaying(1, self._on_raise)
        """Emits the socket once it is there: `states` and `errors` may be subscribed before."""
        self.task: asyncio.Task[None] | None = None

    def remove(self, observer: abc.ObserverBase[T]) -> None:
        """Remove a subscriber; after the last one, close the connection."""
        super().remove(observer)
        self._feed.leave(self)

    def follow(self, socket: ClientWebSocket[T, Any]) -> None:
        """Emit what a socket receives, and remember how it ends."""
        life = socket._life  # pyright: ignore[reportPrivateUsage]
        news = life.reports.news
        news.subscribe(Subscriber(news, self._hear, None, None))
        life.at_end(self.over.set)
        self.socket = socket
        socket.incoming.subscribe(self._take)
        self.sockets.emit(socket)

    def _hear(self, news: News) -> None:
        """Remember the last error: it may be the one that ends the socket."""
        if news[0] == "error":
            self._failure = news[1]

    def finish(self) -> None:
        """Complete or fail for all subscribers, as the socket has ended."""
        self.sockets.end()
        ending = self._ending()
        self.socket, self.sockets = None, Replaying(1, self._on_raise)  # a subscriber may still refer to this
        self.end(ending)

    def _take(self, message: T) -> None:
        notify_from(None, self._hand_on, message)  # a busy subscriber must not hold the connection that others use

    def _hand_on(self, message: T) -> None:
        with sharing(message):
            self.emit(message)

    def _ending(self) -> Exception | None:
        close = None if self.socket is None else self.socket._life.close_cause  # pyright: ignore[reportPrivateUsage]
        if close is None or close.code in COMPLETING_CODES:
            return None
        failure = self._failure
        if close.code == 1006:
            survived = failure is None or isinstance(failure, (DecodeError, EncodeError))
            return Close.received(*close.args) if survived else failure
        return failure if failure is not None and close_for(failure) == close else Close.received(*close.args)

    def _end_of(self, observer: abc.ObserverBase[T]) -> None:
        try:
            super()._end_of(observer)
        except BaseException as error:  # for example, it has no `on_error`
            self.raised(observer, as_error(error, "a subscriber"))
            raise_fatal(error)


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "a feed connects in an event loop, and none runs here: make it, or subscribe to it first, in a coroutine"
        ) from None
