"""In a room, one harms only itself: what a member sends closes that member, and never the others."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import websockets
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from tests.integration.server import Server, serving

BOTH_LOOPS = True
Peer = websockets.ClientConnection


@asynccontextmanager
async def joined(server: Server, number: int = 4) -> AsyncIterator[list[Peer]]:
    """Let members join, all of whom have heard from all."""
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(websockets.connect(server.url)) for _ in range(number)]
        await peers[0].send('"hello"')
        for peer in peers:
            assert await heard(peer) == "hello"
        yield peers


async def heard(peer: Peer) -> Any:
    async with asyncio.timeout(15):
        return json.loads(await peer.recv())


async def close_of(peer: Peer) -> int | None:
    async with asyncio.timeout(15):
        await peer.wait_closed()
    return peer.close_code


def chat(make: Any = lambda message: message) -> Any:
    room: Subject[Any] = Subject()

    @rxws.websocket(codec=rxws.json)
    def handler(incoming: Observable[Any]) -> Observable[Any]:
        incoming.pipe(ops.map(make)).subscribe(room.on_next)
        return room

    return handler


@pytest.mark.parametrize(
    "text",
    [r'"\ud83d"', r'{"\ude00": 1}', "1e999", "[-1e999]", "NaN", "{", "[" * 501 + "]" * 501],
    ids=["half a pair", "in a key", "too large", "too small", "NaN", "unfinished", "too deep"],
)
async def test_unsendable_text_closes_its_sender(text: str) -> None:
    """The sender gets 1007, and the others get what is said next."""
    async with serving(chat()) as server, joined(server) as (sender, *others):
        await sender.send(text)
        assert await close_of(sender) == 1007
        await others[0].send('"after"')
        assert [await heard(peer) for peer in others] == ["after"] * 3
        assert server.hub is not None
        assert (server.hub.closed_total, len(server.hub)) == ({1007: 1}, 3)


async def test_unsendable_value_closes_its_sender() -> None:
    """What a handler makes of a message may be what nobody can be sent: the others miss it, the sender gets 1011."""
    async with serving(chat(lambda m: {m} if m == "set" else m)) as server, joined(server) as (sender, *others):
        await sender.send('"set"')
        assert await close_of(sender) == 1011
        await others[0].send('"after"')
        assert [await heard(peer) for peer in others] == ["after"] * 3
        assert server.hub is not None
        assert server.hub.errors_total == {"EncodeError": 1}
