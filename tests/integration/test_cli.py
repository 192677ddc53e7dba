"""`rxws connect`, `record`, `replay`, `marbles`, in pipes and in a real terminal."""

import asyncio
import json
import os
import pty
import re
import signal
import socket
import ssl
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
import reactivex
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from reactivex import operators as ops

import rxws
from rxws.cli import connect, main
from rxws.cli.line_editor import Line
from rxws.recording import Event, Recording, read, write
from tests.conformance.peers import upgraded
from tests.integration.server import serving
from tests.integration.test_proxies import tinyproxy
from tests.ports import free_port, has_ipv6


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Serve, in a thread of its own."""
    seen: list[Any] = []
    started, stop = threading.Event(), None

    @rxws.websocket
    def shout(incoming: Any) -> Any:
        return incoming.pipe(ops.take_while(lambda message: message != "bye"), ops.map(str.upper))

    @rxws.websocket(protocols=["chat"])
    def greet(request: Any, incoming: Any) -> Any:
        hello = request.headers.get("X-Hello", "hello")
        return incoming.pipe(ops.map(str.upper), ops.start_with(hello))

    @rxws.websocket
    def rude(incoming: Any) -> Any:
        return incoming.pipe(ops.map(lambda message: rxws.Close(4001, "go away")))

    @rxws.websocket
    async def forger(incoming: Any) -> None:
        raise rxws.Close(4001, "bye\nconnected\x1b[2J")

    async def refusing(_: web.Request) -> web.Response:
        return web.Response(status=403, text="no\nconnected\x1b[2J")

    @rxws.websocket
    def feed(incoming: Any) -> Any:
        incoming.subscribe(seen.append)
        ticks = reactivex.interval(0.02)
        return ticks.pipe(ops.map(lambda n: json.dumps({"n": n, "levels": ["a long level"] * 9})))

    @rxws.websocket
    async def vandal() -> Any:
        yield "red: \x1b[31m \x9b1m"
        yield b"\x1b[2J"

    @rxws.websocket
    def silent(incoming: Any) -> None:
        incoming.subscribe()

    @rxws.websocket
    def roomy(incoming: Any) -> Any:
        incoming.subscribe()
        return reactivex.interval(0.02).pipe(ops.map(lambda n: f'{{\n "n": {n},\n "price": 1.50\n}}'))

    async def main() -> None:
        nonlocal stop
        app = web.Application()
        for handler in (shout, greet, rude, feed, forger, refusing, vandal, silent, roomy):
            app.router.add_get(f"/{handler.__name__}", handler)
        rxws.setup(app)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        seen.append(runner.addresses[0][1])
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        stop = lambda: loop.call_soon_threadsafe(end.set)  # noqa: E731
        started.set()
        await end.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert started.wait(10)
    yield f"ws://127.0.0.1:{seen[0]}"
    assert stop is not None
    stop()
    thread.join(20)


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Cli = Callable[..., Result]


@pytest.fixture
def rxws_cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """Run a command in this process, with a pipe for its input."""
    with ExitStack() as stack:

        def run(*arguments: str, stdin: str = "") -> Result:
            reading, writing = os.pipe()
            os.write(writing, stdin.encode())
            os.close(writing)
            monkeypatch.setattr(sys, "stdin", stack.enter_context(os.fdopen(reading)))
            try:
                status = main(arguments)
            except SystemExit as stop:
                status = int(stop.code or 0)
            return Result(status, *capsys.readouterr())

        yield run


# Pipes


def test_pipe_sends_lines_and_prints_answers(rxws_cli: Cli, server: str) -> None:
    """Lines from a pipe are sent, and the answers alone are printed."""
    result = rxws_cli("connect", f"{server}/shout", "--linger", "1.5", stdin="hello\n/ping\n{}\n")
    assert (result.returncode, result.stdout) == (0, "HELLO\n/PING\n{}\n")
    assert result.stderr == "connected\nclosed 1000\n"


def test_headers_protocols_and_first_messages_are_sent(rxws_cli: Cli, server: str) -> None:
    arguments = ["-H", "X-Hello: from a header", "-p", "chat", "-s", "first"]
    result = rxws_cli("connect", f"{server}/greet", *arguments, "--messages", "2")
    assert (result.returncode, result.stdout) == (0, "from a header\nFIRST\n")
    assert result.stderr == "connected, protocol chat\nclosed 1000\n"


def test_the_exit_status_tells_how_it_ended(rxws_cli: Cli, server: str) -> None:
    closed = rxws_cli("connect", f"{server}/rude", stdin="x\n")
    assert (closed.returncode, closed.stderr.splitlines()[-1]) == (3, "closed 4001 go away")
    assert rxws_cli("connect", f"{server}/shout", stdin="bye\n").returncode == 0
    nobody = rxws_cli("connect", f"{server}/nowhere")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert nobody.stderr.startswith("rxws: no connection: the server answered 404 instead of 101")
    wrong = rxws_cli("connect", "localhost/feed")
    assert (wrong.returncode, "is not a WebSocket URL: expected ws://host/path" in wrong.stderr) == (2, True)
    assert "expected a header like 'Name: value', not 'x'" in rxws_cli("connect", server, "-H", "x").stderr


def test_input_that_cannot_be_read_is_a_failure(rxws_cli: Cli, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines before it are sent and answered."""
    monkeypatch.setattr(connect, "MAX_LINE", 1000)
    result = rxws_cli("connect", f"{server}/shout", stdin=f"hello\n{'x' * 2000}")
    assert (result.returncode, result.stdout) == (1, "HELLO\n")
    assert "rxws: cannot read the input: a line of more than 1000 bytes\n" in result.stderr


async def test_answers_of_a_server_that_comes_late() -> None:
    """The time for answers begins when they can come: when there is a connection."""
    port = free_port()
    command = started("connect", f"ws://127.0.0.1:{port}/", "--reconnect", "--linger", "0.3")
    talking = asyncio.create_task(asyncio.to_thread(command.communicate, "hello\n"))
    try:
        assert not (await asyncio.wait({talking}, timeout=2))[0]
        app = web.Application()
        app.router.add_get("/", rxws.websocket(lambda incoming: incoming.pipe(ops.delay(0.1))))
        rxws.setup(app)
        async with TestServer(app, port=port):
            out, _ = await asyncio.wait_for(talking, 20)
    finally:
        command.kill()
    assert (command.returncode, out) == (0, "hello\n")


def test_large_file_is_sent_as_it_is_taken(server: str, tmp_path: Path) -> None:
    """A large file is sent no faster than the server takes it."""
    (tmp_path / "lines").write_text(("x" * 1000 + "\n") * 3000)
    with (tmp_path / "lines").open() as lines:
        command = [sys.executable, "-m", "rxws", "connect", f"{server}/shout", "--messages", "3000"]
        result = subprocess.run(command, stdin=lines, capture_output=True, text=True, timeout=60)
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 3000)


def test_jsonl_prints_a_recording_and_nothing_else(rxws_cli: Cli, server: str, tmp_path: Path) -> None:
    url = f"{server}/shout?token=SECRET"
    result = rxws_cli("connect", url, "--jsonl", "--messages", "1", stdin="hello\n")
    assert (result.returncode, result.stderr) == (0, "")
    (tmp_path / "r.jsonl").write_text(result.stdout)
    recording = read(tmp_path / "r.jsonl")
    assert recording.about["url"] == f"{server}/shout", "the token is not for those who get the file"
    assert [(e.lane, e.data) for e in recording if e.kind == "next"] == [("outgoing", "hello"), ("incoming", "HELLO")]
    assert recording.lane("socket")[-2].data == rxws.Close()


def test_it_ends_after_so_many_messages_or_seconds(rxws_cli: Cli, server: str, tmp_path: Path) -> None:
    """The input's end does not end it then; compact JSON is a line a message, and as it was but for white space."""
    enough = rxws_cli("connect", f"{server}/roomy", "--messages", "3", "--compact")
    assert (enough.returncode, enough.stderr) == (0, "connected\nclosed 1000\n")
    assert enough.stdout.splitlines() == [f'{{"n":{n},"price":1.50}}' for n in range(3)]
    began = time.monotonic()
    late = rxws_cli("connect", f"{server}/silent", "--seconds", "1.3")
    assert (late.returncode, late.stdout, time.monotonic() - began >= 1.3) == (0, "", True)
    (tmp_path / "r.jsonl").write_text(rxws_cli("connect", f"{server}/feed", "--messages", "3", "--jsonl").stdout)
    assert len([event for event in read(tmp_path / "r.jsonl").lane("incoming") if event.kind == "next"]) == 3
    assert rxws_cli("connect", f"{server}/rude", "--messages", "3", stdin="x\n").returncode == 3


async def test_through_a_proxy_with_an_authority_of_its_own(tmp_path: Path) -> None:
    """`--proxy` and `--ca`: through tinyproxy to a server whose certificate nobody else trusts."""

    async def run(*arguments: str) -> tuple[int | None, str]:
        command = [sys.executable, "-m", "rxws", "connect", *arguments, "--messages", "1"]
        process = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1, stderr=-1)
        out, err = await process.communicate(b"hello\n")
        return process.returncode, (out + err).decode()

    def through(proxy: str, password: str) -> list[str]:
        return ["--proxy", proxy.replace("//", f"//ada:{password}@")]

    authority, pem = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    async with tinyproxy(tmp_path) as proxy, serving(rxws.websocket(lambda incoming: incoming), tls=context) as server:
        url = f"wss://localhost:{server.port}/"
        trusted, strange, refused = await asyncio.gather(
            run(url, *through(proxy, "secret"), "--ca", str(pem)),
            run(url, *through(proxy, "secret")),
            run(url, *through(proxy, "wrong"), "--ca", str(pem)),
        )
    assert trusted == (0, "hello\nconnected\nclosed 1000\n")
    assert (strange[0], ", or --ca in the shell" in strange[1]) == (1, True), strange
    assert (refused[0], "no connection: the proxy" in refused[1], "wrong" in refused[1]) == (1, True, False), refused


# A terminal


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(self, *arguments: str, hangup: signal.Handlers = signal.SIG_DFL) -> None:
        self.screen = ""
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ["TERM"] = "xterm"
            signal.signal(signal.SIGHUP, hangup)
            os.execv(sys.executable, [sys.executable, "-m", "rxws", *arguments])

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def until(self, pattern: str, timeout: float = 20) -> str:
        """Wait for a text to appear, and return what is on the screen from where it was looked for last."""
        end = time.monotonic() + timeout
        os.set_blocking(self.fd, False)
        while not (found := re.search(pattern, self.screen)):
            assert time.monotonic() < end, f"{pattern!r} is not in {self.screen!r}"
            try:
                self.screen += os.read(self.fd, 65536).decode()
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                time.sleep(0.01)  # the program is gone
        before, self.screen = self.screen[: found.end()], self.screen[found.end() :]
        return before

    def wait(self) -> int:
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return status


def test_terminal_session(server: str) -> None:
    """A line is edited, sent, and answered in color; the round trip and the close are shown."""
    terminal = Terminal("connect", f"{server}/shout")
    terminal.until("connected")
    terminal.until("/ping .*Ctrl-D closes")
    terminal.type("helo\x1b[Dl\x01\x05 x\x17w\x15hello é\x7f\x7f\r")
    terminal.until(re.escape("\x1b[36m> hello\x1b[0m"))
    terminal.until(re.escape("\x1b[32m<\x1b[0m HELLO"))
    terminal.type("/ping\r")
    terminal.until(r"pong after \d+\.\d ms")
    terminal.until(r"\d+\.\d ms > ")
    terminal.type("/nope\r")
    terminal.until("/nope is not a command")
    terminal.type("/close 99\r")
    terminal.until("close code 99 may not be sent")
    terminal.type("//ping\r/help\r")
    terminal.until("< ?\x1b\\[0m /PING|/PING")
    terminal.type("\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\x1b[B\x1b[A")
    terminal.until("> hello")
    terminal.type("\x04\x15\x0b\x04")
    terminal.until("closed 1000")
    assert terminal.wait() == 0


def test_closing_with_a_code(server: str) -> None:
    terminal = Terminal("connect", f"{server}/shout")
    terminal.until("connected")
    terminal.type("/close  4000  had enough\r")
    terminal.until("closed 4000 had enough")
    assert terminal.wait() == 0


def test_terminal_that_goes_away(server: str) -> None:
    """Where the signal for that is ignored, the end of the terminal ends the command."""
    terminal = Terminal("connect", f"{server}/silent", hangup=signal.SIG_IGN)
    terminal.until("connected")
    os.close(terminal.fd)
    end = time.monotonic() + 20
    while (ended := os.waitpid(terminal.pid, os.WNOHANG)) == (0, 0):
        if time.monotonic() > end:
            os.kill(terminal.pid, signal.SIGKILL)
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(ended[1]) == 0


def test_line_in_a_terminal_that_has_gone() -> None:
    """What cannot be shown any more raises nothing: the command ends when it reads the keys."""
    terminal, program = pty.openpty()
    line = Line("> ", os.fdopen(program, "w"), entered=lambda _: None, ended=lambda: None)
    line.show("before")
    os.close(terminal)
    line.show("after")
    line.feed(b"keys\r")
    with pytest.raises(OSError, match="Input/output error"):
        line._out.close()


def test_typed_line_stays_whole(server: str) -> None:
    """What is typed stays whole while messages come, and the terminal is given back."""
    terminal = Terminal("connect", f"{server}/feed")
    before = termios.tcgetattr(terminal.fd)[3]
    terminal.until("connected")
    terminal.type("half a line")
    terminal.until("half a line")
    screen = terminal.until(r"(?s)\"n\".*\"n\".*> half a line")
    assert '\x1b[36m"n"\x1b[0m: ' in screen
    assert '\r\n  \x1b[36m"levels"\x1b[0m: [\r\n    "a long level",' in screen
    terminal.type("\x03")
    terminal.until("closed 1000")
    status = terminal.wait()
    assert (status, bool(before & termios.ICANON)) == (0, True)


def test_nothing_that_a_peer_says_commands_a_terminal(server: str, tmp_path: Path) -> None:
    """Neither a message, as text or in a recording, nor a close reason, nor a message of another server's feed."""
    talk, jsonl, record, reason = (
        Terminal(*arguments)
        for arguments in (
            ("connect", f"{server}/vandal"),
            ("connect", f"{server}/vandal", "--jsonl"),
            ("record", f"{server}/vandal", "--json"),
            ("connect", f"{server}/forger"),
        )
    )
    assert "< red" not in talk.until(re.escape("red: \\x1b[31m \\x9b1m"))
    talk.until("1b 5b 32 4a")
    for terminal in (jsonl, record):
        assert "\x9b" not in terminal.until(re.escape(r'"data":"red: \u001b[31m \u009b1m"'))
    reason.until(re.escape("closed 4001 bye\\nconnected\\x1b[2J"))
    assert [terminal.wait() for terminal in (talk, jsonl, record, reason)] == [0, 0, 0, 3]


def test_a_subprotocol_that_a_server_makes_up(rxws_cli: Cli) -> None:
    """A server that chooses a subprotocol with control characters is refused, and its choice is escaped."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_with_protocol, args=(listener, "chat\x1b[2J"))
        thread.start()
        result = rxws_cli("connect", f"ws://127.0.0.1:{listener.getsockname()[1]}/", "-p", "chat")
        thread.join(10)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("rxws: no connection: ")
    assert result.stderr[:-1].isprintable()


def answer_with_protocol(listener: socket.socket, protocol: str) -> None:
    """Upgrade one connection, with a subprotocol."""
    connection, _ = listener.accept()
    with connection:
        connection.sendall(upgraded(connection.recv(65536), also=f"Sec-WebSocket-Protocol: {protocol}"))
        connection.recv(65536)


def test_what_others_chose_stays_within_its_line(rxws_cli: Cli, server: str) -> None:
    """A reason, a refusal, a name of a lane: what a peer or a file says makes no line, and commands no terminal."""
    for command in ("connect", "record"):
        closed = rxws_cli(command, f"{server}/forger", stdin="x\n")
        assert closed.returncode == 3
        assert closed.stderr.splitlines()[-1].endswith("closed 4001 bye\\nconnected\\x1b[2J")
    refused = rxws_cli("connect", f"{server}/refusing")
    assert refused.stderr.splitlines() == [
        "rxws: no connection: the server answered 403 instead of 101: 'no\\nconnected\\x1b[2J'"
    ]


# Recordings


def test_a_feed_is_recorded_until_enough_has_come(rxws_cli: Cli, server: str, tmp_path: Path) -> None:
    file = str(tmp_path / "feed.jsonl")
    url = f"{server}/feed?token=SECRET"
    result = rxws_cli("record", url, "-o", file, "--messages", "5", "--send", "subscribe")
    assert (result.returncode, result.stdout) == (0, "")
    assert re.fullmatch(r"5 messages in, 0\.\d kB; 1 out; closed 1000\n", result.stderr)
    recording = read(file)
    assert [json.loads(event.data)["n"] for event in recording.lane("incoming") if event.kind == "next"] == list(
        range(5)
    )
    assert recording.lane("outgoing")[0].data == "subscribe"
    assert recording.about["url"] == f"{server}/feed"


def test_a_recording_is_not_overwritten(rxws_cli: Cli, server: str, tmp_path: Path) -> None:
    """Another one needs `--force`; a failure to connect leaves the old one. With `--json`, messages are values."""
    file = tmp_path / "feed.jsonl"
    arguments = ["record", f"{server}/roomy", "-o", str(file), "--messages", "2", "--json"]
    assert rxws_cli(*arguments).returncode == 0
    assert [event.data for event in read(file).lane("incoming")[:2]] == [{"n": n, "price": 1.5} for n in range(2)]
    assert rxws_cli(*arguments[:-1]).returncode == 2
    failed = rxws_cli("record", f"{server}/nowhere", "-o", str(file), "--force")
    assert (failed.returncode, failed.stderr.startswith("rxws: no connection: the server answered 404")) == (1, True)
    assert [event.data for event in read(file).lane("incoming")[:2]] == [{"n": n, "price": 1.5} for n in range(2)]
    assert rxws_cli(*arguments[:-1], "--force").returncode == 0
    assert json.loads(read(file).lane("incoming")[0].data)["n"] == 0
    assert rxws_cli("record", f"{server}/roomy", "-o", "-", "--messages", "1").stdout.startswith('{"recording":1')


def test_record_says_why_it_cannot_connect(rxws_cli: Cli, server: str) -> None:
    """With `--reconnect` too, where the next attempt follows."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    waiting = rxws_cli("record", f"ws://127.0.0.1:{port}/", "--reconnect", "--seconds", "0.5")
    assert (waiting.returncode, "another attempt in" in waiting.stderr.splitlines()[0]) == (0, True)
    refused = rxws_cli("record", f"{server}/nowhere", "--reconnect")
    assert (refused.returncode, "404" in refused.stderr) == (1, True), refused


def test_recording_ends_whole(rxws_cli: Cli, server: str, tmp_path: Path) -> None:
    """A recording ends after some seconds or with Ctrl-C, and is whole."""
    result = rxws_cli("record", f"{server}/feed", "--seconds", "0.3")
    assert result.returncode == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines[-2]["code"] == 1000
    terminal = Terminal("record", f"{server}/feed", "-o", str(tmp_path / "r.jsonl"))
    terminal.until(r"\r\x1b\[K[1-9]\d* messages in, \d+\.\d kB; 0 out")
    terminal.type("\x03")
    terminal.until("; closed 1000")
    assert terminal.wait() == 0
    assert read(tmp_path / "r.jsonl").lane("socket")[-1].kind == "completed"


def started(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start a command, with pipes."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", "rxws", *arguments], **{**pipes, **options})


def test_ends_quietly_with_its_reader(server: str, file: str) -> None:
    """A reader that leaves ends a command at once and quietly, with 0; also where there is nothing more to print."""
    commands = {
        started("connect", f"{server}/feed"): "connected\n",
        started("connect", f"{server}/feed", "--jsonl"): "",
        started("record", f"{server}/feed"): None,
        started("replay", file, "--speed", "0.001"): "",
    }
    for command in commands:
        assert command.stdout is not None
        assert command.stdout.readline()
        command.stdout.close()
    for command, says in commands.items():
        try:
            assert command.wait(20) == 0, command.args
        finally:
            command.kill()
        assert command.stdin is not None
        assert command.stderr is not None
        said = command.stderr.read()
        assert said in (says, f"{says}closed 1000\n") if says is not None else "closed 1000" in said, said
        command.stdin.close()
        command.stderr.close()


def test_signals_and_streams_that_are_closed(server: str, file: str) -> None:
    """Statuses are those that shells expect; without a terminal, an input or an output nothing breaks."""
    replaying = started("replay", file, "--speed", "0.001")
    talking = started("connect", f"{server}/silent")
    shell = f"{sys.executable} -m rxws connect {server}/roomy --messages 2"
    closed = [
        subprocess.Popen(f"{shell} {how}", shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for how in ("<&-", ">&- 2>&-")
    ]
    assert replaying.stdout is not None
    assert replaying.stdout.readline()
    assert talking.stderr is not None
    assert talking.stderr.readline() == "connected\n"
    for command, number, status in ((replaying, signal.SIGINT, 130), (talking, signal.SIGTERM, 143)):
        command.send_signal(number)
        _, said = command.communicate(timeout=20)
        assert (command.returncode, said) == (status, "closed 1000\n" if command is talking else "")
    for command, shown in zip(closed, ((8, "connected\nclosed 1000\n"), (0, "")), strict=True):
        out, err = command.communicate(timeout=20)
        assert (command.returncode, len(out.splitlines()), err) == (0, *shown)


FULL = Path("/dev/full")
"""What is written there meets a full disk."""


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has it")
def test_output_that_cannot_be_written(server: str, file: str) -> None:
    """A full disk ends a command at once, with 1 and one line; what is recorded to a file, too."""
    full = "No space left on device"
    commands = {
        (
            "connect",
            f"{server}/feed",
        ): f"connected\nrxws: the output cannot be written: [Errno 28] {full}\nclosed 1000\n",
        ("connect", f"{server}/feed", "--jsonl"): f"rxws: the output cannot be written: [Errno 28] {full}\n",
        ("record", f"{server}/feed"): f"rxws: the output cannot be written: [Errno 28] {full}\n",
        (
            "record",
            f"{server}/feed",
            "-o",
            str(FULL),
        ): f"{FULL} cannot be written: [Errno 28] {full}; the recording ends\n",
        ("record", f"{server}/rude", "-o", str(FULL), "-s", "x"): f"{FULL} cannot be written: [Errno 28] {full}",
        ("replay", file, "--speed", "inf"): f"rxws: [Errno 28] {full}\n",
        ("marbles", file): f"rxws: [Errno 28] {full}\n",
        ("--help",): f"rxws: [Errno 28] {full}\n",
    }
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    with FULL.open("w") as disk:
        running = [started(*command, stdout=disk, env=buffered) for command in commands]
    try:
        for command, said in zip(running, commands.values(), strict=True):
            _, shown = command.communicate(timeout=20)
            assert (command.returncode, said in shown) == (1, True), (command.args, shown)
    finally:
        for command in running:
            command.kill()
            command.communicate()


def test_help_of_which_only_the_beginning_is_read() -> None:
    """A reader that leaves ends `--help` quietly, too."""
    reading, writing = os.pipe()
    os.close(reading)
    command = started("connect", "--help", stdout=writing, env={**os.environ, "PYTHONUNBUFFERED": ""})
    os.close(writing)
    _, said = command.communicate(timeout=20)
    assert (command.returncode, said) == (0, "")


@pytest.fixture
def file(tmp_path: Path) -> str:
    made = Recording(
        [
            Event(0.0, "socket", "open"),
            Event(0.1, "incoming", "next", "a"),
            Event(0.2, "incoming", "next", {"price": 1}),
            Event(0.2, "errors", "next", ValueError("no")),
            Event(0.3, "incoming", "next", b"\x01\x02"),
            Event(0.4, "socket", "close", rxws.Close(4001, "bye")),
        ],
        ("incoming", "errors", "socket"),
    )
    write(made, tmp_path / "made.jsonl")
    return str(tmp_path / "made.jsonl")


def test_a_recording_is_printed_when_it_happened(rxws_cli: Cli, file: str) -> None:
    result = rxws_cli("replay", file, "--speed", "inf")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "     0.000    socket  open",
        "     0.100  incoming  a",
        '     0.200  incoming  {"price": 1}',
        "     0.200    errors  ValueError('no')",
        "     0.300  incoming  01 02",
        "     0.400    socket  close 4001 bye",
    ]


def test_messages_of_a_lane_alone_are_printed(rxws_cli: Cli, file: str) -> None:
    """With `--lane`, what the next program may read."""

    def shown(lane: str) -> str:
        result = rxws_cli("replay", file, "--speed", "inf", "--lane", lane)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout

    assert shown("incoming") == 'a\n{"price":1}\n\x01\x02'
    assert shown("errors") == "ValueError('no')\n"
    assert shown("socket") == "open\nclose 4001 bye\n"


def test_odd_items_are_printed(rxws_cli: Cli, tmp_path: Path) -> None:
    """Items that JSON cannot say, or that are nested too deep for it, and names that would command a terminal."""
    deep = "[" * 100_000
    write(Recording([Event(0, "\x1b[2J", "next", {1}), Event(0, "a", "next", deep)]), tmp_path / "r.jsonl")
    result = rxws_cli("replay", str(tmp_path / "r.jsonl"))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["     0.000  \\x1b[2J  {1}", f"     0.000  a  {deep}"]


def test_names_of_lanes_are_printable(rxws_cli: Cli, tmp_path: Path) -> None:
    """The names of lanes come from a file that somebody else may have made."""
    write(Recording([Event(0.0, "a\x1b[2J\n", "next", "x")], ("a\x1b[2J\n",)), tmp_path / "made.jsonl")
    for arguments in (["replay", "--speed=inf"], ["marbles"], ["marbles", "--svg=-"]):
        shown = rxws_cli(arguments[0], str(tmp_path / "made.jsonl"), *arguments[1:])
        assert shown.returncode == 0
        assert all(line.replace("\t", "").isprintable() for line in shown.stdout.split("\n"))
        assert not any(line.startswith("  x") for line in shown.stdout.split("\n"))


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (":0", r"ws://127\.0\.0\.1:\d+/"),
        pytest.param("[::1]:0", r"ws://\[::1\]:\d+/", marks=pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")),
    ],
    ids=["IPv4", "IPv6"],
)
def test_recording_is_served_from_its_start(rxws_cli: Cli, file: str, address: str, url: str) -> None:
    """A recording is served from its start to each client that connects."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rxws", "replay", file, "--serve", address, "--speed", "2"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(url, line)
        assert found, line
        for _ in range(2):
            result = rxws_cli("connect", found[0])
            assert (result.returncode, result.stdout) == (3, 'a\n{"price":1}\n\x01\x02')
            assert result.stderr.endswith("closed 4001 bye\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.communicate()


def test_a_recording_is_drawn_as_text_and_as_a_picture(rxws_cli: Cli, file: str, tmp_path: Path) -> None:
    text = rxws_cli("marbles", file, "--width", "60").stdout
    assert text.startswith("incoming  ----------a-----{")
    assert rxws_cli("marbles", file, "--svg", str(tmp_path / "m.svg")).returncode == 0
    picture = rxws_cli("marbles", file, "--svg", "-").stdout
    assert picture == (tmp_path / "m.svg").read_text()
    ElementTree.fromstring(picture)


@pytest.mark.parametrize("command", ["replay", "marbles"])
def test_what_is_no_recording_is_one_clear_line(rxws_cli: Cli, command: str, file: str, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text(Path(file).read_text() + "bad\n")
    for name, said in (
        (__file__, "is not a recording: its first line should be like"),
        ("/nowhere.jsonl", "rxws: /nowhere.jsonl: No such file or directory"),
        (str(tmp_path / "bad.jsonl"), "line 8: not an event"),
    ):
        result = rxws_cli(command, name)
        assert (result.returncode, said in result.stderr) == (1, True), result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert rxws_cli("replay", file, "--serve", "nowhere").returncode == 2
    assert rxws_cli("replay", file, "--speed", "0").returncode == 2
