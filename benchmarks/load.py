"""The load, in a process of its own, pinned to another core: a picows client on uvloop, the fastest one there is.

    python -m benchmarks.load echo URL,URL PID,PID ROUNDS CONNECTIONS IN_FLIGHT BYTES SECONDS

sends echo messages to each server in turn, `ROUNDS` times. Each of the `CONNECTIONS` has `IN_FLIGHT` messages waiting
for their answers. The result is JSON: for each server, a list with one entry a round: the messages that were answered,
the seconds that it took, and the seconds of CPU that the server used.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.compare import in_turn

CORE = 1
WARM_UP = 0.4
STARTED_A_SECOND = 10_000
PATIENCE = 60.0
"""Seconds that a server may take for a handshake: one with many sockets may be busy, or collect garbage."""
FROM_AN_ADDRESS = 10_000
"""Connections from each loopback address: its ports are fewer than 30,000, and some are not free again yet."""
TICK = b'{"symbol":"EURUSD","price":1.0712,"volume":3.5}'


def cpu_seconds(*pids: int) -> float:
    """User and system time of processes so far, with all their threads, from the scheduler's statistics."""
    files = (file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


class Client(WSListener):
    """Sends a message for each one it gets."""

    received = 0

    def __init__(self, in_flight: int, payload: bytes) -> None:
        self.in_flight = in_flight
        self.payload = payload

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def start(self) -> None:
        for _ in range(self.in_flight):
            self.transport.send(WSMsgType.TEXT, self.payload)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        Client.received += 1
        transport.send(WSMsgType.TEXT, self.payload)


class Member(WSListener):
    """Counts the messages of a room."""

    received = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        Member.received += 1


async def echo(url: str, pid: int, connections: int, in_flight: int, size: int, seconds: float) -> dict[str, float]:
    payload = TICK if url.endswith("/ticks") else b"x" * size
    clients = [Client(in_flight, payload) for _ in range(connections)]
    for start in range(0, connections, 50):
        address = f"127.0.0.{1 + start // FROM_AN_ADDRESS}", 0
        options = {"max_frame_size": 2**24, "local_addr": address, "websocket_handshake_timeout": PATIENCE}
        connecting = [ws_connect(lambda c=c: c, url, **options) for c in clients[start : start + 50]]
        await asyncio.gather(*connecting)
    for client in clients:
        client.start()
    await asyncio.sleep(WARM_UP + connections / STARTED_A_SECOND)
    began, messages, cpu = time.perf_counter(), Client.received, cpu_seconds(pid)
    await asyncio.sleep(seconds)
    cpu, messages, passed = cpu_seconds(pid) - cpu, Client.received - messages, time.perf_counter() - began
    for client in clients:
        client.transport.disconnect()
    return {"messages": messages, "seconds": passed, "cpu": cpu}


async def echoes(urls: list[str], pids: list[str], rounds: int, numbers: list[str]) -> list[list[dict[str, float]]]:
    """Load servers in turn, from one process, whose own luck is then the same for all."""
    *shape, seconds = numbers
    seen: list[list[dict[str, float]]] = [[] for _ in urls]
    for one in in_turn(range(len(urls)), rounds):
        seen[one].append(await echo(urls[one], int(pids[one]), *map(int, shape), float(seconds)))
    return seen


class Visitor(WSListener):
    """Says one thing, and goes when it is answered."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, b"x" * 64)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            transport.send_close(1000)
        else:
            transport.disconnect()


async def visits(url: str, pid: int, at_once: int, seconds: float) -> dict[str, float]:
    """Open, echo one message and close, again and again, as fast as that goes."""
    done = 0

    async def come_and_go() -> None:
        nonlocal done
        while True:
            transport, _ = await ws_connect(Visitor, url)
            await transport.wait_disconnected()
            done += 1

    visitors = [asyncio.create_task(come_and_go()) for _ in range(at_once)]
    await asyncio.sleep(WARM_UP)
    began, before, cpu = time.perf_counter(), done, cpu_seconds(pid)
    await asyncio.sleep(seconds)
    cpu, visited = cpu_seconds(pid) - cpu, done - before
    assert not any(visitor.done() for visitor in visitors)
    return {"messages": visited, "seconds": time.perf_counter() - began, "cpu": cpu}


async def arrivals(url: str, pid: int, rate: int, seconds: float) -> dict[str, float]:
    """Open, echo one message and close, `rate` times a second, whether or not those before are done."""
    visitors = set[asyncio.Task[None]]()
    done = 0

    async def come_and_go() -> None:
        nonlocal done
        transport, _ = await ws_connect(Visitor, url)
        await transport.wait_disconnected()
        done += 1

    async def come(seconds: float) -> None:
        began, came = time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < seconds:
            for _ in range(int(passed * rate) - came):
                came += 1
                visitors.add(visitor := asyncio.create_task(come_and_go()))
                visitor.add_done_callback(visitors.discard)
            await asyncio.sleep(0.5 / rate)

    await come(WARM_UP)
    began, before, cpu = time.perf_counter(), done, cpu_seconds(pid)
    await come(seconds)
    return {"messages": done - before, "seconds": time.perf_counter() - began, "cpu": cpu_seconds(pid) - cpu}


async def broadcast(url: str, pid: int, members: int, size: int, times: int, burst: int) -> dict[str, float]:
    listeners = [Member() for _ in range(members)]
    transports = []
    for start in range(0, members, 50):
        chunk = listeners[start : start + 50]
        transports += await asyncio.gather(*(ws_connect(lambda m=m: m, url) for m in chunk))
    publisher = transports[0][0]

    async def publish(times: int) -> None:
        expected = Member.received + times * burst * members
        publisher.send(WSMsgType.TEXT, f"publish {size} {times} {burst}".encode())
        async with asyncio.timeout(120):
            while Member.received < expected:
                await asyncio.sleep(0.002)

    await publish(max(1, times // 10))
    began, cpu = time.perf_counter(), cpu_seconds(pid)
    await publish(times)
    return {
        "messages": times * burst * members,
        "seconds": time.perf_counter() - began,
        "cpu": cpu_seconds(pid) - cpu,
    }


async def main() -> None:
    kind, url, pid, *numbers = sys.argv[1:]
    result: object
    if kind == "echo":
        result = await echoes(url.split(","), pid.split(","), int(numbers[0]), numbers[1:])
    elif kind == "visits":
        at_once, seconds = numbers
        result = await visits(url, int(pid), int(at_once), float(seconds))
    elif kind == "arrivals":
        rate, seconds = numbers
        result = await arrivals(url, int(pid), int(rate), float(seconds))
    else:
        result = await broadcast(url, int(pid), *map(int, numbers))
    print(json.dumps(result))


if __name__ == "__main__":
    os.sched_setaffinity(0, {CORE})
    uvloop.run(main())
