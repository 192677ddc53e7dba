"""The clients' examples, with servers on real sockets."""

import asyncio
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web

import rxws
from tests.integration.server import running, serving
from tests.streams import ended


@pytest.mark.example("client/follow_feed.py")
async def test_a_feed_is_followed_across_connections(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(example, "CUT_AFTER", 0.6)
    async with serving(example.feed) as server:
        await example.follow(server.url, seconds=3)
        assert len(server.sockets) >= 2
    lines = capsys.readouterr().out.splitlines()
    first = lines.index("Open(protocol=None, attempt=1)")
    again = lines.index("Open(protocol=None, attempt=2)")
    for part in (lines[first:again], lines[again:]):
        assert {line.split()[0] for line in part} >= {"EURUSD", "USDJPY"}
    assert any("Service Restart" in line for line in lines)


@pytest.mark.example("client/request_reply.py")
async def test_each_question_gets_its_own_answer(example: ModuleType) -> None:
    async with serving(example.calculator) as server, rxws.connect(server.url, codec=rxws.json) as socket:
        answers = await asyncio.gather(*(example.square(socket, number) for number in (9, 1, 5)))
        assert answers == [81, 1, 25]


@pytest.mark.example("client/token_renewal.py")
async def test_tokens_are_renewed_before_they_expire(example: ModuleType) -> None:
    for _ in range(3):  # a busy machine may be too late for the 300 ms before a token expires
        async with serving(example.clock) as server:
            seen: list[Any] = await example.follow(server.url, seconds=2)
        states = [type(event) for event in seen if not isinstance(event, str)]
        if rxws.Waiting not in states and states.count(rxws.Open) > 2:
            break
    assert states[:4] == [rxws.Connecting, rxws.Open, rxws.Open, rxws.Open]
    assert rxws.Waiting not in states
    tokens = {event.partition(":")[0] for event in seen if isinstance(event, str)}
    assert len(tokens) >= 3


@pytest.mark.example("client/token_renewal.py")
async def test_token_renewal_server(example: ModuleType) -> None:
    """The server of the token example refuses a stranger, and cuts the connection of an old token."""
    async with serving(example.clock) as server:
        with pytest.raises(rxws.ConnectError) as refusal:
            await rxws.connect(server.url)
        assert refusal.value.status == 401
        socket = await rxws.connect(server.url, headers=example.fetch_token)
        socket.incoming.subscribe()
        assert await ended(socket) == rxws.Close(3000, "Token expired")


@pytest.mark.example("client/merged_feeds.py")
async def test_merged_feeds_use_those_that_are_there(example: ModuleType) -> None:
    """The best of two feeds is taken from those that are there."""

    @rxws.websocket(codec=rxws.json)
    async def north(outgoing: Any) -> None:
        outgoing.on_next(90)
        await asyncio.sleep(0.3)
        raise rxws.Close(1012)

    @rxws.websocket(codec=rxws.json)
    def south(outgoing: Any) -> None:
        outgoing.on_next(100)

    app = web.Application()
    app.router.add_get("/north", north)
    app.router.add_get("/south", south)
    rxws.setup(app)
    async with running(app) as server:
        seen = await example.follow({name: f"{server.url}{name}" for name in example.EXCHANGES}, seconds=1.0)
    assert ("north", 90) in seen
    assert seen[-1] in (("south", 100), ("north", 90))
    assert ("south", 100) in seen[seen.index(("north", 90)) :]


@pytest.mark.example("recipes/exchange.py")
async def test_exchange_book_begins_anew(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A book goes on across connections, and no change is applied after one that is missing."""
    monkeypatch.setattr(example, "CUT_AFTER", 0.5)
    books: list[Any] = []
    async with serving(example.exchange) as server:
        async with rxws.connect(server.url, **example.options()) as socket:
            example.book(socket, "BTCEUR").subscribe(books.append)
            async with asyncio.timeout(10):
                while len(books) < 60:
                    await asyncio.sleep(0.01)
        assert len(server.sockets) >= 2
    sizes = [book[99.5] for book in books]
    assert sizes.count(10) >= 4  # snapshots, of connections and after gaps
    assert all(later in (10, 101, earlier + 1) for earlier, later in pairwise(sizes))


@pytest.mark.example("recipes/json_rpc.py")
async def test_json_rpc_errors(example: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    """Each kind of wrong call has the code of the specification, and a notification has no answer."""

    async def fail() -> None:
        raise KeyError("here")

    example.METHODS["fail"] = fail
    async with serving(example.rpc) as server, rxws.connect(server.url, codec=rxws.json) as socket:
        socket.outgoing.on_next({"jsonrpc": "2.0", "method": "add", "params": [1, 2]})
        assert await example.call(socket, "add", {"b": 2, "a": 1}) == 3
        socket.outgoing.on_next({"jsonrpc": "2.0", "method": "add", "id": "none"})
        assert (await socket.receive())["error"]["code"] == -32602
        wrong = [
            ("no", [], -32601),
            ("add", [1], -32602),
            ("add", {"a": 1}, -32602),
            ("add", 12, -32602),
            ("fail", [], -32603),
        ]
        for method, params, code in wrong:
            with pytest.raises(example.RpcError) as error:
                await example.call(socket, method, params)
            assert error.value.code == code
        socket.outgoing.on_next([])
        assert (await socket.receive())["error"]["code"] == -32600
    assert "fail() failed" in caplog.text


@pytest.mark.example("recipes/json_rpc.py")
async def test_json_rpc_calls_both_ways(example: ModuleType) -> None:
    """Each end counts its calls for itself: a call of the server with the same id is not the answer to ours."""

    @rxws.websocket(codec=rxws.json)
    async def server(socket: rxws.WebSocket[Any, Any]) -> None:
        async for asked in socket:
            await socket.send({"jsonrpc": "2.0", "id": asked["id"], "method": "who", "params": []})
            await socket.send({"jsonrpc": "2.0", "id": asked["id"], "result": "done"})

    async with serving(server) as there, rxws.connect(there.url, codec=rxws.json) as socket:
        assert await example.call(socket, "start") == "done"


@pytest.mark.example("recipes/mqtt.py")
@pytest.mark.parametrize("length", [b"\x81\x80\x04", b"\xff\xff\xff\xff"], ids=["too long", "without an end"])
async def test_an_mqtt_packet_of_a_wrong_length_is_the_end(example: ModuleType, length: bytes) -> None:
    """Nothing tells where the next packet begins, so the socket closes, and what has come is not kept for it."""

    @rxws.websocket(protocols=["mqtt"])
    async def broker(socket: rxws.WebSocket[str | bytes, str | bytes]) -> None:
        await socket.send(b"\x30" + length)
        await socket.receive()

    async with serving(broker) as server:
        errors: list[Exception] = []
        async with rxws.connect(
            server.url, protocols=["mqtt"], codec=example.Mqtt, reconnect=rxws.Backoff(initial=0.01)
        ) as socket:
            socket.errors.subscribe(errors.append)
            socket.incoming.subscribe()
            close = await ended(socket)
    assert (close.code, close.reason.startswith("a packet of ")) == (1009, True)
    assert not errors
