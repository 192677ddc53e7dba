"""The plugin, in a pytest of its own, as somebody who opts in has it."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import rxws
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from reactivex import operators as ops
from rxws.testing import run

@rxws.websocket
def shout(incoming):
    return incoming.pipe(ops.map(str.upper))

def test_fails():
    assert run(shout, "-a-b-|") == "-A-C-(close 1000)"

def test_fails_the_other_way_round():
    assert "-A-C-|" == run(shout, "-a-b-|")

def test_fails_without_marbles():
    assert 1 == 2

async def test_serve(rxws_serve):
    socket, peer = rxws_serve(shout)
    peer.send("a")
    assert "<WebSocket memory open>" == repr(socket)

async def test_connect_to_a_handler(rxws_connect):
    socket = await rxws_connect(shout, "/anything?x=1")
    socket.outgoing.on_next("hello")
    assert await socket.incoming.pipe(ops.first()) == "HELLO"

async def test_connect_to_a_plain_function_an_application_and_aiohttp_s_own(rxws_connect):
    app = web.Application()
    app.router.add_get("/shout", shout)
    for place in (lambda incoming: incoming.pipe(ops.map(str.upper)), app):
        socket = await rxws_connect(place, "/shout")
        socket.outgoing.on_next("hello")
        assert await socket.incoming.pipe(ops.first()) == "HELLO"
    other = web.Application()
    other.router.add_get("/shout", shout)
    async with TestClient(TestServer(other)) as client:
        for place in (client, client.server):
            socket = await rxws_connect(place, "/shout")
            socket.outgoing.on_next("hello")
            assert await socket.incoming.pipe(ops.first()) == "HELLO"
            socket.dispose()
            await socket.closed

async def test_nothing_is_left():
    import asyncio
    assert len(asyncio.all_tasks()) == 1
"""


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_plugin(tmp_path: Path, mode: str) -> None:
    """The plugin shows both diagrams, and its fixtures fit pytest-asyncio."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["rxws.pytest"]\n')
    marked = TESTS if mode == "auto" else TESTS.replace("async def test", "@pytest.mark.asyncio\nasync def test")
    (tmp_path / "test_it.py").write_text("import pytest\n" + marked)
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
        "    ignore:.*asyncio.iscoroutinefunction.*:DeprecationWarning\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert "3 failed, 4 passed" in result.stdout, result.stdout + result.stderr
    shown = [
        "E       assert the marbles are not as expected",
        "E         incoming  -a-b-|",
        "E         expected  -A-C-(close 1000)",
        "E              got  -A-B-(close 1000)",
        "E                      ^",
    ]
    lines = result.stdout.splitlines()
    start = lines.index(shown[0])
    assert lines[start : start + 5] == shown
    assert "E         expected  -A-C-|" in lines
    assert "assert 1 == 2" in result.stdout
