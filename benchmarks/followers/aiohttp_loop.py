"""What one writes by hand: `async for message in ws`."""

from __future__ import annotations

import aiohttp

from benchmarks.followers.common import ByHand


async def follow(url: str, kind: str) -> None:
    take = getattr(ByHand(), kind)
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                take(message.data)
