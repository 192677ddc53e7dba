"""Peers side by side, interleaved over several rounds."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

TIMED = ("echo", "visits", "arrivals")
"""The kinds of load whose last number is their length in seconds."""

ROUNDS_A_START: Final = 4
"""Rounds after which servers start anew: where a process has its memory is luck, and worth some percent."""


@dataclass(frozen=True)
class Peer:
    """A server to measure: a module of `benchmarks.peers`, an event loop, and the environment it runs in."""

    module: str
    loop: str = "asyncio"
    wire: str = ""
    tree: str | None = None
    """The folder of another version of rxws; `None` for this one."""

    @property
    def label(self) -> str:
        return f"{self.module}{' public wire' if self.wire else ''}, {self.loop}"


@dataclass(frozen=True)
class Cell:
    """A load: `kind` and the numbers that `benchmarks.load` takes."""

    kind: str
    path: str
    numbers: tuple[int, ...]

    @property
    def label(self) -> str:
        return "×".join(map(str, self.numbers))


@dataclass(frozen=True)
class Measurement:
    """One peer in one round."""

    throughput: float
    """Messages per second."""
    cpu: float
    """Microseconds of the server's CPU per message."""


def running(peer: Peer, broker: str = "") -> contextlib.AbstractContextManager[tuple[int, int]]:
    """Run a peer, beside a broker if it needs one, and give its port and process number."""
    environment = {"RXWS_WIRE": peer.wire, "BROKER": broker}
    return server("benchmarks.serve", peer.module, peer.loop, tree=peer.tree, **environment)


@contextlib.contextmanager
def server(module: str, *arguments: str, tree: str | None = None, **environment: str) -> Iterator[tuple[int, int]]:
    """Run a server, of the version in a folder, and give its port and process number."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", **environment}
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True, cwd=tree
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.kill()


def output(module: str, *arguments: str, tree: str | None = None) -> dict[str, float]:
    """Run a load in a process of its own, of the version in a folder; gives what it saw."""
    command = [sys.executable, "-m", module, *arguments]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tree)
    if found.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)}: {found.stderr[-2000:]}")
    return json.loads(found.stdout)


def in_turn(things: Sequence[T], rounds: int) -> Iterator[T]:
    """Give all of them in each round, there and back, so that a noisy minute is everybody's."""
    for number in range(rounds):
        yield from things if number % 2 == 0 else reversed(things)


def measure(peer: Peer, cell: Cell, seconds: float = 1) -> Measurement:
    """Measure a peer once, in processes of its own."""
    with running(peer) as process:
        return load(process, cell, seconds)


def load(process: tuple[int, int], cell: Cell, seconds: float) -> Measurement:
    """Measure a peer that runs, with a load in a process of its own."""
    port, pid = process
    url = f"ws://127.0.0.1:{port}{cell.path}"
    numbers = [*map(str, cell.numbers), *([str(seconds)] if cell.kind in TIMED else [])]
    seen = output("benchmarks.load", cell.kind, url, str(pid), *numbers)
    messages = max(seen["messages"], 1)
    return Measurement(messages / seen["seconds"], seen["cpu"] / messages * 1e6)


def compare(
    cell: Cell, peers: list[Peer], rounds: int, seconds: float, *, fresh: bool = False
) -> dict[Peer, list[Measurement]]:
    """Measure peers in turn.

    Their servers have done the same before, once, and start anew after some rounds; or are `fresh` in each one.
    """
    results: dict[Peer, list[Measurement]] = {peer: [] for peer in peers}
    for done in range(0, rounds, ROUNDS_A_START):
        with contextlib.ExitStack() as stack:
            servers = {} if fresh else {peer: stack.enter_context(running(peer)) for peer in peers}
            for one in servers.values() if cell.kind in TIMED else ():
                load(one, cell, seconds / 4)
            for peer in in_turn(peers, min(rounds - done, ROUNDS_A_START)):
                results[peer].append(measure(peer, cell, seconds) if fresh else load(servers[peer], cell, seconds))
    return results


def median(measurements: list[Measurement]) -> Measurement:
    return Measurement(
        statistics.median(one.throughput for one in measurements), statistics.median(one.cpu for one in measurements)
    )


def spread(values: list[float], digits: int = 0) -> str:
    """Show the median, and the least and the most."""
    middle, least, most = (f"{one:,.{digits}f}" for one in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least}-{most})"
