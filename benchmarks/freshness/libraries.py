"""Readers that are programs with a real library, as a check of the plain one: reads what to read as JSON, as that does.

The program takes a message, and then sleeps as long as that takes at its rate. aiohttp answers a ping when the program
has come to it, websockets when it has parsed it, up to 16 messages ahead.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import websockets

STAMP = slice(6, 24)


@asynccontextmanager
async def aiohttp_messages(url: str) -> AsyncIterator[AsyncIterator[str]]:
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
        yield (message.data async for message in ws)


@asynccontextmanager
async def websockets_messages(url: str) -> AsyncIterator[AsyncIterator[Any]]:
    async with websockets.connect(url, compression=None) as ws:
        yield aiter(ws)


LIBRARIES = {"aiohttp": aiohttp_messages, "websockets": websockets_messages}


async def read(task: dict[str, Any]) -> dict[str, Any]:
    [(rate, seconds)] = task["phases"]
    taken, messages = 0, []
    async with LIBRARIES[task["library"]](f"ws://127.0.0.1:{task['port']}{task['path']}") as source:
        began = free = time.monotonic()
        async for message in source:
            now = time.monotonic()
            if now - began > seconds:
                break
            messages.append((now - began, now - float(message[STAMP])))
            taken += len(message)
            free = max(free, now - 0.02) + len(message) / rate
            if free > now:
                await asyncio.sleep(free - now)
    return {"messages": messages, "bytes": taken}


async def main() -> None:
    json.dump(await asyncio.gather(*map(read, json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
