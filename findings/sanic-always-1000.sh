#!/bin/sh
# sanic-always-1000: Sanic closes with 1000 when a handler raises, and when the server is stopped.
#
# Expected: a handler that raises closes with 1011, as RFC 6455 has it for an unexpected condition, and a server that goes
#           down closes with 1001. Sanic's own constants and `websockets`, on which it builds, know both codes.
# Seen:     both are 1000, a normal closure without a reason, and the same as for a handler that returns. The log has the
#           traceback.
# Matters:  a client that comes back after 1001, 1006 and 1011, and stays away after 1000, stays away for good once the
#           server was deployed anew. Close by yourself: `await socket.close(1011)` in an `except`, and 1001 in a listener
#           `before_server_stop`. With rxws as the client, use `Backoff(final="refused")`.
# Versions: sanic 25.12.1, websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   the handler returns: close 1000, end
#   the handler raises: close 1000, end
#   SIGTERM while the handler waits: close 1000, end
. "$(dirname "$0")/tools.sh"
python_with sanic==25.12.1 websockets==17.4

cat > server.py <<'END'
import sys

from sanic import Sanic

app = Sanic("finding")


@app.websocket("/<what>")
async def handler(request, socket, what):
    if what == "raises":
        raise RuntimeError
    if what == "waits":
        await socket.send("waiting")
        await socket.recv()


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]), single_process=True, access_log=False, motd=False)
END

run_python <<'END'
import asyncio
import os
import signal
import sys

from wire import compare, connect, free_port, running, versions

versions("sanic", "websockets")


async def main():
    port, seen = free_port(), {}
    with running(sys.executable, "server.py", str(port), port=port) as process:
        for what in ("returns", "raises"):
            _, peer = await connect(port, f"/{what}")
            seen[f"the handler {what}"] = await peer.rest()
        _, peer = await connect(port, "/waits")
        await peer.next()
        os.kill(process.pid, signal.SIGTERM)
        seen["SIGTERM while the handler waits"] = await peer.rest()
    for name, lines in seen.items():
        print(f"{name}: {', '.join(lines)}")
    return list(seen.values())


compare(asyncio.run(main()), [["close 1000", "end"]] * 3)
END
