"""Requests: send a message, and wait for the answer to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxws.checks import function_of, positive
from rxws.codecs import Codec
from rxws.core.ahead import encode_ahead
from rxws.core.encoding import encode
from rxws.core.lifecycle import Lifecycle
from rxws.core.wire import Frame, Limited
from rxws.errors import ConnectionLost, raise_fatal
from rxws.rx.foreign import as_error, call, call_all
from rxws.rx.loop_thread import RAN_AHEAD

T = TypeVar("T")
Match = Callable[[T], bool]
Key = Callable[[Any], Hashable]
Take = Callable[[T], object]
Fail = Callable[[Exception], object]


class Requests(Generic[T]):
    """Sends messages, and finds their answers: with a predicate for each request, or with a key function for many."""

    def __init__(self, life: Lifecycle) -> None:
        self._life = life
        self._answers: dict[Key, Answers[T]] = {}

    def request(self, message: Any, matches: Match[T] | None, key: Key | None, timeout: float) -> Observable[T]:
        """Make the Observable that `socket.request` returns."""
        if (matches is None) is (key is None):
            raise TypeError("a request takes either matches, a predicate for answers, or key, a function of messages")
        if key is None:
            function_of("a message", "matches", matches)
        else:
            function_of("a message", "key", key)
        positive("timeout", timeout, "seconds")
        life = self._life

        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            upstream, answered = CompositeDisposable(), False

            def fail(error: Exception) -> None:
                if not upstream.is_disposed:
                    upstream.dispose()
                    observer.on_error(error)

            def take(answer: T) -> None:
                nonlocal answered
                if not upstream.is_disposed:
                    answered = True
                    upstream.dispose()
                    observer.on_next(answer)
                    observer.on_completed()

            def withdraw() -> None:
                if not answered:
                    life.outgoing.withdraw(fail)

            def begin(frame: Frame | None, codec: Codec[Any, Any]) -> None:
                if upstream.is_disposed:
                    return
                try:
                    if frame is None:
                        codec = life.outgoing.codec
                        frame = encode(codec, message)
                    named = None if key is None else key(message)
                    hash(named)  # raises before a request waits for this key
                    upstream.add(self._listen(matches, key, named, take, fail))
                except BaseException as error:  # `_listen` raises if another reader has claimed the socket
                    fail(as_error(error, "key"))
                    raise_fatal(error)
                    return
                if upstream.is_disposed:
                    return
                timer = loop.call_later(timeout, lambda: fail(_late(life, timeout)))
                upstream.add(Disposable(timer.cancel))
                asking = Limited(frame)
                asking.lost = fail
                upstream.add(Disposable(withdraw))
                life.outgoing.send(message, asking, codec)

            thread, loop, codec = life.thread, life.thread.loop, life.outgoing.codec
            if thread.here() or loop.is_closed():
                begin(None, codec)
            else:
                frame, weight = encode_ahead(codec, message)
                if not thread.hand_over(begin, frame, codec, weight=weight):
                    fail(ConnectionLost("the socket is closing" if thread.ending else RAN_AHEAD))
            return Disposable(lambda: thread.run(upstream.dispose))

        return Observable(subscribe)

    def _listen(
        self, matches: Match[T] | None, key: Key | None, named: Hashable, take: Take[T], fail: Fail
    ) -> abc.DisposableBase:
        """Call `take` with the answer, or `fail` with the error."""
        if key is not None:
            if key not in self._answers:
                self._answers[key] = Answers(self._life, key, lambda: self._answers.pop(key))
            return self._answers[key].wait(named, take, fail)
        assert matches is not None

        def look(answer: T) -> None:
            try:
                is_ours = matches(answer)
            except BaseException as error:
                fail(as_error(error, "matches"))
                raise_fatal(error)
            else:
                if is_ours:
                    take(answer)

        def close() -> None:
            fail(_closed(self._life))

        return self._life.incoming.look(look, close)


class Answers(Generic[T]):
    """Passes each message to the requests that wait for its key. It calls the key function once for each message.

    Memory: an entry for each request that waits.
    """

    def __init__(self, life: Lifecycle, key: Key, on_idle: Callable[[], object]) -> None:
        self._life = life
        self._key = key
        self._on_idle = on_idle
        self._waiting: dict[Hashable, list[tuple[Take[T], Fail]]] = {}
        self._reading: abc.DisposableBase = Disposable()

    def wait(self, named: Hashable, take: Take[T], fail: Fail) -> abc.DisposableBase:
        """Wait for the next message with this key."""
        first, one = not self._waiting, (take, fail)
        self._waiting.setdefault(named, []).append(one)

        def leave() -> None:
            waiting = self._waiting[named]
            waiting.remove(one)
            if not waiting:
                del self._waiting[named]
            if not self._waiting:
                self._on_idle()
                self._reading.dispose()

        if first:
            try:
                self._reading = self._life.incoming.look(self._take, self._close)
            except RuntimeError:  # another reader has claimed the socket
                leave()
                raise
        return Disposable(leave)

    def _take(self, message: T) -> None:
        report = self._life.reports.report
        try:
            waiting = tuple(self._waiting.get(self._key(message), ()))
        except BaseException as error:
            self._end(as_error(error, "key"))
            raise_fatal(error)
        else:
            for take, _ in waiting:
                call(report, "a subscriber", take, message)

    def _close(self) -> None:
        self._end(_closed(self._life))

    def _end(self, error: Exception) -> None:
        ends = [partial(fail, error) for waiting in self._waiting.values() for _, fail in waiting]
        call_all(self._life.reports.report, "a subscriber", *ends)


def _closed(life: Lifecycle) -> Exception:
    refusal = None if life.connection is None else life.connection.refusal
    how = "" if life.close_cause is None else f": {life.close_cause}"
    return refusal or ConnectionLost(f"the socket closed before the answer{how}")


def _late(life: Lifecycle, timeout: float) -> Exception:
    offline = "" if life.connection is not None else ": there is no connection, and socket.states says why"
    return TimeoutError(f"no answer within {timeout:g} s{offline}")
