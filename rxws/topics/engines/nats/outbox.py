"""What is published: it waits here until the stream has confirmed it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nats import errors
from nats.aio.msg import Msg

from rxws.core.wire import Binary, Text
from rxws.topics.engines.engine import PublishOverflow
from rxws.topics.engines.nats.link import DEADLINE
from rxws.topics.engines.nats.stream import BINARY_HEADER, Stream
from rxws.topics.message import TopicsError, Unpublished

WINDOW: Final = 256
"""Messages on their way that are not confirmed yet."""
LATE: Final = 6
"""Connections on which a message is not confirmed in time until it is given up. That is longer than a cluster takes to
notice that it has no majority; but a broker that could not write to its disk confirms nothing until it is restarted."""
HEADERS: Final = 128
"""Bytes of a message's headers at most; the server counts them, and disconnects who sends more than it takes."""


@dataclass(slots=True)
class Sending:
    """A message on its way; sent again, it has the same `number`, by which the stream knows it."""

    number: int
    topic: str
    frame: Text | Binary
    sent_at: float = 0.0
    late: int = 0
    """Connections on which it was not confirmed in time."""


class Outbox:
    """Publishes in order; after a lost connection, what was not confirmed once more, which the stream recognises."""

    def __init__(self, max_buffered: int, overflow: PublishOverflow, report: Callable[[Exception], object]) -> None:
        self._max_buffered = max_buffered
        self._overflow: PublishOverflow = overflow
        self._report = report
        self._who = secrets.token_hex(8)
        self._numbers = 0
        self._weight = 0
        self._waiting: deque[Sending] = deque()
        self._flying: dict[int, Sending] = {}
        self._stream: Stream | None = None
        self._replies = ""
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._loop = asyncio.get_running_loop()

    def put(self, topic: str, frame: Text | Binary) -> None:
        """Take a message, or drop one, and report it, if there are too many."""
        if frame.weight > self._max_buffered:
            self._drop(topic, frame, f"it is larger than max_buffered, {self._max_buffered} bytes")
            return
        while self._weight + frame.weight > self._max_buffered:
            if self._overflow == "drop_newest" or not self._waiting:
                self._drop(topic, frame, "too much waits for the broker")
                return
            oldest = self._waiting.popleft()
            self._weight -= oldest.frame.weight
            self._drop(oldest.topic, oldest.frame, "too much waits for the broker")
        self._numbers += 1
        self._waiting.append(Sending(self._numbers, topic, frame))
        self._weight += frame.weight
        self._empty.clear()
        self._wake.set()

    async def connected(self, stream: Stream) -> None:
        """Publish on a new connection."""
        self._replies = stream.link.client.new_inbox()
        await stream.link.subscribe(f"{self._replies}.*", lambda message: self._answered(stream, message))
        self._stream = stream
        self._wake.set()

    def disconnected(self) -> None:
        """Keep what is not confirmed for the next connection."""
        self._stream = None
        self._waiting.extendleft(reversed(self._flying.values()))
        self._flying.clear()

    async def run(self) -> None:
        """Publish whatever comes."""
        while True:
            try:
                async with asyncio.timeout(1.0 if self._flying else None):
                    await self._wake.wait()
            except TimeoutError:
                self._look_for_late_answers()
                continue
            self._wake.clear()
            while self._waiting and len(self._flying) < WINDOW and (stream := self._stream) is not None:
                sending = self._waiting.popleft()
                self._flying[sending.number] = sending
                try:
                    await self._send(stream, sending)
                except (errors.Error, OSError):
                    stream.link.lost.set()

    async def confirmed(self) -> None:
        """Wait until all is confirmed, or dropped."""
        await self._empty.wait()

    async def flush(self) -> None:
        """Wait until all is confirmed, within a deadline; report what is not."""
        try:
            async with asyncio.timeout(DEADLINE):
                await self._empty.wait()
        except TimeoutError:
            self.disconnected()
            for sending in self._waiting:
                self._drop(sending.topic, sending.frame, "the topics were closed before the broker had confirmed it")
            self._waiting.clear()
            self._weight = 0
            self._empty.set()

    async def _send(self, stream: Stream, sending: Sending) -> None:
        frame = sending.frame
        headers = {"Nats-Msg-Id": f"{self._who}-{sending.number}"}
        if isinstance(frame, Binary):
            headers[BINARY_HEADER] = "1"
        sending.sent_at = self._loop.time()
        if frame.weight > stream.max_bytes > 0:
            self._refused(sending.number, f"it is larger than all that is kept, {stream.max_bytes} bytes")
            return
        if len(frame.data) + HEADERS > (most := stream.link.client.max_payload):
            self._refused(sending.number, f"it is larger than the NATS server takes, {most - HEADERS} bytes")
            return
        await stream.link.client.publish(
            stream.subject(sending.topic), frame.data, reply=f"{self._replies}.{sending.number}", headers=headers
        )

    def denied(self, topic: str) -> None:
        """Give up what is on its way to a topic, in small letters, that the user may not publish to."""
        for sending in tuple(self._flying.values()):
            if sending.topic.lower() == topic:
                self._refused(sending.number, "NATS gives this user no permission for that")

    def _answered(self, stream: Stream, message: Msg) -> None:
        number = int(message.subject.rpartition(".")[2])
        if not message.data:
            self._report(TopicsError(f"the stream {stream.name!r} does not answer; connecting anew"))
            stream.link.lost.set()
            return
        answer: dict[str, Any] = json.loads(message.data)
        if "error" in answer:
            self._refused(number, f"NATS refused it: {answer['error'].get('description')}")
        else:
            self._landed(number)

    def _refused(self, number: int, why: str) -> None:
        sending = self._flying.get(number)
        if sending is not None:
            self._landed(number)
            self._drop(sending.topic, sending.frame, why)

    def _landed(self, number: int) -> None:
        sending = self._flying.pop(number, None)
        if sending is not None:
            self._weight -= sending.frame.weight
            if not self._flying and not self._waiting:
                self._empty.set()
            self._wake.set()

    def _look_for_late_answers(self) -> None:
        since = self._loop.time() - DEADLINE
        late = [sending for sending in self._flying.values() if sending.sent_at < since]
        if not late or self._stream is None:
            return
        self._report(TopicsError(f"NATS has not confirmed a message for {DEADLINE} s; connecting anew"))
        self._stream.link.lost.set()
        for sending in late:
            sending.late += 1
            if sending.late == LATE:
                self._refused(sending.number, f"NATS has not confirmed it on {LATE} connections")

    def _drop(self, topic: str, frame: Text | Binary, why: str) -> None:
        self._report(Unpublished(topic, frame.message, why))
