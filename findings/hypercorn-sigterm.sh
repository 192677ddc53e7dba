#!/bin/sh
# hypercorn-sigterm: hypercorn that is stopped ends open WebSockets with 1011; on Python 3.12 and later it waits for them.
#
# Expected: on SIGTERM, a server closes its WebSockets with 1001, "going away" (RFC 6455, section 7.4.1), or 1012, and ends
#           within its graceful timeout, three seconds by default.
# Seen:     hypercorn tells neither the application nor the client. After the three seconds it cancels the application,
#           so that the client gets 1011, an error of the server, and the log a traceback. On Python 3.12 and later the
#           deadline is not reached: hypercorn waits until the last client leaves by itself.
# Matters:  each restart looks like a failing application, to clients and in the logs. A newer Python makes restarts wait
#           for the longest session, until the supervisor kills the process. Let the application close its WebSockets
#           at SIGTERM. With `--workers 0` it runs in the process that gets the signal.
# Versions: hypercorn 0.18.0, wsproto 1.3.2; Python 3.11.7 and 3.13.0
#
# Printed on 2026-11-30, with Python 3.11, and with 3.13:
#   the client sees close 1011, and the server has ended
#   the client sees silence for 6 s, and the server runs on
. "$(dirname "$0")/tools.sh"
python_with hypercorn==0.18.0 wsproto==1.3.2

cat > app.py <<'END'
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
END

run_python <<'END'
import asyncio
import subprocess
import sys

from wire import compare, connect, free_port, running, versions

versions("hypercorn", "wsproto")
port = free_port()


async def stop(server):
    status, peer = await connect(port)
    assert " 101 " in status, status
    server.terminate()
    seen = await peer.next(6)
    await asyncio.sleep(1)
    try:
        await asyncio.to_thread(server.wait, 1)
    except subprocess.TimeoutExpired:
        return f"{seen} for 6 s", "runs on"
    return seen, "has ended"


with running("hypercorn", "app:app", "--bind", f"127.0.0.1:{port}", "--workers", "0", port=port) as server:
    seen = asyncio.run(stop(server))
print(f"the client sees {seen[0]}, and the server {seen[1]}")
compare(seen, ("close 1011", "has ended") if sys.version_info < (3, 12) else ("silence for 6 s", "runs on"))
END
