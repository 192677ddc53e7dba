"""`latest` and `latest_by` are fresh: what waits below the socket, in transports and kernels, is little."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from reactivex.subject import Subject

import rxws
from tests.integration.flood import HANDSHAKE
from tests.integration.server import certified, serving

BOTH_LOOPS = True
Eventually = Callable[..., Any]
Sip = Callable[[int], Awaitable[bytes]]


@asynccontextmanager
async def sipping(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Sip]:
    """Connect, and yield what reads so many bytes.

    Its kernel's buffer is as small as can be; without TLS it reads no more from that than is asked for, with TLS at
    most a kilobyte more.
    """
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        sip = None if tls is None else await decrypting(sock, tls)

        async def plain(size: int) -> bytes:
            data = b""
            while len(data) < size:
                data += await loop.sock_recv(sock, size - len(data))
            return data

        if sip is None:
            await loop.sock_sendall(sock, HANDSHAKE)
            sip = plain
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await sip(1)
        yield sip


async def decrypting(sock: socket.socket, tls: ssl.SSLContext) -> Sip:
    """Shake hands over TLS, then for a WebSocket, and give what reads so many bytes behind it."""
    loop = asyncio.get_running_loop()
    comes, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = tls.wrap_bio(comes, goes, server_hostname="localhost")

    async def patiently(step: Callable[..., Any], *arguments: Any) -> Any:
        while True:
            try:
                return step(*arguments)
            except ssl.SSLWantReadError:
                await loop.sock_sendall(sock, goes.read())
                comes.write(await loop.sock_recv(sock, 1024))

    async def sip(size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += await patiently(session.read, size - len(data))
        return data

    await patiently(session.do_handshake)
    session.write(HANDSHAKE)
    await loop.sock_sendall(sock, goes.read())
    return sip


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("keys", [0, 3, 50])
async def test_latest_is_fresh_for_a_slow_reader(keys: int, tls: bool, eventually: Eventually) -> None:
    """`latest` is fresh for a reader of 20 kilobytes a second, over TLS too.

    The reader keeps next to nothing itself; what its kernel and ours keep is in the ages.
    """
    policy: Any = rxws.latest_by(lambda m: m["key"]) if keys else "latest"
    ticks = Subject[dict[str, Any]]()
    handler = rxws.websocket(codec=rxws.json, overflow=policy)(lambda incoming: ticks)
    ages: list[float] = []
    certificate, trusting = certified() if tls else (None, None)
    async with serving(handler, tls=certificate) as server, sipping(server.port, trusting) as sip:
        await eventually(lambda: server.sockets)

        async def produce() -> None:
            for number in range(1000):
                for of_turn in range(2):
                    ticks.on_next(
                        {"key": keys and (2 * number + of_turn) % keys, "at": time.monotonic(), "fill": "x" * 900}
                    )
                await asyncio.sleep(0.002)

        producing = asyncio.ensure_future(produce())
        while not producing.done():
            _, _, high, low = await sip(4)
            tick = json.loads(await sip(high << 8 | low))
            ages.append(time.monotonic() - tick["at"])
            await asyncio.sleep(0.05)
        await producing
        assert server.sockets[0].stats.dropped > 500
    assert len(ages) > 10
    late = sorted(ages[len(ages) // 2 :])
    print(f"median age {late[len(late) // 2] * 1000:.0f} ms")
    assert late[len(late) // 2] < (0.4 if tls else 0.3)
