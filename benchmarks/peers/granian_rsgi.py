"""granian: Rust, and its own interface RSGI; embedded in the event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from benchmarks.peers.common import why_not

NAME = "granian"


def missing() -> str | None:
    return why_not("granian")


async def echo(scope: Any, protocol: Any) -> None:
    ws = await protocol.accept()
    while (message := await ws.receive()).kind:  # 0 is the end
        await (ws.send_str if message.kind == 2 else ws.send_bytes)(message.data)


async def serve() -> int:
    from granian.server.embed import Server

    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    server = Server(echo, port=port, backlog=8192, log_enabled=False)
    running.append(asyncio.ensure_future(server.serve()))
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return port


running: list[asyncio.Future[None]] = []
