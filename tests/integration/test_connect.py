"""One connection, to servers that nobody here wrote and to our own; and what refuses one."""

import asyncio
import contextlib
import hashlib
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
import websockets
from aiohttp import web
from reactivex import operators as ops

import rxws
from rxws.core import receipts
from tests.integration.proxy import Fault, proxying
from tests.integration.server import certified, running, serving
from tests.integration.test_peers import NPM
from tests.ports import free_port
from tests.streams import ended, watch

BOTH_LOOPS = True
MANY = [f"message {number}" for number in range(1000)]
QUICK = rxws.Backoff(initial=0.01, maximum=0.01)


@rxws.websocket(max_msg_size=2**21)
def echo(incoming: Any) -> Any:
    return incoming


@contextlib.asynccontextmanager
async def our_own() -> AsyncIterator[str]:
    async with serving(echo) as server:
        yield server.url


@contextlib.asynccontextmanager
async def by_aiohttp() -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await (ws.send_str if message.type is aiohttp.WSMsgType.TEXT else ws.send_bytes)(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/", handle)
    async with running(app) as server:
        yield server.url


@contextlib.asynccontextmanager
async def by_websockets() -> AsyncIterator[str]:
    async def handle(connection: Any) -> None:
        async for message in connection:
            await connection.send(message)

    async with websockets.serve(handle, "127.0.0.1", 0, max_queue=None) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@contextlib.asynccontextmanager
async def by_node() -> AsyncIterator[str]:
    path = shutil.which("node")
    assert path, "Node is not on PATH"
    process = await asyncio.create_subprocess_exec(path, "server.mjs", cwd=NPM, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        port = json.loads(await asyncio.wait_for(process.stdout.readline(), 10))["port"]
        yield f"ws://127.0.0.1:{port}/"
    finally:
        process.kill()
        await process.wait()


SERVERS = pytest.mark.parametrize("peer", [our_own, by_aiohttp, by_websockets, by_node], ids=lambda peer: peer.__name__)


@SERVERS
async def test_messages_in_order_and_leaving_closes_1000(peer: Any, eventually: Any) -> None:
    """Messages go and come in order, and leaving the block closes with 1000."""
    async with peer() as url, rxws.connect(url) as socket:
        log = watch(i=socket.incoming.pipe(ops.take(len(MANY) + 2)))
        for message in (*MANY, b"\x00\xff", "é" * 100_000):
            socket.outgoing.on_next(message)
        await eventually(lambda: log[-1:] == ["i|"], 10)
        assert [message for _, message in log[:-1]] == [*MANY, b"\x00\xff", "é" * 100_000]
        assert socket.remote == "127.0.0.1"
    assert await ended(socket) == rxws.Close()


@SERVERS
async def test_leaving_flushes_what_is_queued(peer: Any) -> None:
    async with peer() as url:
        async with rxws.connect(url) as socket:
            for message in MANY:
                socket.outgoing.on_next(message)
        assert socket.stats.sent == len(MANY)
        assert watch(u=socket.undelivered) == ["u|"]


@SERVERS
async def test_one_that_comes_back_does_so(peer: Any) -> None:
    async with peer() as url, rxws.connect(url, reconnect=QUICK) as socket:
        port = int(url.rstrip("/").rpartition(":")[2])
        async with proxying(port) as proxy, rxws.connect(proxy.url, reconnect=QUICK) as through:
            for number in range(5):
                answer = await through.request(f"hello {number}", matches=lambda _: True)
                assert answer == f"hello {number}"
                proxy.break_all("reset" if number % 2 else "cut")
                await through.states.pipe(ops.skip(1), ops.first(lambda state: isinstance(state, rxws.Open)))
        assert await socket.request("still", matches=lambda _: True) == "still"


@SERVERS
async def test_a_pong_confirms_what_arrived(peer: Any, monkeypatch: pytest.MonkeyPatch, eventually: Any) -> None:
    monkeypatch.setattr(receipts, "ASK_AFTER", 0.01)
    async with peer() as url, proxying(int(url.rstrip("/").rpartition(":")[2])) as proxy:
        async with rxws.connect(proxy.url, reconnect=QUICK) as socket:
            await socket.request("hello", matches=lambda _: True)
            connection = socket._life.connection
            assert connection is not None
            assert connection.receipts is not None
            await eventually(lambda: not connection.receipts._items)
            proxy.break_all("reset")
            await socket.states.pipe(ops.skip(1), ops.first(lambda state: isinstance(state, rxws.Open)))
        assert watch(u=socket.undelivered) == ["u|"]


async def test_it_can_be_awaited_and_closed_with_a_code() -> None:
    async with serving(echo) as server:
        socket = await rxws.connect(server.url)
        socket.close(4001, "bye")
        assert await ended(socket) == rxws.Close(4001, "bye")
        assert await ended(server.sockets[0]) == rxws.Close(4001, "bye")


async def test_a_failing_block_closes_1011_and_raises_on() -> None:
    async def follow(url: str) -> None:
        async with rxws.connect(url):
            raise LookupError("no such thing")

    async with serving(echo) as server:
        with pytest.raises(LookupError):
            await follow(server.url)
        assert await ended(server.sockets[0]) == rxws.Close(1011, "Unexpected Error")


async def test_the_server_s_close_is_seen() -> None:
    async with serving(echo) as server, rxws.connect(server.url) as socket:
        log = watch(i=socket.incoming, e=socket.errors)
        server.sockets[0].close(4002, "enough")
        assert await ended(socket) == rxws.Close(4002, "enough")
        assert log == ["i|", "e|"]


async def test_messages_wait_for_the_first_subscriber() -> None:
    """What arrives before the first subscriber waits for it."""

    @rxws.websocket
    def greet(incoming: Any, outgoing: Any) -> None:
        for message in MANY:
            outgoing.on_next(message)
        incoming.subscribe(outgoing)

    async with serving(greet) as server, rxws.connect(server.url) as socket:
        await asyncio.sleep(0.1)
        messages = await socket.incoming.pipe(ops.take(len(MANY)), ops.to_list())
        assert messages == MANY


async def test_messages_have_types_as_on_the_server() -> None:
    @rxws.websocket(codec=rxws.json)
    def double(incoming: Any) -> Any:
        return incoming.pipe(ops.map(lambda number: number * 2))

    async with serving(double) as server, rxws.connect(server.url, codec=rxws.json) as socket:
        assert await socket.request(21, matches=lambda _: True) == 42
        errors = watch(e=socket.errors)
        socket.outgoing.on_next(object())
        assert isinstance(errors[0][1], rxws.EncodeError)


async def test_subprotocol_chooses_the_codec() -> None:
    """The subprotocol is negotiated, and chooses the codec."""
    protocols = {"v2.json": rxws.json, "v1": rxws.codecs.text}
    async with serving(rxws.websocket(protocols=protocols)(lambda incoming: incoming)) as server:
        async with rxws.connect(server.url, protocols=protocols) as socket:
            assert socket.protocol == "v2.json"
            assert await socket.request([1], matches=lambda _: True) == [1]
        async with rxws.connect(server.url, protocols=["v1"]) as socket:
            assert socket.protocol == "v1"


async def test_a_session_can_be_shared_and_stays_open() -> None:
    async with serving(echo) as server, aiohttp.ClientSession(headers={"X-From": "session"}) as session:
        for _ in range(2):
            async with rxws.connect(server.url, session=session) as socket:
                assert await socket.request("hello", matches=lambda _: True) == "hello"
        assert not session.closed
        assert [one.request.headers["X-From"] for one in server.sockets] == ["session", "session"]
        assert session.trace_configs == []


async def test_url_and_headers_may_be_functions() -> None:
    """URL and headers may be functions, which are called for every attempt."""
    tokens = iter(range(100))

    async def headers() -> dict[str, str]:
        await asyncio.sleep(0)
        return {"Authorization": f"Bearer {next(tokens)}"}

    async with serving(echo) as server:
        urls = iter([f"{server.url}?n={number}" for number in range(100)])
        async with rxws.connect(lambda: next(urls), headers=headers, reconnect=QUICK) as socket:
            for number in range(3):
                await socket.states.pipe(ops.first(lambda state: isinstance(state, rxws.Open)))
                server.sockets[number].close(1012)
                await socket.states.pipe(ops.first(lambda state: isinstance(state, rxws.Waiting)))
            await socket.states.pipe(ops.first(lambda state: isinstance(state, rxws.Open)))
        seen = [(one.request.query["n"], one.request.headers["Authorization"]) for one in server.sockets]
        assert seen == [(str(number), f"Bearer {number}") for number in range(4)]


async def test_a_large_and_a_too_large_message() -> None:
    @rxws.websocket
    def send(outgoing: Any) -> None:
        outgoing.on_next("x" * 1000)
        outgoing.on_next("x" * 1001)

    async with serving(send) as server, rxws.connect(server.url, max_msg_size=1000) as socket:
        log = watch(i=socket.incoming, e=socket.errors)
        assert (await ended(socket)).code == 1009
        assert log[0] == ("i", "x" * 1000)
        assert isinstance(log[-2][1], rxws.ProtocolError)


async def test_compression_is_offered_when_asked_for() -> None:
    async with serving(rxws.websocket(compress=True)(lambda incoming: incoming)) as server:
        async with rxws.connect(server.url, compress=True) as socket:
            assert await socket.request("x" * 10_000, matches=lambda _: True) == "x" * 10_000
        assert "permessage-deflate" in server.sockets[0].request.headers["Sec-WebSocket-Extensions"]


# What refuses


async def refused(url: Any, **options: Any) -> rxws.ConnectError:
    with pytest.raises(rxws.ConnectError) as error:
        await rxws.connect(url, **options)
    return error.value


async def test_dns() -> None:
    error = await refused("ws://nowhere.invalid/")
    assert error.stage == "dns"
    assert str(error).startswith("cannot connect to nowhere.invalid:80: ")


async def test_tcp() -> None:
    error = await refused("ws://127.0.0.1:1/")
    assert error.stage == "tcp"
    assert str(error).startswith("cannot connect to 127.0.0.1:1: ")
    assert str(error).endswith(": is the server running?")
    assert str(await refused("ws://[::1]:1/")).startswith("cannot connect to [::1]:1: ")


async def test_unix_socket(tmp_path: Path) -> None:
    connector = aiohttp.UnixConnector(str(tmp_path / "socket"))
    async with aiohttp.ClientSession(connector=connector) as session:
        error = await refused("ws://localhost/", session=session)
    assert (error.stage, str(error)) == ("tcp", f"cannot connect to {tmp_path}/socket: No such file or directory")


async def test_tls() -> None:
    async with serving(echo) as server:
        error = await refused(server.url.replace("ws:", "wss:"))
    assert error.stage == "tls"
    assert str(error).endswith("the server does not speak TLS on this port: use a ws:// URL, or the port for wss://")


@pytest.mark.parametrize("how", ["cut", "reset"])
async def test_a_tls_handshake_that_breaks(how: Any) -> None:
    async with serving(echo) as server, proxying(server.port) as proxy:
        proxy.faults.extend([Fault(how, 50, "up")] * 9)
        error = await refused(proxy.url.replace("ws:", "wss:"))
    assert error.stage == "tls"
    assert str(error).endswith("the connection broke during the handshake of TLS")


async def test_a_redirection_without_end() -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound("/")

    app = web.Application()
    app.router.add_get("/", elsewhere)
    async with running(app) as server:
        error = await refused(server.url)
    assert (error.stage, error.status) == ("http", 302)
    assert str(error) == "the server answered 302 instead of 101, again and again"


@pytest.mark.parametrize("shared", [False, True])
async def test_http_status_with_the_body_s_beginning(shared: bool) -> None:
    async def unavailable(_: web.Request) -> web.Response:
        return web.Response(status=503, text="Closed for repairs. " * 200, headers={"Retry-After": "7"})

    app = web.Application()
    app.router.add_get("/", unavailable)
    async with running(app) as server, contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession()) if shared else None
        error = await refused(server.url, session=session)
    assert (error.stage, error.status, error.retry_after) == ("http", 503, 7.0)
    assert error.body.startswith("Closed for repairs. Closed")
    assert len(error.body) == 1024
    assert "the server answered 503 instead of 101: 'Closed for repairs." in str(error)
    assert isinstance(error.__cause__, aiohttp.WSServerHandshakeError)


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kathmandu")
        time.tzset()
        yield
    time.tzset()


def later(form: str) -> str:
    """The date of a minute from now."""
    return time.strftime(form, time.gmtime(time.time() + 60))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (lambda: later("%a, %d %b %Y %H:%M:%S GMT"), 60),
        (lambda: later("%A, %d-%b-%y %H:%M:%S GMT"), 60),
        (lambda: later("%a %b %d %H:%M:%S %Y"), 60),
        (lambda: "Wed, 21 Oct 2015 07:28:00 GMT", 0),
        (lambda: "120", 120),
        (lambda: "soon", None),
        (lambda: "-1", None),
    ],
    ids=["the present form", "the one of 1985", "C's", "past", "seconds", "no date", "negative"],
)
@pytest.mark.usefixtures("far_from_greenwich")
async def test_a_retry_after_is_seconds_or_a_date(value: Any, seconds: float | None) -> None:
    """All three forms that RFC 9110, section 5.6.7, has for a date: always UTC, wherever the client is."""

    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": value()})

    app = web.Application()
    app.router.add_get("/", busy)
    async with running(app) as server:
        wait = (await refused(server.url)).retry_after
    assert wait == (None if seconds is None else pytest.approx(seconds, abs=5))


async def test_endless_body_does_not_delay_the_refusal() -> None:
    """The body of a refusal that never ends does not delay the error."""
    refusal = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        await response.write(b"Sorry")
        await refusal.wait()
        return response

    app = web.Application()
    app.router.add_get("/", drip)
    async with running(app) as server:
        async with asyncio.timeout(2):
            assert (await refused(server.url)).body == "Sorry"
        refusal.set()


async def raw_server(answer: bytes) -> asyncio.Server:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    return await asyncio.start_server(meet, "127.0.0.1", 0)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 101 OK\r\nUpgrade: tea\r\nConnection: upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"",
    ],
    ids=["accept", "upgrade", "ssh", "nothing"],
)
async def test_handshake(answer: bytes) -> None:
    server = await raw_server(answer)
    async with server:
        error = await refused(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert error.stage == "handshake"
    if not answer:
        says = "the server closed the connection without an answer; if it speaks TLS on this port, use a wss:// URL"
        assert str(error) == says


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    async with serving(echo) as server, proxying(server.port) as proxy:
        proxy.faults.append(Fault("stall", 0, "down"))
        error = await refused(proxy.url, open_timeout=0.1)
        assert (error.stage, str(error)) == ("timeout", "no connection within 0.1 s")
        proxy.faults.append(Fault("stall", 0, "down"))
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.1)) as session:
            error = await refused(proxy.url, session=session)
        assert (error.stage, str(error)) == ("timeout", "no connection within the timeout of the session")


async def test_a_function_that_makes_the_url_and_cannot() -> None:
    def unreachable() -> str:
        raise OSError("the token server is down")

    def broken() -> str:
        raise KeyError("token")

    async def late() -> str:
        raise TimeoutError

    assert (await refused(unreachable)).stage == "request"
    assert str(await refused(late)) == "the URL or headers could not be made: TimeoutError"
    with pytest.raises(KeyError):
        await rxws.connect(broken)
    with pytest.raises(ValueError, match="'nonsense' is not a WebSocket URL"):
        await rxws.connect(lambda: "nonsense")
    for wrong in ([("Authorization", "secret")], "secret"):
        made: Any = wrong
        with pytest.raises(
            TypeError, match=f"headers must be a mapping of names to values.*not a {type(made).__name__}$"
        ):
            await rxws.connect("ws://127.0.0.1:9", headers=lambda made=made: made)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        (("example.com/feed",), {}, ValueError, "'example.com/feed' is not a WebSocket URL: expected ws://host/path"),
        (("ftp://example.com",), {}, ValueError, "is not a WebSocket URL"),
        (("ws://chat..example.com/",), {}, ValueError, "the host of 'ws://chat..example.com/' is not a name"),
        (("ws://[",), {}, ValueError, r"'ws://\[' is not a WebSocket URL: its host or port is not valid$"),
        (("ws://a:99999/feed",), {}, ValueError, "'ws://a:99999/feed' is not a WebSocket URL: its host or port"),
        (("ws://xn--/",), {}, ValueError, "'ws://xn--/' is not a WebSocket URL: its host or port is not valid$"),
        (
            ("ws://ada:sec/ret@a:1/feed?token=secret",),
            {},
            ValueError,
            "'ws://a:1/feed' is not .* or the password has characters that must be percent-encoded",
        ),
        (("ada:secret@a/feed",), {}, ValueError, "'a/feed' is not a WebSocket URL: expected ws://host/path"),
        ((8080,), {}, TypeError, "a URL is a str or a yarl.URL, not int"),
        ((b"ws://host/?token=secret",), {}, TypeError, "a URL is a str or a yarl.URL, not bytes"),
        (
            ("ws://a",),
            {"reconnect": True},
            TypeError,
            r"reconnect must be a Backoff, such as rxws.Backoff\(\), not True",
        ),
        (("ws://a",), {"origins": "*"}, TypeError, "unknown option 'origins'"),
        (("ws://a",), {"hartbeat": 1}, TypeError, "did you mean 'heartbeat'"),
        (("ws://a",), {"open_timeout": 0}, ValueError, "open_timeout must be a positive number of seconds, not 0"),
        (("ws://a",), {"open_timeout": "1"}, TypeError, "open_timeout must be a positive number of seconds, not '1'"),
        (("ws://a",), {"session": "mine"}, TypeError, "session must be an aiohttp.ClientSession, not 'mine'"),
        (("ws://a",), {"headers": "X: y"}, TypeError, "headers must be a mapping of names to values, or a function"),
        (
            ("ws://a",),
            {"headers": {"X-Key": None}},
            TypeError,
            "the value of the header 'X-Key' must be a str, not a None",
        ),
        (("ws://a",), {"headers": {1: "y"}}, TypeError, "the name of a header must be a str, not a int"),
        (("ws://a",), {"ssl": False}, ValueError, "ssl is for wss: the URL 'ws://a' asks for no encryption"),
        (
            ("wss://a",),
            {"ssl": "my.pem"},
            TypeError,
            r"ssl must be an SSLContext or a bool, not 'my.pem': make one with ssl.create_default_context",
        ),
        (("ws://a",), {"proxy": "b:3128"}, ValueError, "'b:3128' is not a proxy's URL: expected http://host:port"),
        (("ws://a",), {"proxy": ""}, ValueError, "'' is not a proxy's URL"),
        (("ws://a",), {"proxy": "http://b..c:3128"}, ValueError, "'http://b..c:3128' is not a proxy's URL"),
        (("ws://a",), {"proxy": "http://xn--"}, ValueError, "'http://xn--' is not a proxy's URL"),
        (("ws://a",), {"proxy": "ada:secret@b:3128"}, ValueError, "'b:3128' is not a proxy's URL"),
        (("ws://a",), {"proxy": "http://"}, ValueError, "'http://' is not a proxy's URL"),
        (("ws://a",), {"proxy": "http://c:secret@"}, ValueError, "'http://' is not a proxy's URL"),
        (
            ("ws://a",),
            {"proxy": "socks5://b:1080"},
            ValueError,
            "aiohttp does not support SOCKS: for 'socks5://b:1080' use",
        ),
        (("ws://a",), {"proxy": 3128}, TypeError, "proxy must be a str, a yarl.URL, or True for that of"),
        (("/feed",), {}, ValueError, "'/feed' is not a WebSocket URL"),
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_at_the_call(
    arguments: Any, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        rxws.connect(*arguments, **options)


def test_the_context_of_a_server_is_refused_at_the_call() -> None:
    with pytest.raises(ValueError, match="ssl is a server's context: a client's is made with"):
        rxws.connect(str, ssl=ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))


# TLS and proxies


def trusting_none() -> ssl.SSLContext:
    """Make the context of a client that does not trust anyone yet."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextlib.asynccontextmanager
async def over_tls() -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """An echo server with a certificate of its own, and the context that trusts it."""
    certificate, trusting = certified()
    async with serving(echo, tls=certificate) as server:
        yield f"wss://localhost:{server.port}/", trusting


async def test_tls_with_a_certificate_of_one_s_own() -> None:
    async with over_tls() as (url, trusting):
        assert (await refused(url)).stage == "tls"
        async with rxws.connect(url, ssl=trusting) as socket:
            for message in ("hello", "x" * 500_000):
                assert await socket.request(message, matches=lambda _: True) == message
        assert await ended(socket) == rxws.Close()
        async with rxws.connect(url, ssl=trusting, reconnect=QUICK) as again:
            assert await again.request("hello", matches=lambda _: True) == "hello"


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("host", "valid", "says"),
    [
        ("localhost", (-3, -2), "certificate has expired: the server needs a new one"),
        ("localhost", (2, 3), "certificate is not yet valid: is this machine's clock right?"),
        ("localhost", None, ": to trust it or its authority, pass ssl=ssl.create_default_context(cafile=...)"),
        ("example.com", (-1, 1), "not valid for 'localhost': connect to a name that the certificate has"),
    ],
    ids=["expired", "early", "stranger", "name"],
)
async def test_a_certificate_that_is_not_taken(host: str, valid: tuple[int, int] | None, says: str) -> None:
    """The error says what is wrong with a certificate, and what to do."""
    authority, theirs, ours = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), trusting_none()
    begins, ends = (datetime.now(UTC) + days * DAY for days in valid or (-1, 1))
    authority.issue_cert(host, not_before=begins, not_after=ends).configure_cert(theirs)
    if valid:
        authority.configure_trust(ours)
    async with serving(echo, tls=theirs) as server:
        error = await refused(f"wss://localhost:{server.port}/", ssl=ours)
    assert error.stage == "tls"
    assert str(error).startswith(f"cannot connect to localhost:{server.port}: ")
    assert says in str(error)


async def test_an_authority_that_is_not_strict(tmp_path: Path) -> None:
    """Python 3.13 refuses an authority that `openssl req -x509` made; before, Python takes it."""

    def make(name: str, *options: str) -> None:
        command = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.pem -subj /CN={name}"
        subprocess.run([*command.split(), *options], cwd=tmp_path, check=True, capture_output=True)

    make("authority")
    names = ("-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE")
    make("server", "-CA", "authority.pem", "-CAkey", "authority.key", *names)
    theirs, ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), trusting_none()
    theirs.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    ours.load_verify_locations(tmp_path / "authority.pem")
    ours.verify_flags |= ssl.VERIFY_X509_STRICT
    async with serving(echo, tls=theirs) as server:
        url = f"wss://localhost:{server.port}/"
        error = await refused(url, ssl=ours)
        ours.verify_flags &= ~ssl.VERIFY_X509_STRICT
        async with rxws.connect(url, ssl=ours) as socket:
            assert await socket.request("hello", matches=lambda _: True) == "hello"
    assert "CA cert does not include key usage extension: Python 3.13 and later want this" in str(error)


async def test_a_certificate_that_is_renewed() -> None:
    """`load_cert_chain` renews the certificate of a server that runs: for new connections, and open ones stay."""
    theirs, before = certified()
    async with serving(echo, tls=theirs) as server:
        url = f"wss://localhost:{server.port}/"
        async with rxws.connect(url, ssl=before) as old:
            authority, after = trustme.CA(), trusting_none()
            authority.issue_cert("localhost").configure_cert(theirs)
            authority.configure_trust(after)
            assert (await refused(url, ssl=before)).stage == "tls"
            async with rxws.connect(url, ssl=after) as new:
                for socket in (old, new):
                    assert await socket.request("hello", matches=lambda _: True) == "hello"


async def test_a_certificate_by_its_fingerprint() -> None:
    certificate, trusting = certified()
    async with serving(echo, tls=certificate) as server:
        url = f"wss://localhost:{server.port}/"
        error = await refused(url, ssl=aiohttp.Fingerprint(bytes(32)))
        pem = await asyncio.to_thread(certificate_of, server.port, trusting)
        known = hashlib.sha256(pem).digest()
        async with rxws.connect(url, ssl=aiohttp.Fingerprint(known)) as socket:
            assert await socket.request("hello", matches=lambda _: True) == "hello"
    says = f"the certificate of 127.0.0.1:{server.port} has the fingerprint {known.hex()}, not {'00' * 32}"
    assert (error.stage, str(error)) == ("tls", says)


def certificate_of(port: int, trusting: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        trusting.wrap_socket(plain, server_hostname="localhost") as encrypted,
    ):
        certificate = encrypted.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate


async def test_server_that_asks_who_the_client_is(tmp_path: Path) -> None:
    """With TLS 1.3, a server refuses a client's certificate, or its absence, after the client's handshake.

    The server is OpenSSL's, which says so: asyncio's only cuts the connection.
    """
    authority, port = trustme.CA(), free_port()
    ours, known = trusting_none(), trusting_none()
    for context in (ours, known):
        authority.configure_trust(context)
    authority.issue_cert("client").configure_cert(known)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", "server.pem", "-CAfile", "ca.pem"]
    process = await asyncio.create_subprocess_exec(
        *command, "-tls1_3", "-Verify", "1", "-verify_return_error", "-www", cwd=tmp_path, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        await asyncio.wait_for(process.stdout.readuntil(b"ACCEPT"), 10)
        error = await refused(f"wss://localhost:{port}/", ssl=ours)
        answered = await refused(f"wss://localhost:{port}/", ssl=known)
    finally:
        process.kill()
        await process.wait()
    assert error.stage == "tls"
    assert str(error).endswith("load it into an ssl.SSLContext with load_cert_chain, and pass ssl=context")
    assert answered.stage == "http"


@pytest.mark.parametrize("reconnect", [None, QUICK], ids=["once", "again"])
async def test_leaving_a_stalled_peer_behind_tls(reconnect: Any) -> None:
    """Leaving a stalled peer behind TLS takes the close timeout at most."""
    async with over_tls() as (url, trusting), proxying(int(url.rstrip("/").rpartition(":")[2])) as proxy:
        proxy.faults.append(Fault("half_open", 5000, "up"))
        through = proxy.url.replace("ws://127.0.0.1", "wss://localhost")
        async with rxws.connect(through, ssl=trusting, reconnect=reconnect, close_timeout=0.5) as socket:
            await socket.states.pipe(ops.first(lambda state: isinstance(state, rxws.Open)))
            for _ in range(10):
                socket.outgoing.on_next("x" * 50_000)
            await asyncio.sleep(0.1)
            started = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - started < 4
        assert await ended(socket) == rxws.Close()
