"""A quiet client in a process of its own: `python -m tests.faults.neighbor PORT PID WINDOWS TRIPS`.

Sends a message, waits for the answer, and so on; prints the 99th percentile of the round trips of each window, in
seconds. What the server's thread and this process waited for a processor meanwhile does not count: other work on the
machine is not the server's.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import sys
import time

from tests.integration.flood import HANDSHAKE
from tests.integration.raw import TEXT, frame


def starved(pid: int) -> float:
    """Seconds that the main thread of a process has waited for a processor, since it began."""
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[1]) / 1e9


def main(port: int, pid: int, windows: int, trips: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.settimeout(30)
        peer.sendall(HANDSHAKE)
        while b"\r\n\r\n" not in peer.recv(4096):
            pass
        ping = frame(TEXT, b"ping")
        own = os.getpid()
        seen: list[float] = []
        for _ in range(windows):
            window: list[float] = []
            for _ in range(trips):
                began, waited = time.perf_counter(), starved(pid) + starved(own)
                peer.sendall(ping)
                peer.recv(4096)
                trip = time.perf_counter() - began
                window.append(trip - (starved(pid) + starved(own) - waited))
            seen.append(statistics.quantiles(window, n=100)[98])
        print(json.dumps(seen))


async def p99(port: int, windows: int = 3, trips: int = 60) -> float:
    """Run it beside this process, and give the median over its windows."""
    numbers = map(str, (port, os.getpid(), windows, trips))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.neighbor", *numbers, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return statistics.median(json.loads(output))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
