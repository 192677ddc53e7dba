#!/bin/sh
# pushpin-last-message: Pushpin drops what a server sends right before its close frame, and breaks at messages over 200000 bytes.
#
# Expected: what a server sent before its close frame reaches the client, then the close frame.
# Seen:     of what comes from the server together with its close frame, the client gets the close frame alone. Half a second
#           in between, and it arrives. What a client sends right before its own close arrives. A message of the server's that
#           is larger than the buffer of 200000 bytes ends the connection, without a close frame.
# Matters:  "here is why, and goodbye" is how a server refuses a login or ends a feed: the client gets the code, never the
#           words, and takes what it has for all. Wait for an answer to the last message before the close.
# Versions: Debian's pushpin 1.36.0-2 (bookworm); Python 3.11.7; needs apt-get, and installs nothing
#
# Printed on 2026-12-01:
#   the server sends 'one', 'two' and close 4001 at once: the client gets ['close 4001 bye']
#   the same, half a second before the close:             the client gets ["text b'one'", "text b'two'", 'close 4001 bye']
#   the client sends 'one', 'two' and close 4001 at once: the server gets ["text b'one'", "text b'two'", 'close 4001 bye']
#   the server sends 200000 bytes: they arrive
#   the server sends 250000 bytes: end
. "$(dirname "$0")/tools.sh"
"${PYTHON:-python3}" -m venv venv
pushpin_from_debian

run_python <<'END'
import asyncio

from pushpin import pushpin
from wire import BINARY, TEXT, Server, close, compare, connect, frame, versions

versions()


async def main():
    peers = asyncio.Queue()

    async def keep(peer):
        peers.put_nowait(peer)
        await asyncio.Event().wait()

    async def pair():
        _, client = await connect(port)
        return client, await peers.get()

    async def until_close(peer):
        seen = [await peer.next(5)]
        while not seen[-1].startswith("close") and seen[-1] not in ("end", "reset", "silence"):
            seen.append(await peer.next(5))
        return seen

    async with Server(keep) as server:
        with pushpin(server.port) as port:
            seen = []
            client, behind = await pair()
            await behind.send(frame(TEXT, b"one"), frame(TEXT, b"two"), close(4001, "bye"))
            seen.append(await until_close(client))
            print("the server sends 'one', 'two' and close 4001 at once: the client gets", seen[-1])
            client, behind = await pair()
            await behind.send(frame(TEXT, b"one"), frame(TEXT, b"two"))
            await asyncio.sleep(0.5)
            await behind.send(close(4001, "bye"))
            seen.append(await until_close(client))
            print("the same, half a second before the close:             the client gets", seen[-1])
            client, behind = await pair()
            mask = {"masked": True}
            await client.send(frame(TEXT, b"one", **mask), frame(TEXT, b"two", **mask), close(4001, "bye", **mask))
            seen.append(await until_close(behind))
            print("the client sends 'one', 'two' and close 4001 at once: the server gets", seen[-1])
            for size in (200_000, 250_000):
                client, behind = await pair()
                await behind.send(frame(BINARY, b"x" * size))
                got = [await client.next(5)]
                while got[-1].endswith("more follows"):
                    got.append(await client.next(5))
                seen.append("they arrive" if "b'x" in got[-1] else got[-1])
                print(f"the server sends {size} bytes: {seen[-1]}")
    return seen


all_three = ["text b'one'", "text b'two'", "close 4001 bye"]
compare(asyncio.run(main()), [["close 4001 bye"], all_three, all_three, "they arrive", "end"])
END
