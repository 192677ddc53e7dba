"""The messages that a hold keeps back."""

from __future__ import annotations

from typing import Final

from rxws.core.wire import MESSAGE_WEIGHT, Rest

READ_AHEAD: Final = 64 * 1024
"""Bytes of messages read during a hold, so that control frames and the peer's departure behind them are seen."""


class ReadAhead(list["str | bytes | Rest"]):
    """Messages in their order, and what they weigh: an empty list is small, and they are a thousand at most."""

    __slots__ = ("weight",)

    def __init__(self) -> None:
        super().__init__()
        self.weight = 0

    @property
    def full(self) -> bool:
        """Whether the read-ahead is used up."""
        return self.weight > READ_AHEAD

    def put(self, message: str | bytes) -> None:
        """Keep a message back."""
        self.append(message)
        self.weight += len(message) + MESSAGE_WEIGHT

    def put_back(self, rest: Rest) -> None:
        """Keep what is left of a frame, before the others."""
        self.insert(0, rest)
        self.weight += len(rest) + MESSAGE_WEIGHT

    def take(self) -> str | bytes | Rest:
        """Give the oldest one."""
        message = self.pop(0)
        self.weight -= len(message) + MESSAGE_WEIGHT
        return message
