#!/bin/sh
# uvloop-one-accept-a-turn: uvloop accepts one waiting connection in each turn of its loop, asyncio up to a backlog of them.
#
# Expected: a listening socket that is ready is emptied, as asyncio does: up to `backlog` connections (100) in one callback.
# Seen:     of fifty connections that wait, asyncio accepts all in one turn. uvloop accepts one, runs everything else that is
#           ready, and polls again; the fifty take fifty turns.
# Matters:  a crowd that comes back after a restart is accepted no faster than the loop turns: a turn with 10 ms of work lets in
#           a hundred clients a second. And each is opened by itself, between other work, which the processor's caches do not
#           favor: several sockets that open together cost less.
# Versions: uvloop 0.23.0; Python 3.11.7
#
# Printed on 2026-12-01:
#   asyncio: 50 connections that waited were accepted in 1 turn(s)
#   uvloop:  50 connections that waited were accepted in 50 turn(s)
. "$(dirname "$0")/tools.sh"
python_with uvloop==0.23.0

run_python <<'END'
import asyncio
import socket

import uvloop
from wire import compare, versions

versions("uvloop")
WAITING = 50


async def main():
    loop = asyncio.get_running_loop()
    turn, accepted = 0, []

    def count():
        nonlocal turn
        turn += 1
        loop.call_soon(count)

    class Server(asyncio.Protocol):
        def connection_made(self, transport):
            accepted.append(turn)
            transport.abort()

    server = await loop.create_server(Server, "127.0.0.1", 0)
    count()
    await asyncio.sleep(0.01)
    address = server.sockets[0].getsockname()
    clients = [socket.create_connection(address) for _ in range(WAITING)]  # the kernel takes them; the loop waits
    async with asyncio.timeout(20):
        while len(accepted) < WAITING:
            await asyncio.sleep(0)
    for client in clients:
        client.close()
    server.close()
    return len(set(accepted))


first, second = asyncio.run(main()), uvloop.run(main())
for name, turns in (("asyncio:", first), ("uvloop: ", second)):
    print(f"{name} {WAITING} connections that waited were accepted in {turns} turn(s)")
compare((first, second), (1, WAITING))
END
