"""Jupyter's server: a kernel's channels in binary frames, a token, and a kernel that is gone after a restart."""

from __future__ import annotations

import json
import struct
import sys
import uuid
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp

import rxws
from tests.servers.process import (
    NUMBERS,
    causes,
    check_account,
    free_port,
    rotate,
    send_through_restarts,
    serving,
    until,
)
from tests.streams import watch

SOON = rxws.Backoff(initial=0.05, maximum=0.1)
TOKEN = "secret"
SESSION = uuid.uuid4().hex
Message = dict[str, Any]
PARTS = ("header", "parent_header", "metadata", "content")


class Channels:
    """`v1.kernel.websocket.jupyter.org`: offsets, a channel, four parts in JSON, buffers."""

    pure = True

    def decode(self, data: str | bytes, /) -> Message:
        assert isinstance(data, bytes)
        (count,) = struct.unpack_from("<Q", data)
        offsets = struct.unpack_from(f"<{count}Q", data, 8)
        channel, *parts = [data[begin:end] for begin, end in pairwise(offsets)]
        return {"channel": channel.decode(), **dict(zip(PARTS, map(json.loads, parts), strict=False))}

    def encode(self, message: Message, /) -> bytes:
        parts = [message["channel"].encode(), *(json.dumps(message[part]).encode() for part in PARTS)]
        offsets = [8 * (len(parts) + 2)]
        for part in parts:
            offsets.append(offsets[-1] + len(part))
        return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(parts)


def ask(kind: str, **content: Any) -> Message:
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": kind,
        "session": SESSION,
        "version": "5.3",
        "username": "",
        "date": "",
    }
    return {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}


def key(message: Message) -> str | None:
    """What a question and its answer have in common."""
    if message["channel"] != "shell":
        return None
    asked = message["parent_header"] or message["header"]
    return asked["msg_id"]


class Jupyter:
    """The server's command, and where its kernel is."""

    def __init__(self, folder: Path) -> None:
        self.port = port = free_port()
        self.http = f"http://127.0.0.1:{port}/api/kernels"
        self.command = (
            *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--port={port}"),
            *(
                "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={TOKEN}",
                "--ServerApp.jpserver_extensions={}",
            ),
        )
        self.env = {
            "JUPYTER_PLATFORM_DIRS": "1",
            **{f"JUPYTER_{kind}_DIR": str(folder) for kind in ("CONFIG", "DATA", "RUNTIME")},
        }
        self.kernels: list[str] = []

    async def url(self, token: str = TOKEN) -> str:
        """Find the kernel, or start one: after a restart the server has none."""
        headers = {"Authorization": f"token {token}"}
        async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as session:
            async with session.get(self.http) as answer:
                kernels = await answer.json()
            if not kernels:
                async with session.post(self.http, json={}) as answer:
                    kernels = [await answer.json()]
        self.kernels.append(kernels[0]["id"])
        return f"ws://127.0.0.1:{self.port}/api/kernels/{kernels[0]['id']}/channels?session_id={SESSION}"


OPTIONS: dict[str, Any] = {
    "headers": {"Authorization": f"token {TOKEN}"},
    "protocols": ["v1.kernel.websocket.jupyter.org"],
    "codec": Channels(),
    "reconnect": SOON,
    "greet": ask("kernel_info_request"),
}


async def test_restart_in_mid_stream(tmp_path: Path) -> None:
    """Cells are run through a restart: each one once or not at all, and who asked is told; then in a kernel that stays.

    What the kernel has to say while its client is away waits for it, by the session in the URL.
    """
    jupyter = Jupyter(tmp_path)
    witness = tmp_path / "run"
    answered: list[int] = []
    failed: dict[int, Exception] = {}
    printed: list[int] = []
    async with (
        serving(tmp_path, *jupyter.command, port=jupyter.port, env=jupyter.env) as server,
        rxws.connect(jupyter.url, **OPTIONS) as socket,
    ):
        ends = causes(socket)

        def run(number: int) -> None:
            code = f"print({number}, file=open({str(witness)!r}, 'a'))"
            question = ask("execute_request", code=code, silent=True, store_history=False)

            def fail(error: Exception) -> None:
                failed[number] = error

            socket.request(question, key=key, timeout=2.5).subscribe(lambda _: answered.append(number), fail)

        await send_through_restarts(server, socket, run, crash=False)
        await until(lambda: len(answered) + len(failed) == len(NUMBERS), "all are answered or failed", 20)

        def take(message: Message) -> None:
            if message["header"]["msg_type"] == "stream":
                printed.extend(map(int, message["content"]["text"].split()))

        socket.incoming.subscribe(take)
        states = watch(s=socket.states)
        assert await rotate(socket) == []
        assert states[1:2] == [("s", rxws.Waiting(0.0, rxws.Close.received(1005)))]  # of the connection before

        code = "import time\nfor n in range(40): print(n, flush=True); time.sleep(0.01)"
        socket.outgoing.on_next(ask("execute_request", code=code, silent=False, store_history=False))
        await until(lambda: 10 in printed, "a part is printed")
        socket.reconnect()
        await until(lambda: 39 in printed, "all is printed")
    assert [number for index, number in enumerate(printed) if number in printed[:index]] == []
    ran = [int(line) for line in witness.read_text().split()]
    assert answered == [number for number in ran if number not in failed]
    check_account(NUMBERS, ran, failed)
    assert {type(error) for error in failed.values()} <= {rxws.ConnectionLost, TimeoutError}  # the latter had arrived
    assert answered[-1] == NUMBERS[-1]
    assert isinstance(ends[0], rxws.ConnectionLost)
