"""`async with` a socket: how leaving the block ends it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rxws.close import Close
from rxws.core.lifecycle import Lifecycle
from rxws.errors import close_for


@asynccontextmanager
async def block(life: Lifecycle) -> AsyncGenerator[None, None]:
    """Flush, close with 1000 and wait at the end; with 1011, or its `Close`, if it raises; at once if cancelled."""
    try:
        try:
            yield
            life.close(Close())
        except Close as close:
            life.close(close)
        except Exception as error:
            life.reporting.show(error)
            life.close(close_for(error))
            await life.closed
            raise
        await life.closed
    finally:
        life.give_up()
