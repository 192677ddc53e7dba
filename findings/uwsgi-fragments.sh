#!/bin/sh
# uwsgi-fragments: uWSGI hands out a message with one zero byte for each fragment but the last, then the whole message.
#
# Expected: one message, however many frames it came in (RFC 6455, 5.4).
# Seen:     websocket_recv() returns b"\x00" for each fragment that another one follows, and after the last one the whole.
# Matters:  a handler that takes what it gets for a message handles one, two or more that nobody sent. Clients that send
#           whole messages never show it: it comes with the first one that streams, or with a proxy that splits.
# Versions: uWSGI 2.0.31; Python 3.11.7; needs a C compiler and the headers of OpenSSL (libssl-dev)
#
# Printed on 2026-12-01:
#   sent in one frame:       [b'hello world']
#   sent in two fragments:   [b'\x00', b'hello world']
#   sent in three fragments: [b'\x00', b'\x00', b'hello world']
. "$(dirname "$0")/tools.sh"
CPUCOUNT=1 python_with uwsgi==2.0.31
cat > application.py <<'END'
import uwsgi


def application(environ, start_response):
    uwsgi.websocket_handshake()
    messages = []
    while not messages or messages[-1] != b"last":
        messages.append(uwsgi.websocket_recv())
    uwsgi.websocket_send(b" | ".join(messages[:-1]))
END

run_python <<'END'
import asyncio

from wire import TEXT, compare, connect, frame, free_port, running, versions

versions("uWSGI")
port = free_port()


async def sent(*parts):
    """Return what the application gets of a message in as many frames."""
    _, peer = await connect(port)
    for number, part in enumerate(parts):
        await peer.send(frame(0 if number else TEXT, part, fin=part is parts[-1], masked=True))
    await peer.send(frame(TEXT, b"last", masked=True))
    return await peer.next()


async def main():
    return [await sent(b"hello world"), await sent(b"hello ", b"world"), await sent(b"hello", b" ", b"world")]


server = ("--http-socket", f"127.0.0.1:{port}", "--wsgi-file", "application.py", "--threads", "4")
with running("venv/bin/uwsgi", *server, port=port):
    seen = asyncio.run(main())
print("sent in one frame:      ", seen[0])
print("sent in two fragments:  ", seen[1])
print("sent in three fragments:", seen[2])
compare(
    seen,
    ["text b'hello world'", "text b'\\x00 | hello world'", "text b'\\x00 | \\x00 | hello world'"],
)
END
