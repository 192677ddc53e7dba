"""`latest` and `latest_by` are fresh: what is on its way is little, through all buffers between us and the reader."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest
from reactivex.subject import Subject

import rxws
from rxws.core.window import MUTE_AFTER
from tests.integration.flood import HANDSHAKE
from tests.integration.raw import PING, PONG, frame
from tests.integration.real_proxies import fronting
from tests.integration.server import certified, serving

BOTH_LOOPS = True
Eventually = Callable[..., Any]
Sip = Callable[[int], Awaitable[bytes]]
Say = Callable[[bytes], Awaitable[Any]]

MUCH = 256 * 1024
"""Bytes that the relay reads ahead, besides what the kernel keeps for it on both sides."""


@asynccontextmanager
async def relay(port: int) -> AsyncIterator[int]:
    """Pass bytes on to a port of this machine, as a proxy with large buffers does, and give the port to connect to."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(MUCH):
            writer.write(data)
            await writer.drain()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port, limit=MUCH)
        tasks = {asyncio.create_task(pass_on(there, writer)), asyncio.create_task(pass_on(reader, back))}
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for one in (writer, back):
            one.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=MUCH)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.05)  # until the tasks have seen the reader leave


@asynccontextmanager
async def sipping(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Sip, Say]]:
    """Connect, and yield what reads so many bytes, and what writes.

    Its kernel's buffer is as small as can be; without TLS it reads no more from that than is asked for, with TLS at
    most a kilobyte more.
    """
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        await loop.sock_connect(sock, ("127.0.0.1", port))

        async def plain(size: int) -> bytes:
            data = b""
            while len(data) < size:
                data += await loop.sock_recv(sock, size - len(data))
            return data

        async def say(data: bytes) -> None:
            await loop.sock_sendall(sock, data)

        sip, say = (plain, say) if tls is None else await decrypting(sock, tls)
        await say(HANDSHAKE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await sip(1)
        yield sip, say


async def decrypting(sock: socket.socket, tls: ssl.SSLContext) -> tuple[Sip, Say]:
    """Shake hands over TLS, and give what reads so many bytes behind it, and what writes."""
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

    async def say(data: bytes) -> None:
        session.write(data)
        await loop.sock_sendall(sock, goes.read())

    await patiently(session.do_handshake)
    return sip, say


async def message(sip: Sip, say: Say, *, pongs: bool) -> bytes:
    """Read a message, and answer the pings before it."""
    while True:
        opcode, size = await sip(2)
        if size == 126:
            size = int.from_bytes(await sip(2), "big")
        data = await sip(size)
        if opcode & 15 != 9:
            return data
        if pongs:
            await say(bytes([0x8A, 0x80 | size, 0, 0, 0, 0]) + data)


@pytest.mark.parametrize(("path", "keys"), [("plain", 50), ("tls", 3), ("relay", 0), ("relay", 50), ("no pongs", 3)])
async def test_latest_is_fresh_for_a_slow_reader(keys: int, path: str, eventually: Eventually) -> None:
    """`latest` is fresh for a reader of 20 kilobytes a second: over TLS, and behind buffers of megabytes.

    One that answers no pings has a pause, and then what is in the kernels. The reader keeps next to nothing itself.
    The best of three tries: a busy machine reads late itself.
    """
    ages = [await median_age(keys, path, eventually)]
    while ages[-1] >= 0.5 and len(ages) < 3:
        ages.append(await median_age(keys, path, eventually))
    assert ages[-1] < 0.5


async def median_age(keys: int, path: str, eventually: Eventually) -> float:
    """Read for a while, and give the median age in the second half."""
    policy: Any = rxws.latest_by(lambda m: m["key"]) if keys else "latest"
    ticks = Subject[dict[str, Any]]()
    handler = rxws.websocket(codec=rxws.json, overflow=policy)(lambda incoming: ticks)
    ages: list[float] = []
    certificate, trusting = certified() if path == "tls" else (None, None)
    pongs = path != "no pongs"
    async with (
        serving(handler, tls=certificate) as server,
        relay(server.port) if path == "relay" else nullcontext(server.port) as port,
        sipping(port, trusting) as (sip, say),
    ):
        await eventually(lambda: server.sockets)
        ends = time.monotonic() + (1.5 if pongs else MUTE_AFTER + 2)

        number = 0

        async def produce() -> None:
            nonlocal number
            while time.monotonic() < ends:
                for _ in range(2):
                    number += 1
                    ticks.on_next({"key": keys and number % keys, "at": time.monotonic(), "fill": "x" * 900})
                await asyncio.sleep(0.002)

        producing = asyncio.ensure_future(produce())
        while not producing.done():
            tick = json.loads(await message(sip, say, pongs=pongs))
            ages.append(time.monotonic() - tick["at"])
            await asyncio.sleep(0.05)
        await producing
        stats = server.sockets[0].stats
        assert stats.dropped > number / 3
        assert (stats.in_flight is not None) is pongs
    assert len(ages) > 10
    late = sorted(ages[len(ages) // 2 :])
    print(f"median age {late[len(late) // 2] * 1000:.0f} ms")
    return late[len(late) // 2]


RATE = 20_000
"""Bytes a second."""


async def read_at_a_rate(sock: socket.socket, seconds: float) -> AsyncIterator[bytes]:
    """Read frames at `RATE` with the kernel's default buffers; a ping is answered when it has come so far."""
    loop = asyncio.get_running_loop()
    began, taken, data = loop.time(), 0, b""
    while (now := loop.time() - began) < seconds:
        await asyncio.sleep(taken / RATE - now)
        data += (sip := await loop.sock_recv(sock, RATE // 50))
        taken += len(sip)
        while len(data) > 3:
            length, header = (data[1], 2) if data[1] < 126 else (data[2] << 8 | data[3], 4)
            if len(data) < header + length:
                break
            opcode, payload, data = data[0] & 15, data[header : header + length], data[header + length :]
            if opcode == PING:
                await loop.sock_sendall(sock, frame(PONG, payload))
            else:
                yield payload


async def test_fresh_through_a_proxy(eventually: Eventually) -> None:
    """`latest_by` is fresh through a proxy with the buffers of its defaults, for a reader of 20 kilobytes a second."""
    ticks = Subject[str]()
    policy = rxws.latest_by(lambda tick: tick[:1])
    handler = rxws.websocket(overflow=policy)(lambda incoming: ticks)
    ages: list[float] = []
    loop = asyncio.get_running_loop()
    async with serving(handler) as server:
        with fronting("haproxy", server.port) as port, socket.create_connection(("127.0.0.1", port)) as sock:
            sock.setblocking(False)
            await loop.sock_sendall(sock, HANDSHAKE)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += await loop.sock_recv(sock, 1)
            await eventually(lambda: server.sockets)

            number = 0

            async def produce() -> None:
                nonlocal number
                for number in itertools.count():
                    ticks.on_next(f"{number % 5}{time.monotonic():018.9f}".ljust(1000, "x"))
                    await asyncio.sleep(0.004)

            producing = asyncio.ensure_future(produce())
            async for payload in read_at_a_rate(sock, 2):
                ages.append(time.monotonic() - float(payload[1:19]))
            producing.cancel()
        dropped = server.sockets[0].stats.dropped
    assert len(ages) > 25
    late = sorted(ages[len(ages) // 2 :])
    print(f"median age {late[len(late) // 2] * 1000:.0f} ms, at most {late[-1] * 1000:.0f} ms")
    assert late[len(late) // 2] < 0.4
    assert max(ages) < 1
    assert dropped > number / 4
