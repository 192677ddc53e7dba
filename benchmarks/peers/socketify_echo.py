"""socketify: uWebSockets by cffi, on an event loop of its own beside asyncio's."""

from __future__ import annotations

import os
import sys
from typing import Any

from benchmarks.peers.common import why_not

NAME = "socketify"


def missing() -> str | None:
    return why_not("socketify")


async def serve() -> int:
    os.execv(sys.executable, [sys.executable, "-m", __name__])  # it wants to be the main program; it prints the port


def main() -> None:
    import socketify

    def echo(ws: Any, message: str | bytes, opcode: Any) -> None:
        ws.send(message, opcode)

    app = socketify.App()
    app.ws("/*", {"max_payload_length": 2**24, "max_backpressure": 2**26, "message": echo})
    app.listen({"host": "127.0.0.1", "port": 0}, lambda config: print(config.port, flush=True))
    app.run()


if __name__ == "__main__":
    main()
