"""In a room, one harms only itself: what a member sends closes that member, and never the others."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
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


def through_a_subject(make: Any = lambda message: message) -> Any:
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
    async with serving(through_a_subject()) as server, joined(server) as (sender, *others):
        await sender.send(text)
        assert await close_of(sender) == 1007
        await others[0].send('"after"')
        assert [await heard(peer) for peer in others] == ["after"] * 3
        assert server.hub is not None
        assert (server.hub.closed_total, len(server.hub)) == ({1007: 1}, 3)


async def test_unsendable_value_closes_its_sender() -> None:
    """What a handler makes of a message may be what nobody can be sent: the others miss it, the sender gets 1011."""
    async with (
        serving(through_a_subject(lambda m: {m} if m == "set" else m)) as server,
        joined(server) as (sender, *others),
    ):
        await sender.send('"set"')
        assert await close_of(sender) == 1011
        await others[0].send('"after"')
        assert [await heard(peer) for peer in others] == ["after"] * 3
        assert server.hub is not None
        assert server.hub.errors_total == {"EncodeError": 1}


def documented_chat(rooms: rxws.Rooms[Any]) -> Any:
    """The chat of docs/handlers.md, in rooms of this test's."""
    text = (Path(__file__).parents[2] / "docs/handlers.md").read_text()
    program = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "rxws.Rooms()" in block)
    names: dict[str, Any] = {}
    exec(program, names)
    names["chat"].__wrapped__.__globals__["rooms"] = rooms
    return names["chat"]


@asynccontextmanager
async def chatting(names: str) -> AsyncIterator[tuple[Server, rxws.Rooms[Any], list[Peer]]]:
    """Serve the documented chat to members with these names, who have heard each other join the room."""
    rooms: rxws.Rooms[Any] = rxws.Rooms()
    app = web.Application()
    app.router.add_get("/rooms/{room}", documented_chat(rooms))
    async with serving(app=app) as server, AsyncExitStack() as stack:
        peers: list[Peer] = []
        for name in names:
            peers.append(await stack.enter_async_context(websockets.connect(f"{server.url}rooms/tea?name={name}")))
            for peer in peers[:-1]:
                assert await heard(peer) == {"from": name, "text": "joined"}
        yield server, rooms, peers


async def leaves(peer: Peer) -> None:
    await peer.close()


async def is_cut(peer: Peer) -> None:
    peer.transport.abort()


async def breaks_the_protocol(peer: Peer) -> None:
    peer.transport.write(b"\xff\xff")


async def sends_half_a_pair(peer: Peer) -> None:
    await peer.send(r'"\ud83d"')


async def sends_too_large_a_number(peer: Peer) -> None:
    await peer.send("1e999")


@pytest.mark.parametrize("leave", [leaves, is_cut, breaks_the_protocol, sends_half_a_pair, sends_too_large_a_number])
async def test_readme_chat_outlives_its_members(leave: Any, eventually: Any) -> None:
    """However the first member goes, the others hear it leave, and hear each other; the room goes with the last."""
    async with chatting("abc") as (server, rooms, (first, *others)):
        await leave(first)
        for peer in others:
            assert await heard(peer) == {"from": "a", "text": "left"}
        await others[0].send('"still here"')
        for peer in others:
            assert await heard(peer) == {"from": "b", "text": "still here"}
        assert list(rooms) == ["tea"]
        for peer in others:
            await peer.close()
            assert peer.close_code == 1000
        await eventually(lambda: len(rooms) == 0)
        assert server.hub is not None
        assert len(server.hub) == 0


async def test_strangers_who_name_rooms_cost_nothing(eventually: Any) -> None:
    """A thousand names that were asked for are not there when those who asked have left."""
    async with chatting("") as (server, rooms, _), aiohttp.ClientSession() as session:

        async def visit(number: int) -> None:
            async with session.ws_connect(f"{server.url}rooms/{number}") as ws:
                await ws.send_str('"anybody?"')

        for batch in range(0, 1000, 50):
            await asyncio.gather(*(visit(number) for number in range(batch, batch + 50)))
        await eventually(lambda: len(rooms) == 0)
        assert server.hub is not None
        assert server.hub.opened_total == 1000


async def test_thread_speaks_in_a_room(eventually: Any) -> None:
    """A thread of the application's speaks in a room, in its order."""
    async with chatting("ab") as (_, rooms, peers):
        thread = threading.Thread(target=lambda: [rooms["tea"].on_next(number) for number in range(100)])
        thread.start()
        for peer in peers:
            assert [await heard(peer) for _ in range(100)] == list(range(100))
        thread.join()
