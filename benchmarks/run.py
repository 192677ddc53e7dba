"""`make bench`: every workload, every peer, as tables and charts in `benchmarks/results/`.

`python -m benchmarks.run --rounds 3 --seconds 1 echo broadcast` runs some of them; `--against TREE` measures this
version of rxws beside the one in another folder.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import platform
import resource
import statistics
import sys
from collections.abc import Callable, Generator, Iterator
from datetime import date
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.chart import draw, draw_dots
from benchmarks.compare import Cell, Measurement, Peer, compare, median, ratio, spread
from benchmarks.deflate import deflate
from benchmarks.fanout import fanout
from benchmarks.feed import feed
from benchmarks.fresh import fresh
from benchmarks.idle import measure as measure_idle
from benchmarks.idle import set_up
from benchmarks.restart import restart

RESULTS = Path(__file__).parent / "results"
FIRST = "aiohttp_loop"
PEERS = (FIRST, "rxws_pipeline", "naive_rx", "websockets_loop", "starlette_uvicorn", "picows_listener", "floor")
ON_ASGI = ("starlette_uvicorn", "rxws_asgi")
SHAPES = ((1, 1, 64), (1, 64, 64), (20, 16, 64), (50, 1, 64), (1000, 1, 64), (20, 4, 16384), (4, 1, 1048576))
FURTHER = ("bun_echo", "socketify_echo", "granian_rsgi")
"""Peers that not every system has, beside uvloop, at `FURTHER_SHAPES`."""
FURTHER_SHAPES = ((20, 16, 64), (50, 1, 64), (1000, 1, 64))
JUST_STARTED = (50, 1, 64)
ROOMS = ((1, 40_000), (100, 800), (1000, 80), (5000, 16))
GROWTH = (1, 10, 100, 1000, 5000, 10_000, 20_000)
ARRIVALS = 1000
"""Connections a second: the same for each peer, since one that is saturated wakes a load that sleeps less often."""
BATCHED = 10
"""Connections from which on growth is counted: one alone shares no turn of the event loop with others."""
TURNED_A_SECOND = 5000
"""Connections for each second of measuring, so that each has several messages."""
OTHER_FILES = 100
"""Descriptors that a server or a load has besides its connections."""


def module_of(peer: Peer) -> Any:
    return importlib.import_module(f"benchmarks.peers.{peer.module}")


def name(peer: Peer) -> str:
    return module_of(peer).NAME


def missing(peer: Peer) -> str | None:
    """Tell why a peer cannot run here, if it cannot."""
    return module_of(peer).missing() if peer.module in FURTHER else None


def row(peer: Peer, seen: list[Measurement], firsts: list[Measurement]) -> str:
    throughput, cpu = [one.throughput for one in seen], [one.cpu for one in seen]
    return (
        f"| {name(peer)} | {spread(throughput)} | {ratio(throughput, [one.throughput for one in firsts]):.2f} | "
        f"{spread(cpu, 2)} | {ratio(cpu, [one.cpu for one in firsts]):.2f} |"
    )


def table(
    title: str, cell: Cell, peers: list[Peer], rounds: int, seconds: float, *, fresh: bool = False
) -> Generator[str, None, dict[str, float]]:
    """Give the lines of a table, and at its end each peer's throughput as a ratio to the first one's."""
    yield f"\n### {title}\n"
    yield "| peer | messages/s | ratio | server CPU, µs/message | ratio |"
    yield "|---|---:|---:|---:|---:|"
    results = compare(cell, [peer for peer in peers if not missing(peer)], rounds, seconds, fresh=fresh)
    firsts = results[peers[0]]
    for peer, seen in results.items():
        yield row(peer, seen, firsts)
    for peer in peers:
        if why := missing(peer):
            yield f"| {name(peer)} | not here: {why} | | | |"
    throughput = [one.throughput for one in firsts]
    return {name(peer): ratio([one.throughput for one in seen], throughput) for peer, seen in results.items()}


def echo(rounds: int, seconds: float) -> Iterator[str]:
    yield "\n## Echo through one operator\n\nConnections × messages in flight × bytes."
    yield "\n![The same as a chart](echo.svg)"
    ratios: dict[str, dict[str, float]] = {}
    for shape in SHAPES:
        for loop in ("asyncio", "uvloop"):
            more = FURTHER if loop == "uvloop" and shape in FURTHER_SHAPES else ()
            peers = [Peer(module, loop) for module in (*PEERS, *more)]
            cell = Cell("echo", f"/echo?size={shape[2]}", shape)
            title = f"{cell.label}, {loop}"
            ratios[title] = yield from table(title, cell, peers, rounds, seconds)
    peers, cell = [Peer(module) for module in PEERS], Cell("echo", "/echo?size=64", JUST_STARTED)
    title = f"{cell.label}, asyncio, servers that have just started"
    ratios[title.replace("servers that have ", "")] = yield from table(title, cell, peers, rounds, seconds, fresh=True)
    draw_dots(RESULTS / "echo.svg", ratios, "throughput, as a ratio to the hand-written loop's")


def ticks(rounds: int, seconds: float) -> Iterator[str]:
    yield "\n## JSON in, a typed object through three operators, JSON out"
    for loop in ("asyncio", "uvloop"):
        peers = [Peer(module, loop) for module in PEERS if module != "floor"]
        yield from table(f"20×16, {loop}", Cell("echo", "/ticks", (20, 16, 0)), peers, rounds, seconds)


def broadcast(rounds: int, seconds: float) -> Iterator[str]:
    yield "\n## Broadcast of 64 bytes\n\nSingle messages, and bursts of ten in one turn of the event loop."
    for members, times in ROOMS:
        for burst in (1, 10):
            cell = Cell("broadcast", "/room", (members, 64, max(times // burst, 3), burst))
            title = f"to {members:,}, {'single messages' if burst == 1 else 'bursts of ten'}, asyncio"
            yield from table(title, cell, [Peer(module) for module in PEERS], rounds, seconds)


def idle(rounds: int, seconds: float) -> Iterator[str]:
    yield "\n## What a connection costs\n\nTwo rounds at most, each as long as it takes.\n"
    yield "| peer | connections | memory of an idle one, KiB | ratio | connects/s | server CPU of one, µs |"
    yield "|---|---:|---:|---:|---:|---:|"
    for connections in (1000, 10_000):
        first = 0.0
        for module in (FIRST, "rxws_pipeline", "naive_rx", "websockets_loop", "picows_listener"):
            seen = [measure_idle(Peer(module), connections) for _ in range(min(rounds, 2))]
            memory = statistics.median(one["bytes"] for one in seen)
            first = first or memory
            yield (
                f"| {name(Peer(module))} | {connections:,} | {spread([one['bytes'] / 1024 for one in seen], 1)} | "
                f"{memory / first:.2f} | {spread([one['connects'] for one in seen])} | "
                f"{spread([one['cpu'] for one in seen])} |"
            )
    found = asyncio.run(set_up())
    yield (
        f"\nSetting up a pipeline of one operator takes {found['rxws']:.0f} µs on a socket without a handshake, "
        f"of which RxPY's part is {found['RxPY']:.0f} µs."
    )


def asgi(rounds: int, seconds: float) -> Iterator[str]:
    """Measure rxws in a framework on a server of ASGI's, beside an endpoint that is written by hand."""
    yield "\n## In Starlette on uvicorn: echo, beside an endpoint written by hand"
    for loop in ("asyncio", "uvloop"):
        for shape in SHAPES:
            cell = Cell("echo", f"/echo?size={shape[2]}", shape)
            yield from table(f"{cell.label}, {loop}", cell, [Peer(one, loop) for one in ON_ASGI], rounds, seconds)
    yield "\n### What an idle connection takes, KiB\n\n| peer | 1,000 connections | ratio |\n|---|---:|---:|"
    first = 0.0
    for module in ON_ASGI:
        seen = [measure_idle(Peer(module), 1000)["bytes"] / 1024 for _ in range(min(rounds, 2))]
        first = first or statistics.median(seen)
        yield f"| {name(Peer(module))} | {spread(seen, 1)} | {statistics.median(seen) / first:.2f} |"


def connection(rounds: int, seconds: float) -> Iterator[str]:
    yield '\n## Open, echo one message, close\n\nA "message" is a whole connection.'
    modules = (FIRST, "rxws_pipeline", "naive_rx", "websockets_loop", "picows_listener")
    for kind, number, what in (
        ("arrivals", ARRIVALS, f"{ARRIVALS:,} a second"),
        ("visits", 10, "ten at once, as fast as it goes"),
    ):
        for loop in ("asyncio", "uvloop"):
            peers = [Peer(module, loop) for module in modules]
            yield from table(f"{what}, {loop}", Cell(kind, "/echo?size=64", (number,)), peers, rounds, seconds)


def growth(rounds: int, seconds: float) -> Iterator[str]:
    yield "\n## CPU per message as connections grow\n\n![The same as a chart](growth.svg)\n"
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OTHER_FILES
    if most < GROWTH[-1]:
        yield f"A process may have {most + OTHER_FILES:,} descriptors here, so {most:,} connections are the most.\n"
    steps = [min(connections, most) for connections in GROWTH]
    peers = [Peer(module) for module in (FIRST, "rxws_pipeline", "picows_listener", "floor")]
    yield "| connections | " + " | ".join(map(name, peers)) + " |"
    yield "|---:|" + "---:|" * len(peers)
    lines: dict[str, list[float]] = {name(peer): [] for peer in peers}
    for connections in steps:
        cell = Cell("echo", "/echo", (connections, 1, 64))
        results = compare(cell, peers, rounds, max(seconds, connections / TURNED_A_SECOND))
        for peer, seen in results.items():
            lines[name(peer)].append(median(seen).cpu)
        cells = [spread([one.cpu for one in seen], 1) for seen in results.values()]
        yield f"| {connections:,} | {' | '.join(cells)} |"
    start = GROWTH.index(BATCHED)
    grown = [f"{line[-1] / line[start]:.2f}" for line in lines.values()]
    yield f"| {steps[-1]:,} to {BATCHED} | {' | '.join(grown)} |"
    draw(
        RESULTS / "growth.svg",
        steps,
        lines,
        "connections, one message in flight on each",
        "server CPU, µs per message",
    )


def against(tree: str, rounds: int, seconds: float) -> Iterator[str]:
    """Measure this version of rxws beside the one in another folder, in all cells but the slowest."""
    yield "\n## This version beside another one, which is the first row\n"
    for loop in ("asyncio", "uvloop"):
        peers = [Peer("rxws_pipeline", loop, tree=tree), Peer("rxws_pipeline", loop)]
        for shape in SHAPES:
            cell = Cell("echo", f"/echo?size={shape[2]}", shape)
            yield from table(f"echo {cell.label}, {loop}", cell, peers, rounds, seconds)
        yield from table(f"ticks 20×16, {loop}", Cell("echo", "/ticks", (20, 16, 0)), peers, rounds, seconds)
    peers = [Peer("rxws_pipeline", tree=tree), Peer("rxws_pipeline")]
    for members, times in ROOMS:
        for burst in (1, 10):
            cell = Cell("broadcast", "/room", (members, 64, max(times // burst, 3), burst))
            yield from table(f"broadcast to {members:,}, bursts of {burst}", cell, peers, rounds, seconds)


WORKLOADS: dict[str, Callable[[int, float], Iterator[str]]] = {
    "echo": echo,
    "ticks": ticks,
    "broadcast": broadcast,
    "connection": connection,
    "idle": idle,
    "growth": growth,
    "restart": restart,
    "feed": feed,
    "asgi": asgi,
    "fanout": fanout,
    "fresh": fresh,
    "deflate": deflate,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="rxws and its peers, side by side")
    parser.add_argument("workloads", nargs="*", choices=[*WORKLOADS, []], help="all of them by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument(
        "--against",
        metavar="TREE",
        help="beside the version in TREE: all but the slowest cells of `echo`, `ticks` and `broadcast`, to the "
        "terminal alone; or, for `feed` and `fresh`, rows of that one, too",
    )
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if options.against and options.workloads in (["feed"], ["fresh"]):
        name = options.workloads[0]
        WORKLOADS[name] = partial({"feed": feed, "fresh": fresh}[name], before=options.against)
    elif options.against:
        for line in against(options.against, options.rounds, options.seconds):
            print(line, flush=True)
        return
    RESULTS.mkdir(exist_ok=True)
    packages = ", ".join(f"{one} {version(one)}" for one in ("aiohttp", "reactivex", "websockets", "picows", "uvloop"))
    for workload in options.workloads or WORKLOADS:
        with (RESULTS / f"{workload}.md").open("w") as file:
            head = (
                f"# {workload}\n\n{date.today()}, Python {platform.python_version()}, {packages}; "
                f"{options.rounds} rounds of {options.seconds:g} s: median (least-most); "
                "ratios to the first row, medians of those of the rounds."
            )
            for line in chain([head], WORKLOADS[workload](options.rounds, options.seconds)):
                print(line, file=file, flush=True)
                print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
