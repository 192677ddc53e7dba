"""One reading of what the stream keeps, over one connection or several."""

from __future__ import annotations

from typing import Final

from rxws.topics.engines.engine import Last, Reader, Since
from rxws.topics.engines.nats.stream import Batch, Stream
from rxws.topics.message import Gap, Position

LAG: Final = 0.02
"""Seconds until a replica that lags behind the leader is asked again; each time twice as long."""
PATIENCE: Final = 3.0
"""The longest such wait, after 5 s in all; then a `Gap` stands for what a replica has not got yet."""


class Reading:
    """Reads what the leader had when the reading began; what is published later comes live."""

    def __init__(self, pattern: str, start: Last | Since, reader: Reader) -> None:
        self._pattern = pattern
        self._reader = reader
        self._stream: Stream | None = None
        """The stream, on the connection that the leader was asked on."""
        self._since = start.position if isinstance(start, Since) else None
        """The position to read on from, that of the last message that was read in the end."""
        self._last = start.count if isinstance(start, Last) else None
        """How many messages there should be, until some have been read."""
        self._number = 0
        self._target: int | None = None
        """The number of the last message that the leader had; `None` where one server answers for all."""
        self._lag = LAG

    async def step(self, stream: Stream) -> float | None:
        """Read some; tell after how many seconds to go on, or `None` at the end. Raises what the connection raises."""
        if stream is not self._stream:
            await self._begin(stream)
            if self._target is not None and self._since == (stream.epoch, self._target):
                return None  # since nothing has been published after it
        elif self._lag > LAG:  # the leader may have discarded what it had
            self._target = min(self._target or 0, await stream.last(self._pattern))
        if self._last is None:
            batch = await stream.after(self._pattern, self._number)
        else:
            batch = await stream.last_ones(self._pattern, self._last, self._target or 0)
        is_behind = self._target is not None and not batch.pending and batch.number < self._target
        if is_behind and self._lag < PATIENCE and (self._last is not None or not batch.records):
            self._lag *= 2
            return self._lag / 2
        if self._since is not None and (gap := await self._gap(stream, self._since, batch)) is not None:
            self._reader.batch([gap])
            if gap.anew:
                self._since = self._last = self._stream = None
                return 0
        self._take(stream, batch)
        if is_behind and not batch.records:
            at = str(Position(stream.epoch, self._number))
            self._reader.batch([Gap(self._pattern, at, "a replica of the stream lags behind")])
            return None
        is_end = not batch.pending if self._target is None else self._number >= self._target
        return None if is_end else 0

    async def _begin(self, stream: Stream) -> None:
        """Ask the leader what there is to read."""
        is_asked = stream.has_replicas or self._last is not None
        self._target = await stream.last(self._pattern) if is_asked else None
        self._number = 0 if self._since is None else self._since.number
        self._lag = LAG
        self._stream = stream

    async def _gap(self, stream: Stream, since: Position, batch: Batch) -> Gap | None:
        if since.epoch == stream.epoch and batch.records and batch.number - since.number == len(batch.records):
            return None  # since that is all that anyone has published
        return await stream.gap(self._pattern, since)

    def _take(self, stream: Stream, batch: Batch) -> None:
        self._last = None
        self._reader.batch(batch.records)
        if batch.number > self._number:
            self._number = batch.number
            self._since = Position(stream.epoch, batch.number)
            self._lag = LAG
