#!/bin/sh
# qt-lost-is-1000: in Qt, a WebSocket that has lost its connection has the close code 1000, as has one without a code.
#
# Expected: 1006 for a connection that ends without a close frame, and 1005 for a close frame without a code (RFC 6455,
#           section 7.1.5). Qt has names for both, CloseCodeAbnormalDisconnection and CloseCodeMissingStatusCode.
# Seen:     `closeCode()` is 1000, CloseCodeNormal, in both cases, on a client and on a server. Only the signal `errorOccurred`
#           with RemoteHostClosedError, before `disconnected`, tells that a connection was lost.
# Matters:  a client that comes back unless the code is 1000 never does, and a server on Qt takes each crash of a client
#           for a goodbye. Ask for the error, not for the code.
# Versions: PyQt6 6.11.0 with Qt 6.11.2; Python 3.11.7
#
# Printed on 2026-12-01:
#   a client, the server closes with 1000:    1000
#   a client, the server closes, no code:     1000
#   a client, the server closes with 1011:    1011
#   a client, the connection is lost:         1000, errorOccurred RemoteHostClosedError
#   a server, the client closes with 1000:    1000
#   a server, the client closes, no code:     1000
#   a server, the client closes with 4001:    4001
#   a server, the connection is lost:         1000, errorOccurred RemoteHostClosedError
. "$(dirname "$0")/tools.sh"
python_with PyQt6==6.11.0 PyQt6-Qt6==6.11.2

cat > qt.py <<'END'
import sys

from PyQt6.QtCore import QCoreApplication, QUrl
from PyQt6.QtNetwork import QHostAddress
from PyQt6.QtWebSockets import QWebSocket, QWebSocketServer

app = QCoreApplication([])
role, where = sys.argv[1:]
errors = []


def show(socket):
    code = socket.closeCode()
    print(getattr(code, "value", code), *errors, sep=", errorOccurred ", flush=True)
    app.quit()


def ends(socket):
    socket.errorOccurred.connect(lambda error: errors.append(error.name))
    socket.disconnected.connect(lambda: show(socket))
    return socket


if role == "client":
    socket = ends(QWebSocket())
    socket.open(QUrl(where))
else:
    sockets = []
    server = QWebSocketServer("server", QWebSocketServer.SslMode.NonSecureMode)
    server.newConnection.connect(lambda: sockets.append(ends(server.nextPendingConnection())))
    server.listen(QHostAddress("127.0.0.1"), int(where))
app.exec()
END

run_python <<'END'
import asyncio
import sys

from wire import Server, close, compare, connect, free_port, versions

versions("PyQt6", "PyQt6-Qt6")
LOST = "lost"


async def start(role, where):
    return await asyncio.create_subprocess_exec(sys.executable, "qt.py", role, where, stdout=asyncio.subprocess.PIPE)


async def told(process):
    out, _ = await asyncio.wait_for(process.communicate(), 10)
    return out.decode().strip()


async def client(end):
    async def script(peer):
        if end != LOST:
            await peer.send(close(end))
            await peer.next()

    async with Server(script) as server:
        return await told(await start("client", server.url))


async def server(end):
    port = free_port()
    process = await start("server", str(port))
    for _ in range(200):
        try:
            _, peer = await connect(port)
            break
        except OSError:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    if end != LOST:
        await peer.send(close(end, masked=True))
        await peer.next()
    peer.writer.close()
    return await told(process)


def name(role, end):
    if end == LOST:
        return f"a {role}, the connection is lost:"
    other = "server" if role == "client" else "client"
    return f"a {role}, the {other} closes" + (f" with {end}:" if end else ", no code:")


async def main():
    seen = []
    for role, run, ends in (("client", client, (1000, None, 1011, LOST)), ("server", server, (1000, None, 4001, LOST))):
        for end in ends:
            seen.append(await run(end))
            print(f"{name(role, end):41} {seen[-1]}")
    return seen


lost = "1000, errorOccurred RemoteHostClosedError"
compare(asyncio.run(main()), ["1000", "1000", "1011", lost, "1000", "1000", "4001", lost])
END
