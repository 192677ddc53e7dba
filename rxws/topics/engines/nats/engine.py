"""The engine over NATS: connections one after the other, and what lives across them."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from nats import errors
from reactivex import abc
from reactivex.disposable import Disposable

from rxws.backoff import Backoff
from rxws.core.wire import Binary, Text
from rxws.topics.engines.engine import Following, Last, Limits, PublishOverflow, Reader, Since
from rxws.topics.engines.nats.follower import Follower
from rxws.topics.engines.nats.link import Link
from rxws.topics.engines.nats.outbox import Outbox
from rxws.topics.engines.nats.stream import Stream
from rxws.topics.message import Gap, Position, TopicsError

FAILURES: Final = (errors.Error, OSError, TopicsError, TimeoutError)
READS: Final = 16
"""Readings that ask the server at a time, for 256 messages each; the others wait for their turn."""
REASONS_TOLD: Final = 16
"""Reasons for one outage that are not reported twice."""
LAG: Final = 0.02
"""Seconds until a replica of the stream that lags behind, as any may at a time, is asked again."""
LAGS: Final = 250
"""Times that it is asked in vain; then a `Gap` stands for what it has not got yet."""
RECONNECT_BACKOFF: Final = Backoff(initial=0.1, maximum=2.0)


class NatsEngine:
    """Carries messages over a NATS server with JetStream, which keeps them all in one stream.

    Memory: `max_buffered` bytes of messages that are not confirmed, 64 for each message included; per topic or pattern
    that has subscribers at most 65,536 messages or 64 MiB that the client library has read ahead; and what other
    threads have published that the loop has not come to yet, 16,384 messages and 4 MiB at most.
    """

    def __init__(
        self, servers: Sequence[str], name: str, limits: Limits, max_buffered: int, overflow: PublishOverflow
    ) -> None:
        self._servers = servers
        self._name = name
        self._limits = limits
        self._max_buffered = max_buffered
        self._overflow: PublishOverflow = overflow
        self._followers: dict[Following, Follower] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stream: Stream | None = None
        self._closing = False
        self._has_told_limits = False

    @property
    def is_up(self) -> bool:
        """Whether there is a connection that is set up."""
        return self._stream is not None

    def start(self, report: Callable[[Exception], object]) -> None:
        """Begin to connect."""
        self._report = report
        self._up = asyncio.Event()
        self._turns = asyncio.Semaphore(READS)
        self._outbox = Outbox(self._max_buffered, self._overflow, report)
        self._spawn(self._outbox.run())
        self._spawn(self._connect())

    async def confirmed(self) -> None:
        """Wait until the stream has all that was published."""
        await self._outbox.confirmed()

    async def close(self) -> None:
        """Wait until what was published is confirmed, within 5 s, and disconnect."""
        try:
            await self._outbox.flush()
        finally:
            self._closing = True
            while self._tasks:
                tasks = tuple(self._tasks)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks, timeout=0.1)  # the client library swallows a cancellation now and then

    def publish(self, topic: str, frame: Text | Binary) -> None:
        """Publish as soon as the server takes it."""
        self._outbox.put(topic, frame)

    def follow(self, following: Following) -> None:
        """Subscribe, now and on each new connection."""
        follower = self._followers[following] = Follower(following, self.read)
        if self._stream is not None:
            self._spawn(self._guard(self._stream, follower.begin(self._stream)))

    def unfollow(self, following: Following) -> None:
        """Unsubscribe."""
        follower = self._followers.pop(following)
        if follower.stream is None:
            self._spawn(follower.end())
        else:
            self._spawn(self._guard(follower.stream, follower.end()))

    def read(self, pattern: str, start: Last | Since, reader: Reader) -> abc.DisposableBase:
        """Read from the stream, as soon as there is a connection."""
        task = self._spawn(self._read(pattern, start, reader))

        def stop() -> None:
            task.cancel()

        return Disposable(stop)

    async def _connect(self) -> None:
        failures = 0
        told = deque[str](maxlen=REASONS_TOLD)
        places = ", ".join(re.split("//|@", server)[-1] for server in self._servers)  # without passwords
        while not self._closing:
            link = Link(self._denied)
            error: Exception | None = None
            try:
                await link.open(self._servers)
                await self._set_up(link)
                failures = 0
                told.clear()
                await link.lost.wait()
                error = link.why
            except Exception as failure:
                error = failure
            finally:
                self._stream = None
                self._up.clear()
                self._outbox.disconnected()
                await link.close()
            why = f"NATS at {places} is away, trying again: {error or 'lost'}"
            if why not in told:
                told.append(why)
                away = TopicsError(why)
                away.__cause__ = error
                self._report(away)
            await asyncio.sleep(RECONNECT_BACKOFF.delay(failures, error or ConnectionError()))
            failures += 1

    async def _set_up(self, link: Link) -> None:
        stream = await Stream.find(link, self._name, self._limits)
        while late := [follower for follower in self._followers.values() if follower.stream is not stream]:
            await asyncio.gather(*(follower.begin(stream) for follower in late))
        await self._outbox.connected(stream)
        self._stream = stream
        self._up.set()
        for follower in self._followers.values():
            if follower.stream is not stream:
                self._spawn(self._guard(stream, follower.begin(stream)))

    async def _read(self, pattern: str, start: Last | Since, reader: Reader) -> None:
        since = start.position if isinstance(start, Since) else None
        number = since.number if since is not None else None if isinstance(start, Last) else 0
        lags = 0
        while True:
            await self._up.wait()
            stream = self._stream
            if stream is None:
                continue
            self._tell_limits(stream)
            try:
                async with self._turns:
                    if number is None:
                        assert isinstance(start, Last)
                        number = await stream.before_last(pattern, start.count)
                    records, pending = await stream.after(pattern, number)
                    gap = None if since is None else await stream.gap(pattern, since)
                    newest = records[-1].position.number if records else number
                    is_end = not pending and not await stream.is_behind(pattern, newest)
            except FAILURES as error:
                if not stream.link.lost.is_set():
                    self._report(error)
                await asyncio.sleep(RECONNECT_BACKOFF.initial)
                continue
            if gap is not None:
                reader.batch([gap])
                if gap.anew:
                    since, number = None, 0
                    continue
            reader.batch(records)
            if records:
                since = records[-1].position
                number = since.number
            lags = 0 if pending or records else lags + 1
            if lags > LAGS:
                at = str(Position(stream.epoch, number))
                reader.batch([Gap(pattern, at, "a replica of the stream lags behind")])
            if is_end or lags > LAGS:
                break
            if not pending:
                await asyncio.sleep(LAG)
        reader.caught_up()

    def _tell_limits(self, stream: Stream) -> None:
        if stream.has_other_limits and not self._has_told_limits:
            self._has_told_limits = True
            self._report(
                TopicsError(f"the stream {self._name!r} has other limits, of whoever made it: {stream.limits}")
            )

    def _denied(self, action: str, subject: str) -> None:
        if action == "publish" and subject.startswith(f"{self._name}.in.".lower()):
            self._outbox.denied(subject.removeprefix(f"{self._name}.in.".lower()))
        else:
            self._report(TopicsError(f"NATS gives this user no permission for {action} to {subject!r}"))

    async def _guard(self, stream: Stream, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except FAILURES as error:
            if not stream.link.lost.is_set():
                self._report(error)
                stream.link.lost.set()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
