import asyncio

import pytest

import rxws
from rxws.core.lifecycle import Lifecycle
from rxws.core.log import SERVER, SocketLog
from rxws.options import check
from rxws.server.hub import Hub
from rxws.server.instruments import INSTRUMENTS, Instrument
from rxws.stats import MAX_KINDS, OTHER, HubStats
from rxws.testing import MemoryWire
from tests.streams import ended, turns

VIRTUAL = True

CODES = {str(code): 0 for code in (1000, 1001, 1002, 1006, 1007, 1008, 1009, 1011, 1013)}


def read(hub: Hub) -> dict[str, dict[str, float]]:
    stats = hub.stats
    return {
        instrument.name.removeprefix("rxws.server."): dict(instrument.read(hub, stats)) for instrument in INSTRUMENTS
    }


def member(hub: Hub, **options: object) -> tuple[rxws.WebSocket[str, str], MemoryWire]:
    life, wire = Lifecycle(check(options), log=SocketLog(SERVER, errors=hub.errors_total)), MemoryWire()
    assert hub.admit(life)
    socket: rxws.WebSocket[str, str] = rxws.WebSocket(life)
    life.open(wire)
    hub.add(socket, life)
    return socket, wire


async def test_open_and_closed_sockets() -> None:
    """The counters add up the open and the closed sockets."""
    hub = Hub(None, 1001, 1)
    (first, peer), (second, other) = member(hub), member(hub, overflow="drop_newest", max_buffered=100)
    first.incoming.subscribe()
    first.errors.subscribe()
    peer.send("ab", "é")
    other.congested = True
    for _ in range(3):
        second.outgoing.on_next("abcde")
    first.outgoing.on_next("xyz")
    first.errors.on_next(ValueError())
    await turns()
    expected: dict[str, dict[str, float]] = {
        "active_connections": {"": 2},
        "held_connections": {"": 1},
        "opened_connections": {"": 2},
        "closed_connections": CODES,
        "refused_connections": {"handshake": 0, "origin": 0, "limit": 0, "shutdown": 0},
        "messages": {"receive": 2, "transmit": 1},
        "io": {"receive": 4, "transmit": 3},
        "wire_io": {"receive": 4, "transmit": 3},
        "dropped_messages": {"": 2},
        "buffered": {"": 69},
        "in_flight": {"": 0},
        "age": {"": 0},
        "errors": {"ValueError": 1},
        "event_loop.lag": {"": 0},
    }
    assert read(hub) == expected
    first.close(4001)
    await ended(first)
    expected |= {"active_connections": {"": 1}, "closed_connections": {**CODES, "4001": 1}}
    assert read(hub) == expected
    await hub.shut_down()
    expected |= {name: {"": 0} for name in ("active_connections", "held_connections", "buffered")}
    expected |= {"closed_connections": {**CODES, "4001": 1, "1001": 1}}
    assert read(hub) == expected


async def test_in_flight_and_age() -> None:
    """What is not confirmed is added up; the age is that of the socket whose messages take longest."""
    hub = Hub(None, 1001, 1)
    peers = [member(hub, overflow="latest", heartbeat=None) for _ in range(2)]
    for socket, peer in peers:
        peer.pongs = False
        socket.outgoing.on_next("abcde")
    await turns()
    assert read(hub)["in_flight"] == {"": 2 * 69}
    assert read(hub)["age"] == {"": 0}
    for _, peer in peers:
        await asyncio.sleep(1)
        peer.pong(peer.pings[0])
    await turns()
    assert read(hub)["age"] == {"": pytest.approx(2)}
    await hub.shut_down()
    assert [read(hub)[name] for name in ("in_flight", "age")] == [{"": 0}] * 2


def test_made_up_codes() -> None:
    """Codes that peers make up do not make series without end."""
    hub = Hub(None, 1001, 1)
    hub.closed_total |= {3000 + number: 1 for number in range(2000)}
    codes = read(hub)["closed_connections"]
    assert len(codes) == MAX_KINDS + 1
    assert (codes["3000"], codes[OTHER], sum(codes.values())) == (1, 2000 + len(CODES) - MAX_KINDS, 2000)


async def test_a_snapshot_stays_what_it_is() -> None:
    hub = Hub(None, 1001, 1)
    before = hub.stats
    socket, _ = member(hub)
    socket.dispose()
    await ended(socket)
    assert (before, sum(hub.stats.durations)) == (HubStats(), 1)


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda instrument: instrument.name)
def test_conventions(instrument: Instrument) -> None:
    """Names and units keep to the conventions."""
    assert instrument.name.startswith("rxws.server.")
    assert instrument.unit in ("By", "s") or (instrument.unit[0], instrument.unit[-1]) == ("{", "}")
    assert instrument.description[0].isupper()
    assert not instrument.description.endswith(".")
