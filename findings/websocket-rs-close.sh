#!/bin/sh
# websocket-rs-close: in websocket-rs, a loop over messages that waits raises at each end, one that is busy just ends.
#
# Expected: `async for message in socket` ends quietly after 1000, and raises after an error's code, as in `websockets`. The
#           client answers a close frame with one (RFC 6455, section 5.5.1).
# Seen:     the code does not matter. A loop that waits for the next message when the close arrives raises ConnectionError,
#           after 1000 as well. One that still works on a message ends without an error, after 1011 and when the connection
#           was lost as well. The server gets no close frame back: the client hangs up.
# Matters:  under load, a feed that is cut looks as if it had ended; a quiet one that ends looks cut.
#           Tests, whose handlers are fast, see the first kind only. Catch ConnectionError around the loop, and ask
#           `socket.close_code` after it: it is None if the connection was lost.
# Versions: websocket-rs 0.7.10; Python 3.13.0; needs Python 3.12 or later (PYTHON=python3.13)
#
# Printed on 2026-12-01:
#   1000: a loop that waits raises ConnectionError, one that is busy ends; the server gets: end
#   1011: a loop that waits raises ConnectionError, one that is busy ends; the server gets: end
#   lost: a loop that waits raises ConnectionError, one that is busy ends
. "$(dirname "$0")/tools.sh"
python_with websocket-rs==0.7.10

run_python <<'END'
import asyncio

import websocket_rs
from wire import TEXT, Server, close, compare, frame, versions

versions("websocket-rs")


def feed(code):
    """Return the script of a server that sends a message, and then closes with a code, or is lost."""

    async def script(peer):
        await peer.send(frame(TEXT, b"news"))
        await asyncio.sleep(0.5)
        if code:
            await peer.send(close(code))
            return ", ".join(await peer.rest(5))

    return script


async def outcome(code, busy):
    async with Server(feed(code)) as server:
        socket = await websocket_rs.connect(server.url)
        try:
            async for _ in socket:
                await asyncio.sleep(busy)
            loop = "ends"
        except Exception as error:
            loop = f"raises {type(error).__name__}"
        assert socket.close_code == code, socket.close_code
        return loop, await server.done.get()


seen = {}
for code in (1000, 1011, None):
    waits, got = asyncio.run(outcome(code, busy=0))
    works, _ = asyncio.run(outcome(code, busy=1))
    line = f"a loop that waits {waits}, one that is busy {works}" + (f"; the server gets: {got}" if code else "")
    print(f"{code or 'lost'}: {line}")
    seen[code] = waits, works, got
compare(
    seen,
    {
        1000: ("raises ConnectionError", "ends", "end"),
        1011: ("raises ConnectionError", "ends", "end"),
        None: ("raises ConnectionError", "ends", None),
    },
)
END
