"""RFC 6455, section 4.1: what a client asks for, and what it takes for an answer."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
import trustme
from reactivex import operators as ops
from yarl import URL

import rxws
from tests.conformance.peers import accept_of, answering, upgrade

BOTH_LOOPS = True


def headers_of(request: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in request.split("\r\n")[1:]:
        if line:
            name, _, value = line.partition(": ")
            found.setdefault(name.lower(), []).append(value)
    return found


async def test_request() -> None:
    """The request is what the section says it is, and its key is new for each connection."""
    async with answering() as server:
        for _ in range(2):
            async with rxws.connect(f"{server.url}a%20b?c=d", protocols=["p", "q"], headers={"X-Own": "1"}):
                server.close()
        first, second = (headers_of(request) for request in server.requests)
        assert server.requests[0].startswith("GET /a%20b?c=d HTTP/1.1\r\n")
        port = URL(server.url).port
        assert {name: first[name] for name in ("host", "upgrade", "connection", "sec-websocket-version", "x-own")} == {
            "host": [f"127.0.0.1:{port}"],
            "upgrade": ["websocket"],
            "connection": ["Upgrade"],
            "sec-websocket-version": ["13"],
            "x-own": ["1"],
        }
        assert [name.strip() for name in first["sec-websocket-protocol"][0].split(",")] == ["p", "q"]
        assert not {"sec-websocket-extensions", "origin", "content-length"} & first.keys()
        keys = [base64.b64decode(request["sec-websocket-key"][0], validate=True) for request in (first, second)]
        assert ([len(key) for key in keys], keys[0] == keys[1]) == ([16, 16], False)


@pytest.mark.parametrize("names", [["a", "a"], ["a b"], ["a,b"], [""], ["é"], ['"a"']])
def test_subprotocols_offered(names: list[str]) -> None:
    """Subprotocols are tokens, and each is there once: others are an error of whoever offers them."""
    with pytest.raises((TypeError, ValueError), match="protocols"):
        rxws.connect("ws://localhost/", protocols=names)


@pytest.mark.parametrize(
    "url", ["/feed", "localhost/feed", "ftp://localhost/", "ws:///feed", "ws://localhost/#top", "ws://localhost:0x1/"]
)
def test_url(url: str) -> None:
    """A URL that is not one of a WebSocket (section 3), or has a fragment, is an error before anything is sent."""
    with pytest.raises(ValueError, match=r"URL|port"):
        rxws.connect(url)


@pytest.mark.parametrize("made", [False, True], ids=["headers", "a function that makes them"])
@pytest.mark.parametrize(
    "name", ["connection", "Upgrade", "Sec-WebSocket-Key", "sec-websocket-version", "Sec-WebSocket-Extensions"]
)
async def test_headers_of_the_handshake(name: str, made: bool) -> None:
    """Headers that the section fixes cannot be given: what was sent would not be what is checked."""
    async with answering() as server:
        with pytest.raises(ValueError, match=f"(?i)headers must not hold {name}"):
            await rxws.connect(server.url, headers=(lambda: {name: "x"}) if made else {name: "x"})
        assert server.requests == []


async def test_waits_for_the_answer() -> None:
    """Nothing is sent before the answer is there, and what was given to send follows it (4.1)."""
    may_answer = asyncio.Event()
    seen = bytearray()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        reading = asyncio.create_task(reader.read(100))
        await may_answer.wait()
        assert not reading.done()
        writer.write(upgrade(head).replace("\n", "\r\n").encode() + b"\r\n\r\n")
        seen.extend(await reading)
        writer.transport.abort()

    listener = await asyncio.start_server(meet, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    async with rxws.connect(url, reconnect=rxws.Backoff(max_attempts=1), close_timeout=0.2) as socket:
        socket.outgoing.on_next("early")
        await asyncio.sleep(0.05)
        may_answer.set()
        async with asyncio.timeout(5):
            await socket.closed
    listener.close()
    assert seen[0] == 0x81


Answer = Callable[[bytes], str]
WRONG: dict[str, tuple[Answer, str]] = {
    "no Upgrade": (lambda head: upgrade(head, without="Upgrade"), "upgrade"),
    "another Upgrade": (lambda head: upgrade(head).replace("Upgrade: websocket", "Upgrade: h2c"), "upgrade"),
    "no Connection": (lambda head: upgrade(head, without="Connection"), "connection"),
    "another Connection": (lambda head: upgrade(head).replace("n: Upgrade", "n: keep-alive"), "connection"),
    "no accept": (lambda head: upgrade(head, without="Sec-WebSocket-Accept"), "challenge"),
    "another accept": (lambda head: upgrade(head).replace(accept_of(head), "A" * 27 + "="), "challenge"),
    "two accepts": (lambda head: upgrade(head, also=f"Sec-WebSocket-Accept: {accept_of(head)}"), "more than once"),
    "an extension": (lambda head: upgrade(head, also="Sec-WebSocket-Extensions: foo"), "'foo', which was not offered"),
    "permessage-deflate": (
        lambda head: upgrade(head, also="Sec-WebSocket-Extensions: permessage-deflate"),
        "'permessage-deflate', which was not offered",
    ),
    "no list of extensions": (lambda head: upgrade(head, also="Sec-WebSocket-Extensions: ;"), "list of extensions"),
    "a subprotocol": (lambda head: upgrade(head, also="Sec-WebSocket-Protocol: c"), "'c', which was not offered"),
    "all subprotocols": (lambda head: upgrade(head, also="Sec-WebSocket-Protocol: a, b"), "'a, b', which was not"),
    "an empty subprotocol": (lambda head: upgrade(head, also="Sec-WebSocket-Protocol: "), "'', which was not offered"),
    "two subprotocols": (
        lambda head: upgrade(head, also="Sec-WebSocket-Protocol: a\nSec-WebSocket-Protocol: b"),
        "more than once",
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_answer(name: str) -> None:
    """An answer that is not what was asked for fails the connection, which is closed at once (4.1, 4.2.2)."""
    answer, says = WRONG[name]
    async with answering(answer) as server:
        with pytest.raises(rxws.ConnectError, match=f"(?i)handshake is wrong: .*{says}") as failed:
            await rxws.connect(server.url, protocols=["a", "b"])
        assert (failed.value.stage, failed.value.status) == ("handshake", 101)
        peer = await server.peers.get()
        assert await peer.hear_end() == b""


async def test_subprotocol_that_was_not_offered() -> None:
    """A client that offers none takes none (4.1)."""
    async with answering(lambda head: upgrade(head, also="Sec-WebSocket-Protocol: a")) as server:
        with pytest.raises(rxws.ConnectError, match="the subprotocol 'a', which was not offered"):
            await rxws.connect(server.url)


@pytest.mark.parametrize("made", [False, True], ids=["an option", "a header"])
async def test_subprotocol(made: bool) -> None:
    """The subprotocol is the server's choice of those offered, by the option or by a header, made for each attempt."""
    offered: dict[str, Any] = {"protocols": ["a", "b"]}
    if made:
        offered = {"headers": lambda: {"Sec-WebSocket-Protocol": "a,b"}}
    async with (
        answering(lambda head: upgrade(head, also="Sec-WebSocket-Protocol: b")) as server,
        rxws.connect(server.url, **offered) as socket,
    ):
        assert socket.protocol == "b"
        server.close()


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "500 Internal Server Error"])
async def test_another_status(status: str) -> None:
    """Any status but 101 fails the connection, and is told (4.1)."""
    async with answering(lambda head: f"HTTP/1.1 {status}\nContent-Length: 0") as server:
        with pytest.raises(rxws.ConnectError) as failed:
            await rxws.connect(server.url)
    assert (failed.value.stage, failed.value.status) == ("http", int(status[:3]))


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(theirs)
    authority.configure_trust(ours)
    return theirs, ours


@pytest.mark.parametrize("scheme", ["ws", "http"])
@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary", "308 Here"])
async def test_redirect_into_the_clear(scheme: str, status: str) -> None:
    """A client does not follow a redirect from an encrypted connection to one that is not, with its headers."""
    theirs, ours = contexts()
    async with answering() as clear:
        target = f"{scheme}{clear.url[2:]}?token=SECRET"
        async with answering(
            lambda head: f"HTTP/1.1 {status}\nLocation: {target}\nContent-Length: 0", ssl=theirs
        ) as tls:
            with pytest.raises(rxws.ConnectError, match="is not encrypted") as failed:
                await rxws.connect(tls.url, ssl=ours, headers={"Authorization": "Bearer SECRET"})
        assert (failed.value.stage, failed.value.status) == ("http", int(status[:3]))
        assert "SECRET" not in str(failed.value)
        assert clear.requests == []


@pytest.mark.parametrize("location", [f"http://{'a' * 64}.test/", "http://a..test/", "http://[a"])
async def test_redirect_to_no_url(location: str) -> None:
    """A redirect to what is not a URL, or to a host that is not a name, is the server's: a client comes back."""

    redirect = f"HTTP/1.1 302 Found\nLocation: {location}?token=SECRET\nContent-Length: 0"

    def answer(head: bytes) -> str:
        return upgrade(head) if len(server.requests) > 2 else redirect

    async with answering(answer) as server:
        with pytest.raises(rxws.ConnectError, match="redirects to something that is not a URL") as failed:
            await rxws.connect(server.url)
        assert (failed.value.stage, failed.value.status, "SECRET" in str(failed.value)) == ("http", 302, False)
        async with rxws.connect(server.url, reconnect=rxws.Backoff(initial=0.01, maximum=0.01)) as socket:
            await asyncio.wait_for(socket.states.pipe(ops.first(lambda state: isinstance(state, rxws.Open))), 5)
            server.close()


@pytest.mark.parametrize("shared", [False, True], ids=["its own session", "a shared session"])
async def test_redirect(shared: bool) -> None:
    """Other redirects are followed: within the clear, into TLS, and to another path."""
    theirs, ours = contexts()

    def elsewhere(url: str) -> Callable[[bytes], str]:
        return lambda head: f"HTTP/1.1 302 Found\nLocation: {url}\nContent-Length: 0"

    def to_new_path(head: bytes) -> str:
        return upgrade(head) if b" /new " in head else elsewhere("/new")(head)

    async with (
        answering(ssl=theirs) as tls,
        answering(elsewhere(f"https{tls.url[3:]}")) as clear,
        answering(to_new_path) as here,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=ours)) as session,
    ):
        session_of: dict[str, Any] = {"session": session} if shared else {}
        for url, last in [(here.url, here), *([(clear.url, tls)] if shared else [])]:  # `ssl` is for a wss URL
            async with rxws.connect(url, **session_of):
                clear.close()
                tls.close()
                here.close()
            assert len(last.requests) == (1 if last is tls else 2)


async def test_tls() -> None:
    """A wss URL is TLS with the server's name in its handshake; a certificate that is not right fails (4.1)."""
    theirs, ours = contexts()
    names: list[str | None] = []
    theirs.sni_callback = lambda _, name, __: names.append(name)
    async with answering(ssl=theirs) as server:
        async with rxws.connect(server.url, ssl=ours):
            server.close()
        with pytest.raises(rxws.ConnectError, match="certificate") as failed:
            await rxws.connect(server.url)
        assert failed.value.stage == "tls"
    assert (names[0], len(server.requests)) == ("localhost", 1)


async def test_connection_that_cannot_be_opened() -> None:
    """A direct connection that fails, or a proxy that refuses, fails the WebSocket connection (4.1)."""
    async with answering() as server:
        port = URL(server.url).port
    with pytest.raises(rxws.ConnectError) as failed:
        await rxws.connect(f"ws://127.0.0.1:{port}/")
    assert failed.value.stage == "tcp"
    async with answering(lambda head: "HTTP/1.1 407 No\nContent-Length: 0") as proxy:
        with pytest.raises(rxws.ConnectError) as failed:
            await rxws.connect("wss://localhost/", proxy=f"http{proxy.url[2:]}")
    assert failed.value.stage == "proxy"
