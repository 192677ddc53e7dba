"""`rxws.run`, in a process of its own, among peers that never finish anything."""

import asyncio
import functools
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from aiohttp import web

import rxws
from tests.integration.raw import raw
from tests.ports import free_port

PROGRAM = """
import time

import rxws
from aiohttp import web

@rxws.websocket
def echo(incoming):
    return incoming

@rxws.websocket(codec=rxws.json)
def complain(outgoing, errors):
    errors.subscribe(lambda error: outgoing.on_next({{"error": error}}))

app = web.Application()
app.router.add_get("/", echo)
app.router.add_get("/complain", complain)
rxws.setup(app)
{run}
print(time.monotonic())
"""
RUN = "rxws.run(app, host='127.0.0.1', port={port}, print=None{options})"


@asynccontextmanager
async def running(program: Path, options: str = "") -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """Run a server in a process of its own; gives its port."""
    port = free_port()
    program.write_text(PROGRAM.format(run=RUN.format(port=port, options=options)))
    process = await asyncio.create_subprocess_exec(sys.executable, program, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        yield port, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def dribble(writer: asyncio.StreamWriter) -> None:
    """Send the headers of a handshake a byte at a time, and never the last one."""
    text = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nX-Padding: "
    for byte in text:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.01)
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("before", ["nothing", "a request"])
async def test_run_closes_dribbled_headers(before: str, tmp_path: Path) -> None:
    """`rxws.run` closes a connection at the deadline when its headers never end, and leaves open sockets alone."""
    async with running(tmp_path / "server.py", ", keepalive_timeout=0.5") as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if before == "a request":
            writer.write(b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await reader.readuntil(b"404: Not Found")
        began = time.monotonic()
        dribbling = asyncio.create_task(dribble(writer))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 10)
        assert 0.4 < time.monotonic() - began < 4
        await asyncio.wait({dribbling}, timeout=0.1)
        dribbling.cancel()
        async with websockets.connect(f"ws://127.0.0.1:{port}/") as client, asyncio.timeout(5):
            await asyncio.sleep(0.7)
            await client.send("an open socket does not mind")
            assert await client.recv() == "an open socket does not mind"
        writer.close()


def test_run_gives_headers_20_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rxws.run` gives headers 20 seconds by default."""
    told: dict[str, Any] = {}
    run_app = functools.wraps(web.run_app)(lambda app, **options: told.update(options))
    monkeypatch.setattr(web, "run_app", run_app)
    rxws.run(web.Application(), port=8080)
    assert (told["keepalive_timeout"], told["port"]) == (20.0, 8080)


async def test_run_ends_in_2_seconds(tmp_path: Path) -> None:
    """`rxws.run` ends within 2 seconds of SIGTERM among stalled and mute peers.

    The best of three tries, and without the end of the interpreter: a busy machine takes its time for that.
    """
    took = [await terminate(tmp_path / "server.py")]
    while took[-1] >= 2 and len(took) < 3:
        took.append(await terminate(tmp_path / "server.py"))
    assert min(took) < 2


async def terminate(program: Path) -> float:
    """Send SIGTERM to a server among all kinds of peers; give the seconds until `run` has returned."""
    async with running(program) as (port, process):
        _, dribbler = await asyncio.open_connection("127.0.0.1", port)
        dribbler.write(b"GET / HTTP/1.1\r\nHost: ")
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        idle.write(b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        url = f"ws://127.0.0.1:{port}/"
        async with raw(port) as mute, raw(port, receive_buffer=4096) as stalled, websockets.connect(url) as polite:
            for _ in range(100):
                stalled.send(1, b"x" * 50_000)
            await polite.send("there?")
            await polite.recv()
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            output, _ = await asyncio.wait_for(process.communicate(), 20)
            took = float(output) - began
            assert (await mute.receive_close())[0] == 1001
            await polite.wait_closed()
            assert polite.close_code == 1001
        dribbler.close()
        idle.close()
    return took


async def test_run_ends_where_errors_make_errors(tmp_path: Path) -> None:
    """A handler whose errors make errors keeps the process neither busy nor from SIGTERM."""
    async with running(tmp_path / "server.py") as (port, process):
        async with websockets.connect(f"ws://127.0.0.1:{port}/complain") as peer, asyncio.timeout(10):
            await peer.send("not JSON")
            await peer.wait_closed()
            assert peer.close_code == 1011
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), 10)
        assert process.returncode == 0
