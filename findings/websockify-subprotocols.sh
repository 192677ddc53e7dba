#!/bin/sh
# websockify-subprotocols: websockify answers 400 to a client that names the protocol which it speaks through it.
#
# Expected: a bridge that knows nothing of what it carries opens without a subprotocol, or agrees to the one that is offered.
# Seen:     offers are refused with 400 "Invalid protocol selected", unless `binary` is the first of them; without one it opens.
# Matters:  clients for MQTT, XMPP or NATS offer the name of their protocol, as their standards demand, and cannot connect to
#           their servers through it. RFC 6455, 4.2.2, lets a server that agrees to none of them leave the header out.
# Versions: websockify 0.13.0, websockets 17.4; Python 3.11.7
#
# Printed on 2026-12-01:
#   the client offers nothing: opens, with None
#   the client offers mqtt: HTTP 400
#   the client offers mqtt, binary: HTTP 400
#   the client offers binary, mqtt: opens, with binary
. "$(dirname "$0")/tools.sh"
python_with websockify==0.13.0 websockets==17.4

run_python <<'END'
import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from wire import compare, free_port, running, versions

versions("websockify", "websockets")


async def offer(port, *names):
    try:
        async with connect(f"ws://127.0.0.1:{port}", subprotocols=list(names) or None) as ws:
            return f"opens, with {ws.subprotocol}"
    except InvalidStatus as refused:
        return f"HTTP {refused.response.status_code}"


async def main():
    async def target(reader, writer):
        await reader.read()
        writer.close()

    async with await asyncio.start_server(target, "127.0.0.1", 0) as server:
        port, to = free_port(), f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with running("venv/bin/websockify", f"127.0.0.1:{port}", to, port=port):
            return {names: await offer(port, *names) for names in ((), ("mqtt",), ("mqtt", "binary"), ("binary", "mqtt"))}


seen = asyncio.run(main())
for names, result in seen.items():
    print(f"the client offers {', '.join(names) or 'nothing'}: {result}")
compare(list(seen.values()), ["opens, with None", "HTTP 400", "HTTP 400", "opens, with binary"])
END
