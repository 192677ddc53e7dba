"""What a socket needs from a transport, and what a transport needs from a socket.

The socket never awaits its wire and the wire never buffers messages: the wire *pushes* what it reads into its
`Endpoint`, and *pulls* what it may write from it. So there is one buffer (the socket's `outgoing`), one writer
(the wire), and a new transport is one new module.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextvars import Context
from typing import Any, Final, Protocol, cast

from rxws.close import Close
from rxws.core.phases import Phased, WirePhase
from rxws.stats import Counters

MESSAGE_WEIGHT: Final = 64
"""What a message weighs besides its bytes, about its cost as Python objects: empty ones are bounded too."""

THE_END: Final = object()
"""What stands for the end of a frame's messages."""

NO_COPY: Final = object()
"""What is there in place of a copy of a message."""

AS_IT_CAME: Final = object()
"""What stands, among compressors, for the peer that has compressed a message which is sent on."""


class Frame:
    """A frame to write: its payload, and the message it was made of."""

    __slots__ = ("data", "deflated", "message", "packed", "weight")
    __match_args__ = ("data",)
    opcode: int
    expires: float | None = None
    """The event loop's time after which it is not sent."""
    connection: object | None = None
    """The only connection that it is for."""
    copy: Any = NO_COPY
    """The message as it was when it was encoded, if that cannot be told from the payload."""
    lost: Callable[[Exception], object] | None = None
    """Called with the reason if it is not delivered."""
    parts: tuple[tuple[type[Frame], int], ...] = ()
    """Of a message of several frames their kinds and sizes; `data` has them one behind the other."""
    plain = False
    """Whether it goes as it is, even where messages are compressed."""

    def __init__(self, data: bytes, message: Any = None) -> None:
        self.data = data
        self.message = message
        self.weight = len(data) + MESSAGE_WEIGHT
        """What it counts against `max_buffered`."""
        self.packed: bytes | None = None
        """What a server's wire has made of it, for the next one who sends the same."""
        self.deflated: dict[object, Any] | None = None
        """What compressors have made of it, for the same reason."""


class Text(Frame):
    """A text message, encoded as UTF-8."""

    __slots__ = ()
    opcode = 1


class Binary(Frame):
    """A binary message."""

    __slots__ = ()
    opcode = 2


class Several(Binary):
    """A message of several frames, which leave in order, with nothing between them."""

    __slots__ = ("frames", "parts")

    def __init__(self, frames: Sequence[Frame], message: Any) -> None:
        super().__init__(b"".join([frame.data for frame in frames]), message)
        self.frames: list[Frame] | None = None
        """They themselves, once it has gone to anyone: each is compressed and packed once for all."""
        self.parts = tuple([(type(frame), len(frame.data)) for frame in frames])
        self.weight = sum(frame.weight for frame in frames)


class Unmade(Binary):
    """A message that waits for a codec, which is made with the connection; `copy` is what the message is now."""

    __slots__ = ("copy",)

    def __init__(self, message: Any, copy: Any, weight: int) -> None:
        super().__init__(b"", message)
        self.copy = copy
        self.weight = weight


class Limited(Frame):
    """A message that is for one connection alone, or for some time, or whose fate a caller asks about."""

    __slots__ = ("connection", "copy", "expires", "lost", "opcode", "parts", "plain")

    def __init__(self, frame: Frame, *, connection: object | None = None, expires: float | None = None) -> None:
        super().__init__(frame.data, frame.message)
        self.opcode = frame.opcode
        self.connection = connection
        self.copy = frame.copy
        self.expires = expires
        self.lost = frame.lost
        self.parts = frame.parts
        self.plain = frame.plain
        self.weight = frame.weight


class PlainText(Text):
    """A text message that goes as it is."""

    __slots__ = ()
    plain = True


class PlainBinary(Binary):
    """A binary message that goes as it is."""

    __slots__ = ()
    plain = True


class Ping(Frame):
    """A ping of our own; the peer's pong comes back with the same data (RFC 6455, section 5.5.2)."""

    __slots__ = ()
    opcode = 9


class Rest:
    """What is left of a frame that has several messages: the next one, and what makes the others."""

    __slots__ = ("_others", "data", "message")

    def __init__(self, data: str | bytes, messages: Iterable[Any]) -> None:
        self.data = data
        """The frame."""
        self.message: Any = None
        self._others = iter(messages)

    def __len__(self) -> int:
        return len(self.data)

    def advance(self) -> bool:
        """Make the next message, and tell whether there is one; raises what the codec does."""
        message = next(self._others, THE_END)
        if message is THE_END:
            return False
        self.message = message
        return True

    def close(self) -> None:
        """Stop making them; raises what a generator does."""
        others, self._others = self._others, iter(())
        if isinstance(others, Generator):
            cast("Generator[Any]", others).close()


class Endpoint(Protocol):
    """The socket, as its wire sees it. All calls come from the event loop's thread."""

    context: Context
    """Where messages are handed on: the socket is their source in it."""

    more: bool
    """Whether there is more to take, after `take`."""

    counters: Counters
    """Where the wire counts what compression has kept off it, and what it emits itself."""

    as_it_comes: bool
    """Whether there is nothing to do with a message but to count it and to `emit` it: a wire may do that itself.

    `message_received` always may be called.
    """

    def emit(self, message: str | bytes, /) -> object:
        """Emit a message."""
        ...

    def take(self, limit: int) -> Sequence[Frame] | Close:
        """Give up the next frames to write: they weigh `limit` at most, or are one, or there are none now.

        Nothing follows a `Close`.
        """
        ...

    def message_received(self, data: str | bytes | Rest) -> None:
        """Take a whole data message: `str` of a text one, `bytes` of a binary one; or what it has `put_back`."""

    def part_received(self) -> None:
        """Note that bytes have come of a message that is not whole; `unfinished` tells since when."""

    def relieved(self) -> None:
        """Note that a congested transport has room again; `take` comes after it."""

    def ping_received(self) -> None:
        """Note a ping of the peer's; the wire answers it."""

    def pong_received(self, data: bytes) -> None:
        """Take a pong."""

    def close_received(self, close: Close) -> None:
        """Take the peer's close frame; the wire reads nothing after it. `take` then gives the answer."""

    def protocol_violated(self, error: Exception, close: Close) -> None:
        """Take a violation by the peer; the wire reads nothing after it. `take` then gives the `Close`."""

    def transport_lost(self) -> None:
        """Note that nothing more can be sent, while messages that came before wait; once or more often.

        `connection_lost` follows when they are delivered. They need not wait for what cannot be sent.
        """

    def connection_lost(self, error: BaseException | None) -> None:
        """Take the end of the transport, the last call, once, and never from within a call of the socket's."""


class Wire(Protocol):
    """A transport that speaks WebSocket, as its socket sees it. No call blocks; `wake` alone may call back at once."""

    phase: WirePhase
    """What it does with what the peer sends."""

    @property
    def can_ping(self) -> bool:
        """Whether pings of ours can go, and their answers come; where they cannot, a `Ping` is dropped."""
        ...

    @property
    def remote(self) -> str | None:
        """The peer's address."""
        ...

    @property
    def congested(self) -> bool:
        """Whether the transport is full for now: the peer reads slower than we write."""
        ...

    @property
    def blind(self) -> bool:
        """Whether a hold keeps the wire from seeing control frames: it has read ahead as far as it may."""
        ...

    @property
    def unread(self) -> int:
        """Messages that wait because of a hold, as far as the wire has read ahead."""
        ...

    @property
    def unfinished(self) -> float | None:
        """Since when, in the event loop's time, a message is on its way that is not whole; `None` if none is.

        Time in which the wire is `blind` does not count.
        """
        ...

    def start(self, endpoint: Endpoint) -> None:
        """Begin to read and write."""

    def wake(self) -> None:
        """Say that `take` has something; the wire takes it as soon as the transport has room, which may be at once."""

    def offer(self, frame: Frame) -> bool:
        """Take a message past `take`, and say so; or refuse it, since something is to go before it."""
        ...

    @property
    def offer_text(self) -> Callable[[str], int | None] | None:
        """What takes a text of the `text` codec as `offer` does a frame; `None` on a wire that makes frames of all.

        It gives the size in bytes, or `None` for a refusal; then `offer` may still take the frame. Any thread may call
        it, and is refused outside of the event loop.
        """
        ...

    def offer_within(self, room: Callable[[bool], int]) -> bool:
        """Have `offer` take only what there is `room` for: bytes, or one message that weighs more; 0 for none.

        `room` is told whether what is taken now leaves later, with what follows; then it may offer a frame to go
        before that. Return whether `offer` does so; if not, nothing may be offered.
        """
        ...

    def look_at_room(self) -> None:
        """Have `offer` ask for `room` before it takes anything: there may be less."""

    def withdraw(self) -> list[Frame]:
        """Give back what `offer` and `offer_text` have taken, and is not written yet."""
        ...

    def flush(self) -> None:
        """Take now what would have been taken soon, if the transport has room."""

    def keep_fresh(self, wanted: bool) -> None:
        """Keep as little as possible between `take` and the peer, or no longer: then the endpoint bounds that."""

    def put_back(self, rest: Rest) -> None:
        """Take back, within `message_received`, what is left of a frame: it comes next, in a turn of its own."""

    def hold(self) -> None:
        """Stop delivering messages until `resume`. Control frames and the connection's end still come."""

    def resume(self) -> None:
        """End a hold."""

    def ignore(self) -> None:
        """Drop what the peer sends from now on; after the close frame, wait for it to leave."""

    def abort(self) -> None:
        """Drop the connection at once, with all that was not sent; `connection_lost` follows soon."""


class PlainWire(Phased):
    """A wire to which messages go through `take` alone."""

    __slots__ = ()
    can_ping = True
    offer_text: Any = None

    def offer(self, frame: Frame) -> bool:
        """Refuse it."""
        return False

    def offer_within(self, room: Callable[[bool], int]) -> bool:
        """Tell that it does not."""
        return False

    def look_at_room(self) -> None:
        """Do nothing: nothing goes past `take` then."""

    def withdraw(self) -> list[Frame]:
        """Give back nothing: nothing was taken."""
        return []

    def flush(self) -> None:
        """Do nothing: nothing was taken."""


class TextWire(PlainWire):
    """A wire that has a place for a text."""

    __slots__ = ()
    answer: object
    """Where ASCII text goes that comes of the message which is being handed on, while it is `None`: nothing waits then.

    The wire sends it when it has handed on that message.
    """
    place: object
    """What `here()` is where that message is handed on: other threads send in another way."""


def close_received(endpoint: Endpoint, code: int | None, reason: str) -> None:
    """Tell the endpoint of the peer's close frame, or of a violation: a code that no frame may carry."""
    try:
        if code in (1005, 1006):
            raise ValueError(f"the peer's close frame has the code {code}, which no frame may carry")
        endpoint.close_received(Close.received(code or 1005, reason))
    except ValueError as error:
        endpoint.protocol_violated(error, Close(1002))
