"""Publish from a program without an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import CancelledError
from typing import Any, Final, Self

from reactivex import Observable, abc

from rxws.codecs import Codec, json
from rxws.rx.loop_thread import MAX_HANDED_OVER_BYTES
from rxws.topics.engines.engine import PublishOverflow
from rxws.topics.from_url import open_topics
from rxws.topics.topic import Topics

MAX_AHEAD: Final = 256
"""Messages after which a publisher waits until the broker has confirmed them."""

CONFIRM_TIMEOUT: Final = 5.0
"""Seconds that such a wait takes at most."""

OUTSIDE: Final = "publish within the block: with rxws.topics.publisher(url) as publisher"


def publisher(
    url: str,
    *,
    codec: Codec[Any, Any] = json,
    max_buffered: int = 4 * 1024 * 1024,
    overflow: PublishOverflow = "drop_newest",
) -> Publisher:
    """Make a publisher for a worker or a script that only publishes, from any thread and without an event loop.

    ::

        with rxws.topics.publisher("nats://localhost:4222") as publisher:
            publisher["prices.EURUSD"].on_next(1.07)

    Leaving the block waits until the broker has confirmed all messages, for 5 s at most. Raises what `rxws.topics`
    raises, and `ValueError` for `memory://`.

    Args:
        url: The URL of a broker, as for `rxws.topics`.
        codec: As for `rxws.topics`; JSON by default.
        max_buffered: Bytes that may wait for the broker's confirmation, counting 64 more for each message.
        overflow: Which messages are dropped beyond that: `"drop_newest"` or `"drop_oldest"`.
    """
    if url == "memory://":
        raise ValueError("a publisher needs a broker, such as 'nats://localhost:4222': nobody else hears memory://")
    topics = open_topics(url, codec=codec, max_buffered=max_buffered, overflow=overflow)
    return Publisher(topics, max_buffered=max_buffered)


class Publisher:
    """Publishes through an event loop in a separate thread; made by `rxws.topics.publisher(url)`."""

    def __init__(
        self, topics: Topics[Any], confirm_timeout: float = CONFIRM_TIMEOUT, max_buffered: int = MAX_HANDED_OVER_BYTES
    ) -> None:
        self._topics = topics
        self._confirm_timeout = confirm_timeout
        self._max_buffered = max_buffered
        self._thread = threading.Thread(target=self._run, name="rxws publisher", daemon=True)
        self._published = 0
        self._weight = 0
        """The bytes of all messages that were published."""
        self._confirmed = 0
        """The bytes of messages that the broker has confirmed, or has not confirmed in time."""
        self._ending = False
        self._lock = threading.RLock()  # since a log's handler may publish, too

    def __getitem__(self, name: str) -> abc.ObserverBase[Any]:
        """Return an observer whose `on_next` publishes to this topic, from any thread.

        After every 256 messages, and before one for which `max_buffered` has no room, `on_next` blocks until the broker
        has confirmed them: 5 s at most, and at most until the block is left. So an endless loop does not outrun the
        broker. Within a subscriber of `errors` it never blocks. Outside of the block it raises `RuntimeError`.

        Raises what `topics[name]` raises, and `ValueError` for a pattern.
        """
        topic = self._topics[name]
        topic.check_one()
        return _Emitter(self, topic.name)

    @property
    def errors(self) -> Observable[Exception]:
        """Emits errors, like `topics.errors`, in the publisher's thread. Completes when the block is left."""
        return self._topics.errors

    def __enter__(self) -> Self:
        """Begin to connect. Raises `RuntimeError` the second time."""
        if self._thread.ident is not None:
            raise RuntimeError("a publisher is for one block: make another with rxws.topics.publisher(url)")
        self._loop = asyncio.new_event_loop()  # not in `__init__`: the process may have been forked since
        self._thread.start()
        self._wait(self._topics.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until all messages are confirmed, 5 s at most; `errors` emits an `Unpublished` for each other one."""
        with self._lock:
            self._ending = True
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        with self._lock:
            self._loop.close()
        self._topics.run_waiting()  # reports what other threads published too late

    def publish(self, name: str, value: Any) -> None:
        """Publish a value; wait for the broker first if there is no room, and afterwards if it is time to."""
        if not self._thread.is_alive():
            raise RuntimeError(OUTSIDE)
        if threading.current_thread() is self._thread:
            self._topics.publish(name, value)
            return
        frame, weight = self._topics.encode_ahead(value)
        while True:
            with self._lock:
                if self._loop.is_closed():
                    raise RuntimeError(OUTSIDE)
                if self._has_room(weight):
                    self._topics.hand_over(name, value, frame, weight)
                    self._weight += weight
                    self._published += 1
                    is_time = self._published % MAX_AHEAD == 0
                    break
            self._wait_for_confirmation()
        if is_time:
            self._wait_for_confirmation()

    def _has_room(self, weight: int) -> bool:
        waiting = self._weight - self._confirmed
        return self._ending or not waiting or waiting + weight <= self._max_buffered

    def _wait_for_confirmation(self) -> None:
        with self._lock:
            if self._ending:
                return
            weight = self._weight
            waiting = asyncio.run_coroutine_threadsafe(self._topics.confirmed(), self._loop)
        with contextlib.suppress(TimeoutError, CancelledError):
            waiting.result(self._confirm_timeout)
        waiting.cancel()
        with self._lock:
            self._confirmed = max(self._confirmed, weight)

    def report(self, error: Exception) -> None:
        """Report an error of an Observable whose values are published."""
        self._topics.report(error)

    def _run(self) -> None:
        self._loop.run_forever()

    async def _end(self) -> None:
        await self._topics.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()


class _Emitter(abc.ObserverBase[Any]):
    def __init__(self, publisher: Publisher, name: str) -> None:
        self._publisher = publisher
        self._name = name

    def on_next(self, value: Any) -> None:
        self._publisher.publish(self._name, value)

    def on_error(self, error: Exception) -> None:
        self._publisher.report(error)

    def on_completed(self) -> None:
        """Do nothing: other publishers may go on."""
