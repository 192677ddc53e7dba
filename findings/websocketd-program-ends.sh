#!/bin/sh
# websocketd-program-ends: websocketd ends a program's stream like a lost connection, and drops a last line without a newline.
#
# Expected: a program that has written all and exits with 0 ends its WebSocket with 1000, and one that fails with 1011. What it
#           wrote last arrives, with a newline or without.
# Seen:     both end without a close frame, 1006. A last line that has no newline is not sent; nothing is logged. With
#           `--binary`, all is sent.
# Matters:  a report that is complete looks like a crash, and a client that reconnects starts the program again, and again. An
#           error message, which often ends without a newline, is what is missing. Let the program say that it is done.
# Versions: Debian's websocketd 0.4.1-1+b11 (bookworm); Python 3.11.7; needs apt-get, and installs nothing
#
# Printed on 2026-12-01:
#   the program writes "one\ntwo" and exits with 0:             text b'one', end
#   the program writes "one\ntwo" and exits with 3:             text b'one', end
#   the program writes "one\ntwo" and exits with 0, --binary:   binary b'one\ntwo', end
. "$(dirname "$0")/tools.sh"
"${PYTHON:-python3}" -m venv venv
apt-get download -qq websocketd=0.4.1-1+b11 2>/dev/null
dpkg-deb -x websocketd_*.deb debian

run_python <<'END'
import asyncio

from wire import compare, connect, free_port, running, versions

versions()


async def main():
    seen = []
    for status, options in ((0, ()), (3, ()), (0, ("--binary",))):
        port = free_port()
        program = ("sh", "-c", f"sleep 0.2; printf 'one\\ntwo'; exit {status}")
        with running("debian/usr/bin/websocketd", "--address=127.0.0.1", f"--port={port}", *options, *program, port=port):
            _, peer = await connect(port)
            seen.append(", ".join(await peer.rest(5)))
        what = f'the program writes "one\\ntwo" and exits with {status}' + "".join(f", {option}" for option in options)
        print(f"{what}:".ljust(59), seen[-1])
    return seen


compare(asyncio.run(main()), ["text b'one', end", "text b'one', end", r"binary b'one\ntwo', end"])
END
