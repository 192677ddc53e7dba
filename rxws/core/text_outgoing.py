"""The messages to the peer where the wire has a place for a text: no frame is made then."""

from __future__ import annotations

from typing import Any, TypeVar

from rxws.close import Close
from rxws.core.outgoing import Outgoing
from rxws.rx.loop_thread import here

T = TypeVar("T")


class TextOutgoing(Outgoing[T]):
    """`outgoing` of a socket whose codec is `rxws.codecs.text`, on a `TextWire`."""

    def on_next(self, value: T | Close) -> None:
        """Send a message, or close with a `Close`."""
        wire: Any = self._wire  # a TextWire
        if (
            wire is None  # which another thread may see at any time
            or self._offer_text is None
            or type(value) is not str
            or wire.answer is not None
            or wire.place != here()
            or not value.isascii()  # its length in bytes would not be known
        ):
            super().on_next(value)
            return
        wire.answer = value  # nothing waits: the wire would have been told
        counters = self._counters
        counters.sent += 1
        counters.sent_bytes += len(value)
