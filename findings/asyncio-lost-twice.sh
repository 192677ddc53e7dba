#!/bin/sh
# asyncio-lost-twice: a write to a peer that has just reset, within `resume_writing()`, is an AttributeError in asyncio's log.
#
# Expected: `connection_lost(ConnectionResetError())`, once, as from any other write, and nothing in the log.
# Seen:     the transport is taken apart twice. `connection_lost(None)` says that the end was a polite one, and then the
#           loop's exception handler gets "'NoneType' object has no attribute 'close'" of `_call_connection_lost`.
# Matters:  who writes on as soon as there is room, as a fast sender does, now and then logs an error that is not its
#           own when a peer goes, and does not learn that it was reset. It is CPython's issue 156512, fixed on its main branch.
# Versions: uvloop 0.23.0; Python 3.11.7
#
# Printed on 2026-11-30:
#   asyncio: connection_lost(None), then AttributeError
#   uvloop:  connection_lost(ConnectionResetError)
. "$(dirname "$0")/tools.sh"
python_with uvloop==0.23.0

run_python <<'END'
import asyncio
import socket
import struct

import uvloop
from wire import compare, versions

versions("uvloop")


async def main():
    loop = asyncio.get_running_loop()
    seen = []
    loop.set_exception_handler(lambda _, context: seen.append(type(context.get("exception")).__name__))

    class Ours(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            transport.write(bytes(20_000_000))

        def resume_writing(self):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            self.transport.write(b"more")

        def connection_lost(self, error):
            seen.append(error and type(error).__name__)

    server = await loop.create_server(Ours, "127.0.0.1", 0)
    peer = socket.create_connection(server.sockets[0].getsockname())
    peer.setblocking(False)
    for _ in range(5000):
        if seen:
            break
        await asyncio.sleep(0.001)
        try:
            peer.recv(2**20)
        except OSError:
            pass
    await asyncio.sleep(0.2)
    server.close()
    return seen


seen = [asyncio.run(main()), uvloop.run(main())]
for name, calls in zip(("asyncio:", "uvloop: "), seen):
    print(name, f"connection_lost({calls[0]})" + "".join(f", then {error}" for error in calls[1:]))
compare(seen, [[None, "AttributeError"], ["ConnectionResetError"]])
END
