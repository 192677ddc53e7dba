"""The engine over NATS: connections one after the other, and what lives across them."""

from __future__ import annotations

import asyncio
import math
import re
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from random import shuffle
from typing import Any, Final

from nats.aio.msg import Msg
from reactivex import abc
from reactivex.disposable import Disposable

from rxws.backoff import Backoff
from rxws.core.wire import Binary, Text
from rxws.topics.engines.engine import Following, Last, Limits, PublishOverflow, Reader, Since
from rxws.topics.engines.nats.follower import Follower
from rxws.topics.engines.nats.link import DEADLINE, Link
from rxws.topics.engines.nats.outbox import Outbox
from rxws.topics.engines.nats.reading import Reading
from rxws.topics.engines.nats.stream import ADVISORIES, Stream
from rxws.topics.message import TopicsError

READS: Final = 16
"""Readings that ask the server at a time, for 256 messages each; the others wait for their turn."""
REASONS_TOLD: Final = 64
"""Reasons for one outage that are not reported twice."""
OUTAGE: Final = 10.0
"""Seconds without a failure, on a connection that is set up, after which an outage is over."""
NEXT_SERVER: Final = 2.0
"""Seconds until the next one of several servers is tried; after all have failed, they get 5 s each."""
RECONNECT_BACKOFF: Final = Backoff(initial=0.1, maximum=2.0)


class NatsEngine:
    """Carries messages over a NATS server with JetStream, which keeps them all in one stream.

    Memory: `max_buffered` bytes of messages that are not confirmed, 64 for each message included; per topic or pattern
    that has subscribers at most 65,536 messages or 64 MiB that the client library has read ahead; and what other
    threads have published that the loop has not come to yet, 16,384 messages at most, of 4 MiB or `max_buffered`.
    """

    def __init__(
        self, servers: Sequence[str], name: str, limits: Limits, max_buffered: int, overflow: PublishOverflow
    ) -> None:
        self._servers = [*servers]
        self._places = ", ".join(map(_place, servers))
        self._name = name
        self._limits = limits
        self._max_buffered = max_buffered
        self._overflow: PublishOverflow = overflow
        self._followers: dict[str, Follower] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._looking: asyncio.Task[Any] | None = None
        self._told = deque[str](maxlen=REASONS_TOLD)
        self._well_since = math.inf
        """The time of the last failure on this connection, or when it was set up."""
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
        shuffle(self._servers)  # not earlier, since processes that are forked should not all choose the same one
        self._up = asyncio.Event()
        self._turns = asyncio.Semaphore(READS)
        self._outbox = Outbox(self._max_buffered, self._overflow, report, self._doubt)
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
        follower = self._followers[following.pattern] = Follower(following, self.read, self._tell)
        if self._stream is not None:
            self._spawn(self._guard(self._stream, follower.begin(self._stream)))

    def unfollow(self, following: Following) -> None:
        """Unsubscribe."""
        follower = self._followers.pop(following.pattern)
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
        failures, none_answered = 0, False
        while not self._closing:
            link: Link | None = None
            error: Exception | None = None
            began = asyncio.get_running_loop().time()
            try:
                link = await self._open(DEADLINE if len(self._servers) == 1 or none_answered else NEXT_SERVER)
                await self._set_up(link)
                await link.wait_lost()
                error = link.why
            except Exception as failure:
                error = failure
            finally:
                self._stream = None
                self._up.clear()
                self._outbox.disconnected()
                if link is not None:
                    await link.close()
            none_answered = link is None
            away = TopicsError(f"NATS at {self._places} is away, trying again: {_reason(error)}")
            away.__cause__ = error
            self._tell(away)
            if asyncio.get_running_loop().time() - began > OUTAGE:
                failures = 0
            self._well_since = math.inf
            await asyncio.sleep(RECONNECT_BACKOFF.delay(failures, error or ConnectionError()))
            failures += 1

    async def _open(self, within: float) -> Link:
        """Connect to the first server that answers; that one is the last to be tried the next time."""
        why: dict[str, Exception] = {}
        for server in tuple(self._servers):
            self._servers.append(self._servers.pop(0))
            link = Link(self._denied)
            try:
                await link.open(server, within)
            except Exception as error:
                why[_place(server)] = error
            else:
                return link
        (error, *others) = why.values()
        if not others:
            raise error
        raise TopicsError("; ".join(sorted(f"{place}: {_reason(error)}" for place, error in why.items())))

    async def _set_up(self, link: Link) -> None:
        stream = await Stream.find(link, self._name, self._limits)
        while late := [follower for follower in self._followers.values() if follower.stream is not stream]:
            beginning = [self._spawn(follower.begin(stream)) for follower in late]
            try:
                await asyncio.gather(*beginning)
            finally:
                for task in beginning:  # if one fails, the others must not go on with a connection that is closed
                    task.cancel()
        await link.subscribe(f"{ADVISORIES}.*.{self._name}", lambda message: self._advised(stream, message))
        await self._outbox.connected(stream)
        self._stream = stream
        self._well_since = asyncio.get_running_loop().time()
        for follower in self._followers.values():
            if follower.stream is not stream:
                self._spawn(self._guard(stream, follower.begin(stream)))
        self._up.set()

    async def _read(self, pattern: str, start: Last | Since, reader: Reader) -> None:
        reading = Reading(pattern, start, reader)
        failures = 0
        wait: float | None = 0
        while wait is not None:
            await asyncio.sleep(wait)
            await self._up.wait()
            stream = self._stream
            if stream is None:
                continue
            self._tell_limits(stream)
            try:
                if (follower := self._followers.get(pattern)) is not None:
                    await self._guard(stream, follower.begin(stream))  # what is published from now on comes live
                async with self._turns:
                    wait = await reading.step(stream)
                failures = 0
            except Exception as error:
                if not stream.link.lost.is_set():
                    self._tell(error)
                wait = RECONNECT_BACKOFF.delay(failures, error)
                failures += 1
        reader.caught_up()

    def _advised(self, stream: Stream, message: Msg) -> None:
        """Take what the server says of the stream: it has another leader, was changed, or deleted."""
        if message.subject.split(".")[4] == "LEADER_ELECTED":
            self._outbox.send_again()
            for follower in self._followers.values():
                follower.doubt()
        else:
            self._look(stream)

    def _doubt(self, error: TopicsError) -> None:
        """Report trouble with publishing, and find out what it is."""
        self._tell(error)
        if self._stream is not None:
            self._look(self._stream)

    def _look(self, stream: Stream) -> None:
        if self._looking is None or self._looking.done():
            self._looking = self._spawn(self._guard(stream, stream.look()))

    def _tell(self, error: Exception) -> None:
        """Report a failure, once an outage."""
        now = asyncio.get_running_loop().time()
        if now - self._well_since > OUTAGE:
            self._told.clear()
        self._well_since = max(now, self._well_since)
        if str(error) not in self._told:
            self._told.append(str(error))
            self._report(error)

    def _tell_limits(self, stream: Stream) -> None:
        if stream.has_other_limits and not self._has_told_limits:
            self._has_told_limits = True
            self._report(
                TopicsError(f"the stream {self._name!r} has the limits of the program that made it: {stream.limits}")
            )

    def _denied(self, action: str, subject: str) -> None:
        if action == "publish" and subject.startswith(f"{self._name}.in.".lower()):
            self._outbox.denied(subject.removeprefix(f"{self._name}.in.".lower()))
        else:
            self._tell(TopicsError(f"NATS gives this user no permission for {action} to {subject!r}"))

    async def _guard(self, stream: Stream, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            if not stream.link.lost.is_set():
                stream.link.why = error
                stream.link.lost.set()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _place(server: str) -> str:
    """Tell where a server is, without a password."""
    return re.split("//|@", server)[-1]


def _reason(error: Exception | None) -> str:
    return "lost" if error is None else str(error) or type(error).__name__
