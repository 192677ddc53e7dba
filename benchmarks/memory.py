"""Memory under a peer that is too slow, or too fast: naive glue and rxws, side by side, as a picture.

`python -m benchmarks.memory` runs each for 60 seconds, all at the same time, and draws `docs/pictures/memory.svg`: a
server that pushes 4 MB a second to a client that reads 20 kB a second, and a client that pushes up to 4 MB a second to
a handler that takes a hundred messages a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import matplotlib
import reactivex
from aiohttp import web
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from benchmarks.idle import resident
from benchmarks.peers.common import listen
from rxws import operators as rxops

SECONDS = 60
MESSAGE = "x" * 4000
POLICIES: dict[str, Any] = {
    **{policy: policy for policy in ("close", "drop_oldest", "drop_newest", "latest")},
    "latest_by": rxws.latest_by(lambda message: message[:9]),
}
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "memory.svg"


def feed() -> reactivex.Observable[str]:
    """A thousand messages a second, of which none can be held back; each one a string of its own."""
    return reactivex.interval(0.01).pipe(
        ops.flat_map(lambda tick: reactivex.from_([f"{tick:09}.{part}" + MESSAGE for part in range(10)]))
    )


async def work(message: Any) -> None:
    await asyncio.sleep(0.01)


async def naive_push(request: web.Request) -> web.WebSocketResponse:
    from reactivex.scheduler.eventloop import AsyncIOScheduler

    naive = importlib.import_module("benchmarks.peers.naive_rx")
    source = feed().pipe(ops.subscribe_on(AsyncIOScheduler(asyncio.get_running_loop())))
    return await naive.glue(request, lambda incoming: source)


async def naive_flood(request: web.Request) -> web.WebSocketResponse:
    """Incoming into a Subject, out of it a task for each message, one at a time."""
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    incoming: Subject[str] = Subject()
    incoming.pipe(
        ops.map(lambda message: reactivex.defer(lambda _: reactivex.from_future(asyncio.ensure_future(work(message))))),
        ops.merge(max_concurrent=1),
    ).subscribe()
    async for message in ws:
        incoming.on_next(message.data)
    return ws


@rxws.websocket
def rxws_flood(incoming: Any) -> Any:
    return incoming.pipe(rxops.map_async(work), ops.ignore_elements())


def handler(side: str, variant: str) -> Any:
    if variant == "naive":
        return naive_push if side == "push" else naive_flood
    if side == "push":
        return rxws.websocket(overflow=POLICIES[variant], heartbeat=None)(lambda: feed())
    return rxws_flood


async def serve(side: str, variant: str) -> None:
    app = web.Application()
    app.router.add_get("/", handler(side, variant))
    rxws.setup(app)
    print(await listen(app), flush=True)
    await asyncio.Event().wait()


async def read_slowly(port: int) -> None:
    """Twenty kilobytes a second, and a small window."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    while await reader.read(2000):
        await asyncio.sleep(0.1)


async def write_quickly(port: int) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"ws://127.0.0.1:{port}/") as ws:
        while True:
            await ws.send_str(MESSAGE)
            await asyncio.sleep(0.001)


async def watch(side: str, variant: str) -> list[float]:
    """Megabytes of a server's memory, each half second."""
    command = [sys.executable, "-m", "benchmarks.memory", side, variant]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        port = int(await asyncio.to_thread(process.stdout.readline))
        peer = asyncio.create_task((read_slowly if side == "push" else write_quickly)(port))
        seen: list[float] = []
        for _ in range(SECONDS * 2):
            seen.append(resident(process.pid) / 1e6)
            await asyncio.sleep(0.5)
        peer.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError, aiohttp.ClientError):
            await peer
        process.kill()
    return seen


async def main() -> None:
    variants = [("push", variant) for variant in ("naive", *POLICIES)] + [("flood", "naive"), ("flood", "map_async")]
    seen = dict(zip(variants, await asyncio.gather(*(watch(*variant) for variant in variants)), strict=True))
    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, both = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    titles = {"push": "a client that reads too slowly", "flood": "a client that sends too fast"}
    for axes, (side, title) in zip(both, titles.items(), strict=True):
        for (its_side, variant), values in seen.items():
            if its_side == side:
                label = "RxPY on aiohttp, naive" if variant == "naive" else f"rxws, {variant}"
                axes.plot([half / 2 for half in range(len(values))], values, label=label)
        axes.set(title=title, xlabel="seconds", ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    both[0].set_ylabel("server memory, MB")
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Date": None})
    for (side, variant), values in seen.items():
        print(
            f"{side:6} {variant:12} {values[4]:7.1f} MB after 2 s, {max(values):7.1f} at most, {values[-1]:7.1f} last"
        )


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:3]) if len(sys.argv) > 2 else main())
