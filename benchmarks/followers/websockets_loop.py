"""websockets: `async for message in connection`."""

from __future__ import annotations

import websockets

from benchmarks.followers.common import ByHand


async def follow(url: str, kind: str) -> None:
    take = getattr(ByHand(), kind)
    async with websockets.connect(url, compression=None) as connection:
        async for message in connection:
            take(message)
