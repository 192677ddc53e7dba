#!/bin/sh
# trio-websocket-handler-raises: a handler that raises ends the whole server; its own client is told 1000, a goodbye.
#
# Expected: an exception in a handler closes its socket with 1011, and is logged. Or, as Trio's nurseries have it, it ends
#           the server, and all clients can tell that from a goodbye.
# Seen:     trio-websocket closes the socket of the handler with 1000 first, "normal closure". Then the exception leaves
#           serve_websocket, which drops all other clients without a close frame (1006).
# Matters:  the client that met the error takes its stream for complete, and stays away. One message that a handler
#           cannot take ends the sockets of all.
# Versions: trio-websocket 0.12.2, trio 0.35.0; Python 3.11.7
#
# Printed on 2026-12-01:
#   the client of the handler that raised: 1000 NORMAL_CLOSURE
#   another client: 1006 ABNORMAL_CLOSURE
#   the server ended with KeyError
. "$(dirname "$0")/tools.sh"
python_with trio-websocket==0.12.2 trio==0.35.0

run_python <<'END'
import trio
from trio_websocket import ConnectionClosed, open_websocket_url, serve_websocket
from wire import compare, versions

versions("trio-websocket", "trio")
seen = {}


async def handle(request):
    socket = await request.accept()
    raise KeyError(await socket.get_message())


async def end_of(socket, client):
    with trio.fail_after(10):
        try:
            await socket.get_message()
        except ConnectionClosed as closed:
            seen[client] = f"{closed.reason.code} {closed.reason.name}"
    print(f"{client}: {seen[client]}")


def leaves(error):
    return [leaf for one in error.exceptions for leaf in leaves(one)] if isinstance(error, ExceptionGroup) else [error]


async def main():
    async with trio.open_nursery() as clients:
        started = await clients.start(serving)
        url = f"ws://127.0.0.1:{started.port}/"
        async with open_websocket_url(url) as its_own, open_websocket_url(url) as other:
            await its_own.send_message("a message")
            await end_of(its_own, "the client of the handler that raised")
            await end_of(other, "another client")


async def serving(task_status):
    try:
        async with trio.open_nursery() as server:
            task_status.started(await server.start(serve_websocket, handle, "127.0.0.1", 0, None))
    except ExceptionGroup as error:
        seen["the server ended with"] = ", ".join(type(leaf).__name__ for leaf in leaves(error))


trio.run(main)
print("the server ended with", seen["the server ended with"])
compare(
    seen,
    {
        "the client of the handler that raised": "1000 NORMAL_CLOSURE",
        "another client": "1006 ABNORMAL_CLOSURE",
        "the server ended with": "KeyError",
    },
)
END
