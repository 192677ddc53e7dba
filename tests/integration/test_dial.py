"""A connection that nobody takes."""

import gc
from typing import Any

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
