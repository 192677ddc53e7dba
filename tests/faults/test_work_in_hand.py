"""Work in hand is finished, over real sockets: orders that are sent and left, a shutdown, a block that is cancelled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from reactivex import Observable

import rxws
from rxws import operators as rxops
from tests.integration.raw import TEXT, Raw, raw
from tests.integration.server import running, serving
from tests.streams import ended

BOTH_LOOPS = True
Eventually = Callable[..., Any]


class Shop:
    """Books orders; each takes some time."""

    def __init__(self, seconds: float = 0.1) -> None:
        self.seconds = seconds
        self.booked: list[str] = []
        self.log: list[str] = []

    async def book(self, order: str) -> str:
        await asyncio.sleep(self.seconds)
        self.booked.append(order)
        return order

    @rxws.websocket
    async def loops(self, socket: Any) -> None:
        try:
            async for order in socket:
                await self.book(order)
        finally:
            await asyncio.sleep(0.1)
            self.log.append("offline")

    @rxws.websocket
    async def generates(self, socket: Any) -> AsyncIterator[str]:
        try:
            async for order in socket:
                yield await self.book(order)
        finally:
            await asyncio.sleep(0.1)
            self.log.append("offline")

    @rxws.websocket
    def maps(self, incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(rxops.map_async(self.book))

    @rxws.websocket
    def maps_by_hand(self, incoming: Observable[str], outgoing: Any) -> None:
        incoming.pipe(rxops.map_async(self.book)).subscribe(outgoing)


def closes(peer: Raw) -> None:
    peer.send_close(1000)


def half_closes(peer: Raw) -> None:
    peer.writer.write_eof()


def closes_and_leaves(peer: Raw) -> None:
    peer.send_close(1000)
    peer.writer.close()


LEAVE = [closes, half_closes, closes_and_leaves]


@pytest.mark.parametrize("leave", LEAVE, ids=lambda leave: leave.__name__)
@pytest.mark.parametrize("form", ["loops", "generates", "maps", "maps_by_hand"])
async def test_three_orders_are_booked(form: str, leave: Callable[[Raw], None], eventually: Eventually) -> None:
    """A peer sends three orders and leaves at once: all are booked, and the clean-up awaits to its end."""
    shop = Shop()
    async with serving(getattr(shop, form)) as server:
        async with raw(server.port) as peer:
            for order in ("a", "b", "c"):
                peer.send(TEXT, order.encode())
            await peer.writer.drain()
            leave(peer)
            await eventually(lambda: shop.booked == ["a", "b", "c"])
            if not form.startswith("maps"):
                await eventually(lambda: shop.log == ["offline"])
        await ended(server.sockets[0])


@pytest.mark.parametrize("form", ["loops", "generates", "maps", "maps_by_hand"])
async def test_shutdown_finishes_work_before_clean_up(form: str, eventually: Eventually) -> None:
    """At shutdown, handlers and pipelines finish what they have in hand before the application cleans up."""
    shop = Shop(0.3)
    app = web.Application()
    hub = rxws.setup(app)
    app.router.add_get("/", getattr(shop, form))

    async def clean_up(_: web.Application) -> None:
        assert shop.booked == ["a"]
        shop.log.append("cleaned up")

    app.on_cleanup.append(clean_up)
    async with running(app, hub) as server:
        connection = raw(server.port)
        peer = await connection.__aenter__()
        peer.send(TEXT, b"a")
        await eventually(lambda: server.sockets and server.sockets[0].stats.received)
    assert (shop.booked, shop.log[-1]) == (["a"], "cleaned up")
    assert form.startswith("maps") or shop.log[0] == "offline"
    assert (await peer.receive_close())[0] == 1001
    await connection.__aexit__(None, None, None)


async def test_shutdown_cuts_what_takes_too_long(eventually: Eventually) -> None:
    """After `shutdown_timeout` what still works is cut: a shutdown has an end."""
    shop = Shop(30)
    began = time.monotonic()
    async with serving(shop.loops, shutdown_timeout=0.2) as server, raw(server.port) as peer:
        peer.send(TEXT, b"a")
        await eventually(lambda: server.sockets and server.sockets[0].stats.received)
    assert shop.booked == []
    assert time.monotonic() - began < 3


async def test_cancelled_block_does_not_wait(eventually: Eventually) -> None:
    """A timeout around a `connect` block whose reader is slow ends it on time, with messages waiting."""

    @rxws.websocket
    def handler(outgoing: Any) -> None:
        for number in range(3):
            outgoing.on_next(str(number))

    async def follow(url: str) -> None:
        async with asyncio.timeout(0.5), rxws.connect(url) as socket:
            async for _ in socket:
                await asyncio.sleep(30)

    async with serving(handler) as server:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await follow(server.url)
        assert time.monotonic() - began < 4
        await eventually(lambda: len(server.hub or ()) == 0)


async def test_handlers_that_share_a_task(eventually: Eventually) -> None:
    """One peer of three leaves: the task that their handlers share goes on, and the others stay open."""
    shared: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(30))

    @rxws.websocket(close_timeout=0.2)
    async def handler(socket: Any) -> None:
        await asyncio.shield(shared)

    async with serving(handler) as server, raw(server.port) as one, raw(server.port) as another:
        async with raw(server.port) as leaver:
            await eventually(lambda: len(server.sockets) == 3)
            leaver.send_close()
            await leaver.receive_close()
        await asyncio.sleep(0.5)
        assert len(server.hub or ()) == 2
        shared.cancel()
        assert (await one.receive_close())[0] == 1011
        assert (await another.receive_close())[0] == 1011
