"""One subject that a process is subscribed to, over all its connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from reactivex import abc

from rxws.topics.engines.engine import Following, Last, Reader, Since
from rxws.topics.engines.nats.stream import Stream
from rxws.topics.history import BEGINNING, Seam
from rxws.topics.message import Record, TopicsError

MAX_SEEN: Final = 65_536
"""Topics of a pattern whose last message is remembered; of others, a loss is seen at the next reconnection alone."""

Read = Callable[[str, Last | Since, Reader], abc.DisposableBase]


class Follower:
    """Hands on live messages to a feed, and reads from the stream what did not come live."""

    def __init__(self, following: Following, read: Read, tell: Callable[[Exception], object]) -> None:
        self.stream: Stream | None = None
        """The stream, on the connection that it has subscribed on last."""
        self.pattern = following.pattern
        self._tell = tell
        self._seam = Seam[Record](following.take, lambda start, seam: read(following.pattern, start, seam))
        self._seen: dict[str, int] = {}
        self._newest: int | None = None
        """The number of the last message on this connection."""
        self._subscription: Subscription | None = None
        self._changing = asyncio.Lock()
        self._ended = False

    async def begin(self, stream: Stream) -> None:
        """Subscribe on a new connection; then read what has come since the one before."""
        async with self._changing:
            if self._ended or self.stream is stream or stream.link.lost.is_set():
                return
            self.stream = stream
            self._seen.clear()
            self._newest = None
            self._subscription = await stream.link.subscribe(
                stream.live + self.pattern,
                lambda message: self._take(stream, message),
                on_slow=self.doubt,
            )
            if self._seam.cursor is None and self._seam.floor is BEGINNING:
                self._seam.floor = await stream.newest()
            else:
                self._seam.doubt()

    def doubt(self) -> None:
        """Read what did not come live, if anything, since some of it may never do."""
        if self._seam.cursor is not None or self._seam.floor is not BEGINNING:
            self._seam.doubt()

    async def end(self) -> None:
        """Unsubscribe."""
        self._ended = True
        self._seam.dispose()
        async with self._changing:
            if self._subscription is not None and self.stream is not None and not self.stream.link.lost.is_set():
                await self.stream.link.unsubscribe(self._subscription)

    def _take(self, stream: Stream, message: Msg) -> None:
        headers = message.headers or {}
        try:
            record, before = stream.record(headers, message.data), int(headers["Nats-Last-Sequence"])
        except (KeyError, ValueError):
            subject = stream.subject(message.subject.removeprefix(stream.live))
            self._tell(TopicsError(f"a message on {message.subject!r} came from elsewhere: publish to {subject!r}"))
            return
        known = self._seen.pop(record.topic, None)
        if known is None and self._seam.floor.epoch == stream.epoch:
            known = self._seam.floor.number
        newest, self._newest = self._newest, record.position.number
        if newest is None and self._seam.floor.epoch == stream.epoch:
            newest = self._seam.floor.number
        self._seen[record.topic] = record.position.number
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        if (known is not None and before > known) or (newest is not None and record.position.number <= newest):
            self._seam.doubt()  # a message was lost, or the stream is another one, which reading finds out
        self._seam.take(record)
