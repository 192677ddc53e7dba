#!/bin/sh
# close-1012-is-1002: to Qt and faye-websocket, "service restart" and "try again later" are errors of the protocol.
#
# Expected: 1012 and 1013 have been registered for servers that restart or are overloaded since 2012 (IANA's registry, to which
#           RFC 6455, 11.7, refers). A client reports the code that its server sent.
# Seen:     both know the codes of RFC 6455 alone, up to 1011. A client on Qt, or on faye-websocket, answers 1012 and 1013 with
#           1002, and reports 1002, "protocol error". SockJS on Node, which is made of faye-websocket, answers so as a server.
# Matters:  a server that restarts politely has broken the protocol, to these clients and in its own log. Clients that come back
#           after 1012 and not after 1002 stay away. 1001, and codes from 3000 on, arrive as they are.
# Versions: PyQt6 6.11.0 with Qt 6.11.2, faye-websocket 0.11.4, sockjs 0.3.24, ws 8.23.0; Python 3.11.7, Node 20.20.2
#
# Printed on 2026-12-01:
#   closed with 1001: Qt reports 1001, answers 1001; faye-websocket reports 1001, answers 1001; SockJS answers 1001
#   closed with 1012: Qt reports 1002, answers 1002; faye-websocket reports 1002, answers 1002; SockJS answers 1002
#   closed with 1013: Qt reports 1002, answers 1002; faye-websocket reports 1002, answers 1002; SockJS answers 1002
#   closed with 4012: Qt reports 4012, answers 4012; faye-websocket reports 4012, answers 4012; SockJS answers 4012
. "$(dirname "$0")/tools.sh"
python_with PyQt6==6.11.0 PyQt6-Qt6==6.11.2
node_with faye-websocket@0.11.4 sockjs@0.3.24 ws@8.23.0

cat > qt.py <<'END'
import sys

from PyQt6.QtCore import QCoreApplication, QUrl
from PyQt6.QtWebSockets import QWebSocket

app = QCoreApplication([])
socket = QWebSocket()
socket.disconnected.connect(app.quit)
socket.open(QUrl(sys.argv[1]))
app.exec()
print(getattr(socket.closeCode(), "value", socket.closeCode()))
END
cat > faye.mjs <<'END'
import faye from "faye-websocket";
new faye.Client(process.argv[2]).on("close", (event) => console.log(event.code));
END
cat > sockjs.mjs <<'END'
import { createServer } from "node:http";
import sockjs from "sockjs";
const server = createServer();
sockjs.createServer({ log() {} }).installHandlers(server, { prefix: "/feed" });
server.listen(+process.argv[2], "127.0.0.1");
END

run_python <<'END'
import asyncio
import sys

from wire import Server, close, compare, connect, free_port, running, versions

versions("PyQt6", "PyQt6-Qt6")
CODES = (1001, 1012, 1013, 4012)


async def client(code, *command):
    async def script(peer):
        await peer.send(close(code))
        return await peer.next()

    async with Server(script) as server:
        process = await asyncio.create_subprocess_exec(*command, server.url, stdout=asyncio.subprocess.PIPE)
        out, _ = await asyncio.wait_for(process.communicate(), 20)
        answer = await server.done.get()
    return f"reports {out.decode().strip()}, answers {answer.split()[1]}"


async def sockjs(code, port):
    _, peer = await connect(port, "/feed/websocket")
    await peer.send(close(code, masked=True))
    return f"answers {(await peer.next()).split()[1]}"


async def main():
    seen = {}
    port = free_port()
    with running("node", "sockjs.mjs", str(port), port=port):
        for code in CODES:
            qt, faye = await client(code, sys.executable, "qt.py"), await client(code, "node", "faye.mjs")
            seen[code] = [qt, faye, await sockjs(code, port)]
            print(f"closed with {code}: Qt {qt}; faye-websocket {faye}; SockJS {seen[code][2]}")
    return seen


told = {1001: 1001, 1012: 1002, 1013: 1002, 4012: 4012}
recorded = {code: [*[f"reports {as_}, answers {as_}"] * 2, f"answers {as_}"] for code, as_ in told.items()}
compare(asyncio.run(main()), recorded)
END
