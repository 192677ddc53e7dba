"""What is published: it waits here until the stream has confirmed it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nats.aio.msg import Msg

from rxws.core.wire import Binary, Text
from rxws.rx.loop_thread import set_result
from rxws.topics.engines.engine import PublishOverflow
from rxws.topics.engines.nats.link import DEADLINE, UNSETTLED
from rxws.topics.engines.nats.stream import BINARY_HEADER, Stream
from rxws.topics.message import TopicsError, Unpublished

WINDOW: Final = 256
"""Messages on their way that are not confirmed yet; a single one where it is not known whether they get anywhere."""
PAUSE: Final = 0.1
"""Seconds until messages that no stream took are sent again, while a cluster chooses a leader."""
PLACED: Final = 1024
"""Topics whose last confirmed message is remembered, to see whether the next one has come behind it."""
STUCK: Final = 1.0
"""Seconds for which that is usual, and not told."""
NOT_YET: Final = (*UNSETTLED, 10158, 10167)
"""JetStream's errors of a cluster that chooses a leader, or is not done with what was sent before."""
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
    is_kept: bool = False
    """Whether it was confirmed when it waited to be sent again."""
    late: int = 0
    """Connections on which it was not confirmed in time."""


class Outbox:
    """Publishes in order; what was not confirmed is sent once more, which the stream recognizes."""

    def __init__(
        self,
        max_buffered: int,
        overflow: PublishOverflow,
        report: Callable[[Unpublished], object],
        trouble: Callable[[TopicsError], object],
    ) -> None:
        self._max_buffered = max_buffered
        self._overflow: PublishOverflow = overflow
        self._report = report
        self._trouble = trouble
        self._who = secrets.token_hex(8)
        self._numbers = 0
        self._weight = 0
        self._waiting: deque[Sending] = deque()
        self._flying: dict[int, Sending] = {}
        self._returned: dict[int, Sending] = {}
        """Those that wait to be sent again."""
        self._window = 1
        self._is_mute = False
        """Whether the one message that was sent to see was not answered at all."""
        self._stuck_since = math.inf
        """When the stream began to take no messages."""
        self._placed: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """For each topic the number of the message that was confirmed last, and its place in the stream."""
        self._epoch = 0
        self._stream: Stream | None = None
        self._replies = ""
        self._wake = asyncio.Event()
        self._confirming: dict[asyncio.Future[None], int] = {}
        """Those who wait, and the number of the last message that each waits for."""
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
            self._returned.pop(oldest.number, None)
            self._weight -= oldest.frame.weight
            if not oldest.is_kept:
                self._drop(oldest.topic, oldest.frame, "too much waits for the broker")
        self._numbers += 1
        self._waiting.append(Sending(self._numbers, topic, frame))
        self._weight += frame.weight
        self._tell_confirmed()  # of those that were dropped
        self._wake.set()

    async def connected(self, stream: Stream) -> None:
        """Publish on a new connection."""
        self._replies = stream.link.client.new_inbox()
        await stream.link.subscribe(f"{self._replies}.*", lambda message: self._answered(stream, message))
        if self._epoch != stream.epoch:
            self._epoch = stream.epoch
            self._placed.clear()
        self._window = WINDOW if self._is_mute else 1
        self._resume(stream)

    def disconnected(self) -> None:
        """Keep what is not confirmed for the next connection."""
        self._stream = None
        self.send_again()

    def send_again(self) -> None:
        """Send again what is not confirmed, which the stream recognizes."""
        self._waiting.extendleft(reversed(self._flying.values()))
        self._returned |= self._flying
        self._flying.clear()
        self._window = 1
        self._wake.set()

    def _resume(self, stream: Stream) -> None:
        if not stream.link.lost.is_set():
            self._stream = stream
            self._wake.set()

    async def run(self) -> None:
        """Publish whatever comes."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0 if self._flying else None):
                    await self._wake.wait()
            self._wake.clear()
            self._look_for_late_answers()
            while self._waiting and len(self._flying) < self._window and (stream := self._stream) is not None:
                sending = self._waiting.popleft()
                self._returned.pop(sending.number, None)
                self._flying[sending.number] = sending
                if sending.is_kept:
                    self._landed(sending.number)
                    continue
                with contextlib.suppress(ConnectionError):
                    await self._send(stream, sending)

    async def confirmed(self) -> None:
        """Wait until all that was put before is confirmed, or dropped; what is put meanwhile does not count."""
        if not self._flying and not self._waiting:
            return
        waiting = asyncio.get_running_loop().create_future()
        self._confirming[waiting] = self._numbers
        try:
            await waiting
        finally:
            self._confirming.pop(waiting, None)

    def _tell_confirmed(self) -> None:
        if self._confirming:
            on_their_way = next(iter(self._flying), self._waiting[0].number if self._waiting else math.inf)
            for waiting, number in self._confirming.items():
                if number < on_their_way:
                    set_result(waiting, None)

    async def flush(self) -> None:
        """Wait until all is confirmed, within a deadline; report what is not."""
        try:
            async with asyncio.timeout(DEADLINE):
                await self.confirmed()
        except TimeoutError:
            self.disconnected()
            for sending in self._waiting:
                if not sending.is_kept:
                    self._drop(
                        sending.topic, sending.frame, "the topics were closed before the broker had confirmed it"
                    )
            self._waiting.clear()
            self._returned.clear()
            self._weight = 0
            self._tell_confirmed()

    async def _send(self, stream: Stream, sending: Sending) -> None:
        frame = sending.frame
        headers = {"Nats-Msg-Id": f"{self._who}-{sending.number}"}
        if isinstance(frame, Binary):
            headers[BINARY_HEADER] = "1"
        sending.sent_at = self._loop.time()
        if frame.weight > stream.max_bytes > 0:
            self._refused(sending.number, f"it exceeds the limit for kept messages, {stream.max_bytes} bytes")
            return
        if len(frame.data) + HEADERS > (most := stream.link.client.max_payload):
            self._refused(sending.number, f"it is larger than the NATS server takes, {most - HEADERS} bytes")
            return
        await stream.link.publish(
            stream.subject(sending.topic), frame.data, reply=f"{self._replies}.{sending.number}", headers=headers
        )

    def denied(self, topic: str) -> None:
        """Give up what is on its way to a topic, in small letters, that the user may not publish to."""
        for sending in tuple(self._flying.values()):
            if sending.topic.lower() == topic:
                self._refused(sending.number, "NATS gives this user no permission for that")

    def _answered(self, stream: Stream, message: Msg) -> None:
        number = int(message.subject.rpartition(".")[2])
        answer: dict[str, Any] = json.loads(message.data or b"{}")
        error = answer.get("error", {})
        if number not in self._flying:
            if "seq" in answer and number in self._returned:
                self._returned[number].is_kept = True
                self._place(self._returned[number].topic, number, int(answer["seq"]))
            return
        if not message.data or error.get("err_code") in NOT_YET:
            self._stream = None
            self.send_again()
            self._loop.call_later(PAUSE, self._resume, stream)
            self._stuck_since = min(self._stuck_since, self._loop.time())
            if self._loop.time() - self._stuck_since > STUCK:
                why = error.get("description", "no server has it, or it has no leader")
                self._trouble(TopicsError(f"the stream {stream.name!r} takes no messages, trying again: {why}"))
        elif error:
            self._refused(number, f"NATS refused it: {error.get('description')}")
        else:
            self._window, self._is_mute, self._stuck_since = WINDOW, False, math.inf
            self._place(self._flying[number].topic, number, int(answer["seq"]))
            self._landed(number)

    def _place(self, topic: str, number: int, place: int) -> None:
        """Record where the stream put a message, and report if that is not where it belongs."""
        other, its_place = self._placed.pop(topic, (0, 0))
        if (number > other) != (place > its_place):
            self._trouble(TopicsError(f"messages to {topic!r} are out of order: NATS lost one, then took the next"))
        self._placed[topic] = number, place
        if len(self._placed) > PLACED:
            self._placed.popitem(last=False)

    def _refused(self, number: int, why: str) -> None:
        sending = self._flying.get(number)
        if sending is not None:
            self._landed(number)
            self._drop(sending.topic, sending.frame, why)

    def _landed(self, number: int) -> None:
        sending = self._flying.pop(number, None)
        if sending is not None:
            self._weight -= sending.frame.weight
            self._tell_confirmed()
            self._wake.set()

    def _look_for_late_answers(self) -> None:
        since = self._loop.time() - DEADLINE
        oldest = next(iter(self._flying.values()), None)
        if oldest is None or oldest.sent_at > since or self._stream is None:
            return
        late = [sending for sending in self._flying.values() if sending.sent_at < since]
        self._stream.link.why = TopicsError(f"it has not confirmed a message for {DEADLINE} s")
        self._stream.link.lost.set()
        self._is_mute = True
        for sending in late:
            sending.late += 1
            if sending.late == LATE:
                self._refused(sending.number, f"NATS has not confirmed it on {LATE} connections")

    def _drop(self, topic: str, frame: Text | Binary, why: str) -> None:
        self._report(Unpublished(topic, frame.message, why))
