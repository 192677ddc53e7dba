"""RFC 6455, section 4.2: what a server asks of a request, before anything of the user's runs, and what it answers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

import rxws
from tests.conformance.peers import MAGIC, Peer, asking, key_of, request
from tests.integration.server import Server, serving
from tests.streams import ended

BOTH_LOOPS = True
RIGHT = request()


def changed(old: str, new: str) -> bytes:
    assert old.encode() in RIGHT
    return RIGHT.replace(old.encode(), new.encode())


NO_HANDSHAKES: dict[str, tuple[bytes, int, str]] = {
    "POST": (changed("GET /", "POST /"), 405, "is a GET request, not POST"),
    "HEAD": (changed("GET /", "HEAD /"), 405, ""),
    "HTTP/1.0": (changed("HTTP/1.1", "HTTP/1.0"), 505, "needs HTTP/1.1"),
    "HTTP/2.0": (changed("HTTP/1.1", "HTTP/2.0"), 505, "needs HTTP/1.1"),
    "no Host": (request(without="Host"), 400, "Host"),
    "two Hosts": (request(also="Host: other"), 400, "Host"),
    "no Upgrade": (request(without="Upgrade"), 426, "Upgrade must be websocket"),
    "another Upgrade": (changed("Upgrade: websocket", "Upgrade: h2c"), 426, "Upgrade must be websocket"),
    "no Connection": (request(without="Connection"), 426, "Connection must be Upgrade"),
    "Connection: close": (changed("Connection: Upgrade", "Connection: close"), 426, "proxy_set_header Connection"),
    "Connection: keep-alive": (changed("Connection: Upgrade", "Connection: keep-alive"), 426, "Connection must be"),
    "Connection: upgraded": (changed("Connection: Upgrade", "Connection: upgraded"), 426, "Connection must be"),
    "no version": (request(without="Sec-WebSocket-Version"), 426, "Version must be 13"),
    "version 8": (changed("Version: 13", "Version: 8"), 426, "Version must be 13"),
    "version 14": (changed("Version: 13", "Version: 14"), 426, "Version must be 13"),
    "two versions": (request(also="Sec-WebSocket-Version: 13"), 426, "Version must be 13"),
    "no key": (request(without="Sec-WebSocket-Key"), 400, "16 bytes in base64"),
    "two keys": (request(also=f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}"), 400, "16 bytes in base64"),
    "a short key": (changed("Key: MDEy", "Key: "), 400, "16 bytes in base64"),
    "a key that is no base64": (changed("Key: MDEy", "Key: MD-_"), 400, "16 bytes in base64"),
    "an empty subprotocol": (request(also="Sec-WebSocket-Protocol: "), 400, "must be a list of tokens"),
    "a subprotocol with a space": (request(also="Sec-WebSocket-Protocol: a b"), 400, "must be a list of tokens"),
    "a subprotocol in quotes": (request(also='Sec-WebSocket-Protocol: "a"'), 400, "must be a list of tokens"),
    "no extension": (request(also="Sec-WebSocket-Extensions: "), 400, "must be a list of extensions"),
    "half an extension": (request(also="Sec-WebSocket-Extensions: a; b="), 400, "must be a list of extensions"),
    "an extension of no token": (request(also='Sec-WebSocket-Extensions: a; b="c d"'), 400, "must be a list of ext"),
    "two Origins": (request(also="Origin: http://localhost\nOrigin: http://evil.example"), 400, "one Origin"),
}


def handlers() -> dict[str, Any]:
    """Handlers of every kind, that would be noticed if they ran."""
    ran: list[str] = []

    def composing(incoming: Any, outgoing: Any) -> Any:
        ran.append("joined")
        return incoming

    async def living(incoming: Any) -> None:
        ran.append("joined")

    async def accepting(request: web.Request) -> web.StreamResponse:
        async with rxws.accept(request) as socket:
            ran.append("joined")
        return socket.response

    websocket = rxws.websocket(protocols=["known"])
    return {"ran": ran, "def": websocket(composing), "async def": websocket(living), "accept": accepting}


@asynccontextmanager
async def house() -> AsyncIterator[tuple[Server, list[str]]]:
    """Serve all kinds of handlers, for all methods."""
    kinds = handlers()
    app = web.Application()
    for name in ("def", "async def", "accept"):
        app.router.add_route("*", f"/{name.replace(' ', '-')}", kinds[name])
    async with serving(app=app) as server:
        yield server, kinds["ran"]


@pytest.mark.parametrize("kind", ["def", "async-def", "accept"])
@pytest.mark.parametrize("name", NO_HANDSHAKES)
async def test_not_a_handshake(name: str, kind: str) -> None:
    """What is not a handshake gets an HTTP error, is counted, and never reaches the handler (4.2.1)."""
    asked, status, says = NO_HANDSHAKES[name]
    async with house() as (server, ran), asking(server, asked.replace(b" / ", f" /{kind} ".encode())) as peer:
        code, headers, body = await response(peer)
        assert code == status
        assert says in body or status == 400  # newer releases of aiohttp find some of these themselves
        assert status != 405 or headers["allow"] == "GET"
        assert status != 426 or (headers["upgrade"], headers["connection"].lower()) == ("websocket", "upgrade")
        assert "ersion" not in name or "HTTP" in name or headers["sec-websocket-version"] == "13"
        assert server.hub is not None
        by_aiohttp = server.hub.refused_total == {} and name in ("no Host", "two Hosts")
        assert server.hub.refused_total == {"handshake": 1} or by_aiohttp
    assert ran == []


async def response(peer: Peer) -> tuple[int, dict[str, str], str]:
    """Read an HTTP response to its end."""
    status, *lines = peer.head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    length = 0 if "HEAD" in status else int(headers.get("content-length", 0))
    body = b""
    if length:
        try:
            async with asyncio.timeout(1):
                body = await peer.reader.readexactly(length)
        except TimeoutError:  # a HEAD's has a length, and no body
            pass
    return int(status.split()[1]), headers, body.decode()


@pytest.mark.parametrize(
    "asked",
    [
        RIGHT,
        changed("Connection: Upgrade", "Connection: keep-alive, upgrade"),
        changed("Connection: Upgrade", "Connection: keep-alive\r\nConnection: UPGRADE"),
        changed("Upgrade: websocket", "Upgrade: WebSocket"),
        changed("Upgrade: websocket", "upgrade:   websocket  "),
        changed("GET / ", "GET http://localhost/ "),
        request(also="Sec-WebSocket-Extensions: unknown; a=1\nX-Unknown: b"),
    ],
    ids=["plain", "two options", "two lines", "other case", "spaces", "absolute", "extension"],
)
async def test_handshake(asked: bytes) -> None:
    """A handshake is answered with 101 and what the section says, no more (4.2.2)."""
    async with serving(rxws.websocket(lambda incoming: incoming)) as server, asking(server, asked) as peer:
        status, *lines = peer.head.split("\r\n")
        headers = [tuple(line.lower().split(": ", 1)) for line in lines if line]
        accept = base64.b64encode(hashlib.sha1(key_of(asked) + MAGIC).digest()).decode()
        assert status == "HTTP/1.1 101 Switching Protocols"
        assert ("upgrade", "websocket") in headers
        assert ("connection", "upgrade") in headers
        assert f"Sec-WebSocket-Accept: {accept}" in lines
        assert not {"sec-websocket-extensions", "sec-websocket-protocol"} & {name for name, *_ in headers}
        peer.say(1, b"hi")
        assert (await peer.hear()).data == b"hi"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("b", "b"),
        ("c, b, a", "b"),
        ("c\nSec-WebSocket-Protocol: a", "a"),
        ("c, x\nSec-WebSocket-Protocol: y,\nSec-WebSocket-Protocol: b,a", "b"),
        ("a,a", "a"),
        ("c", None),
        ("A", None),
    ],
)
async def test_subprotocol(offered: str, chosen: str | None) -> None:
    """The first subprotocol of the client's that the server knows is chosen; several lines are one list (11.3.4)."""
    handler = rxws.websocket(protocols=["a", "b"])(lambda incoming: incoming)
    asked = request(also=f"Sec-WebSocket-Protocol: {offered}")
    async with serving(handler) as server, asking(server, asked) as peer:
        assert peer.head.startswith("HTTP/1.1 101")
        lines = [line for line in peer.head.split("\r\n") if line.startswith("Sec-WebSocket-Protocol")]
        assert lines == ([] if chosen is None else [f"Sec-WebSocket-Protocol: {chosen}"])
        peer.say(1, b"hi")
        await peer.hear()
        assert server.sockets[0].protocol == chosen


async def test_subprotocol_of_several_lines_has_its_codec() -> None:
    """The codec is that of the subprotocol which is answered."""

    class Loud:
        def encode(self, value: str) -> str:
            return value.upper()

        def decode(self, data: str | bytes) -> Any:
            return data

    handler = rxws.websocket(protocols={"a": rxws.json, "b": Loud()})(lambda incoming: incoming)
    asked = request(also="Sec-WebSocket-Protocol: x\nSec-WebSocket-Protocol: b")
    async with serving(handler) as server, asking(server, asked) as peer:
        peer.say(1, b"hi")
        assert (await peer.hear()).data == b"HI"


async def test_foreign_origin() -> None:
    """A page of another site gets 403, and the handler never runs (4.2.2)."""
    asked = request("/def", also="Origin: https://evil.example")
    async with house() as (server, ran), asking(server, asked) as peer:
        status, _, body = await response(peer)
        assert status == 403
        assert "'https://evil.example' may not connect to 'localhost'" in body
        assert server.hub is not None
        assert server.hub.refused_total == {"origin": 1}
    assert ran == []


async def test_unknown_resource() -> None:
    """A path without a handler gets 404 (4.2.2)."""
    async with house() as (server, _), asking(server, request("/elsewhere")) as peer:
        assert (await response(peer))[0] == 404


async def test_refused_connection_is_of_use() -> None:
    """After a refusal the connection takes the next request, a right one too: proxies keep connections."""
    wrong = request(without="Sec-WebSocket-Key")
    async with serving(rxws.websocket(lambda incoming: incoming)) as server, asking(server, wrong) as peer:
        assert (await response(peer))[0] == 400
        peer.writer.write(RIGHT)
        assert (await peer.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        peer.say(1, b"hi")
        assert (await peer.hear()).data == b"hi"


@pytest.mark.parametrize("size", [10, 20_000], ids=["a few", "many"])
async def test_frames_before_the_answer(size: int) -> None:
    """A client must wait for the answer (4.1): a few frames of one that does not are let pass, many are 1002."""
    early = Peer("server", None, None, b"").frame(2, bytes(size))  # type: ignore[arg-type]
    async with serving(rxws.websocket(lambda incoming: incoming)) as server, asking(server, RIGHT + early) as peer:
        if size > 16 * 1024:
            assert await peer.hear_close() == (1002, "")
            peer.writer.close()
            assert (await ended(server.sockets[0])).code == 1002
        else:
            assert (await peer.hear()).data == bytes(size)


@pytest.mark.parametrize("status", [400, 401, 403, 503])
async def test_frames_behind_a_refused_handshake(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """What a client sends without waiting for a refusal is no request: the refusal is answered, and nothing else."""

    def handler(request: web.Request, incoming: Any) -> Any:
        if request.query:
            raise web.HTTPUnauthorized
        return incoming

    frame = Peer("server", None, None, b"").frame(1, b"hi")  # type: ignore[arg-type]
    asked = {
        400: request(without="Sec-WebSocket-Key"),
        401: request("/?token=wrong"),
        403: request(also="Origin: https://evil.example"),
        503: RIGHT,
    }
    async with serving(rxws.websocket(handler), max_connections=1) as server, asking(server, RIGHT) as first:
        if status != 503:
            first.writer.close()
            async with asyncio.timeout(5):
                while len(server.hub or ()):
                    await asyncio.sleep(0.01)
        async with asking(server, asked[status] + frame) as peer:
            found, headers, _ = await response(peer)
            assert (found, headers["connection"]) == (status, "close")
            assert await peer.hear_end() == b""
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("said", ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
async def test_handshake_with_a_body(said: str) -> None:
    """What has a body is not a handshake: its bytes would be taken for frames, or frames for it."""
    asked = RIGHT.removesuffix(b"\r\n") + said.encode()
    async with house() as (server, ran), asking(server, asked.replace(b" / ", b" /def ")) as peer:
        status, _, body = await response(peer)
        assert (status, "has no body" in body) == (400, True)
    assert ran == []
