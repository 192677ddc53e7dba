"""Clients of a feed: JSON ticks as fast as they are read, through three steps; what a message costs each client."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.compare import in_turn, output, server, spread

HAND, PICOWS = "aiohttp, by hand", "picows"
CLIENTS = {
    HAND: "aiohttp_loop",
    "rxws": "rxws_pipeline",
    "rxws, `reconnect=`": "rxws_reconnect",
    "rxws, without msgspec": "rxws_own_json",
    "websockets": "websockets_loop",
    PICOWS: "picows_listener",
}
ONLY_JSON = ("rxws_own_json",)
KINDS = {"json": "JSON", "msgspec": "JSON of one type, by msgspec", "text": "text"}
HEAD = """\
205 bytes of JSON a message, from a feeder that always has more to send. Each message goes through three steps: a
filter, a map, a running total. By hand, with websockets and with picows they are statements, and JSON is read by
`json.loads` or msgspec; with rxws they are operators behind `rxws.codecs.text`, `rxws.json` and
`rxws.codecs.msgspec`. CPU is that of the client's process."""


def feed(rounds: int, seconds: float, before: str | None = None) -> Iterator[str]:
    """Compare clients; `before` is the folder of another version of rxws, to measure beside this one."""
    yield f"\n## A client that follows a feed\n\n{HEAD}"
    for loop in ("asyncio", "uvloop"):
        by_hand = 0.0
        for kind, title in KINDS.items():
            seen = measure(kind, loop, rounds, seconds, before)
            cpu = {name: [one["cpu"] / one["messages"] * 1e6 for one in found] for name, found in seen.items()}
            middle = {name: statistics.median(values) for name, values in cpu.items()}
            by_hand = by_hand or middle[HAND]  # of JSON, which is the first
            yield f"\n### {title}, {loop}\n"
            yield "| client | messages/s | client CPU, µs/message | ratio | to `json.loads` by hand | to picows |"
            yield "|---|---:|---:|---:|---:|---:|"
            for name, found in seen.items():
                yield (
                    f"| {name} | {spread([one['messages'] / one['seconds'] for one in found])} | "
                    f"{spread(cpu[name], 2)} | {middle[name] / middle[HAND]:.2f} | {middle[name] / by_hand:.2f} | "
                    f"{middle[name] / middle[PICOWS]:.2f} |"
                )


def measure(kind: str, loop: str, rounds: int, seconds: float, before: str | None) -> dict[str, list[dict[str, float]]]:
    """Measure all clients in turn, each in a process of its own."""
    clients: dict[str, tuple[str, str | None]] = {}
    for name, module in CLIENTS.items():
        if kind == "json" or module not in ONLY_JSON:
            clients[name] = module, None
            if before is not None and module.startswith("rxws"):
                clients[f"{name}, before"] = module, before
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in clients}
    with server("benchmarks.feeder") as (port, _):
        for name in in_turn(list(clients), rounds):
            module, tree = clients[name]
            arguments = (module, loop, f"ws://127.0.0.1:{port}/", kind, str(seconds))
            seen[name].append(output("benchmarks.follow", *arguments, tree=tree))
    return seen
