"""Sockets and servers that a notebook's cells bind to names, in a real kernel."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

Run = Callable[[str], str]

SETUP = """
import asyncio, threading, reactivex, rxws, rxws.jupyter
from aiohttp import web
from reactivex import operators as ops

closes = []

@rxws.websocket
def feed(socket, outgoing):
    socket.closed.subscribe(lambda close: closes.append(close.code))
    outgoing.on_next("first")
    return reactivex.interval(0.01).pipe(ops.map(str))

app = web.Application()
app.router.add_get("/", feed)
hub = rxws.setup(app)
server = rxws.jupyter.serve(app)

async def count():
    for _ in range(500):  # an end takes a moment
        threads = sum(thread.name == "rxws socket" for thread in threading.enumerate())
        if len(hub) == threads == expected:
            break
        await asyncio.sleep(0.01)
    print(len(hub), "open,", threads, "threads, closed:", *closes)
    closes.clear()
"""
CONNECT = "socket = await rxws.jupyter.connect(server.url())"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Run]:
    """Start a kernel; run a cell in it, and give what it prints."""
    manager, client = start_new_kernel(cwd=str(Path(__file__).parent.parent.parent))

    def run(code: str) -> str:
        texts: list[str] = []

        def take(message: Any) -> None:
            content = message["content"]
            texts.append(content.get("text", "") + "\n".join(content.get("traceback", ())))

        reply = client.execute_interactive(code, output_hook=take, timeout=30)
        assert reply["content"]["status"] == "ok", "".join(texts)
        return "".join(texts)

    run(SETUP)
    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def run(kernel: Run) -> Iterator[Run]:
    """Run cells in a kernel where no socket is open."""
    yield kernel
    kernel("%reset_selective -f ^(socket|also|kept|numbers|picture|task)$")
    kernel("for left in hub: left.close()\nleft = None")
    assert sockets(kernel, 0).startswith("0 open, 0 threads")


def sockets(run: Run, expected: int) -> str:
    """Give how many sockets are open, when they are as many as expected or after some seconds."""
    return run(f"expected = {expected}; await count()").strip()


CELLS = {
    "alone": "",
    "subscribed": "socket.incoming.subscribe(lambda message: None)",
    "observed": """
socket.errors.subscribe(print)
socket.outgoing.subscribe(print)
socket.dropped.subscribe(print)
socket.states.subscribe(print)
socket.closed.subscribe(print)
""",
    "shown": "socket",
    "pictures": """
numbers = socket.incoming.pipe(ops.map(float))
picture = rxws.jupyter.plot(numbers)
rxws.jupyter.watch(numbers=numbers, closed=socket.closed)
""",
    "read": "print(await socket.receive())\nsocket.incoming.pipe(ops.first()).run()",
    "iterated": """
async def read():
    async for _ in socket:
        pass
task = asyncio.create_task(read())
""",
    "failing": "socket.incoming.subscribe(lambda message: 1 / 0)\nawait socket.incoming.pipe(ops.first())",
}
REFERENCES = {
    "name": "also = socket",
    "list": "kept = [socket]",
    "pipeline": "numbers = socket.incoming.pipe(ops.map(int))",
    "sending": "kept = socket.outgoing",
    "end": "kept = socket.closed",
    "task": """
async def wait(socket):
    await asyncio.sleep(60)
task = asyncio.create_task(wait(socket))
await asyncio.sleep(0)
""",
}


@pytest.mark.parametrize("cell", CELLS)
def test_cell_that_runs_again_leaves_one_socket(run: Run, cell: str) -> None:
    """A cell that binds a socket to a name, and runs six times, leaves one socket and one thread."""
    for _ in range(6):
        run(f"{CONNECT}\n{CELLS[cell]}")
    assert sockets(run, 1) == "1 open, 1 threads, closed: 1000 1000 1000 1000 1000"
    run("del socket")
    run("numbers = None")
    assert sockets(run, 0) == "0 open, 0 threads, closed: 1000"


@pytest.mark.parametrize("reference", REFERENCES)
def test_socket_that_is_referred_to_lives(run: Run, reference: str) -> None:
    """A socket to which the notebook still refers, or to a stream of it, lives until it does no more."""
    run(f"{CONNECT}\n{REFERENCES[reference]}")
    run(CONNECT)
    assert sockets(run, 2) == "2 open, 2 threads, closed:"
    run("also = kept = numbers = None\nif 'task' in globals(): task.cancel()")
    run("task = None")
    assert sockets(run, 1) == "1 open, 1 threads, closed: 1000"


def test_stream_of_a_socket_works_without_it(run: Run) -> None:
    """A pipeline goes on when only it has a name."""
    run(f"{CONNECT}\nnumbers = socket.incoming.pipe(ops.skip(1), ops.map(int))")
    run("del socket")
    assert run("print(await numbers.pipe(ops.take(3), ops.to_list()))").strip() == "[0, 1, 2]"


def test_socket_without_a_name_lives(run: Run) -> None:
    """A socket that never had a name lives: a function may have made it, and subscribed to it."""
    run(
        "async def follow():\n    socket = await rxws.jupyter.connect(server.url())\n"
        "    socket.incoming.subscribe(seen.append)\nseen = []\nawait follow()"
    )
    run("seen.clear(); import gc; gc.collect()")
    assert sockets(run, 1) == "1 open, 1 threads, closed:"
    run("async with asyncio.timeout(15):\n    while len(seen) < 4:\n        await asyncio.sleep(0.01)")


def test_server_that_is_made_again(run: Run) -> None:
    """A cell that serves, and runs again, leaves one server; a server that is referred to lives."""
    cell = "another = rxws.jupyter.serve(web.Application())"
    count = (
        "for _ in range(500):  # an end takes a moment\n"
        "    threads = sum(thread.name == 'rxws server' for thread in threading.enumerate())\n"
        "    if threads == expected:\n        break\n"
        "    await asyncio.sleep(0.01)\n"
        "print(threads)"
    )
    for _ in range(3):
        run(cell)
    assert run(f"expected = 2\n{count}").strip() == "2"
    run("also = another")
    run(cell)
    run("await asyncio.sleep(0.5)")
    assert run(f"expected = 3\n{count}").strip() == "3"
    run("del also, another")
