"""Each example, with clients that nobody here wrote."""

import asyncio
import contextlib
import json
import logging
from types import ModuleType
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families as parse_metrics
from websockets.asyncio.client import ClientConnection

import rxws
from tests.integration.server import running, serving


async def heard(client: ClientConnection) -> Any:
    return json.loads(await asyncio.wait_for(client.recv(), 5))


async def end(client: ClientConnection) -> tuple[list[str | bytes], int | None, str | None]:
    """All that comes until the end, and how it ends."""
    messages: list[str | bytes] = []
    with contextlib.suppress(websockets.ConnectionClosedError):  # any code but 1000 and 1001
        async with asyncio.timeout(5):
            async for message in client:
                messages.append(message)
    return messages, client.close_code, client.close_reason


@pytest.mark.example("echo.py")
async def test_echo_sends_back_what_came_as_it_came(example: ModuleType) -> None:
    async with running(example.make_app()) as server, websockets.connect(f"{server.url}echo") as client:
        for message in ("hello", b"\x00\x01", "", "é"):
            await client.send(message)
            assert await client.recv() == message


@pytest.mark.example("shout.py")
async def test_shout(example: ModuleType) -> None:
    """Shout greets, shouts, skips what is repeated or binary, and ends at "bye"."""
    async with running(example.make_app()) as server, websockets.connect(f"{server.url}shout") as client:
        for message in ("one", "one", b"two", "three", "bye", "four"):
            await client.send(message)
        assert await end(client) == (["Say something!", "ONE", "THREE"], 1000, "")


@pytest.mark.example("close_codes.py")
async def test_guessing_ends_with_a_code_of_its_own(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guess is answered, and each end of the game has a code of its own."""
    monkeypatch.setattr(example.random, "randint", lambda low, high: 5)
    ends = {
        ("4", "5"): (["higher"], 4000, "You win"),
        ("nine",): ([], 4001, "That is not a number"),
        ("1", "9", "2"): (["higher", "lower", "higher"], 4002, "It was 5"),
    }
    async with running(example.make_app()) as server:
        for guesses, expected in ends.items():
            async with websockets.connect(f"{server.url}guess") as client:
                for guess in guesses:
                    await client.send(guess)
                assert await end(client) == expected


@pytest.mark.example("close_codes.py")
async def test_a_handler_raises_a_close_after_its_messages(example: ModuleType) -> None:
    async with running(example.make_app()) as server, websockets.connect(f"{server.url}countdown") as client:
        assert await end(client) == (["3", "2", "1"], 4003, "Lift-off")


@pytest.mark.example("close_codes.py")
async def test_every_socket_can_be_closed_from_outside(example: ModuleType) -> None:
    async with (
        running(example.make_app()) as server,
        websockets.connect(f"{server.url}guess") as client,
        aiohttp.ClientSession() as session,
    ):
        async with session.post(f"{server.http}kick") as response:
            assert await response.json() == {"kicked": 1}
        assert await end(client) == ([], 4004, "Kicked")


@pytest.mark.example("error_stream.py")
async def test_errors_are_answered_and_the_socket_stays_open(
    example: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(example.make_app()) as server, websockets.connect(f"{server.url}roots") as client:
        answers = {
            "9": {"root": 3.0},
            "-9": {"error": "ValueError", "message": "-9 has no root"},
            '"nine"': {"error": "ValueError", "message": "'nine' has no root"},
            "nine": {
                "error": "DecodeError",
                "message": "cannot decode 'nine': Expecting value: line 1 column 1 (char 0)",
            },
            "16": {"root": 4.0},
        }
        for message, answer in answers.items():
            await client.send(message)
            assert await heard(client) == answer
        await client.send("13")
        both = [await heard(client), await heard(client)]
        assert {"error": "LookupError", "message": "the auditor does not like 13"} in both
        assert {"root": 13**0.5} in both
        await client.send("25")
        assert await heard(client) == {"root": 5.0}
    assert {record.name for record in caplog.records if record.levelno >= logging.WARNING} == {"roots"}


@pytest.mark.example("accept_auth.py")
async def test_a_stranger_gets_401_and_a_friend_a_socket(example: ModuleType) -> None:
    async with running(example.make_app()) as server, aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await session.ws_connect(f"{server.url}account", headers=headers)
            assert refusal.value.status == 401
            assert refusal.value.headers is not None
            assert refusal.value.headers["WWW-Authenticate"] == "Bearer"
        headers = {"Authorization": "Bearer ada-token"}
        async with session.ws_connect(f"{server.url}account", headers=headers) as ws:
            assert await ws.receive_str() == "Hello Ada"
            await ws.send_str("it works")
            assert await ws.receive_str() == "Ada said 'it works'"


@pytest.mark.example("accept_auth.py")
async def test_its_client_is_told_who_it_is(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(example.make_app()) as server:
        monkeypatch.setattr(example, "PORT", server.port)
        await example.client("alan-token")
    assert capsys.readouterr().out == "Hello Alan\nAlan said 'it works'\n"


@pytest.mark.example("own_subjects.py")
async def test_tally_is_shared_and_ballots_are_not(example: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    """All clients share the tally, and each has its own ballot."""
    caplog.set_level(logging.INFO, logger="votes")
    async with (
        running(example.make_app()) as server,
        websockets.connect(f"{server.url}vote", subprotocols=["votes"]) as ada,
        websockets.connect(f"{server.url}vote") as alan,
    ):
        assert ada.subprotocol == "votes"
        nothing = {"coffee": 0, "tea": 0, "water": 0}
        assert [await heard(ada), await heard(alan)] == [nothing, nothing]
        for choice in ("coffee", "beer", "tea", "tea"):
            await ada.send(json.dumps(choice))
        for _ in range(2):
            await heard(alan)
        assert await heard(alan) == {"coffee": 1, "tea": 2, "water": 0}
        async with websockets.connect(f"{server.url}vote") as late:
            assert await heard(late) == {"coffee": 1, "tea": 2, "water": 0}
    assert "left with 1000, and voted last for ['beer', 'tea', 'tea']" in caplog.text


@pytest.mark.example("typed_messages.py")
async def test_typed_messages(example: ModuleType) -> None:
    """Messages have types, and a message that does not fit is answered with a problem."""
    async with running(example.make_app()) as server, websockets.connect(f"{server.url}turtle") as client:
        steps = [
            ({}, {"type": "Problem", "message": "Object missing required field `type`"}),
            ({"type": "Turn", "degrees": 90}, {"type": "Turtle", "x": 0.0, "y": 0.0, "heading": 90.0}),
            ({"type": "Go", "steps": 10}, {"type": "Turtle", "x": 0.0, "y": 10.0, "heading": 90.0}),
            (
                {"type": "Go", "steps": "ten"},
                {"type": "Problem", "message": "Expected `float`, got `str` - at `$.steps`"},
            ),
            ({"type": "Home"}, {"type": "Turtle", "x": 0.0, "y": 0.0, "heading": 0.0}),
        ]
        assert await heard(client) == {"type": "Turtle", "x": 0.0, "y": 0.0, "heading": 0.0}
        for command, answer in steps:
            await client.send(json.dumps(command))
            assert await heard(client) == answer


@pytest.mark.example("generator.py")
async def test_rows_come_in_order(example: ModuleType) -> None:
    """Rows come in order, and the socket ends with them."""
    async with running(example.make_app()) as server:
        async with websockets.connect(f"{server.url}rows?count=3") as client:
            messages, code, _ = await end(client)
            assert [json.loads(message) for message in messages] == [
                {"number": number, "square": number**2} for number in (1, 2, 3)
            ]
            assert code == 1000
        async with websockets.connect(f"{server.url}rows?count=many") as client:
            assert await end(client) == ([], 4000, "count must be a number below a billion")


@pytest.mark.example("generator.py")
async def test_a_client_that_leaves_closes_the_database(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = asyncio.Event()

    class Database:
        def execute(self, *_: Any) -> Any:
            return ((number, number) for number in range(1_000_000))

        def close(self) -> None:
            closed.set()

    monkeypatch.setattr(example.sqlite3, "connect", lambda _: Database())
    async with running(example.make_app()) as server:
        async with websockets.connect(f"{server.url}rows", max_queue=1) as client:
            await client.recv()
            client.transport.abort()
        await asyncio.wait_for(closed.wait(), 5)


@pytest.mark.example("telemetry.py")
async def test_telemetry_is_shared_and_alerts_are_not(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients share the samples, and each has its own alerts."""
    measured = 0

    def measure() -> dict[str, float]:
        nonlocal measured
        measured += 1
        return {"cpu": 50.0, "memory": 20.0}

    monkeypatch.setattr(example, "measure", measure)
    async with (
        running(example.make_app()) as server,
        websockets.connect(f"{server.url}telemetry") as calm,
        websockets.connect(f"{server.url}telemetry") as anxious,
    ):
        await anxious.send("10")
        await anxious.send('"none"')
        await heard(anxious)
        while not (sample := await heard(anxious))["alert"]:
            pass
        assert sample == {"cpu": 50.0, "memory": 20.0, "trend": 50.0, "limit": 10, "alert": True}
        sample = await heard(calm)
        assert (sample["limit"], sample["alert"]) == (90, False)
        assert measured <= 4


@pytest.mark.example("telemetry.py")
def test_the_real_samples_are_of_this_machine(example: ModuleType) -> None:
    sample = example.measure()
    assert 0 <= sample["cpu"] <= 100
    assert 0 < sample["memory"] < 100


@pytest.mark.example("metrics.py")
async def test_metrics_are_beside_the_sockets(example: ModuleType) -> None:
    """Metrics are there to scrape beside the sockets."""
    async with running(example.make_app()) as server, aiohttp.ClientSession() as session:
        async with websockets.connect(f"{server.url}shout") as client:
            await client.send("hello")
            assert await client.recv() == "HELLO"
        async with session.get(f"{server.http}metrics") as response:
            families = {family.name: family for family in parse_metrics(await response.text())}
            assert response.headers["Content-Type"].startswith("text/plain; version=")
        sent = {"network_io_direction": "transmit"}
        assert sent in [sample.labels for sample in families["rxws_server_messages"].samples if sample.value == 1]
        assert families["process_resident_memory_bytes"].samples[0].value > 0
        openmetrics = {"Accept": "application/openmetrics-text; version=1.0.0"}
        async with session.get(f"{server.http}metrics", headers=openmetrics) as response:
            assert (await response.text()).endswith("# EOF\n")


@pytest.mark.example("gateway.py")
async def test_a_gateway_goes_through_an_outage(example: ModuleType) -> None:
    """Browsers get their own symbols over one connection, learn of an outage and its end, and the last closes it."""
    reached, down = list[rxws.WebSocket[Any, Any]](), asyncio.Event()

    @rxws.websocket(codec=rxws.json)
    def upstream(socket: Any) -> None:
        if down.is_set():
            raise web.HTTPServiceUnavailable
        reached.append(socket)

    def tick(symbol: str, price: int) -> dict[str, Any]:
        return {"symbol": symbol, "price": price}

    async with (
        serving(upstream) as server,
        running(example.make_app(server.url)) as gateway,
        websockets.connect(f"{gateway.url}prices?symbol=EURUSD") as euro,
        websockets.connect(f"{gateway.url}prices") as everything,
    ):
        for client in (euro, everything):
            while not (await heard(client))["upstream"]:
                pass
        reached[0].outgoing.on_next(tick("USDJPY", 1))
        reached[0].outgoing.on_next(tick("EURUSD", 2))
        assert await heard(euro) == tick("EURUSD", 2)
        assert [await heard(everything) for _ in range(2)] == [tick("USDJPY", 1), tick("EURUSD", 2)]
        down.set()
        reached[0].close(1012, "Breakdown")
        assert [await heard(client) for client in (euro, everything)] == [{"symbol": None, "upstream": False}] * 2
        async with websockets.connect(f"{gateway.url}prices") as late:
            assert await heard(late) == {"symbol": None, "upstream": False}
        down.clear()
        assert [await heard(client) for client in (euro, everything)] == [{"symbol": None, "upstream": True}] * 2
        reached[1].outgoing.on_next(tick("EURUSD", 3))
        assert [await heard(client) for client in (euro, everything)] == [tick("EURUSD", 3)] * 2
        assert len(reached) == 2
        await euro.close()
        await everything.close()
        assert await reached[1].closed == rxws.Close()


@pytest.mark.example("gateway.py")
async def test_a_relay_passes_on_messages_and_closes(example: ModuleType) -> None:
    """A relay passes on what both sides say, and how they close."""
    reached = list[rxws.WebSocket[Any, Any]]()

    @rxws.websocket
    def upstream(socket: Any, incoming: Any) -> Any:
        reached.append(socket)
        return incoming

    async with serving(upstream) as server, running(example.make_app(server.url)) as gateway:
        async with websockets.connect(f"{gateway.url}relay") as client:
            await client.send("hello")
            assert await client.recv() == "hello"
            await client.close(4001, "bye")
        assert await reached[0].closed == rxws.Close(4001, "bye")
        async with websockets.connect(f"{gateway.url}relay") as client:
            await client.send("hello")
            assert await client.recv() == "hello"
            reached[1].close(1012, "Breakdown")
            assert await end(client) == ([], 1012, "Breakdown")


@pytest.mark.example("gateway.py")
@pytest.mark.parametrize("code", [1000, 4001])
async def test_a_gateway_ends_with_its_upstream(example: ModuleType, code: int) -> None:
    """The upstream's goodbye is passed on, and so is its code for what is final."""
    async with (
        serving(rxws.websocket(lambda socket: socket.close(code))) as server,
        running(example.make_app(server.url)) as gateway,
        websockets.connect(f"{gateway.url}prices") as client,
    ):
        assert (await end(client))[1] == code
