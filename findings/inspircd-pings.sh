#!/bin/sh
# inspircd-pings: InspIRCd closes a WebSocket that sends two pings within ten seconds, with 1008, as a flood.
#
# Expected: a pong for each. RFC 6455, 5.5.2, has pings as a keepalive and to find out whether a peer responds; libraries
#           let one choose how often, and five a minute are few.
# Seen:     the second one, up to ten seconds after the first, ends the connection: 1008 "WebSocket: Ping/pong flood".
# Matters:  1008 says that a client is not welcome, and many stay away after it. Pings have to be eleven seconds apart; a
#           client that asks by pings whether its messages have arrived cannot do that.
# Versions: Debian's inspircd 3.15.0-1 (bookworm), websockets 17.4; Python 3.11.7; needs apt-get, and installs nothing
#
# Printed on 2026-11-29:
#   two pings, 1 s apart: closed with 1008 'WebSocket: Ping/pong flood'
#   two pings, 9 s apart: closed with 1008 'WebSocket: Ping/pong flood'
#   two pings, 11 s apart: two pongs
. "$(dirname "$0")/tools.sh"
python_with websockets==17.4
chmod 755 .
apt-get download -qq inspircd=3.15.0-1 2>/dev/null
dpkg-deb -x inspircd_*.deb inspircd

run_python <<'END'
import asyncio
import os
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from wire import compare, free_port, running, versions

versions("websockets")
folder, port = Path.cwd(), free_port()
Path("irc.conf").write_text(f"""
<server name="irc.example.org" description="test" network="Test">
<admin name="a" nick="a" email="a@example.org">
<path configdir="{folder}" datadir="{folder}" logdir="{folder}" runtimedir="{folder}"
    moduledir="{folder}/inspircd/usr/lib/inspircd/modules">
<module name="sha1"><module name="websocket">
<wsorigin allow="https://example.org">
<bind address="127.0.0.1" port="{port}" type="clients" hook="websocket">
<connect allow="*" resolvehostnames="no" useident="no" timeout="60">
<pid file="{folder}/pid">
""")


async def two_pings(seconds):
    async with connect(f"ws://127.0.0.1:{port}", origin="https://example.org", ping_interval=None) as ws:
        await (await ws.ping())
        await asyncio.sleep(seconds)
        try:
            await (await ws.ping())
        except ConnectionClosed as closed:
            return f"closed with {closed.rcvd.code} {closed.rcvd.reason!r}"
        return "two pongs"


async def main():
    return await asyncio.gather(*(two_pings(seconds) for seconds in (1, 9, 11)))


root = ["--runasroot"] if os.getuid() == 0 else []
with running("inspircd/usr/sbin/inspircd", "--nofork", *root, "--config", f"{folder}/irc.conf", port=port):
    seen = asyncio.run(main())
for seconds, what in zip((1, 9, 11), seen):
    print(f"two pings, {seconds} s apart: {what}")
flood = "closed with 1008 'WebSocket: Ping/pong flood'"
compare(seen, [flood, flood, "two pongs"])
END
