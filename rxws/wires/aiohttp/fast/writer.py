"""The writing half of the fast wire: what the endpoint has leaves in few writes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from rxws.close import Close
from rxws.core.wire import MESSAGE_WEIGHT, Endpoint, Frame, Text
from rxws.errors import raise_fatal
from rxws.rx.foreign import as_error
from rxws.rx.loop_thread import here
from rxws.wires.aiohttp.fast import framing
from rxws.wires.aiohttp.fast.chunks import CHUNK
from rxws.wires.aiohttp.fast.framing import SHORT
from rxws.wires.aiohttp.inside import NOT_SENT
from rxws.wires.deflate import Deflater


class Writing(Protocol):
    """A wire that may have more to write in a turn."""

    waits: bool

    def flush(self) -> None:
        """Write it."""
        ...


class OwnWire(Protocol):
    """The wire that a writer belongs to."""

    def leave(self) -> None:
        """Go on with the end: our close frame is written."""

    def fail(self, error: Exception) -> None:
        """Take the connection for lost: writing has raised."""


class Turns:
    """Counts the turns in which something is written, and tells those who wait when one ends."""

    __slots__ = ("alone", "counting", "guesses", "joined", "number", "waiting")

    def __init__(self) -> None:
        self.number = 0
        self.counting = False
        """Whether the end of this turn will be noticed."""
        self.alone = 0
        """The `id` of who was the only one to write in a turn, if nobody else has since; an `id` keeps nobody alive."""
        self.guesses = 0
        """How many others may be taken for that, one after the other, before a turn is counted again."""
        self.waiting: list[Writing] = []
        """Who will write when it ends."""
        self.joined: tuple[Sequence[Any], bytes] | None = None
        """While it ends: what was written last, and the frames in it, for the next one who has the same."""

    def count(self) -> None:
        """Notice the end of this turn."""
        self.counting = True
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self.counting = False
        self.number += 1
        waiting = self.waiting
        self.alone, self.guesses = (id(waiting[0]), UNCOUNTED) if len(waiting) == 1 else (0, 0)
        if not waiting:
            return
        self.waiting = []
        self.joined = (), b""
        for one in waiting:
            one.waits = False
            one.flush()
        self.joined = None


BATCH: Final = CHUNK
"""Bytes that leave in one write, at most: the answers to one read. A frame that is larger is not copied."""

PONGS: Final = 256
"""Pongs that wait; a peer that sends more pings than it reads pongs misses the oldest."""

CLOSE, PONG = 8, 10

SHORT_TEXT: Final = SHORT[Text.opcode]

COUNTED, UNCOUNTED = 8, 3
"""Messages alone in their turns, after which a turn costs more to count than it tells; how many then go uncounted.

So do the answers of as many sockets, after a turn in which one alone has answered.
"""

ALONE, BURST, MAY_BE_ALONE = range(3)
"""What came in the last turn that had messages, but for answers: one, several, or one so far, which waits for more."""


class FrameWriter:
    """Writes frames to a transport: the first one at once, what follows in the same turn of the event loop together.

    After a turn with several messages, the first one of the next turn waits for those that probably follow it. After
    many messages that were alone, most turns are not counted: then up to four messages of a turn leave by themselves.

    | flags that are set | what it does with a message |
    |---|---|
    | none | writes it at once, once in a turn, and not after a burst |
    | `busy`, or `busy` and `waits` | a chunk is being read: takes it, and writes all answers behind the chunk |
    | `waits` | takes it, and writes when the turn ends, or when there is enough for a write |
    | `awake`, with `busy` or `waits` | refuses it: the endpoint keeps it, and is asked with the next write |
    | `congested`, with any of those | refuses it: the kernel takes no bytes until `resume_writing` |
    | `closing`, with any of those | writes nothing more: our close frame is written |

    Memory: frames of `BATCH` bytes that leave when the turn ends; of `NOT_SENT` bytes while it keeps messages fresh,
    since what is written can no longer make room for newer ones. What fills a write leaves at once.
    """

    __slots__ = (
        *("_batch", "_deflate", "_left", "_masks", "_endpoint", "_more_room", "_room", "_transport", "_wire"),
        *("_came", "_lone", "_turns", "_wrote_in"),
        *("as_is", "awake", "busy", "closing", "congested", "pongs", "taken", "waits"),
    )

    def __init__(
        self, transport: asyncio.Transport, turns: Turns, *, masks: bool, deflate: Deflater | None = None
    ) -> None:
        self.awake = True
        """Whether the endpoint has something to write, or is not there yet."""
        self.congested = False
        """Whether the kernel has refused bytes."""
        self.busy: object = False
        """Where a chunk is being read, as `here()` has it, whose answers are to leave together; else `False`."""
        self.waits = False
        """Whether it will write when the turn ends."""
        self.taken: list[Any] | tuple[()] = ()
        """What leaves then, before what the endpoint has; empty unless it is busy or waits. Frames; texts as bytes."""
        self._batch = BATCH  # bytes that leave in one write, at most
        self._left = BATCH  # bytes that may yet be taken, without another look
        self._room: Callable[[bool], int] | None = None  # for what is taken
        self._more_room = 0  # beyond `_left`, that nobody need be asked for
        self._came = ALONE
        self._lone = 0  # messages in a row that were alone, up to those uncounted
        self._wrote_in = -1  # the turn of the event loop in which the endpoint last wrote at once
        self._turns = turns
        self._masks = masks
        self._deflate = deflate
        self.as_is = deflate is None and not masks
        """Whether a frame is written as it was made for others, and a text needs none."""
        self._transport = transport
        self.closing = False
        """Whether our close frame is written."""
        self.pongs: deque[bytes] | None = None
        """What is to be answered to pings."""
        self._endpoint: Endpoint | None = None

    def start(self, endpoint: Endpoint, wire: OwnWire) -> None:
        """Begin; `wire` is told when our close frame is written, and if writing raises."""
        self._endpoint = endpoint
        self._wire = wire
        self.awake = False

    def keep_fresh(self, wanted: bool) -> None:
        """Write as little as possible at once, or no longer."""
        self._batch = NOT_SENT if wanted else BATCH
        if not self.taken and self._room is None:
            self._left = self._batch

    def stay_within(self, room: Callable[[bool], int]) -> None:
        """Take only what there is room for."""
        self._room, self._left = room, 0

    def look_at_room(self) -> None:
        """Ask for room before anything else is taken."""
        if self._room is not None:
            self._left = self._more_room = 0

    def _makes_room(self, frame: Frame) -> bool:
        """Write what is taken, if a frame does not fit beside it; tell whether it may be taken now."""
        if self.taken and not self.busy:
            self.flush()
        if self.taken or self.awake or self.congested or frame.weight > self._batch:
            return False
        if frame.weight <= self._left:
            return True
        self._left = self._batch
        if self._room is None:
            return True
        room = self._room(bool(self.busy or self.waits))  # which may offer a ping: there must be some left for it
        self._divide(room and max(room, frame.weight), self._batch - sum(ping.weight for ping in self.taken))
        return frame.weight <= self._left

    def _divide(self, room: int, batch: int) -> None:
        self._left = min(batch, room)
        self._more_room = room - self._left

    def detach(self) -> None:
        """Write nothing more: the wire, which has this, has ended."""
        self._endpoint = None
        self._room = None
        del self._wire

    def offer(self, frame: Frame) -> bool:
        """Take a message, if nothing is to go before it: one that is probably alone in its turn leaves at once."""
        if self.awake or self.congested:
            return False
        if not (self.busy or self.waits):
            turns = self._turns
            if self._wrote_in == turns.number:
                self._came, self._lone = BURST, 0
            elif self._came == BURST:
                self._came = MAY_BE_ALONE
            else:
                if self._room is not None:
                    if self._left < frame.weight and not self._makes_room(frame):
                        return False
                    self._left -= frame.weight
                self._wrote_in = turns.number
                if not turns.counting:
                    lone = self._lone = self._lone + 1 if self._lone < COUNTED + UNCOUNTED else COUNTED
                    if lone <= COUNTED:
                        turns.count()
                    else:
                        self._wrote_in = -1
                if self._masks or frame.weight > BATCH:
                    self._write((frame,))
                else:
                    if (deflate := self._deflate) is not None:
                        frame = self._smaller(frame, deflate)
                    self._transport.write(frame.packed or _packed(frame))
                return True
            self.write_soon()
        left = self._left - frame.weight
        if left < 0 and self._makes_room(frame):
            left = self._left - frame.weight
        if left < 0 or self.congested:
            return False  # nor is anything behind it taken, since the endpoint wakes us if it waits
        self._left = left
        if taken := self.taken:
            taken.append(frame)
        else:
            self.taken = [frame]
        return True

    def offer_text(self, text: str) -> int | None:
        """Take a text that comes of the chunk which is being read, and give its size in bytes. Any thread may call."""
        left = self._left
        if self.busy != here() or self.awake or self.congested or len(text) > left:
            return None  # a text that is too large is not to be encoded twice
        try:
            data = text.encode()
        except UnicodeEncodeError:
            return None  # what makes a frame of it says why not
        size = len(data)
        left -= size + MESSAGE_WEIGHT
        if left < 0:
            return None
        self._left = left
        # as framing.plain does, whose call would take a twentieth of what a lone echo costs
        packed = (SHORT_TEXT[size] if size < 126 else framing.head(Text.opcode, size)) + data
        if taken := self.taken:
            taken.append(packed)
        else:
            self.taken = [packed]
        return size

    def withdraw(self) -> list[Frame]:
        """Give back what was taken, and is not written."""
        taken, self.taken = self.taken, ()
        return [_unpacked(one) if isinstance(one, bytes) else one for one in taken]

    def wake(self) -> None:
        """Write at once, but once in a turn of the event loop; within a chunk when it is done."""
        if self.busy or self.awake or self.congested:
            self.awake = True
            return
        self.awake = True
        if self.waits or self._wrote_in == self._turns.number:
            self.write_soon()
        else:
            turns = self._turns
            self._wrote_in = turns.number
            self.flush()
            if not (turns.counting or self.closing):
                turns.count()

    def pong(self, data: bytes) -> None:
        """Answer a ping with the next write."""
        self.pongs = self.pongs or deque(maxlen=PONGS)
        self.pongs.append(data)

    def end_chunk(self, *, large: bool) -> None:
        """Write the answers to a chunk: at once if it was large, or if nobody else probably writes in this turn."""
        turns = self._turns
        if (waiting := turns.waiting) and not large:
            if not self.waits:
                self.waits = True
                waiting.append(self)
        elif large or turns.alone == id(self):
            self.flush()
        elif turns.guesses:
            turns.guesses -= 1
            turns.alone = id(self)
            self.flush()
        else:
            self.write_soon()

    def write_soon(self) -> None:
        """Write when the turn ends, as all do that have read in it: the peers' process then wakes up once."""
        if not self.waits:
            self.waits = True
            turns = self._turns
            turns.alone = turns.guesses = 0
            turns.waiting.append(self)
            if not turns.counting:
                turns.count()

    def flush(self) -> None:
        """Write all that the transport takes. If that raises, the wire is lost, and nobody here is interrupted."""
        endpoint, transport = self._endpoint, self._transport
        try:
            if endpoint is None or transport.is_closing():  # then uvloop's would raise
                return
            if self.pongs and not (self.congested or self.closing):
                transport.write(b"".join([self._pack(PONG, data) for data in self.pongs]))
                self.pongs = None
            if (taken := self.taken) and not (self.congested or self.closing):
                if len(taken) == 1 and type(text := taken[0]) is bytes:
                    self.taken, self._left = (), self._batch
                    transport.write(text)
                else:
                    self._write_taken()
            if self.awake:
                self._pull(endpoint)
        except BaseException as error:
            self._wire.fail(as_error(error, "a transport"))
            raise_fatal(error)

    def _pull(self, endpoint: Endpoint) -> None:
        """Write what the endpoint has, and what it sends meanwhile."""
        transport = self._transport
        busy, self.busy = self.busy, here()
        try:
            while self.awake and not (self.congested or self.closing or transport.is_closing()):
                self.awake = False
                frames = endpoint.take(self._batch)
                if endpoint.more:
                    self.awake = True
                if frames:
                    self._write(frames)
                    self.look_at_room()  # which these have used, too
                if self.taken:
                    self._write_taken()
        finally:
            self.busy = busy
        if self.closing and not transport.is_closing():
            self._wire.leave()

    def _write_taken(self) -> None:
        frames, self.taken = self.taken, ()
        if self._room is None:
            self._left = self._batch
        else:
            self._divide(self._left + self._more_room, self._batch)
        if self._came == MAY_BE_ALONE:
            self._came = ALONE if len(frames) == 1 else BURST
        if self.as_is and len(frames) == 1:
            frame = frames[0]
            if isinstance(frame, bytes):
                self._transport.write(frame)
                return
            if frame.weight <= BATCH:
                self._transport.write(frame.packed or _packed(frame))
                return
        self._write(frames)

    def _write(self, frames: Sequence[Any] | Close) -> None:
        """Write frames that weigh `BATCH` together at most, or are one."""
        if isinstance(frames, Close):
            self.closing = True
            code, reason = frames.args
            self._transport.write(self._pack(CLOSE, code.to_bytes(2, "big") + reason.encode()))
            return
        if (deflate := self._deflate) is not None:
            frames = [self._smaller(frame, deflate) for frame in frames]
        if self._masks:
            data = b"".join([framing.masked(frame.opcode, frame.data) for frame in frames])
        elif len(frames) > 1:
            turns = self._turns
            if turns.joined is not None and frames == turns.joined[0]:
                data = turns.joined[1]
            else:
                data = b"".join([one if type(one) is bytes else one.packed or _packed(one) for one in frames])
                if turns.joined is not None:
                    turns.joined = frames, data
        elif (first := frames[0]).weight > BATCH:
            self._transport.write(framing.head(first.opcode, len(first.data)))
            if self._transport.is_closing():
                return
            data = first.data
        else:
            data = first.packed or _packed(first)
        self._transport.write(data)

    def _smaller(self, frame: Frame, deflate: Deflater) -> Frame:
        """Give the frame that goes on the wire, and count what that saves."""
        smaller = deflate(frame)
        if smaller is not frame and (endpoint := self._endpoint) is not None:
            endpoint.counters.sent_saved += frame.weight - smaller.weight
        return smaller

    def _pack(self, opcode: int, data: bytes) -> bytes:
        return (framing.masked if self._masks else framing.plain)(opcode, data)


def _packed(frame: Frame) -> bytes:
    """Make a server's frame, and keep it for the next one who sends the same."""
    data, size = frame.data, len(frame.data)
    packed = frame.packed = (SHORT[frame.opcode][size] if size < 126 else framing.head(frame.opcode, size)) + data
    return packed


def _unpacked(packed: bytes) -> Text:
    """Give the frame of a text that is bytes already."""
    data = packed[2 if packed[1] < 126 else 4 if packed[1] == 126 else 10 :]
    return Text(data, data.decode())
