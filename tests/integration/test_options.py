"""Every option of the table has its effect on the wire; those that close are in test_closing_table.py, too."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
import websockets
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from tests.integration.raw import PING, PONG, TEXT, Raw, raw
from tests.integration.server import Server, serving
from tests.streams import ended

Eventually = Callable[..., Any]


def echo(incoming: Observable[Any]) -> Observable[Any]:
    return incoming


async def test_codec_json_speaks_text_frames() -> None:
    handler = rxws.websocket(codec=rxws.json)(lambda incoming: incoming.pipe(ops.map(lambda m: [m])))
    async with serving(handler) as server, websockets.connect(server.url) as client:
        await client.send('{"a": 1}')
        assert await client.recv() == '[{"a":1}]'


async def test_protocols_choose_the_client_s_first() -> None:
    """Of the client's protocols the first one that is known is chosen."""
    handler = rxws.websocket(protocols=["v1", "v2"])(lambda socket: socket.close(4001, str(socket.protocol)))
    async with serving(handler) as server:
        for offered, chosen in ((["v2", "v1"], "v2"), (["v1"], "v1"), (None, None)):
            async with websockets.connect(server.url, subprotocols=offered) as client:  # type: ignore[arg-type]
                await client.wait_closed()
                assert (client.subprotocol, client.close_reason) == (chosen, str(chosen))


async def test_protocols_as_a_mapping_choose_the_codec() -> None:
    """A mapping of protocols chooses the codec before the handler composes."""

    @rxws.websocket(protocols={"json": rxws.json, "text": rxws.codecs.text})
    def handler(socket: rxws.WebSocket[Any, Any]) -> None:
        socket.outgoing.on_next({"at": "once"} if socket.protocol == "json" else "at once")
        socket.close()

    async with serving(handler) as server:
        for protocol, first in (("json", '{"at":"once"}'), ("text", "at once")):
            async with websockets.connect(server.url, subprotocols=[protocol]) as client:  # type: ignore[list-item]
                assert await client.recv() == first


@pytest.mark.parametrize(
    ("origins", "origin", "status"),
    [
        ((), None, 101),
        ((), "http://127.0.0.1:{port}", 101),
        ((), "https://evil.example", 403),
        ((), "null", 403),
        (["https://app.example"], "https://app.example", 101),
        (["https://app.example"], "https://evil.example", 403),
        ("*", "https://evil.example", 101),
    ],
)
async def test_origins_let_in_the_own_pages_and_those_listed(origins: Any, origin: str | None, status: int) -> None:
    ran: list[int] = []
    handler = rxws.websocket(origins=origins)(lambda: ran.append(1))
    async with serving(handler) as server, aiohttp.ClientSession() as session:
        headers = {"Origin": origin.format(port=server.port)} if origin else {}
        if status == 101:
            await (await session.ws_connect(server.url, headers=headers)).close()
        else:
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await session.ws_connect(server.url, headers=headers)
            assert error.value.status == status
    assert ran == ([1] if status == 101 else [])


async def test_heartbeat_pings_and_measures_the_round_trip(eventually: Eventually) -> None:
    async with serving(rxws.websocket(heartbeat=0.05)(echo)) as server, raw(server.port) as peer:
        for _ in range(3):
            opcode, data = await peer.receive()
            assert opcode == PING
            peer.send(PONG, data)
        await eventually(lambda: server.sockets[0].rtt is not None)
        rtt = server.sockets[0].rtt
        assert rtt is not None
        assert 0 <= rtt < 4


async def test_heartbeat_lets_every_library_s_client_live() -> None:
    async with (
        serving(rxws.websocket(heartbeat=0.05)(echo)) as server,
        aiohttp.ClientSession() as session,
        websockets.connect(server.url) as one,
        session.ws_connect(server.url) as two,
    ):
        reading = asyncio.ensure_future(two.receive_str())
        await asyncio.sleep(0.4)
        await one.send("alive")
        await two.send_str("alive")
        assert (await one.recv(), await reading) == ("alive", "alive")


async def test_pings_of_the_peer_are_answered_each() -> None:
    async with serving(rxws.websocket(echo)) as server, raw(server.port) as peer:
        for number in range(10):
            peer.send(PING, str(number).encode())
        assert [await peer.receive() for _ in range(10)] == [(PONG, str(number).encode()) for number in range(10)]


async def test_hold_answers_pings_and_sees_a_departure(eventually: Eventually) -> None:
    """A hold still answers pings, and sees the peer leave."""

    @rxws.websocket(close_timeout=0.2)
    async def handler(incoming: Observable[str]) -> None:
        await asyncio.sleep(60)

    async with serving(handler) as server, raw(server.port) as peer:
        peer.send(TEXT, b"held")
        peer.send(PING, b"seen")
        assert await peer.receive() == (PONG, b"seen")
        assert server.sockets[0].stats.received == 0
        peer.reset()
        assert (await ended(server.sockets[0], 4)).code == 1006


@pytest.mark.parametrize("compress", [False, True])
async def test_compress_offers_permessage_deflate(compress: bool) -> None:
    async with serving(rxws.websocket(compress=compress)(echo)) as server, websockets.connect(server.url) as client:
        assert bool(client.protocol.extensions) is compress
        for message in ("x" * 100_000, "y" * 10, "é" * 20_000):
            await client.send(message)
            assert await client.recv() == message


async def stalled(server: Server, eventually: Eventually, room: Subject[str], full: Callable[[], bool]) -> None:
    """Push until the peer's kernel and the buffer are full."""
    await eventually(lambda: server.sockets)
    async with asyncio.timeout(10):
        while not full():
            room.on_next("x" * 10_000)
            await asyncio.sleep(0)


async def test_high_water_holds_the_peer(eventually: Eventually) -> None:
    """`high_water` holds a peer that sends more than it reads."""
    async with (
        serving(rxws.websocket(high_water=50_000, heartbeat=None)(echo)) as server,
        raw(server.port, receive_buffer=4096) as peer,
    ):

        async def flood() -> None:
            for _ in range(1500):
                peer.send(TEXT, b"x" * 10_000)
                await peer.writer.drain()

        flooding = asyncio.ensure_future(flood())
        await eventually(lambda: server.sockets and server.sockets[0].stats.buffered_bytes > 50_000, 10)
        await asyncio.sleep(0.3)
        stats = server.sockets[0].stats
        assert stats.buffered_bytes < 150_000
        assert stats.received < 1400
        assert [len((await peer.receive())[1]) for _ in range(1500)] == [10_000] * 1500
        await flooding


async def drain(peer: Raw, until: str) -> list[str]:
    """Read until a message comes."""
    seen: list[str] = []
    async with asyncio.timeout(10):
        while not seen or seen[-1] != until:
            seen.append((await peer.receive())[1].decode())
    return seen


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_overflow_drops_at_max_buffered(policy: Any, eventually: Eventually) -> None:
    """At `max_buffered` a queue drops what `overflow` says, and the peer gets the rest."""
    room = Subject[str]()
    handler = rxws.websocket(overflow=policy, max_buffered=100_000)(lambda incoming: room)
    async with serving(handler) as server, raw(server.port, receive_buffer=4096) as peer:
        await stalled(server, eventually, room, lambda: bool(server.sockets[0].stats.dropped))
        for number in range(100):
            room.on_next(f"{number:010000}")
        stats = server.sockets[0].stats
        assert stats.buffered_bytes <= 100_000
        assert stats.dropped >= 100
        room.on_next("end")
        numbers = [int(message[-3:]) for message in await drain(peer, "end") if message.startswith("0")]
        assert numbers == (list(range(91, 100)) if policy == "drop_oldest" else [])


async def test_close_timeout_bounds_the_close(eventually: Eventually) -> None:
    async with serving(rxws.websocket(close_timeout=0.2)(echo)) as server, raw(server.port):
        await eventually(lambda: server.sockets)
        began = time.monotonic()
        server.sockets[0].close(4001)
        await ended(server.sockets[0])
        assert 0.15 < time.monotonic() - began < 4
