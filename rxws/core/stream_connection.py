"""A connection whose frames and messages are not one to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from rxws.close import Close
from rxws.codecs import Codec, Streamed
from rxws.core.connection import LEAVING, OPEN, RETIRING, Connection
from rxws.core.encoding import split
from rxws.core.wire import Frame, Rest
from rxws.rx.foreign import call

MESSAGES_AT_ONCE: Final = 16
"""Messages of a frame that are handed on before the wire decides whose turn it is; then one at a time."""


class StreamConnection(Connection):
    """Speaks in a `StreamCodec`'s frames; all else is as of `Connection`.

    A frame's messages are made one by one. While reading is held, or when others are to have their turn, the wire has
    what is left of it, with what it has read ahead. For `message_rate` a frame counts as the messages that it has, but
    as one at least.

    Memory: one frame, which is not all handed on.
    """

    __slots__ = ("_rest",)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.offer = None  # a message may be several frames
        self._rest: Rest | None = None  # what the wire has

    def _decoder(self, codec: Codec[Any, Any]) -> Callable[[Any], Any]:
        return cast("Streamed", codec).messages

    def take(self, limit: int) -> Sequence[Frame] | Close:
        """Give the wire the next frames."""
        items = super().take(limit)
        return items if isinstance(items, Close) else [frame for item in items for frame in split(item)]

    def message_received(self, data: Any) -> None:
        """Count a frame, and emit its messages; or go on with what was put back."""
        if isinstance(data, Rest):
            self._rest = None
            if self._listens:
                self._hand_on(data, 1)
            else:
                self._drop(data)
            return
        if not self._listens:
            return
        counters = self.counters
        counters.received_bytes += len(data) if type(data) is bytes or data.isascii() else len(data.encode())
        self.sign_of_life()
        if not self._admits():
            return
        assert self._decode is not None
        try:
            rest = Rest(data, self._decode(data))  # Streamed.messages
        except BaseException as cause:
            counters.received += 1
            self.refuse_message(data, cause)
            return
        if self._advance(rest):
            self._hand_on(rest, MESSAGES_AT_ONCE)

    def connection_lost(self, error: BaseException | None) -> None:
        """End; nothing is left of a frame."""
        rest, self._rest = self._rest, None
        try:
            if rest is not None:
                self._drop(rest)
        finally:
            super().connection_lost(error)

    @property
    def _listens(self) -> bool:
        return self.phase is OPEN or self.phase is RETIRING or self.phase is LEAVING

    def _admits(self) -> bool:
        if self._message_bucket is None or self._message_bucket.admits(self._loop.time()):
            return True
        self.refuse_flood()
        return False

    def _hand_on(self, rest: Rest, limit: int) -> None:
        """Emit a frame's next messages, at most `limit`; the wire gets the rest, whatever a subscriber raises."""
        while limit:
            limit -= 1
            self.counters.received += 1
            raised = True
            try:
                self.emit(rest.message)
                raised = False
            finally:
                if not self._listens:
                    self._drop(rest)
                    limit = 0
                elif not self._advance(rest):
                    limit = 0
                elif not self._admits():
                    self._drop(rest)
                    limit = 0
                elif raised or not limit or self._owner.held:
                    self._rest = rest
                    self.wire.put_back(rest)
                    limit = 0

    def _advance(self, rest: Rest) -> bool:
        """Make a frame's next message; report what the codec raises instead."""
        try:
            return rest.advance()
        except BaseException as cause:
            self.counters.received += 1
            self.refuse_message(rest.data, cause)
            return False

    def _drop(self, rest: Rest) -> None:
        """End the codec's work on a frame that nobody wants now."""
        call(self._owner.report, "a codec", rest.close)
