"""What the clients share: three steps for each message, as operators and by hand, and the count."""

from __future__ import annotations

import json
import operator
from typing import Any

import msgspec
from reactivex import operators as ops


class Tick(msgspec.Struct):
    """What a typed client reads of a message."""

    symbol: str
    bid: float
    ask: float
    volume: int


class Seen:
    """What the last step gives."""

    messages = 0
    value: float = 0

    def take(self, value: float) -> None:
        self.messages += 1
        self.value = value


seen = Seen()

STEPS: dict[str, tuple[Any, ...]] = {
    "text": (ops.filter(lambda text: text[-1] == "}"), ops.map(len), ops.scan(operator.add, 0)),
    "json": (
        ops.filter(lambda tick: tick["volume"] >= 0),
        ops.map(lambda tick: (tick["bid"] + tick["ask"]) / 2),
        ops.scan(max, 0.0),
    ),
    "msgspec": (
        ops.filter(lambda tick: tick.volume >= 0),
        ops.map(lambda tick: (tick.bid + tick.ask) / 2),
        ops.scan(max, 0.0),
    ),
}
"""The steps as operators, for each kind of message; no message is filtered out."""


class ByHand:
    """The same steps by hand, from the text on."""

    def __init__(self) -> None:
        self._value: float = 0
        self._decode = msgspec.json.Decoder(Tick).decode

    def text(self, text: str) -> None:
        if text[-1] == "}":
            self._value += len(text)
            seen.take(self._value)

    def json(self, text: str) -> None:
        tick = json.loads(text)
        if tick["volume"] >= 0:
            self._value = max(self._value, (tick["bid"] + tick["ask"]) / 2)
            seen.take(self._value)

    def msgspec(self, text: str) -> None:
        tick = self._decode(text)
        if tick.volume >= 0:
            self._value = max(self._value, (tick.bid + tick.ask) / 2)
            seen.take(self._value)
