"""What is particular to the fast wire."""

import asyncio
import gc
import os
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws.core.phases import WirePhase
from rxws.rx.holds import current_source
from rxws.wires.aiohttp.fast.direct_queue import MADE_LATER
from rxws.wires.aiohttp.fast.wire import FastWire
from tests.integration.raw import CONTINUATION, PING, PONG, TEXT, frame, raw
from tests.integration.server import serving
from tests.streams import ended, watch

BOTH_LOOPS = True

ECHO = """
import asyncio, rxws
from aiohttp import web

@rxws.websocket
def echo(incoming):
    return incoming

async def main():
    asyncio.get_running_loop().slow_callback_duration = 10  # the machine may be busy
    app = web.Application()
    app.router.add_get("/", echo)
    rxws.setup(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with rxws.connect(f"ws://127.0.0.1:{runner.addresses[0][1]}/") as socket:
        print(rxws.wire_mode, await socket.request("hello", matches=lambda _: True))
    await runner.cleanup()

asyncio.run(main())
"""


@rxws.websocket
def shout(incoming: Any) -> Any:
    return incoming.pipe(ops.map(str.upper))


@pytest.mark.parametrize(
    ("variable", "value", "mode"),
    [("RXWS_WIRE", "", "fast"), ("RXWS_WIRE", "public", "public"), ("AIOHTTP_NO_EXTENSIONS", "1", "fast")],
)
def test_the_environment_chooses_the_wire(variable: str, value: str, mode: str) -> None:
    """Where aiohttp is not compiled, too, its parser is what the fast wire needs."""
    environment = {**os.environ, "RXWS_WIRE": "", variable: value}
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", ECHO]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    assert run.stdout == f"{mode} hello\n"
    assert [line for line in run.stderr.splitlines() if not line.startswith("Executing <")] == []  # a slow machine's


def test_changed_parser_leaves_the_public_wire() -> None:
    """When aiohttp's parser is not what it was, the public wire is used."""
    spoil = "import aiohttp._websocket.reader as r; del r.WebSocketReader\n"
    run = subprocess.run(
        [sys.executable, "-c", spoil + ECHO],
        env={**os.environ, "RXWS_WIRE": ""},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (run.stdout, run.returncode) == ("public hello\n", 0), run.stderr


def test_nothing_outlives_its_event_loop() -> None:
    async def use() -> weakref.ref[Any]:
        async with serving(rxws.websocket(lambda incoming: incoming)) as server, rxws.connect(server.url) as socket:
            await socket.request("hello", matches=lambda _: True)
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(use())
    for _ in range(100):
        gc.collect()
        if loop() is None:
            break
        time.sleep(0.05)  # on a busy machine, the thread that has watched the loop ends later
    assert loop() is None


@pytest.mark.fast_wire  # the public one writes each message by itself
async def test_messages_of_one_turn_leave_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages of one turn of the loop leave together, but the first one at once."""
    news: Subject[str] = Subject()
    async with serving(rxws.websocket(lambda: news)) as server, rxws.connect(server.url) as client:
        got: list[Any] = []
        client.incoming.subscribe(got.append)
        writes = recorded(server.sockets[0], monkeypatch)
        for number in range(10):
            news.on_next(str(number))
        assert len(writes) == 1
        while len(got) < 10:
            await asyncio.sleep(0.005)
        assert got == [str(number) for number in range(10)]
        assert len(writes) == 2


@pytest.mark.fast_wire  # aiohttp writes on the public one
async def test_large_message_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large message is not copied behind its header."""
    news: Subject[bytes] = Subject()
    message = bytes(200_000)
    async with serving(rxws.websocket(lambda: news)) as server, rxws.connect(server.url) as client:
        writes = recorded(server.sockets[0], monkeypatch)
        news.on_next(message)
        assert await asyncio.wait_for(client.incoming.pipe(ops.first()), 10) == message
        assert [len(data) for data in writes] == [10, 200_000]
        assert writes[1] is message


async def test_sending_into_a_closing_transport_is_reported() -> None:
    """What is sent into a transport that is closing is reported."""
    news: Subject[str] = Subject()
    async with serving(rxws.websocket(lambda: news)) as server, rxws.connect(server.url):
        socket = server.sockets[0]
        undelivered: list[str] = []
        socket.undelivered.subscribe(undelivered.append)
        socket._life.connection.wire.abort()  # type: ignore[union-attr]
        for message in ("a", "b"):
            news.on_next(message)
        assert (await ended(socket)).code == 1006
        assert (undelivered, socket.stats.sent) == (["a", "b"], 0)


def recorded(socket: rxws.WebSocket[Any, Any], monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Note what a socket writes."""
    outlet: Any = socket._life.connection.wire._writer  # type: ignore[union-attr]
    writes: list[bytes] = []
    monkeypatch.setattr(outlet, "_transport", Recorder(outlet._transport, writes))
    return writes


class Recorder:
    """A transport that notes its writes."""

    def __init__(self, transport: asyncio.Transport, writes: list[bytes]) -> None:
        self.is_closing = transport.is_closing
        self._write = transport.write
        self._writes = writes

    def write(self, data: bytes) -> None:
        self._writes.append(data)
        self._write(data)


@pytest.mark.fast_wire  # aiohttp does not tell the public one
async def test_the_cause_of_a_reset_is_told(eventually: Any) -> None:
    errors: list[Any] = []
    handler = rxws.websocket(lambda incoming, errors: errors.subscribe(collect))

    def collect(error: Exception) -> None:
        errors.append(error)

    async with serving(handler) as server, raw(server.port) as peer:
        await eventually(lambda: server.sockets)
        peer.reset()
        await eventually(lambda: errors)
    assert isinstance(errors[0], rxws.ConnectionLost)
    assert isinstance(errors[0].__cause__, ConnectionResetError)


@pytest.mark.fast_wire  # the public one does not close transports
async def test_transport_is_not_closed_within_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport is not closed from within its own calls.

    asyncio's says that there is room, and then that all is written: a close in between would come twice.
    """
    async with serving(rxws.websocket(lambda incoming: incoming)) as server, rxws.connect(server.url) as socket:
        await socket.request("hello", matches=lambda _: True)
        wire: Any = server.sockets[0]._life.connection.wire  # type: ignore[union-attr]
        closes: list[None] = []

        class Transport:
            def close(self) -> None:
                closes.append(None)

        with monkeypatch.context() as patch:
            patch.setattr(wire, "_transport", Transport())
            patch.setattr(wire, "phase", WirePhase.PEER_CLOSED)
            patch.setattr(wire, "_endpoint", SimpleNamespace(relieved=wire.leave))
            wire.resume_writing()
            assert closes == []
            await asyncio.sleep(0)
            assert closes == [None]
            wire.leave()
            assert closes == [None, None]


async def test_sending_within_a_chunk_keeps_the_order() -> None:
    """What is sent within a chunk leaves in order, whatever its size."""
    sizes = (10, 70_000, 10, 30_000, 30_000, 30_000, 10, 200_000, 1)

    def handler(incoming: Any) -> Any:
        return incoming.pipe(ops.flat_map(lambda _: reactivex.from_iterable([f"{n}:" + "x" * n for n in sizes])))

    async with serving(rxws.websocket(handler)) as server, rxws.connect(server.url) as socket:
        answers = aiter(socket)
        for _ in range(3):
            socket.outgoing.on_next("go")
            for size in sizes:
                assert len(await anext(answers)) == len(f"{size}:") + size


async def test_unwritten_message_is_undelivered() -> None:
    """A message that was taken and is not written is undelivered."""
    sockets: list[rxws.WebSocket[Any, Any]] = []

    def handler(incoming: Any, outgoing: Any, socket: Any) -> None:
        def answer(message: str) -> None:
            outgoing.on_next("late")
            socket._life.connection.wire.abort()

        sockets.append(socket)
        incoming.subscribe(answer)

    async with serving(rxws.websocket(handler)) as server, rxws.connect(server.url) as client:
        client.outgoing.on_next("go")
        await ended(client)
        await ended(sockets[0])
        taken = [] if rxws.wire_mode == "public" else [("undelivered", "late")]  # aiohttp's methods have it by then
        assert watch(undelivered=sockets[0].undelivered) == [*taken, "undelivered|"]
        assert sockets[0].stats.sent == 1 - len(taken)


async def test_pings_and_pongs_pass_the_queue(eventually: Any) -> None:
    """They keep their place among the messages of a chunk, and an idle socket's queue stays as small as it was."""
    seen: list[str] = []
    sockets: list[Any] = []

    @rxws.websocket(heartbeat=0.1)
    def handler(socket: Any) -> None:
        sockets.append(socket)
        socket.incoming.subscribe(seen.append)

    async with serving(handler) as server, raw(server.port) as peer:
        queue = sockets[0].response._reader
        peer.writer.write(frame(TEXT, b"one") + frame(PING, b"?") + frame(PING, b"!") + frame(TEXT, b"two"))
        frames = [await peer.receive() for _ in range(3)]
        assert [data for opcode, data in frames if opcode == PONG] == [b"?", b"!"]
        assert seen == ["one", "two"]
        peer.send(PONG, next(data for opcode, data in frames if opcode == PING))
        await eventually(lambda: sockets[0].rtt is not None)
        assert not MADE_LATER or rxws.wire_mode == "public" or queue._buffer is None


async def test_messages_have_the_handshake_s_context() -> None:
    """Messages come in the context of their handshake, and the socket is their source."""
    who: ContextVar[str] = ContextVar("who")
    seen: list[tuple[str, bool]] = []

    def handler(request: Any, incoming: Any, socket: Any) -> None:
        who.set(request.query["who"])
        incoming.subscribe(lambda message: seen.append((who.get(), current_source.get() is socket._life)))

    async with (
        serving(rxws.websocket(handler)) as server,
        rxws.connect(f"{server.url}?who=a") as a,
        rxws.connect(f"{server.url}?who=b") as b,
    ):
        for number, socket in enumerate((a, b, a), 1):
            socket.outgoing.on_next("hello")
            while len(seen) < number:
                await asyncio.sleep(0.001)
    assert seen == [("a", True), ("b", True), ("a", True)]
    assert current_source.get() is None


@pytest.mark.fast_wire  # the public one writes by aiohttp's means
async def test_nobody_else_writes_between_its_frames() -> None:
    async with serving(shout) as server, rxws.connect(server.url) as socket:
        await socket.request("hello", matches=lambda _: True)
        response = server.sockets[0].response
        with pytest.raises(RuntimeError, match="send through the `outgoing` of its socket"):
            await response.send_str("mine")
        assert response.get_extra_info("peername")[0] == "127.0.0.1"


FLOODS = {
    "fragments of nothing": frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 50_000 + frame(CONTINUATION),
    "messages of 300 bytes": frame(TEXT, b"." * 300) * 1000,
}


@pytest.mark.fast_wire  # aiohttp reads for the public one
@pytest.mark.parametrize("what", FLOODS)
async def test_a_peer_that_floods_gets_one_read_in_a_turn(
    what: str, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    flood, whole = FLOODS[what], frame(TEXT, b"whole")
    turns: list[int] = []
    turn = read = 0
    update = FastWire.buffer_updated

    def count() -> None:
        nonlocal turn
        turn += 1
        handle[0] = loop.call_soon(count)

    def buffer_updated(self: FastWire, nbytes: int) -> None:
        nonlocal read
        read += nbytes
        turns.append(turn)
        update(self, nbytes)

    monkeypatch.setattr(FastWire, "buffer_updated", buffer_updated)
    async with serving(shout) as server, raw(server.port) as peer:
        peer.writer.write(whole)
        assert await peer.receive() == (TEXT, b"WHOLE")
        loop, turns[:], read = asyncio.get_running_loop(), [], 0
        handle = [loop.call_soon(count)]
        peer.writer.write(flood)
        await eventually(lambda: read == len(flood))
        handle[0].cancel()
    assert len(turns) >= len(flood) // (64 * 1024)
    assert len(set(turns)) == len(turns)
