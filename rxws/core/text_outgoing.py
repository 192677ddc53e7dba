"""The messages to the peer where the wire sends text as it is: no frame is made then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rxws.close import Close
from rxws.codecs import Codec
from rxws.core.outgoing import Outgoing
from rxws.core.wire import Frame, TextWire, Wire
from rxws.rx.loop_thread import running_loop

T = TypeVar("T")


class TextOutgoing(Outgoing[T]):
    """`outgoing` of a socket whose codec is `rxws.codecs.text`, on a `TextWire`."""

    _text_wire: Any = None  # the TextWire of the connection

    def on_next(self, value: T | Close) -> None:
        """Send a message, or close with a `Close`."""
        if (
            self._offer_at_once is None
            or type(value) is not str
            or running_loop() is not self._loop
            or not value.isascii()  # else its length in bytes would not be known
        ):
            super().on_next(value)
            return
        wire: TextWire = self._text_wire
        if wire.answer is None:
            wire.answer = value  # nothing waits: it would have been told so
        elif self._buffer.weight or not wire.offer_text(value):
            super().on_next(value)
            return
        counters = self._counters
        counters.sent += 1
        counters.sent_bytes += len(value)

    def connected(self, codec: Codec[Any, Any], wire: Wire, offer: Callable[[Frame], bool] | None) -> None:
        """Record the connection."""
        self._text_wire = wire
        super().connected(codec, wire, offer)

    def detach(self) -> None:
        """Forget the socket, which has ended, and has this."""
        self._text_wire = None
        super().detach()
