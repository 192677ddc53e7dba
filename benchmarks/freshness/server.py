"""The server, in a process of its own, pinned to a core: `server.py LOOP CERTIFICATE` prints its ports as JSON.

It is run as a file, with the version of rxws to measure in `PYTHONPATH`, and imports nothing else of this tree.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import reactivex
from aiohttp import web
from reactivex import Observable, Subject
from reactivex.disposable import Disposable

import rxws

CORE = 0
TURN = 0.005
"""Seconds between two looks at the clock of what is made at a rate."""
KEYS = 10
SYMBOLS, HERTZ = 200, 50
SATURATED = 65536
"""Bytes that wait in `outgoing` while the fast producer pauses."""
PAGE = Path(__file__).with_name("page.html")


def options(query: Any) -> dict[str, Any]:
    policy = query["policy"]
    return {"overflow": rxws.latest_by(lambda message: message[:6]) if policy == "latest_by" else policy}


def running(work: Callable[[Callable[[Any], None]], Any]) -> Observable[Any]:
    """Run a coroutine function with `on_next` as long as there is a subscriber."""

    def subscribe(observer: Any, scheduler: Any = None) -> Disposable:
        return Disposable(asyncio.ensure_future(work(observer.on_next)).cancel)

    return reactivex.create(subscribe)


def stamped(key: int, size: int) -> str:
    """A message with its key and the time, which all processes of a machine share."""
    return f"{key:06}{time.monotonic():018.9f}".ljust(size, "x")


async def at_a_rate(rate: float, make: Callable[[], None]) -> None:
    began, made = time.monotonic(), 0
    while True:
        await asyncio.sleep(TURN)
        due = int((time.monotonic() - began) * rate)
        for _ in range(due - made):
            make()
        made = due


async def feed(request: web.Request) -> web.StreamResponse:
    """A feed of `rate` messages a second, each of `size` bytes with one of ten keys."""
    rate, size = float(request.query["rate"]), int(request.query["size"])
    keys = numbers(KEYS)

    async def work(send: Callable[[Any], None]) -> None:
        await at_a_rate(rate, lambda: send(stamped(next(keys), size)))

    return await rxws.websocket(**options(request.query))(lambda incoming: running(work))(request)


def numbers(below: int) -> Iterator[int]:
    while True:
        yield from range(below)


async def burst(request: web.Request) -> web.StreamResponse:
    """As much as the socket takes, of other keys each time: `outgoing` is kept from overflowing by the producer."""
    size, keys = int(request.query["size"]), numbers(100_000)

    def handler(socket: rxws.WebSocket[Any, Any]) -> Observable[Any]:
        async def work(send: Callable[[Any], None]) -> None:
            while True:
                made = 0
                while socket.stats.buffered_bytes < SATURATED and made < 512:
                    for _ in range(16):
                        send(stamped(next(keys), size))
                    made += 16
                await asyncio.sleep(0 if made else 0.0002)

        return running(work)

    return await rxws.websocket(**options(request.query))(handler)(request)


crowds: dict[str, Subject[Any]] = {}
producers: set[asyncio.Future[None]] = set()


async def crowd(request: web.Request) -> web.StreamResponse:
    """One feed for all sockets of a policy, made at a fixed rate."""
    name = f"{request.query['policy']} of {request.query['of']}"
    if name not in crowds:
        subject = crowds[name] = Subject()
        keys, size = numbers(KEYS), int(request.query["size"])
        rate = float(request.query["rate"])
        producers.add(asyncio.ensure_future(at_a_rate(rate, lambda: subject.on_next(stamped(next(keys), size)))))
    return await rxws.websocket(**options(request.query))(lambda incoming: crowds[name])(request)


def taken(message: Any) -> int | None:
    """How many messages a page says that it has taken."""
    return json.loads(message).get("taken")


async def ticks(request: web.Request) -> web.StreamResponse:
    """Two hundred symbols at 50 Hz, for a page, which may say what it has taken."""
    extra: dict[str, Any] = {"in_flight": taken} if request.query["acknowledge"] == "yes" else {}
    symbols = numbers(SYMBOLS)

    async def work(send: Callable[[Any], None]) -> None:
        await at_a_rate(
            SYMBOLS * HERTZ, lambda: send(f'{{"symbol": {next(symbols):4}, "at": {time.time() * 1000:.3f}, "bid": 1}}')
        )

    policy = rxws.latest_by(lambda message: message[:16])
    return await rxws.websocket(overflow=policy, **extra)(lambda incoming: running(work))(request)


reports: list[Any] = []


async def report(request: web.Request) -> web.Response:
    reports.extend(await request.json())
    return web.Response()


async def reported(request: web.Request) -> web.Response:
    """What pages have reported since this was asked for."""
    told = json.dumps(reports)
    reports.clear()
    return web.Response(text=told)


async def page(request: web.Request) -> web.Response:
    return web.Response(text=PAGE.read_text(), content_type="text/html")


async def main(certificate: str) -> None:
    app = web.Application(client_max_size=2**26)
    for handler in (feed, burst, crowd, ticks, page, reported):
        app.router.add_get(f"/{handler.__name__}", handler)
    app.router.add_post("/report", report)
    rxws.setup(app)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    gc.freeze()
    print(json.dumps([address[1] for address in runner.addresses]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    loop, certificate = sys.argv[1:3]
    os.sched_setaffinity(0, {CORE})
    if loop == "uvloop":
        import uvloop

        uvloop.run(main(certificate))
    else:
        asyncio.run(main(certificate))
