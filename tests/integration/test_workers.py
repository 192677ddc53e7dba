"""`rxws.run(app, workers=N)`: real processes that are stopped, killed, or do not start, with clients."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from reactivex import operators as ops

import rxws
from rxws.processes.stops import ONE_STOP
from rxws.recording import read
from tests.integration.broker import Broker
from tests.integration.crew import PROGRAM, Crew, crew, runs, started

Eventually = Callable[..., Any]

STUCK = """
async def stick(request):
    time.sleep(60)

app.router.add_get("/stick", stick)
sys.modules["rxws.processes.run"].CLEAN_UP = 0
options["shutdown_timeout"] = 0.5
"""


class Client:
    """A client that comes back, and what it has got; first on each connection the id of the process that serves it."""

    def __init__(self, socket: rxws.ClientWebSocket[Any, Any]) -> None:
        self.socket = socket
        self.got: list[str] = []
        self.codes: list[int] = []
        """How its connections have ended; a worker that stops may still take a client of one that was faster."""
        socket.incoming.subscribe(self.got.append)
        socket.states.subscribe(self._note)

    def _note(self, state: Any) -> None:
        if isinstance(because := getattr(state, "because", None), rxws.Close):
            self.codes.append(because.code)


@asynccontextmanager
async def clients(crew: Crew, count: int, eventually: Eventually) -> AsyncIterator[list[Client]]:
    """Connect so many clients, more if all of them came to one process."""
    backoff = rxws.Backoff(initial=0.05, maximum=0.2)
    async with AsyncExitStack() as stack:
        found: list[Client] = []
        while len(found) < count or len(by_process(found)) < min(2, len(crew.workers)):
            assert len(found) < 200
            socket = await stack.enter_async_context(rxws.connect(crew.url, reconnect=backoff))
            found.append(Client(socket))
            await eventually(lambda: found[-1].got)
        yield found


def by_process(found: list[Client]) -> dict[int, list[Client]]:
    served: dict[int, list[Client]] = defaultdict(list)
    for client in found:
        served[int(client.got[-1])].append(client)
    return served


async def test_killed_worker_is_started_again(tmp_path: Path, eventually: Eventually) -> None:
    """A worker that is killed is started again, and its clients come back."""
    async with crew(tmp_path) as running, clients(running, 12, eventually) as found:
        before = running.workers
        assert len(before) == 3
        assert set(by_process(found)) <= {worker.pid for worker in before}
        victim, victims = next(iter(by_process(found).items()))
        others = [client for client in found if client not in victims]
        os.kill(victim, signal.SIGKILL)
        await eventually(lambda: all(len(client.got) == 2 for client in victims), timeout=15)
        await eventually(lambda: len(running.workers) == 3)
        assert victim not in {int(client.got[-1]) for client in found}
        assert len({*running.workers} - {*before}) == 1
        assert all(len(client.got) == 1 for client in others)
        _, errors = await running.terminate()
        assert "a worker died of SIGKILL; another one starts in 0 s" in errors


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT to all", "SIGTERM to all", "SIGINT to all, and SIGTERM"])
async def test_all_stop_together_and_their_clients_see_1001(tmp_path: Path, eventually: Eventually, how: str) -> None:
    """A terminal sends SIGINT to the whole group, a service manager SIGTERM, or both one after the other."""
    async with crew(tmp_path) as running, clients(running, 6, eventually) as found:
        if how == "SIGTERM":
            running.process.send_signal(signal.SIGTERM)
        else:
            os.killpg(running.process.pid, signal.Signals[how.split()[0]])
        if how.endswith("and SIGTERM"):
            running.process.send_signal(signal.SIGTERM)
        output, errors = await running.output()
        assert running.process.returncode == 0
        assert output == "(Press CTRL+C to quit)\nover\n"
        assert errors == ""
        await eventually(lambda: all(client.codes[:1] == [1001] for client in found))
        assert running.left == []


async def test_workers_stop_when_their_parent_is_killed(tmp_path: Path, eventually: Eventually) -> None:
    async with crew(tmp_path) as running, clients(running, 6, eventually) as found:
        running.process.kill()
        await eventually(lambda: not running.left)
        assert len(running.all) == 3
        await eventually(lambda: all(client.codes[:1] == [1001] for client in found))


async def test_stuck_worker_does_not_outlive_its_parent(tmp_path: Path, eventually: Eventually) -> None:
    """A worker that is stuck does not outlive its parent, which was killed."""
    async with crew(tmp_path, STUCK, workers=1) as running:
        await stick(running)
        running.process.kill()
        await eventually(lambda: not running.left)


async def test_stuck_worker_is_killed_at_the_deadline(tmp_path: Path) -> None:
    """A worker that is stuck is killed at the deadline."""
    async with crew(tmp_path, STUCK, workers=2) as running:
        await stick(running)
        began = time.monotonic()
        output, errors = await running.terminate()
        assert time.monotonic() - began > 0.5
        assert (running.process.returncode, output.splitlines()[-1]) == (0, "over")
        assert "workers that have not stopped are killed" in errors
        assert running.left == []


async def test_a_second_signal_kills_at_once(tmp_path: Path, eventually: Eventually) -> None:
    async with crew(tmp_path, STUCK.replace("0.5", "60"), workers=2) as running:
        await stick(running)
        running.process.send_signal(signal.SIGINT)
        await eventually(lambda: len(running.workers) == 1)
        await asyncio.sleep(ONE_STOP)
        await running.terminate(signal.SIGINT)
        assert running.process.returncode == 0
        assert running.left == []


MADE_WHEN_AWAITED = """
async def make(made=app):
    return made

app = make()
"""


async def test_application_that_is_made_in_each_worker(tmp_path: Path, eventually: Eventually) -> None:
    """A coroutine that makes the application is awaited in each worker."""
    async with crew(tmp_path, MADE_WHEN_AWAITED) as running, clients(running, 3, eventually):
        output, errors = await running.terminate()
        assert (output, errors) == ("(Press CTRL+C to quit)\nover\n", "")


async def stick(running: Crew) -> None:
    """Block the event loop of one worker."""
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"GET /stick HTTP/1.0\r\n\r\n")
    await asyncio.sleep(0.3)
    writer.close()


async def test_stopped_worker_is_replaced(tmp_path: Path, eventually: Eventually) -> None:
    """A worker that is told to stop closes its sockets, and is replaced."""
    async with crew(tmp_path, workers=2) as running, clients(running, 6, eventually) as found:
        pid, served = next(iter(by_process(found).items()))
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGTERM)
        await eventually(lambda: all(len(client.got) == 2 for client in served), timeout=15)
        assert [client.codes for client in served] == [[1001]] * len(served)
        await eventually(lambda: pid not in {worker.pid for worker in running.workers} and len(running.workers) == 2)
        _, errors = await running.terminate()
        assert "a worker ended with status 0; another one starts in 0 s" in errors


RECORDED = """
from reactivex.subject import Subject
from rxws.recording import record

opened = Subject()
record({{"opened": opened}}, "{directory}/opened.jsonl")

@rxws.websocket
def recorded(socket, outgoing):
    number = id(socket)
    record(socket, f"{directory}/socket-{{os.getpid()}}-{{number}}.jsonl")
    opened.on_next(number)
    outgoing.on_next(str(os.getpid()))

app.router.add_get("/recorded", recorded)
"""


async def test_recordings_of_workers(tmp_path: Path, eventually: Eventually) -> None:
    """Each worker goes on with a recording that was begun before, and its sockets' are whole when it ends."""
    async with crew(tmp_path, RECORDED.format(directory=tmp_path)) as running, AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(rxws.connect(running.url + "recorded")) for _ in range(20)]
        served = [await socket.incoming.pipe(ops.first()) for socket in sockets]
        await running.terminate()
    told = [(path.name.split(".")[1], event.data) for path in tmp_path.glob("opened.*.jsonl") for event in read(path)]
    assert Counter(pid for pid, _ in told) == Counter(served)
    assert list(read(tmp_path / "opened.jsonl")) == []
    for pid, number in told:
        *_, last = read(tmp_path / f"socket-{pid}-{number}.jsonl")
        assert (last.lane, last.kind) == ("socket", "completed")


LISTENING = """
import os, socket, sys
import rxws
from aiohttp import web

@rxws.websocket
def echo(incoming, outgoing):
    outgoing.on_next(str(os.getpid()))
    return incoming

app = web.Application()
app.router.add_get("/", echo)
rxws.setup(app)
listening = socket.create_server(("127.0.0.1", 0))
given = {sock}
rxws.run(app, sock=given, workers=3)
print("over", listening.fileno())
"""


@pytest.mark.parametrize("sock", ["listening", "[listening, socket.create_server(('127.0.0.1', 0))]"])
async def test_socket_that_was_given(tmp_path: Path, eventually: Eventually, sock: str) -> None:
    """Workers share a socket that listens already, and one that is started again goes on with it."""
    file = tmp_path / "program.py"
    file.write_text(LISTENING.format(sock=sock))
    async with started(file) as running, clients(running, 12, eventually) as found:
        victim, victims = next(iter(by_process(found).items()))
        os.kill(victim, signal.SIGKILL)
        await eventually(lambda: all(len(client.got) == 2 for client in victims), timeout=15)
        await eventually(lambda: len(running.workers) == 3)
        output, errors = await running.terminate()
        assert (running.process.returncode, output.splitlines()[-1]) == (0, "over -1"), errors
        assert running.left == []


async def test_path_beside_a_port(tmp_path: Path, eventually: Eventually) -> None:
    """A UNIX socket and a port are served by the same workers, and its clients have an address."""
    path = tmp_path / "socket"
    more = f"""
@rxws.websocket
def remote(socket, outgoing):
    outgoing.on_next(socket.remote)

app.router.add_get("/remote", remote)
options |= {{"path": {str(path)!r}, "port": 0}}
"""
    async with crew(tmp_path, more) as running, aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session:
        pids = {worker.pid for worker in running.workers}
        async with rxws.connect(running.url) as by_port, session.ws_connect("ws://here/") as by_path:
            assert int(await by_port.receive()) in pids
            leaver = int(await by_path.receive_str())
            os.kill(leaver, signal.SIGTERM)  # which closes its copy of the socket, and leaves the path
            await eventually(lambda: len({worker.pid for worker in running.workers} - {leaver}) == 3)
        async with rxws.connect("ws://here/remote", session=session) as by_path:
            assert await by_path.receive() == by_path.remote == f"unix:{path}"
        await running.terminate()
        assert (running.left, path.exists()) == ([], False)


CONTAINER = ("unshare", "--pid", "--fork", "--kill-child")
# Only root, or a kernel that lets users make namespaces, can be process 1; the gate runs as root.
container = pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*CONTAINER, "true"], capture_output=True).returncode != 0,
    reason="a PID namespace needs unshare, and the right to use it",
)
ORPHANS = """
import subprocess

async def orphan(request):
    subprocess.run(["sh", "-c", "sleep 1 & exit"])
    return web.Response(text=str(os.getppid()))

app.router.add_get("/orphan", orphan)
"""


@container
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_process_1_of_a_container(tmp_path: Path, eventually: Eventually, how: signal.Signals) -> None:
    """Process 1 gets the processes that have lost their parents: it waits for them, and stops as elsewhere."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM.format(more=ORPHANS, workers=2))
    async with started(file, below=CONTAINER) as running, aiohttp.ClientSession() as session:
        (first,) = running.workers  # of unshare
        workers = first.children()
        assert len(workers) == 2
        for _ in range(5):
            async with session.get(f"http://127.0.0.1:{running.port}/orphan") as response:
                assert await response.text() == "1"
        await eventually(lambda: len(first.children()) > 2)
        workers[0].kill()
        await eventually(lambda: workers[0] not in first.children() and len(first.children()) == 2)
        first.send_signal(how)
        output, errors = await running.output()
        assert (running.process.returncode, output.splitlines()[-1]) == (0, "over"), errors
        assert "a worker died of SIGKILL; another one starts in 0 s" in errors


@container
async def test_parent_killed_in_a_container(tmp_path: Path, eventually: Eventually) -> None:
    """Workers whose parent was killed stop, where process 1 is another program."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM.format(more="", workers=2))
    async with started(file, below=(*CONTAINER, "sh", "-c", '"$@"; sleep 60', "sh")) as running:
        (shell,) = running.workers
        (parent,) = shell.children()
        workers = parent.children()
        assert len(workers) == 2
        parent.kill()
        await eventually(lambda: not any(runs(worker) for worker in workers))
        assert runs(shell)


FAILS = """
async def fail(app):
    if {when}:
        raise LookupError("no database at hand")
app.on_startup.append(fail)
with open("{log}", "a") as log:
    pass
async def note(app):
    with open("{log}", "a") as log:
        log.write("started\\n")
app.on_startup.insert(0, note)
"""


async def test_worker_that_cannot_start_at_first_ends_all(tmp_path: Path) -> None:
    """A worker that cannot start at first ends all, and says why."""
    log = tmp_path / "log"
    async with crew(tmp_path, FAILS.format(when="True", log=log), ready=False) as running:
        output, errors = await running.output(20)
        assert running.process.returncode == 1
        assert output == ""
        assert errors.endswith("RuntimeError: a worker failed to start: LookupError: no database at hand\n")
        assert 1 <= len(log.read_text().splitlines()) <= 3
        assert running.left == []


async def test_worker_that_cannot_start_later_is_tried_again(tmp_path: Path, eventually: Eventually) -> None:
    """A worker that cannot start later is tried again, less and less often, while the others serve."""
    log, bad = tmp_path / "log", tmp_path / "bad"
    when = f"os.path.exists('{bad}')"
    async with crew(tmp_path, FAILS.format(when=when, log=log), workers=2) as running:
        bad.touch()
        victim = running.workers[0]
        began = time.monotonic()
        victim.kill()
        await eventually(lambda: len(log.read_text().splitlines()) >= 4, timeout=15)
        assert time.monotonic() - began > 0.45  # at once, then after 0.5 s
        async with clients(running, 1, eventually) as found:
            assert int(found[0].got[0]) != victim.pid
        bad.unlink()
        await eventually(lambda: len(running.workers) == 2, timeout=15)
        _, errors = await running.terminate()
        assert "a worker failed to start: LookupError: no database at hand; another one starts in 0.5 s" in errors


EARLY = """
begin = sys.modules["rxws.processes.run"].bound_first_request
def told(*arguments):
    if os.path.exists("{flag}"):
        with open("{flag}", "a") as file:
            file.write("told\\n")
        os.kill(os.getpid(), 15)
    begin(*arguments)
sys.modules["rxws.processes.run"].bound_first_request = told
"""


async def test_worker_stopped_early_does_not_run(tmp_path: Path, eventually: Eventually) -> None:
    """A worker that is told to stop before its event loop runs does not run."""
    flag = tmp_path / "flag"
    async with crew(tmp_path, EARLY.format(flag=flag), workers=2) as running:
        flag.touch()
        running.workers[0].kill()
        await eventually(lambda: len(flag.read_text().splitlines()) >= 2, timeout=15)
        flag.unlink()
        await eventually(lambda: len(running.workers) == 2, timeout=15)
        _, errors = await running.terminate()
        assert "a worker failed to start: died of SIGTERM; another one starts in" in errors


ROOM = """
from reactivex.operators import map

topics = rxws.topics("{url}", max_messages=10_000, max_bytes=4_000_000)

@rxws.websocket(codec=rxws.json)
def room(request):
    messages = topics["room"].messages.history(since=request.query.get("since"))
    return messages.pipe(map(told))

def told(item):
    if isinstance(item, rxws.topics.Gap):
        return ["gap", None, os.getpid()]
    return [item.value, item.position, os.getpid()]

app.router.add_get("/room", room)
"""


class Reader:
    """A client that comes back with its position."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.position = ""
        self.values: list[Any] = []
        self.served: list[int] = []
        backoff = rxws.Backoff(initial=0.05, maximum=0.2)
        self.connecting = rxws.connect(self.where, codec=rxws.json, reconnect=backoff)

    def where(self) -> str:
        return f"{self.url}room?since={self.position}" if self.position else f"{self.url}room"

    def take(self, item: Any) -> None:
        value, position, pid = item
        self.values.append(value)
        self.position = position or self.position
        if [pid] != self.served[-1:]:
            self.served.append(pid)


async def test_killed_workers_lose_no_message(tmp_path: Path, eventually: Eventually) -> None:
    """Workers are killed in mid-stream, and clients miss nothing."""
    broker = Broker(tmp_path, "max_file_store: 8MB")
    broker.start()
    try:
        topics = rxws.topics(broker.url, max_messages=10_000, max_bytes=4_000_000)
        async with topics, crew(tmp_path, ROOM.format(url=broker.url)) as running, AsyncExitStack() as stack:
            over = asyncio.Event()
            publishing = asyncio.create_task(publish(topics["room"], 300, over))
            readers = [Reader(running.url) for _ in range(9)]
            for reader in readers:
                (await stack.enter_async_context(reader.connecting)).incoming.subscribe(reader.take)
            await eventually(lambda: all(reader.served for reader in readers))
            for _ in range(3):
                victim = readers[0].served[-1]
                os.kill(victim, signal.SIGKILL)
                await eventually(lambda victim=victim: readers[0].served[-1] != victim, timeout=30)
                await asyncio.sleep(0.2)
            over.set()
            count = await publishing
            await eventually(lambda: all(reader.values[-1:] == [count - 1] for reader in readers), timeout=15)
            assert [reader.values for reader in readers] == [[*range(count)]] * len(readers)
            assert len(readers[0].served) >= 4
            await running.terminate()
    finally:
        broker.stop()


async def publish(topic: Any, rate: float, over: asyncio.Event) -> int:
    """Publish numbers at a rate, whatever the event loop has to do besides, until it is over; tell how many."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in itertools.count():
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        if over.is_set():
            return number
        topic.on_next(number)
    raise AssertionError
