"""What ring-websocket-async's own tests show, here."""

from typing import Any

import websockets
from reactivex import Observable
from reactivex.subject import Subject

import rxws
from tests.integration.server import serving


async def test_messages_in_and_out_in_order() -> None:
    @rxws.websocket
    def handler(incoming: Observable[str], outgoing: Subject[Any]) -> None:
        incoming.subscribe(outgoing)

    async with serving(handler) as server, websockets.connect(server.url) as client:
        for message in ("first", "second", "third"):
            await client.send(message)
        assert [await client.recv() for _ in range(3)] == ["first", "second", "third"]


async def test_error_stream_or_1011() -> None:
    """Errors come on the error stream, and close with 1011 when no handler asks for it."""
    seen: list[Exception] = []

    def fail(_: str) -> None:
        raise ValueError("failed")

    @rxws.websocket
    def asked_for(incoming: Observable[str], outgoing: Subject[str], errors: Observable[Exception]) -> None:
        errors.subscribe(lambda error: (seen.append(error), outgoing.on_next(f"error: {error}")))
        incoming.subscribe(fail)

    @rxws.websocket
    def not_asked_for(incoming: Observable[str]) -> None:
        incoming.subscribe(fail)

    async with serving(asked_for) as server, websockets.connect(server.url) as client:
        await client.send("a")
        assert await client.recv() == "error: failed"
        assert [type(error) for error in seen] == [ValueError]
    async with serving(not_asked_for) as server, websockets.connect(server.url) as client:
        await client.send("a")
        await client.wait_closed()
        assert (client.close_code, client.close_reason) == (1011, "Unexpected Error")


async def test_a_custom_close_code_and_reason() -> None:
    @rxws.websocket
    def handler(outgoing: Subject[Any]) -> None:
        outgoing.on_next("last words")
        outgoing.on_next(rxws.Close(4321, "custom reason"))

    async with serving(handler) as server, websockets.connect(server.url) as client:
        assert await client.recv() == "last words"
        await client.wait_closed()
        assert (client.close_code, client.close_reason) == (4321, "custom reason")
