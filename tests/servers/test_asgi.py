"""ASGI's servers, and Litestar: what docs/asgi.md says of them, asked of the versions that are installed."""

import asyncio
from pathlib import Path

import pytest
import websockets

from tests.ports import free_port
from tests.servers.asgi import ask
from tests.servers.process import serving

pytestmark = pytest.mark.fast_wire  # once is enough: aiohttp has no part in it


async def test_servers() -> None:
    """The tables of the page are what the servers answer: a newer one that answers differently fails."""
    page = ask.PAGE.read_text()
    answers = await ask.ask_all()
    made = ask.written(page, ask.tables(answers))
    changed = [line for line in made.splitlines() if line not in page.splitlines()]
    assert (changed, made == page) == ([], True), "python -m tests.servers.asgi.ask writes the page anew"
    for name, said in answers.items():
        for framework in ask.FRAMEWORKS:
            assert said[framework] == f"hi {framework} 7 7 ann 127.0.0.1", name
        assert said["a handler completes"] == "1000"
        assert said["a handler raises"].startswith("1011"), name
        assert said["`errors` and `closed` of a peer that vanishes"] == "ConnectionLost, 1006", name


async def test_litestar(tmp_path: Path) -> None:
    """Litestar's dependencies come before the handshake, its WebSocket is `request`, and it shuts down with 1001."""
    port = free_port()
    command = ["-m", "uvicorn", "tests.servers.asgi.litestar_app:app", "--port", str(port), "--log-level", "warning"]
    env = {"PYTHONPATH": str(ask.ROOT)}
    url = f"ws://127.0.0.1:{port}"

    async def refused(path: str) -> int:
        with pytest.raises(websockets.InvalidStatus) as error:
            await websockets.connect(url + path)
        return error.value.response.status_code

    async with serving(tmp_path, ask.BIN / "python", *command, port=port, env=env) as server:
        async with websockets.connect(f"{url}/rooms/7?token=ann") as client:
            await client.send('"hi"')
            assert await client.recv() == '["hi",[7,"ann","/rooms/7","127.0.0.1"]]'
            await client.wait_closed()
            assert client.close_code == 1000
        assert await refused("/rooms/7") == 403
        assert await refused("/forbidden") == 429
        async with websockets.connect(f"{url}/block") as client:
            await client.send("hi")
            assert await client.recv() == "hi"
            assert await refused("/rooms/7?token=ann") == 503
            assert await refused("/block") == 403  # what accept() raises, Litestar answers
            ended = asyncio.ensure_future(server.stop())
            await client.wait_closed()
            assert client.close_code == 1001
            await ended
        assert "own lifespan: closed, 0 sockets" in server.output
        assert [line for line in server.output.splitlines() if "Traceback" in line or "ERROR" in line] == []
