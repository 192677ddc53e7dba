"""How old what a reader has is, under the policies that conflate: each path to it, real proxies, real browsers."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.chart import draw_ages
from benchmarks.compare import spread
from benchmarks.freshness import delay, pages
from benchmarks.freshness.paths import PATHS, TWO, Server, read_all, serving
from benchmarks.freshness.shape import Ages, Cell, age, settled

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "freshness.svg"
DEBIAN = Path(__file__).with_name("debian.sh")
POLICIES = ("latest", "latest_by")
RATES, SIZES = (20_000, 200_000), (200, 1000)
AT_ONCE = (("direct", "TLS", "nginx"), ("haproxy", "Apache"), ("Caddy", TWO))
"""The paths that are measured at the same time."""
PERIOD = 10
"""Seconds that ages are watched, for each one of `--seconds`."""
MEDIAN, HIGH, FIRST, SETTLED, SHARE = 0.2, 0.4, 0.6, 2.0, 0.9
"""The targets, in seconds; the last one as a share of the reader's rate."""
SLOW = 20_000
FAST = {"200 kB/s": 200_000, "as fast as it comes": 1_000_000_000}
BUSY = 0.005
WARM_UP = {"loopback": 0.5, "50 ms": 2.5}

HEAD = """\
Ages are seconds from `on_next` to when the reader has all of a message, as median (95 %), over {period:g} s without the
first one. Made are 250 messages a second with ten keys, or twice what the reader takes, if that is more. Readers are
plain sockets with the kernel's default buffers, which read at a fixed rate and answer a ping when they have come
to it. Proxies are Debian's, with the buffers of their defaults."""

Series = dict[str, dict[str, list[tuple[float, float]]]]
"""Of each path and policy, seconds at which messages came, and how old they were."""


def watch(server: Server, cells: list[Cell]) -> dict[Cell, dict[str, Any]]:
    """Read in all cells at the same time."""
    tasks = [cell.task(server.ports[cell.path]) for cell in cells]
    patience = max(sum(seconds for _, seconds in cell.phases) for cell in cells) + 30
    return dict(zip(cells, read_all(tasks, patience), strict=True))


def ages(seconds: float, tree: str | None, series: Series) -> Iterator[str]:
    """Each path, policy, reader and size, flat over time; what is drawn goes to `series`."""
    seen: dict[Cell, Ages] = {}
    with serving(tree=tree) as server:
        for paths in AT_ONCE:
            cells = [Cell(*one, ((rate, seconds),)) for *one, rate in product(paths, POLICIES, SIZES, RATES)]
            cells += [Cell(path, "close", 1000, ((SLOW, seconds),)) for path in paths]
            for cell, one in watch(server, cells).items():
                seen[cell] = age(one, seconds, cell.phases[0][0])
                if cell.size == 1000 and cell.phases[0][0] == SLOW:
                    series[cell.path][cell.policy] = one["messages"]
    for policy in POLICIES:
        yield from table(f"`{policy}`", policy, seen, [(rate, size) for rate in RATES for size in SIZES], seconds)
    yield "\n### Whether it stays so\n\nThe worst of a path's cells, and policy `close` with 1 kB at 20 kB/s.\n"
    yield (
        "| path | last fifth, median | made in the first second, oldest | "
        "share of the reader's rate | `close`, last fifth | then closed with |"
    )
    yield "|---|---:|---:|---:|---:|---:|"
    beyond: list[str] = []
    for path in PATHS:
        all_cells = {cell: one for cell, one in seen.items() if cell.path == path and cell.policy != "close"}
        worst = all_cells.values()
        close = seen[Cell(path, "close", 1000, ((SLOW, seconds),))]
        yield (
            f"| {path} | {max(one.last for one in worst):.2f} | {max(one.first for one in worst):.2f} | "
            f"{min(one.share for one in worst):.2f} | {close.last:.1f} | {close.closed or ''} |"
        )
        for cell, one in all_cells.items():
            bad = {
                "median": one.median > MEDIAN and one.median,
                "95 %": one.high > HIGH and one.high,
                "last": one.last > MEDIAN and one.last,
                "first": one.first > FIRST and one.first,
                "share": one.share < SHARE and one.share,
                "closed": one.closed,
                "failed": one.failed,
            }
            if found := [
                f"{what} {value:.2f}" if value != one.failed else value for what, value in bad.items() if value
            ]:
                beyond.append(f"- {cell.label}: {', '.join(map(str, found))}")
    yield f"\nBeyond the targets ({MEDIAN} s, 95 % {HIGH} s, first second {FIRST} s, {SHARE} of the rate):"
    yield "\n".join(["", *beyond]) if beyond else "none."


def table(
    title: str, policy: str, seen: dict[Cell, Ages], kinds: list[tuple[int, int]], seconds: float
) -> Iterator[str]:
    yield f"\n### {title}\n"
    yield "| path | " + " | ".join(f"{rate // 1000} kB/s, {size} B" for rate, size in kinds) + " |"
    yield "|---|" + "---:|" * len(kinds)
    for path in PATHS:
        row = [seen[Cell(path, policy, size, ((rate, seconds),))] for rate, size in kinds]
        yield f"| {path} | " + " | ".join(f"{one.median:.2f} ({one.high:.2f})" for one in row) + " |"


def ages_before(seconds: float, tree: str, series: Series) -> Iterator[str]:
    """What it was in another version: all paths at the same time, which does not matter where ages are large."""
    cells = [Cell(path, "latest_by", 1000, ((rate, seconds),)) for path in PATHS for rate in RATES]
    with serving(tree=tree) as server:
        found = watch(server, cells)
    seen = {cell: age(one, seconds, cell.phases[0][0]) for cell, one in found.items()}
    for cell, one in found.items():
        if cell.phases[0][0] == SLOW:
            series[cell.path]["latest_by, before"] = one["messages"]
    yield from table("The version before, `latest_by`", "latest_by", seen, [(rate, 1000) for rate in RATES], seconds)


def variants(seconds: float, tree: str | None) -> Iterator[str]:
    """Both event loops and both wires, at the same time."""
    yield "\n### Event loops and wires, through nginx, `latest_by`\n"
    kinds = [*product(RATES, SIZES)]
    yield "| server | " + " | ".join(f"{rate // 1000} kB/s, {size} B" for rate, size in kinds) + " |"
    yield "|---|" + "---:|" * len(kinds)
    for loop, wire in product(("asyncio", "uvloop"), ("fast", "public")):
        with serving(loop=loop, wire=wire, tree=tree, paths=("nginx",)) as server:
            cells = [Cell("nginx", "latest_by", size, ((rate, seconds),)) for rate, size in kinds]
            row = [age(one, seconds, cell.phases[0][0]) for cell, one in watch(server, cells).items()]
        yield f"| {loop}, {wire} wire | " + " | ".join(f"{one.median:.2f} ({one.high:.2f})" for one in row) + " |"


def turning(tree: str | None) -> Iterator[str]:
    """Readers that are fast for three seconds, then slow."""
    yield "\n### Fast to slow\n"
    yield "Fast for three seconds, then 20 kB/s: seconds until ages stay below 0.5 s, and the oldest; `latest_by`.\n"
    cells = [
        Cell(path, "latest_by", 1000, ((rate, 3.0), (SLOW, 5.0)), produced=400.0)
        for path in PATHS
        for rate in FAST.values()
    ]
    with serving(tree=tree) as server:
        seen = watch(server, cells)
    yield "| path | " + " | ".join(f"before: {name}" for name in FAST) + " |"
    yield "|---|" + "---:|" * len(FAST)
    for path in PATHS:
        row = []
        for rate in FAST.values():
            after, oldest = settled(next(one for cell, one in seen.items() if cell.is_at(path, rate)), 3.0)
            row.append(f"{after:.1f} s, {oldest:.2f} s")
        yield f"| {path} | " + " | ".join(row) + " |"


def libraries(seconds: float, tree: str | None) -> Iterator[str]:
    """Programs with real libraries, beside the plain reader."""
    yield "\n### Programs with a library, `latest_by`\n"
    yield (
        "| reader | "
        + " | ".join(f"{path}, {rate // 1000} kB/s, {size} B" for path, rate, size in LIBRARY_CELLS)
        + " |"
    )
    yield "|---|" + "---:|" * len(LIBRARY_CELLS)
    with serving(tree=tree, paths=("nginx",)) as server:
        for library in ("", "aiohttp", "websockets"):
            cells = [Cell(path, "latest_by", size, ((rate, seconds),)) for path, rate, size in LIBRARY_CELLS]
            tasks = [cell.task(server.ports[cell.path]) | ({"library": library} if library else {}) for cell in cells]
            found = read_all(tasks, seconds + 30, "libraries.py" if library else "reader.py")
            row = [age(one, seconds, cell.phases[0][0]) for cell, one in zip(cells, found, strict=True)]
            yield f"| {library or 'plain socket'} | " + " | ".join(f"{o.median:.2f} ({o.high:.2f})" for o in row) + " |"


LIBRARY_CELLS = (*product(("direct", "nginx"), RATES, SIZES),)


def load(server: Server, port: int, path: str, readers: int, warm_up: float, seconds: float, prefix: Any = ()) -> Any:
    """Read as fast as it comes, and give messages a second and the server's CPU, in µs a message."""
    numbers = [server.pid, readers, warm_up, seconds]
    command = [*prefix, sys.executable, "benchmarks/freshness/fast.py", str(port), path, *map(str, numbers)]
    output = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[1])
    if output.returncode:
        raise RuntimeError(output.stderr[-2000:])
    seen = json.loads(output.stdout)
    messages = max(seen["messages"], 1)
    return messages / seen["seconds"], seen["cpu"] / messages * 1e6


def there_and_back(rounds: int, variants: list[str]) -> Iterator[str]:
    for number in range(rounds):
        yield from variants if number % 2 == 0 else reversed(variants)


def throughput(rounds: int, seconds: float, tree: str | None) -> Iterator[str]:
    """A reader that takes what comes, as fast as a producer that waits for room makes it."""
    yield "\n### Throughput, relative to policy `close`\n"
    with ExitStack() as stack:
        prefix = stack.enter_context(delay.namespace())
        long = f"50 ms of round trip and 100 Mbit/s, by {'netem' if prefix else 'a relay'}"
        yield "| line | bytes a message | `close`, messages/s | `latest_by` | ratio |"
        yield "|---|---:|---:|---:|---:|"
        near = stack.enter_context(serving(tree=tree, paths=()))
        far = stack.enter_context(serving(tree=tree, paths=(), prefix=prefix)) if prefix else near
        far_port = far.ports["direct"] if prefix else stack.enter_context(delay.relay(near.ports["direct"]))
        lines = ("loopback", near, near.ports["direct"]), (long, far, far_port)
        for (line, server, port), size in product(lines, (1000, 16_000)):
            found: dict[str, list[float]] = {"close": [], "latest_by": []}
            warm_up = WARM_UP["loopback" if line == "loopback" else "50 ms"]
            for policy in there_and_back(rounds, [*found]):
                before = prefix if server is far and prefix else ()
                address = f"/burst?policy={policy}&size={size}"
                found[policy].append(load(server, port, address, 1, warm_up, seconds, before)[0])
            ratio = statistics.median(found["latest_by"]) / statistics.median(found["close"])
            yield f"| {line} | {size:,} | {spread(found['close'])} | {spread(found['latest_by'])} | {ratio:.2f} |"


CROWDS = {"one reader, 4,000 a second": (1, 4000), "200 readers, 20 a second each": (200, 20)}


def cpu(rounds: int, seconds: float, tree: str | None, before: str | None) -> Iterator[str]:
    """What the policy costs the server, where readers keep up."""
    yield "\n### The server's CPU, µs a message of 200 B, for readers that keep up\n"
    trees = {**({"before": before} if before else {}), "this version": tree}
    yield "| readers | " + " | ".join(f"{name}, `{policy}`" for name in trees for policy in ("close", *POLICIES)) + " |"
    yield "|---|" + "---:|" * (3 * len(trees))
    with ExitStack() as stack:
        servers = {name: stack.enter_context(serving(tree=one, paths=())) for name, one in trees.items()}
        for crowd, (readers, rate) in CROWDS.items():
            variants = {f"{name}/{policy}": [] for name in trees for policy in ("close", *POLICIES)}
            for variant in there_and_back(rounds, [*variants]):
                name, policy = variant.split("/")
                address = f"/crowd?policy={policy}&size=200&rate={rate}&of={crowd.split()[0]}"
                variants[variant].append(
                    load(servers[name], servers[name].ports["direct"], address, readers, 0.5, max(seconds, 1.0))[1]
                )
            first = statistics.median(next(iter(variants.values())))
            yield (
                f"| {crowd} | "
                + " | ".join(
                    f"{spread(values, 1)}: {statistics.median(values) / first:.2f}" for values in variants.values()
                )
                + " |"
            )


def browsers(seconds: float, tree: str | None) -> Iterator[str]:
    """Pages whose script takes 5 ms for each message."""
    yield "\n### Pages that take 5 ms a message, 200 symbols at 50 Hz, `latest_by` symbol\n"
    yield "| page | path | without a word of its own | says every 50 ms how many it has taken |"
    yield "|---|---|---:|---:|"
    with serving(tree=tree, paths=("nginx",)) as server:
        for browser, path in product(pages.BROWSERS, ("direct", "nginx")):
            row = []
            for acknowledge in (False, True):
                seen = pages.ages(browser, server.ports[path], acknowledge=acknowledge, busy=BUSY, seconds=seconds)
                one = age({"messages": seen, "bytes": 0}, seconds, 1)
                row.append(f"{one.median:.2f} ({one.high:.2f})")
            yield f"| {browser} | {path} | {' | '.join(row)} |"


def fresh(rounds: int, seconds: float, *, tree: str | None = None, before: str | None = None) -> Iterator[str]:
    """Measure all of it; `tree` has another version to measure, `before` one that the CPU is compared with."""
    period = PERIOD * seconds
    subprocess.run(["sh", str(DEBIAN)], check=True)
    yield "\n## How old what a reader has is\n\n" + HEAD.format(period=period)
    if tree is None:
        yield "\n![Age over time for each policy through each proxy](../../docs/pictures/freshness.svg)"
    series: Series = {path: {} for path in PATHS}
    yield from ages(period, tree, series)
    if before:
        yield from ages_before(period, before, series)
    if tree is None:
        draw_ages(PICTURE, series, period)
    yield from variants(min(period, 10), tree)
    yield from turning(tree)
    yield from libraries(min(period, 10), tree)
    yield "\n## What it costs"
    yield from throughput(rounds, seconds, tree)
    yield from cpu(rounds, seconds, tree, before)
    yield "\n## What a page has"
    yield from browsers(min(period, 10), tree)
