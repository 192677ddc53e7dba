#!/bin/sh
# asyncio-tls-no-reason: a server on asyncio or uvloop that wants a client's certificate does not tell a client without one.
#
# Expected: TLS has a message for it, the alert certificate_required. Servers on threads send it, with the same OpenSSL: the
#           client's error names it.
# Seen:     the event loop drops the connection before OpenSSL's alert is sent. With TLS 1.3, the client's own handshake has
#           succeeded by then. So what the client sees is a server that ends the connection without an HTTP answer, and no
#           reason. The server logs nothing either.
# Matters:  with a certificate that is missing, expired or of a wrong authority, one looks for the fault in the proxy or the
#           WebSocket handshake, and a client that comes back takes it for a lost connection. Behind nginx, which ends TLS, the
#           client gets a status, 400, whose body names the certificate.
# Versions: websockets 17.4, uvloop 0.23.0, trustme 1.2.1; Python 3.11.7
#
# Printed on 2026-12-01:
#   a client without a certificate, at servers of websockets that want one:
#   on threads: TLSV13_ALERT_CERTIFICATE_REQUIRED
#   on asyncio: the connection ended
#   on uvloop:  the connection ended
#   logged by the servers on event loops: nothing
. "$(dirname "$0")/tools.sh"
python_with websockets==17.4 uvloop==0.23.0 trustme==1.2.1

run_python <<'END'
import asyncio
import logging
import socket
import ssl
import threading

import trustme
import uvloop
from websockets.asyncio.server import serve
from websockets.sync.server import serve as serve_on_threads
from wire import compare, versions

versions("websockets", "uvloop", "trustme")
authority = trustme.CA()
theirs, ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
theirs.verify_mode = ssl.CERT_REQUIRED
for context in (theirs, ours):
    authority.configure_trust(context)
authority.issue_cert("localhost").configure_cert(theirs)

logged = []
handler = logging.Handler(logging.INFO)
handler.emit = logged.append
logging.getLogger().addHandler(handler)


def refused(server):
    """Connect, and read: a client that writes first may be reset before it reads the alert."""
    with socket.create_connection(server.sockets[0].getsockname()) as plain:
        try:
            with ours.wrap_socket(plain, server_hostname="localhost") as encrypted:
                assert encrypted.version() == "TLSv1.3"
                return encrypted.recv(1) or "the connection ended"
        except ssl.SSLError as error:
            return error.reason


async def on_a_loop():
    async with serve(lambda client: client.wait_closed(), "127.0.0.1", 0, ssl=theirs) as server:
        return await asyncio.to_thread(refused, server)


def on_threads():
    with serve_on_threads(lambda client: None, "127.0.0.1", 0, ssl=theirs) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.sockets = [server.socket]
        return refused(server)


seen = [on_threads(), asyncio.run(on_a_loop()), uvloop.run(on_a_loop())]
print("a client without a certificate, at servers of websockets that want one:")
for name, error in zip(("on threads:", "on asyncio:", "on uvloop: "), seen):
    print(name, error)
records = [record.getMessage() for record in logged if record.name.startswith("asyncio")]
print("logged by the servers on event loops:", records or "nothing")
ended = "the connection ended"
compare((seen, records), (["TLSV13_ALERT_CERTIFICATE_REQUIRED", ended, ended], []))
END
