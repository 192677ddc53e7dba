"""The peer that Autobahn's cases are run against: an echo on rxws, as a server or as a client, in a process of its own.

`python -m tests.conformance.echo server` prints its port and serves until its input ends;
`python -m tests.conformance.echo client URL` runs all cases of the fuzzing server there. `--compress` is for
permessage-deflate, with all that can be negotiated. All messages are compressed then: the cases take no others.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from typing import Any

from aiohttp import web
from reactivex import operators as ops

import rxws
from rxws.core.wire import Binary, Frame
from rxws.wires import deflate

COMPRESS = rxws.Deflate(outgoing_context=True, incoming_context=True, outgoing_window_bits=15, threshold=0)

LARGEST = 16 * 1024 * 1024
"""Bytes of the largest message of the cases."""


class DeflatesAll(deflate.SharedDeflater):
    """Compresses what becomes larger, too: without a context, 16 bytes do."""

    def __call__(self, frame: Frame) -> Frame:
        return frame if frame.opcode > Binary.opcode else deflate.Deflated(frame, self._compress(frame.data))


async def serve(options: dict[str, Any]) -> None:
    app = web.Application()
    app.router.add_get("/", rxws.websocket(**options)(lambda incoming: incoming))
    rxws.setup(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


async def run_cases(url: str, at_once: int, options: dict[str, Any]) -> None:
    places = asyncio.Semaphore(at_once)

    async def run(number: int) -> None:
        async with places:
            socket = await rxws.connect(f"{url}/runCase?case={number}&agent=rxws", **options)
            socket.incoming.subscribe(socket.outgoing)
            await socket.closed

    async with rxws.connect(f"{url}/getCaseCount") as socket:
        cases = int(await socket.incoming.pipe(ops.first()))
    await asyncio.gather(*map(run, range(1, cases + 1)))
    async with rxws.connect(f"{url}/updateReports?agent=rxws") as socket:
        socket.incoming.subscribe()
        await socket.closed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("server", "client"))
    parser.add_argument("url", nargs="?")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--compress", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("rxws").setLevel(logging.CRITICAL)  # violations, of which the cases are full, are logged
    vars(deflate)["SharedDeflater"] = DeflatesAll
    options = {"max_msg_size": LARGEST, "heartbeat": None, "compress": arguments.compress and COMPRESS}
    if arguments.role == "server":
        asyncio.run(serve(options))
    else:
        asyncio.run(run_cases(arguments.url, arguments.at_once, options))


if __name__ == "__main__":
    main()
