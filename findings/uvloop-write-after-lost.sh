#!/bin/sh
# uvloop-write-after-lost: on uvloop, writing to a transport whose peer has gone raises; on asyncio it does nothing.
#
# Expected: `transport.write()` after the connection was lost is ignored (asyncio counts it and warns at the fifth), so a
#           last message or pong to a peer who has just left is no error.
# Seen:     with uvloop `write()` raises RuntimeError, "the handler is closed", and so does `write_eof()`.
# Matters:  a broadcast loop that passed its tests on asyncio stops at the first peer that left, and those after it get
#           nothing. Ask `is_closing()` first, on each loop.
# Versions: uvloop 0.23.0; Python 3.11.7
#
# Printed on 2026-11-29:
#   asyncio: write() returns, write_eof() returns, is_closing() True
#   uvloop:  write() raises RuntimeError, write_eof() raises RuntimeError, is_closing() True
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
    lost = loop.create_future()

    class Ours(asyncio.Protocol):
        def connection_lost(self, error):
            lost.set_result(error)

    listener = socket.create_server(("127.0.0.1", 0))
    transport, _ = await loop.create_connection(Ours, *listener.getsockname())
    peer, _ = listener.accept()
    peer.close()
    listener.close()
    await asyncio.wait_for(lost, 10)
    seen = []
    for call in (lambda: transport.write(b"bye"), transport.write_eof):
        try:
            call()
            seen.append("returns")
        except RuntimeError as error:
            seen.append(f"raises {type(error).__name__}")
    return seen, transport.is_closing()


seen = [asyncio.run(main()), uvloop.run(main())]
for name, ((write, write_eof), closing) in zip(("asyncio:", "uvloop: "), seen):
    print(f"{name} write() {write}, write_eof() {write_eof}, is_closing() {closing}")
compare(
    seen,
    [(["returns", "returns"], True), (["raises RuntimeError", "raises RuntimeError"], True)],
)
END
