#!/bin/sh
# uvloop-low-water: uvloop's default low-water mark for writing is 16 bytes, asyncio's is 16 KiB.
#
# Expected: a drop-in loop has asyncio's limits: writing pauses above 64 KiB, and resumes at a quarter of it.
# Seen:     `get_write_buffer_limits()` is (16, 65536). A sender that waits in `drain()` goes on when its buffer is empty,
#           not when a quarter of it is left.
# Matters:  with a slow reader each wait is longer, nothing is in reserve when it ends, and gauges of "paused" sockets read
#           higher after the change to uvloop. `transport.set_write_buffer_limits(high=65536)` gives what one expects: low is a quarter then.
# Versions: uvloop 0.23.0; Python 3.11.7
#
# Printed on 2026-11-29:
#   asyncio: by default (16384, 65536), after set_write_buffer_limits(high=65536) (16384, 65536)
#   uvloop:  by default (16, 65536), after set_write_buffer_limits(high=65536) (16384, 65536)
#   bytes left when writing resumes: asyncio more than 16, uvloop at most 16
. "$(dirname "$0")/tools.sh"
python_with uvloop==0.23.0

run_python <<'END'
import asyncio
import socket

import uvloop
from wire import compare, versions

versions("uvloop")


async def main():
    loop = asyncio.get_running_loop()
    resumed = loop.create_future()

    class Sender(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def resume_writing(self):
            if not resumed.done():
                resumed.set_result(self.transport.get_write_buffer_size())

    listener, sender = socket.socket(), socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that the kernels take small pieces
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    sender.setblocking(False)
    await loop.sock_connect(sender, listener.getsockname())
    transport, _ = await loop.create_connection(Sender, sock=sender)
    peer, _ = listener.accept()
    peer.setblocking(False)
    default = transport.get_write_buffer_limits()
    while transport.get_write_buffer_size() < 200_000:
        transport.write(bytes(10_000))
        await asyncio.sleep(0)
    while not resumed.done():
        await asyncio.wait_for(loop.sock_recv(peer, 1024), 10)
    left = resumed.result()
    transport.set_write_buffer_limits(high=65536)
    limits = transport.get_write_buffer_limits()
    transport.abort()
    peer.close()
    listener.close()
    return default, limits, "at most 16" if left <= 16 else "more than 16"


first, second = asyncio.run(main()), uvloop.run(main())
for name, (default, limits, _) in (("asyncio:", first), ("uvloop: ", second)):
    print(f"{name} by default {default}, after set_write_buffer_limits(high=65536) {limits}")
print(f"bytes left when writing resumes: asyncio {first[2]}, uvloop {second[2]}")
compare(
    (first, second),
    (
        ((16384, 65536), (16384, 65536), "more than 16"),
        ((16, 65536), (16384, 65536), "at most 16"),
    ),
)
END
