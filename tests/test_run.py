import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import uvloop

from rxws.run import new_event_loop

PROGRAM = """
import asyncio, rxws
from aiohttp import web

async def kind(request):
    return web.Response(text=type(asyncio.get_running_loop()).__module__)

app = web.Application()
app.router.add_get("/", kind)
rxws.run(app, host="127.0.0.1", port={port})
"""


def test_the_event_loop_is_uvloop_s_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = new_event_loop()
    assert isinstance(loop, uvloop.Loop)
    loop.close()
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    assert type(loop).__module__.startswith("asyncio")
    loop.close()


def test_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = tmp_path / "server.py"
    program.write_text(PROGRAM.format(port=port))
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        deadline = time.monotonic() + 20
        answer = ""
        while not answer and time.monotonic() < deadline:
            time.sleep(0.05)
            answer = asyncio.run(ask(port))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=10)
    assert answer.endswith("uvloop")
    assert process.returncode == 0, output
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
