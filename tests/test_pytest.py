"""The plugin, in a pytest of its own, as users have it; and beside the plugins that run `async def` tests."""

import subprocess
import sys
from pathlib import Path

DIAGRAMS = """
import rxws
from reactivex import operators as ops
from rxws.testing import run

@rxws.websocket
def shout(incoming):
    return incoming.pipe(ops.map(str.upper))

def test_fails():
    assert run(shout, "-a-b-|") == "-A-C-(close 1000)"

def test_fails_the_other_way_round():
    assert "-A-C-|" == run(shout, "-a-b-|")

def test_fails_for_one_of_several():
    assert run(shout, {"ada": "-a-", "bob": "-b-"}) == {"ada": "-A", "bob": "-X"}

def test_fails_for_several():
    assert run(shout, dict.fromkeys("uvwxyz", "-a-")) == dict.fromkeys("uvwxyz", "-X")

def test_fails_without_marbles():
    assert {"a": 1} == {"a": 2}

class Array:
    def __eq__(self, other):
        return self
    def __bool__(self):
        raise ValueError("the truth value is ambiguous")

def test_fails_with_what_cannot_be_compared():
    assert {"array": Array()} == {"array": Array(), "b": 1}
"""

ASYNC = """
import asyncio
import pytest
import rxws
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from reactivex import operators as ops

opened = []

@rxws.websocket
def shout(incoming, socket):
    opened.append(socket)
    return incoming.pipe(ops.map(str.upper))

def an_app():
    app = web.Application()
    app.router.add_get("/shout", shout)
    return app

async def says(socket):
    socket.outgoing.on_next("hello")
    return await socket.incoming.pipe(ops.first())

async def use_both(rxws_connect, rxws_serve):
    assert not any(repr(socket).endswith(" open>") for socket in opened), opened
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("rxws")]
    assert await says(await rxws_connect(shout, "/anything?x=1")) == "HELLO"
    socket, peer = rxws_serve(shout)
    opened.remove(socket)
    peer.send("a")
    assert repr(socket) == "<WebSocket memory open>"

async def test_plain(rxws_connect, rxws_serve):
    await use_both(rxws_connect, rxws_serve)

async def test_places(rxws_connect):
    for place in (lambda incoming: incoming.pipe(ops.map(str.upper)), an_app()):
        assert await says(await rxws_connect(place, "/shout")) == "HELLO"
    async with TestClient(TestServer(an_app())) as client:
        for place in (client, client.server):
            socket = await rxws_connect(place, "/shout")
            assert await says(socket) == "HELLO"
            socket.dispose()
            await socket.closed

class TestMethods:
    async def test_method(self, rxws_connect, rxws_serve):
        await use_both(rxws_connect, rxws_serve)

@pytest.mark.xfail(raises=ZeroDivisionError, strict=True)
async def test_that_fails(rxws_connect):
    await rxws_connect(shout)
    1 / 0

def test_that_is_no_coroutine(rxws_serve):
    with pytest.raises(RuntimeError, match="are for 'async def' tests on asyncio's event loop: mark the test"):
        rxws_serve(shout)
"""

SCOPES = """
import pytest_asyncio

@pytest_asyncio.fixture
async def of_a_fixture(rxws_connect):
    return await rxws_connect(shout)

@pytest.mark.asyncio
async def test_fixture_of_ones_own(of_a_fixture, rxws_connect):
    assert await says(await rxws_connect(shout)) == "HELLO"

@pytest_asyncio.fixture(loop_scope="session")
async def of_a_session(rxws_connect):
    socket = await rxws_connect(shout)
    yield socket
    assert await says(socket) == "HELLO"

@pytest.mark.asyncio(loop_scope="session")
async def test_fixture_of_the_session(of_a_session, rxws_connect):
    assert await says(of_a_session) == "HELLO"

@pytest.mark.asyncio
async def test_aiohttp(aiohttp_client, rxws_connect):
    client = await aiohttp_client(an_app())
    assert await says(await rxws_connect(client, "/shout")) == "HELLO"
"""

OF_A_SCOPE = """
@pytest.mark.asyncio(loop_scope="SCOPE")
class TestOf_SCOPE:
    async def test_scope(self, rxws_connect, rxws_serve):
        await use_both(rxws_connect, rxws_serve)

    async def test_scope_again(self, rxws_connect, rxws_serve):
        await use_both(rxws_connect, rxws_serve)
"""

ANYIO = """
@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_anyio(anyio_backend, rxws_connect, rxws_serve):
    await use_both(rxws_connect, rxws_serve)

@pytest.fixture
async def of_anyio(anyio_backend, rxws_connect):
    yield await rxws_connect(shout)

async def test_fixture_of_anyio(of_anyio, rxws_connect):
    assert await says(of_anyio) == "HELLO"
    assert await says(await rxws_connect(shout)) == "HELLO"
"""

SCOPE_OF_FIXTURES = "asyncio_default_fixture_loop_scope"
CONFIG = """
[pytest]
filterwarnings =
    error
    ignore:.*asyncio.iscoroutinefunction.*:DeprecationWarning
"""


def pytest_in(place: Path, *arguments: str, tests: str) -> subprocess.Popen[str]:
    """Start a pytest of its own."""
    place.mkdir()
    (place / "__init__.py").touch()
    (place / "conftest.py").write_text('pytest_plugins = ["rxws.pytest"]\n')
    (place / "test_it.py").write_text(tests)
    (place / "pytest.ini").write_text(CONFIG)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments, str(place)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=place)


def test_diagrams(tmp_path: Path) -> None:
    """A test that fails shows both diagrams, one above the other."""
    shown = pytest_in(tmp_path / "it", "-o", f"{SCOPE_OF_FIXTURES}=function", tests=DIAGRAMS).communicate(timeout=120)[
        0
    ]
    assert "6 failed" in shown, shown
    lines = shown.splitlines()
    expected = [
        "E       assert the marbles are not as expected",
        "E         incoming  -a-b-|",
        "E         expected  -A-C-(close 1000)",
        "E              got  -A-B-(close 1000)",
        "E                      ^",
    ]
    start = lines.index(expected[0])
    assert lines[start : start + 5] == expected
    assert "E         expected  -A-C-|" in lines
    assert "E       assert bob: the marbles are not as expected" in lines
    assert "E         expected  -X" in lines
    assert "assert {'a': 1} == {'a': 2}" in shown
    assert "rxws/pytest.py" not in shown, "it has raised"
    assert shown.index("u: the marbles are") < shown.index("v: the marbles are")


def marked(tests: str, mark: str) -> str:
    """Mark each test, for a mode in which plugins run those alone that are."""
    return tests.replace("\nasync def test", f"\n@pytest.mark.{mark}\nasync def test").replace(
        "\n    async def test", f"\n    @pytest.mark.{mark}\n    async def test"
    )


def test_beside_other_plugins(tmp_path: Path) -> None:
    """The fixtures work on the event loop of the test, of each scope and each plugin; see docs/testing.md."""
    scopes = ("function", "class", "module", "package", "session")
    scoped = SCOPES + "".join(OF_A_SCOPE.replace("SCOPE", scope) for scope in scopes)
    of_anyio = marked(ANYIO, "anyio")
    function, session = ["-o", f"{SCOPE_OF_FIXTURES}=function"], ["-o", f"{SCOPE_OF_FIXTURES}=session"]
    runs = [
        pytest_in(tmp_path / "strict", *function, tests=marked(ASYNC, "asyncio") + scoped + of_anyio),
        pytest_in(tmp_path / "auto", *session, "-o", "asyncio_mode=auto", tests=ASYNC + scoped),
        pytest_in(tmp_path / "alone", "-p", "no:asyncio", "-p", "no:aiohttp", tests=marked(ASYNC, "anyio") + of_anyio),
    ]
    shown = [run.communicate(timeout=150)[0] for run in runs]
    assert [text for text in shown if " passed" not in text or " failed" in text or " error" in text] == []
