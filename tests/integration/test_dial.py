"""A connection that nobody takes."""

import asyncio
import gc
from typing import Any

import pytest
from reactivex import operators as ops

import rxws
from rxws.client.dial import Dialer
from rxws.options import Settings
from tests.integration.server import serving


async def test_aborted_connection_leaves_nothing(eventually: Any) -> None:
    """A connection that is aborted before it was used leaves nothing behind."""

    @rxws.websocket
    def handler(incoming: Any) -> Any:
        return incoming

    async with serving(handler) as server:
        dialer = Dialer(server.url, Settings())
        wire, _ = await dialer.dial()
        wire.abort()
        del wire
        await eventually(lambda: server.hub is not None and len(server.hub) == 0)
        gc.collect()  # of a response that is not closed, aiohttp complains here
        await dialer.close()


async def test_shared_token_task_that_is_cancelled() -> None:
    """Clients share a task that fetches a token; when it is cancelled, each tries again, and connects."""

    async def fetch(url: str) -> str:
        await asyncio.sleep(0.05 if fetched else 3600)
        return url

    fetched: list[str] = []
    async with serving(rxws.websocket(lambda incoming: incoming)) as server:
        shared = asyncio.create_task(fetch(server.url))

        async def url() -> str:
            return await (asyncio.shield(asyncio.create_task(fetch(server.url))) if fetched else shared)

        back_off = rxws.Backoff(initial=0.01, maximum=0.1)
        async with (
            asyncio.timeout(10),
            rxws.connect(url, reconnect=back_off) as one,
            rxws.connect(url, reconnect=back_off) as another,
        ):
            await asyncio.sleep(0.05)
            fetched.append("now")
            shared.cancel()
            for socket in (one, another):
                socket.outgoing.on_next("hello")
                assert await socket.incoming.pipe(ops.first()) == "hello"


async def test_function_that_awaits_what_was_cancelled() -> None:
    """Without `reconnect`, it is a clear error, not a cancellation of the caller."""

    async def url() -> str:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        return await future

    with pytest.raises(rxws.ConnectError, match="was cancelled") as caught:
        await rxws.connect(url)
    assert caught.value.stage == "request"
