import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web

import rxws
from rxws.processes.run import new_event_loop
from tests.ports import free_port

PROGRAM = """
import asyncio, rxws
from aiohttp import web

async def kind(request):
    return web.Response(text=type(asyncio.get_running_loop()).__module__)

async def clean_up(app):
    await asyncio.sleep(0.1)
    print("cleaned up", flush=True)

app = web.Application()
app.router.add_get("/", kind)
app.on_cleanup.append(clean_up)

async def make():
    return app

rxws.run({app}, host="127.0.0.1", port={port})
"""


def test_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop is uvloop's where it is installed."""
    loop = new_event_loop()
    assert isinstance(loop, uvloop.Loop)
    loop.close()
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    assert type(loop).__module__.startswith("asyncio")
    loop.close()


@pytest.mark.parametrize("app", ["app", "make()"])
def test_interrupt(tmp_path: Path, app: str) -> None:
    """The server serves until it is interrupted, and cleans up though signals come from two sides."""
    port = free_port()
    program = tmp_path / "server.py"
    program.write_text(PROGRAM.format(app=app, port=port))
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        deadline = time.monotonic() + 20
        answer = ""
        while not answer and time.monotonic() < deadline:
            time.sleep(0.05)
            answer = asyncio.run(ask(port))
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    assert answer.endswith("uvloop")
    assert process.returncode == 0, output
    assert b"cleaned up" in output
    assert os.fsencode(str(port)) in output


async def ask(port: int) -> str:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return ""
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.decode()


@pytest.mark.parametrize(
    ("workers", "options", "error", "says"),
    [
        (0, {}, ValueError, "workers must be a positive whole number of processes, or None for this one alone, not 0"),
        (-1, {}, ValueError, "workers must be a positive whole number"),
        (True, {}, TypeError, "workers must be a positive whole number"),
        ("4", {}, TypeError, "workers must be a positive whole number"),
        (2, {"path": "/nowhere/rxws.sock"}, OSError, "cannot listen on /nowhere/rxws.sock: No such file or directory"),
        (2, {"sock": 3}, TypeError, "sock must be a socket, or several, not 3"),
        (2, {"sock": [None]}, TypeError, "sock must be a socket, or several, not None"),
        (2, {"reuse_port": False}, ValueError, "reuse_port= is for one process"),
        (2, {"handle_signals": False}, ValueError, "handle_signals= is for one process"),
        (2, {"port": "x"}, TypeError, "port must be 0 to 65535, or None for the usual one, not 'x'"),
        (2, {"port": 99999}, ValueError, "port must be 0 to 65535, or None for the usual one, not 99999"),
        (2, {"shutdown_timeout": None}, TypeError, "shutdown_timeout must be a number of seconds, 0 or more, not None"),
        (2, {"shutdown_timeout": -1}, ValueError, "shutdown_timeout must be a number of seconds, 0 or more, not -1"),
        (1, {"host": "192.0.2.1"}, OSError, "Cannot assign"),
    ],
)
def test_bad_workers_options(workers: Any, options: Any, error: type[Exception], says: str) -> None:
    """What makes no sense with workers is a clear error."""
    with pytest.raises(error, match=says):
        rxws.run(web.Application(), workers=workers, **options)


@pytest.mark.parametrize("workers", [None, 2])
def test_tls_context_of_no_server(workers: Any) -> None:
    """A TLS context that no server can use is an error at once: later, clients would be cut off silently."""
    with pytest.raises(ValueError, match=r"ssl_context is a client's: a server's is made with .*CLIENT_AUTH"):
        rxws.run(web.Application(), workers=workers, ssl_context=ssl.create_default_context())
    with pytest.raises(TypeError, match=r"ssl_context must be an ssl.SSLContext, not 'my.pem': .*load_cert_chain"):
        rxws.run(web.Application(), workers=workers, ssl_context="my.pem")


def test_unsupported_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without what workers need is a clear error."""
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(RuntimeError, match="no fork or no SO_REUSEPORT"):
        rxws.run(web.Application(), workers=2)


async def test_beside_a_running_loop() -> None:
    """One process cannot run beside an event loop either, and a notebook has something else."""
    with pytest.raises(RuntimeError, match=r"cannot within an event loop: .* use rxws.jupyter.serve\(app\)"):
        rxws.run(web.Application())


async def test_fork_in_loop_or_thread() -> None:
    """Workers are not forked beside an event loop or from a thread."""
    with pytest.raises(RuntimeError, match="cannot within an event loop"):
        rxws.run(web.Application(), workers=2)
    errors: list[Exception] = []

    def run() -> None:
        try:
            rxws.run(web.Application(), workers=2)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "must be called in the main thread" in str(errors[0])


@pytest.mark.parametrize("shared", [False, True])
def test_port_in_use(shared: bool) -> None:
    """A port in use is an error at once, even if it could be shared."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=shared) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port}: Address already in use"):
            rxws.run(web.Application(), workers=2, host="127.0.0.1", port=port)
