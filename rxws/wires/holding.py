"""What a hold is to a wire whose reader is a task: it reads ahead for a while, then it waits."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, cast

from rxws.core.phases import WirePhase
from rxws.core.wire import Endpoint, PlainWire, Rest
from rxws.wires.read_ahead import ReadAhead

DELIVERIES_A_TURN: Final = 64
"""Messages that were read ahead after which others have their turn."""


class HoldingWire(PlainWire):
    """A wire that is read by a task, which gives each message to `_receive`.

    During a hold messages are read ahead, so that control frames and the peer's departure behind them are seen. When
    `READ_AHEAD` bytes wait the task waits, too, and the wire is `blind`.
    """

    __slots__ = ("_close_timeout", "_delivers", "_endpoint", "_held", "_read_ahead", "_space", "blind", "phase")

    def __init__(self, close_timeout: float) -> None:
        self.phase = WirePhase.NEW
        self.blind = False
        self._close_timeout = close_timeout
        self._read_ahead = ReadAhead()
        self._held = False
        self._delivers = False  # soon, what was read ahead
        self._space: asyncio.Future[None] | None = None  # what the task waits for, if it does
        self._endpoint: Endpoint = cast("Endpoint", None)

    @property
    def unread(self) -> int:
        """Messages that a hold keeps back."""
        return len(self._read_ahead)

    def put_back(self, rest: Rest) -> None:
        """Deliver it soon, before what is read ahead."""
        self._read_ahead.put_back(rest)
        self._deliver_soon()

    def hold(self) -> None:
        """Read ahead, and stop reading when the read-ahead is used up."""
        self._held = True

    def resume(self) -> None:
        """Deliver what was read ahead, soon."""
        self._held = False
        self._deliver_soon()

    def _receive(self, data: str | bytes) -> None:
        """Hand on a message, or keep it until it may be handed on."""
        if self._held or self._read_ahead:
            self._read_ahead.put(data)
        else:
            self._endpoint.message_received(data)

    async def _wait_for_space(self) -> None:
        """Read nothing until the read-ahead is used up."""
        self.blind = True
        await self._until_space()
        self.blind = False

    async def _until_space(self) -> None:
        self._space = asyncio.get_running_loop().create_future()
        await self._space

    def _wait_no_more(self) -> None:
        """Let the task go on that waits for space, if it does."""
        if self._space is not None and not self._space.done():
            self._space.set_result(None)

    def _deliver_soon(self) -> None:
        if not self._delivers:
            self._delivers = True
            asyncio.get_running_loop().call_soon(self._deliver, context=self._endpoint.context)

    def _deliver(self) -> None:
        self._delivers = False
        for _ in range(DELIVERIES_A_TURN):
            if not self._read_ahead or self._held or self.phase is WirePhase.LOST:
                break
            self._endpoint.message_received(self._read_ahead.take())
        else:
            self._deliver_soon()
        if not self._read_ahead:
            self._wait_no_more()

    async def _delivered(self, *, lost: bool = False) -> None:
        """Wait until what was read ahead is delivered: the end must not overtake it, nor wait forever."""
        if lost and self._read_ahead:
            self._endpoint.transport_lost()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._close_timeout):
                while self._read_ahead:
                    await self._until_space()
