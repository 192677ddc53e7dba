"""Peers that do not get as far as a socket."""

import asyncio
import logging
import re
import socket
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
from reactivex.disposable import Disposable

import rxws
from rxws.wires.negotiation import MAX_PAIRS
from tests.conformance.peers import request
from tests.integration.raw import raw
from tests.integration.server import certified, serving

BOTH_LOOPS = True
Eventually = Callable[..., Any]


async def test_foreign_origin_is_403() -> None:
    """A page of a foreign origin that sends a cookie gets 403, and the handler never runs."""
    ran: list[int] = []
    handler = rxws.websocket(lambda: ran.append(1))
    async with serving(handler) as server, aiohttp.ClientSession(cookies={"session": "stolen"}) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await session.ws_connect(server.url, headers={"Origin": "https://evil.example"})
    assert (error.value.status, ran) == (403, [])


async def test_page_that_came_without_tls_is_403() -> None:
    """Over TLS a page of the same host that came without is a foreign one; the answer says what to do."""
    echo, (own, trusting) = rxws.websocket(lambda incoming: incoming), certified()
    async with serving(echo, tls=own) as server, aiohttp.ClientSession() as session:
        host = f"localhost:{server.port}"

        async def answer(origin: str) -> str:
            options: dict[str, Any] = {"headers": {"Origin": origin}, "session": session, "ssl": trusting}
            try:
                async with rxws.connect(f"wss://{host}/", **options) as socket:
                    socket.outgoing.on_next("echoed")
                    return await socket.receive()
            except rxws.ConnectError as refused:
                return f"{refused.status} {refused.body}"

        assert await answer(f"https://{host}") == "echoed"
        assert await answer(f"http://{host}") == (
            f"403 A page from 'http://{host}' may not connect to 'https://{host}': it came without encryption, so that"
            " anyone on its way may have changed it. Redirect http to https."
            f" Else allow the page: origins=['http://{host}']\n"
        )
        assert "a proxy changes Host" in await answer("https://evil.example")
        assert server.hub is not None
        assert server.hub.refused_total == {"origin": 2}


async def test_scheme_of_an_origin_behind_a_proxy() -> None:
    """Without TLS nobody knows whether a proxy took it off; a middleware that says so is believed."""

    @web.middleware
    async def believing(request: web.Request, handler: Any) -> web.StreamResponse:
        scheme = request.headers.get("X-Forwarded-Proto")
        return await handler(request if scheme is None else request.clone(scheme=scheme))

    app = web.Application(middlewares=[believing])
    app.router.add_get("/", rxws.websocket(lambda incoming: incoming))
    async with serving(app=app) as server, aiohttp.ClientSession() as session:
        host = f"127.0.0.1:{server.port}"

        async def status(origin: str, **forwarded: str) -> int:
            try:
                headers = {"Origin": origin, **forwarded}
                async with rxws.connect(server.url, headers=headers, session=session) as socket:
                    socket.outgoing.on_next("a")
                    assert await socket.receive() == "a"
                    return 101
            except rxws.ConnectError as refused:
                return refused.status or 0

        https, http = {"X-Forwarded-Proto": "https"}, {"X-Forwarded-Proto": "http"}
        assert [await status(f"{scheme}://{host}") for scheme in ("http", "https")] == [101, 101]
        assert [await status(f"{scheme}://{host}", **https) for scheme in ("http", "https")] == [403, 101]
        assert [await status(f"{scheme}://{host}", **http) for scheme in ("http", "https")] == [101, 101]


@pytest.mark.parametrize("leave", ["reset", "end of file", "close"])
async def test_limit_is_503_and_places_return(leave: str, eventually: Eventually) -> None:
    """Beyond `max_connections` a handshake gets 503; however a peer leaves, its place is free again."""
    echo = rxws.websocket(lambda incoming: incoming)
    async with serving(echo, max_connections=2) as server, aiohttp.ClientSession() as session:
        hub = server.hub
        assert hub is not None
        async with raw(server.port) as first, raw(server.port):
            await eventually(lambda: len(hub) == 2)
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await session.ws_connect(server.url)
            assert (error.value.status, hub.refused_total) == (503, {"limit": 1})
            match leave:
                case "reset":
                    first.reset()
                case "close":
                    first.send_close()
                case _:
                    first.writer.close()
            await eventually(lambda: len(hub) == 1)
            async with websockets.connect(server.url) as client:
                await client.send("a")
                assert await client.recv() == "a"
        await eventually(lambda: len(hub) == 0)
        assert (hub.opened_total, sum(hub.closed_total.values())) == (3, 3)


@pytest.mark.parametrize("leave", ["reset", "end of file"])
@pytest.mark.parametrize("kind", ["def", "Disposables", "async def", "accept"])
async def test_client_that_leaves_during_the_handshake(
    kind: str, leave: str, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that leaves before the answer is nobody's error: DEBUG tells of it, and nothing is left of it."""
    caplog.set_level(logging.DEBUG, "rxws")
    ran: list[str] = []
    owned: list[Disposable] = []
    may_go_on = asyncio.Event()

    @web.middleware
    async def slow(request: web.Request, handler: Any) -> web.StreamResponse:
        ran.append("asked")
        await may_go_on.wait()
        return await handler(request)

    def composing(incoming: Any) -> Any:
        return incoming

    def subscribing() -> list[Disposable]:
        owned.append(Disposable())
        return owned[-1:]

    async def living(incoming: Any) -> None:
        ran.append("ran")

    async def accepting(request: web.Request) -> web.StreamResponse:
        async with rxws.accept(request) as accepted:
            await accepted.closed
        return accepted.response

    functions = {"def": composing, "Disposables": subscribing, "async def": living}
    app = web.Application(middlewares=[slow])
    app.router.add_get("/", accepting if kind == "accept" else rxws.websocket(functions[kind]))
    async with serving(app=app) as server:
        hub = server.hub
        assert hub is not None
        for number in range(1, 4):
            sock = socket.socket()
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
            await asyncio.get_running_loop().sock_sendall(sock, request())
            await eventually(lambda number=number: len(ran) == number)
            if leave == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        await asyncio.sleep(0.05)
        may_go_on.set()
        await eventually(lambda: hub.errors_total.get("ConnectionLost") == 3)
        await eventually(lambda: len(hub) == 0 and not hub._taken)
    assert [(record.name, record.getMessage()) for record in caplog.records if record.levelno > logging.INFO] == []
    assert "ran" not in ran
    assert [disposable.is_disposed for disposable in owned] == ([True] * 3 if kind == "Disposables" else [])


async def test_foreign_origin_is_explained_once(caplog: pytest.LogCaptureFixture) -> None:
    """The answer and one WARNING for each pair say which origin and host did not fit, and what to do; they are few."""
    caplog.set_level(logging.INFO, "rxws")
    echo = rxws.websocket(lambda incoming: incoming)
    async with serving(echo) as server, aiohttp.ClientSession() as session:

        async def ask(origin: str, host: str) -> str:
            with pytest.raises(rxws.ConnectError) as refused:
                await rxws.connect(server.url, headers={"Origin": origin, "Host": host}, session=session)
            assert refused.value.status == 403
            return refused.value.body

        for _ in range(3):
            body = await ask("https://app.example", "backend:8080")
        await ask("https://app.example", "backend:8081")
        assert body == (
            "A page from 'https://app.example' may not connect to 'backend:8080'. If both are the same site, a proxy"
            " changes Host: make it pass the browser's Host (nginx: proxy_set_header Host $http_host). Else allow the"
            " page: origins=['https://app.example']\n"
        )
        first, second = caplog.records
        assert (first.levelname, first.getMessage()) == ("WARNING", f"refused: {body.strip()} (127.0.0.1 /)")
        assert vars(first)["ws_refusal"] == "origin"
        assert "'backend:8081'" in second.getMessage()
        for number in range(MAX_PAIRS + 3):
            await ask(f"https://{number}.example", "backend:8080")
        assert len(caplog.records) == MAX_PAIRS
        assert server.hub is not None
        assert server.hub.refused_total == {"origin": MAX_PAIRS + 7}


async def test_unknown_subprotocol_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A stranger who offers a subprotocol that nobody knows gets a socket without one, and no line in the log."""
    echo = rxws.websocket(protocols=["known"])(lambda incoming: incoming)
    async with serving(echo) as server, raw(server.port, headers="Sec-WebSocket-Protocol: unknown\r\n"):
        pass
    assert [record.getMessage() for record in caplog.records] == []


TABLE = re.findall(
    r"^\| ([^|]+) \| (\d{3})(?:, `([^`]+)`)? \| \"([^\"]+)\" \| (\w+) \| `(\w+)` \|$",
    (Path(__file__).parents[2] / "docs/behind-a-proxy.md").read_text(),
    re.MULTILINE,
)
"""What the documentation says of each refusal."""
HTTP_10 = request().replace(b"HTTP/1.1", b"HTTP/1.0")
REFUSED = {
    "a page of a foreign origin": request(also="Origin: https://evil.example"),
    "a page that came without TLS": request(also="Origin: http://localhost"),
    "`max_connections` is reached, in this process": request(),
    "the application shuts down": request(),
    "the proxy speaks HTTP/1.0": HTTP_10,
    "the proxy drops `Upgrade`": request(without="Upgrade"),
    "the proxy drops `Connection`": request(without="Connection"),
    "another version of the protocol": request().replace(b"Version: 13", b"Version: 8"),
    "a browser's page, or a crawler": b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
async def test_what_a_refused_stranger_is_told(row: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    """The answer and the log say what the table in the documentation does, and a WARNING comes once."""
    why, status, header, says, level, refusal = row
    caplog.set_level(logging.DEBUG, "rxws.server")
    tls, trusting = certified()
    secure = "TLS" in why
    limit = 1 if "max_connections" in why else None
    echo = rxws.websocket(lambda incoming: incoming)
    async with serving(echo, tls=tls if secure else None, max_connections=limit) as server, AsyncExitStack() as stack:
        if limit:
            await stack.enter_async_context(rxws.connect(server.url))
        if "shuts down" in why:
            assert server.hub is not None
            await server.hub.shut_down()
        over_tls: dict[str, Any] = {"ssl": trusting, "server_hostname": "localhost"} if secure else {}
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, **over_tls)
            writer.write(REFUSED[why])
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(re.search(r"Content-Length: (\d+)", head)[1])  # type: ignore[index]
            body = (await reader.readexactly(length)).decode()
            writer.close()
            assert head.split()[1] == status
            assert header in head
            assert says in body
    lines = [record for record in caplog.records if getattr(record, "ws_event", "") == "refused"]
    assert [record.levelname for record in lines] == [level, "DEBUG"]
    for record in lines:
        assert (vars(record)["ws_refusal"], vars(record)["ws_remote"]) == (refusal, "127.0.0.1")
        assert status == "503" or says in record.getMessage()


async def test_each_fault_of_a_proxy_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Each fault of a proxy is a warning, once. A POST, which any stranger may send, is none."""
    caplog.set_level(logging.DEBUG, "rxws.server")
    app = web.Application()
    app.router.add_route("*", "/", rxws.websocket(lambda incoming: incoming))
    faults = [HTTP_10, request(without="Upgrade"), request(without="Connection")]
    async with serving(app=app) as server:
        for sent in [request(without="Upgrade").replace(b"GET", b"POST"), *faults, *faults]:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(sent)
            await reader.readuntil(b"\r\n\r\n")
            writer.close()
    lines = [record for record in caplog.records if getattr(record, "ws_event", "") == "refused"]
    assert [record.levelname for record in lines] == ["DEBUG", *["WARNING"] * 3, *["DEBUG"] * 3]
    assert all("proxy" in record.getMessage() for record in lines[1:])


def test_each_refusal_has_a_row() -> None:
    """The table has each refusal that is tested, and no other."""
    assert [row[0] for row in TABLE] == [*REFUSED]
