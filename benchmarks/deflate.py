"""What compression costs, and what it saves: rooms, echoes and memory of sockets that compress, and bytes on the wire.

`python -m benchmarks.deflate room URL SERVER_PID SOCKETS TIMES` and `... echo URL SERVER_PID CONNECTIONS IN_FLIGHT
SECONDS` are the load, in a process of its own: it offers permessage-deflate, sends what was compressed before, and
inflates nothing, so that it is faster than any server.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
import zlib
from collections.abc import Iterator

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.compare import Peer, in_turn, output, running, spread
from benchmarks.idle import resident
from benchmarks.load import CORE, WARM_UP, cpu_seconds
from benchmarks.peers.common import messages
from rxws import Deflate
from rxws.core.wire import Text
from rxws.wires.deflate import make_deflation
from rxws.wires.negotiation import Agreement, Half

OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
RXWS = "rxws_pipeline"
PEERS = {
    "rxws, uncompressed": (RXWS, ""),
    "rxws, `compress=True`": (RXWS, "/deflate"),
    "rxws, with contexts": (RXWS, "/context"),
    "aiohttp, by hand": ("aiohttp_loop", "/deflate"),
    "websockets": ("websockets_loop", "/deflate"),
}
"""Servers, and where they do what is measured."""
ROOMS = ((300, 25), (1000, 10))
"""Sockets, and messages in a second, about."""
ECHO = (20, 4)
KINDS = {"table": "a JSON table", "tick": "a tick", "small": "a small tick"}


class Client(WSListener):
    """Counts what comes, and says a message for each, if it has some."""

    heard = 0

    def __init__(self, said: list[bytes], *, compressed: bool) -> None:
        self.said, self.compressed, self.number = said, compressed, 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def say(self) -> None:
        self.number += 1
        self.transport.send(WSMsgType.TEXT, self.said[self.number % len(self.said)], True, self.compressed)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        Client.heard += 1
        if self.said:
            self.say()


async def connect(url: str, clients: list[Client]) -> None:
    for start in range(0, len(clients), 50):
        chunk = clients[start : start + 50]
        await asyncio.gather(*(ws_connect(lambda c=c: c, url, extra_headers=OFFER) for c in chunk))


async def room(url: str, pid: int, sockets: int, times: int) -> dict[str, float]:
    """Give CPU seconds of a delivery, and bytes of a socket after 25 messages at least."""
    before = resident(pid)
    clients = [Client([], compressed=False) for _ in range(sockets)]
    await connect(url, clients)

    async def publish(times: int) -> None:
        expected = Client.heard + times * sockets
        clients[0].transport.send(WSMsgType.TEXT, f"publish table {times} 1".encode())
        async with asyncio.timeout(120):
            while Client.heard < expected:
                await asyncio.sleep(0.002)

    await publish(25)
    memory, cpu = resident(pid) - before, cpu_seconds(pid)
    await publish(times)
    return {"cpu": (cpu_seconds(pid) - cpu) / times / sockets, "memory": memory / sockets}


async def echo(url: str, pid: int, connections: int, in_flight: int, seconds: float) -> dict[str, float]:
    """Give messages a second, and CPU seconds of one."""
    texts = [text.encode() for text in messages("table")]
    compressed = any(path and f"{path}/" in url for _, path in PEERS.values())
    said = [_squeezed(text) for text in texts] if compressed else texts
    clients = [Client(said, compressed=compressed) for _ in range(connections)]
    await connect(url, clients)
    for client in clients:
        for _ in range(in_flight):
            client.say()
    await asyncio.sleep(WARM_UP)
    began, heard, cpu = time.perf_counter(), Client.heard, cpu_seconds(pid)
    await asyncio.sleep(seconds)
    heard, took = Client.heard - heard, time.perf_counter() - began
    return {"throughput": heard / took, "cpu": (cpu_seconds(pid) - cpu) / max(heard, 1)}


def _squeezed(data: bytes) -> bytes:
    """Compress a message by itself, within the window of 12 bits that `websockets` asks for."""
    stream = zlib.compressobj(6, zlib.DEFLATED, -12)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def measured(rounds: int, kind: str, *numbers: float) -> dict[str, list[dict[str, float]]]:
    """Measure all peers in turn, each with a server that has just started: memory is measured too."""
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in PEERS}
    for name in in_turn(list(PEERS), rounds):
        module, path = PEERS[name]
        with running(Peer(module)) as (port, pid):
            url = f"ws://127.0.0.1:{port}{path}/{kind}"
            seen[name].append(output("benchmarks.deflate", kind, url, str(pid), *map(str, numbers)))
    return seen


def _middle(seen: list[dict[str, float]], what: str) -> float:
    return statistics.median(one[what] for one in seen)


def on_the_wire(kind: str, wanted: Deflate | None) -> float:
    """Give bytes of a message with its header, on the average; without compression if none is wanted."""
    texts = messages(kind)
    if wanted is None:
        return statistics.mean(len(text) + (2 if len(text) < 126 else 4) for text in texts)
    half = Half(15, not wanted.outgoing_context)
    deflate = make_deflation(wanted, Agreement(half, half), None).deflate
    assert deflate is not None
    sizes = [len(deflate(Text(text.encode())).data) for text in texts]
    return statistics.mean(size + (2 if size < 126 else 4) for size in sizes)


def deflate(rounds: int, seconds: float) -> Iterator[str]:
    yield "\n## Compressed\n\nJSON tables of 1.1 kB, each another one."
    for sockets, times in ROOMS:
        seen = measured(rounds, "room", sockets, max(int(times * seconds), 1))
        first, theirs = seen["rxws, uncompressed"], seen["aiohttp, by hand"]
        yield f"\n### A room of {sockets:,}\n"
        yield "| peer | server CPU, µs/delivery | to uncompressed | to aiohttp | KiB a socket | to uncompressed |"
        yield "|---|---:|---:|---:|---:|---:|"
        for name, found in seen.items():
            cpu, memory = _middle(found, "cpu"), _middle(found, "memory")
            yield (
                f"| {name} | {spread([one['cpu'] * 1e6 for one in found], 1)} | {cpu / _middle(first, 'cpu'):.2f} | "
                f"{cpu / _middle(theirs, 'cpu'):.2f} | {spread([one['memory'] / 1024 for one in found], 1)} | "
                f"{memory / _middle(first, 'memory'):.2f} |"
            )
    seen = measured(rounds, "echo", *ECHO, seconds)
    theirs = seen["aiohttp, by hand"]
    yield f"\n### Echo, {ECHO[0]} connections with {ECHO[1]} messages in flight\n"
    yield "| peer | messages/s | to aiohttp | server CPU, µs/message |"
    yield "|---|---:|---:|---:|"
    for name, found in seen.items():
        ratio = _middle(found, "throughput") / _middle(theirs, "throughput")
        cpu = spread([one["cpu"] * 1e6 for one in found], 1)
        yield f"| {name} | {spread([one['throughput'] for one in found])} | {ratio:.2f} | {cpu} |"
    yield "\n### Bytes on the wire, of a message with its header\n"
    yield "| message | bytes | `compress=True` | with contexts |"
    yield "|---|---:|---:|---:|"
    for kind, what in KINDS.items():
        plain, shared, kept = (on_the_wire(kind, one) for one in (None, Deflate(), Deflate(outgoing_context=True)))
        yield f"| {what} | {plain:,.0f} | {shared:,.0f} | {kept:,.0f} |"


async def main() -> None:
    kind, url, pid, *numbers = sys.argv[1:]
    if kind == "room":
        result = await room(url, int(pid), *map(int, numbers))
    else:
        result = await echo(url, int(pid), *map(int, numbers[:2]), float(numbers[2]))
    print(json.dumps(result))


if __name__ == "__main__":
    os.sched_setaffinity(0, {CORE})
    uvloop.run(main())
