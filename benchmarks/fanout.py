"""One room on two processes: what it costs to reach its sockets, with a broker between and without."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib.metadata import version

from benchmarks.brokers import KINDS, broker, describe, find
from benchmarks.compare import Peer, in_turn, output, running, spread

HEAD = """\
A client says 64 bytes, all sockets of both processes hear them: three messages a second to the large room, a hundred to
the small one; then as fast as it goes, with 4 and 16 messages on their way. Both processes share one core, broker and
load the other one, so look at the CPU: the servers' is that of both processes together. Latency is from the client that
says it to one that hears it, over that one core. Without a broker, a client says it to each process. Of uvloop and
of the last table there are two rounds at most."""


@dataclass(frozen=True)
class Room:
    """A way to have one room, and how its clients speak."""

    name: str
    module: str
    path: str = "/room"
    broker: str = ""
    processes: int = 2
    dialect: str = "plain"


ROOMS = (
    Room("rxws, a Subject, one process", "rxws_topics", "/subject", processes=1),
    Room("rxws, a Subject in each of two", "rxws_topics", "/subject"),
    Room("rxws, a topic over NATS", "rxws_topics", broker="nats"),
    Room("aiohttp by hand, Redis pub/sub", "aiohttp_redis", broker="redis"),
    Room(
        "python-socketio, a room over Redis",
        "socketio_redis",
        "/socket.io/?EIO=4&transport=websocket",
        broker="redis",
        dialect="socketio",
    ),
)


@dataclass(frozen=True)
class Load:
    """A load: sockets of each process, messages a second, then messages on their way at a time."""

    sockets: int
    rate: float
    window: int


LARGE, SMALL = Load(1000, 3, 4), Load(1, 100, 16)
LISTENERS = (1, 10, 100)
CLIENTS = [f"{name} {version(name)}" for name in ("nats-py", "redis", "python-socketio")]


@dataclass(frozen=True)
class Seen:
    """One room in one round; CPU in seconds for each message that was published, of all its processes together."""

    paced: float
    """CPU of the servers, at the rate."""
    broker: float
    """That of the broker."""
    p50: float
    """Seconds from where a client says it to where one hears it, at the rate."""
    p99: float
    messages: float
    """Messages a second, at the window."""
    full: float
    """CPU of the servers, at the window."""
    full_broker: float


Results = dict[Load, dict[Room, list[Seen]]]


class Running:
    """The processes of one room."""

    def __init__(self, room: Room, servers: list[tuple[int, int]], broker: int) -> None:
        self.room = room
        self._servers = servers
        self._broker = broker

    def measure(self, load: Load, seconds: float) -> Seen:
        pids = ",".join(str(pid) for _, pid in self._servers)
        urls = [f"ws://127.0.0.1:{port}{self.room.path}" for port, _ in self._servers]
        numbers = (load.sockets, load.rate, load.window, seconds, pids, self._broker)
        return Seen(**output("benchmarks.crowd", self.room.dialect, *map(str, numbers), *urls))


@contextlib.contextmanager
def started(rooms: list[Room], loop: str) -> Iterator[list[Running]]:
    """Run all processes of some rooms, and the brokers they need."""
    with contextlib.ExitStack() as stack:
        found: list[Running] = []
        for room in rooms:
            url, pid = stack.enter_context(broker(room.broker)) if room.broker else ("", 0)
            peer = Peer(room.module, loop)
            servers = [stack.enter_context(running(peer, url)) for _ in range(room.processes)]
            found.append(Running(room, servers, pid))
        yield found


def compare(loads: tuple[Load, ...], rooms: list[Room], loop: str, rounds: int, seconds: float) -> Results:
    """Measure rooms in turn."""
    seen: Results = {load: {room: [] for room in rooms} for load in loads}
    with started(rooms, loop) as found:
        for one in in_turn(found, rounds):
            for load in loads:
                seen[load][one.room].append(one.measure(load, seconds))
    return seen


def median(seen: list[Seen]) -> Seen:
    return Seen(**{one.name: statistics.median(getattr(each, one.name) for each in seen) for one in fields(Seen)})


def table(load: Load, results: dict[Room, list[Seen]]) -> Iterator[str]:
    """Of a large room what each delivery costs, of a small one what each message does."""
    large = load.sockets > 1
    yield f"\n#### {load.sockets:,} {'sockets' if large else 'socket'} on each process\n"
    unit = "delivery" if large else "message"
    yield (
        f"| room | server CPU, µs/{unit} | ratio | spread of it | broker CPU, µs/message | p50, ms | p99, ms "
        f"| at full speed: {'deliveries' if large else 'messages'}/s | server CPU, µs/{unit} | broker CPU, µs/message |"
    )
    yield "|---|---:|---:|---|---:|---:|---:|---:|---:|---:|"
    first = 0.0
    for room, seen in results.items():
        share = load.sockets * room.processes if large else 1
        middle, cpus = median(seen), [one.paced / share * 1e6 for one in seen]
        cpu = middle.paced / share * 1e6
        first = first or cpu
        between = (f"{middle.broker * 1e6:,.0f}", f"{middle.full_broker * 1e6:,.0f}") if room.broker else ("", "")
        yield (
            f"| {room.name} | {cpu:,.2f} | {cpu / first:.2f} | {min(cpus):,.2f}-{max(cpus):,.2f} | {between[0]} "
            f"| {middle.p50 * 1e3:.1f} | {middle.p99 * 1e3:.1f} | {middle.messages * share:,.0f} "
            f"| {middle.full / share * 1e6:,.2f} | {between[1]} |"
        )


def listeners(kinds: list[str], rounds: int) -> Iterator[str]:
    yield "\n### What each further process costs the broker\n"
    yield "Connections that listen to one topic; 64 bytes, as fast as one publisher can. Broker CPU, µs/message.\n"
    yield "| broker | " + " | ".join(f"{number} listening" for number in LISTENERS) + " |"
    yield "|---|" + "---:|" * len(LISTENERS)
    for kind in kinds:
        cells: list[str] = []
        for number in LISTENERS:
            seen: list[float] = []
            for _ in range(rounds):
                with broker(kind) as (url, pid):
                    arguments = (url, str(pid), str(number), str(max(16_000 // number, 1600)))
                    seen.append(output("benchmarks.listeners", *arguments)["broker"] * 1e6)
            cells.append(spread(seen))
        yield f"| {describe(kind)} | {' | '.join(cells)} |"


def fanout(rounds: int, seconds: float) -> Iterator[str]:
    there = [kind for kind in KINDS if find(kind) is not None]
    rooms = [room for room in ROOMS if not room.broker or room.broker in there]
    yield f"\n## A room on two processes\n\n{HEAD}\n\n{', '.join([*map(describe, KINDS), *CLIENTS])}."
    for loop, loads, times in (("asyncio", (LARGE, SMALL), rounds), ("uvloop", (LARGE,), min(rounds, 2))):
        yield f"\n### {loop}"
        for load, results in compare(loads, rooms, loop, times, seconds).items():
            yield from table(load, results)
    yield from listeners(there, min(rounds, 2))
