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
from typing import Any, Final, TypeVar

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


def output(module: str, *arguments: str, tree: str | None = None) -> Any:
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


def load(servers: Sequence[tuple[int, int]], cell: Cell, seconds: float, rounds: int = 1) -> list[list[Measurement]]:
    """Measure servers that run, in turn, with a load in a process of its own; gives the rounds of each."""
    ports, pids = zip(*servers, strict=True)
    numbers = [*map(str, cell.numbers), *([str(seconds)] if cell.kind in TIMED else [])]
    urls = [f"ws://127.0.0.1:{port}{cell.path}" for port in ports]
    if cell.kind == "echo":
        seen = output("benchmarks.load", cell.kind, ",".join(urls), ",".join(map(str, pids)), str(rounds), *numbers)
        return [[_measurement(one) for one in of_one] for of_one in seen]
    results: list[list[Measurement]] = [[] for _ in servers]
    for one in in_turn(range(len(servers)), rounds):
        results[one].append(_measurement(output("benchmarks.load", cell.kind, urls[one], str(pids[one]), *numbers)))
    return results


def _measurement(seen: dict[str, float]) -> Measurement:
    messages = max(seen["messages"], 1)
    return Measurement(messages / seen["seconds"], seen["cpu"] / messages * 1e6)


def compare(
    cell: Cell, peers: list[Peer], rounds: int, seconds: float, *, fresh: bool = False
) -> dict[Peer, list[Measurement]]:
    """Measure peers in turn.

    Their servers have done the same before, once, and start anew after some rounds; or are `fresh` in each one.
    """
    results: dict[Peer, list[Measurement]] = {peer: [] for peer in peers}
    if fresh:
        for peer in in_turn(peers, rounds):
            with running(peer) as process:
                results[peer] += load([process], cell, seconds)[0]
        return results
    for done in range(0, rounds, ROUNDS_A_START):
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(running(peer)) for peer in peers]
            if cell.kind in TIMED:
                load(servers, cell, seconds / 4)
            seen = load(servers, cell, seconds, min(rounds - done, ROUNDS_A_START))
            for peer, measurements in zip(peers, seen, strict=True):
                results[peer] += measurements
    return results


def median(measurements: list[Measurement]) -> Measurement:
    return Measurement(
        statistics.median(one.throughput for one in measurements), statistics.median(one.cpu for one in measurements)
    )


def ratio(values: Sequence[float], firsts: Sequence[float]) -> float:
    """Give the median of the rounds' ratios: what slows a machine for a while slows both, and cancels out."""
    return statistics.median(one / first for one, first in zip(values, firsts, strict=True))


def spread(values: list[float], digits: int = 0) -> str:
    """Show the median, and the least and the most."""
    middle, least, most = (f"{one:,.{digits}f}" for one in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least}-{most})"
