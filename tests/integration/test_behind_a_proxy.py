"""The configurations of docs/behind-a-proxy.md, run by the real programs, with TLS, and all that the page says."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import socket as sockets
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import reactivex
import trustme
from aiohttp import web
from aiohttp_remotes import XForwardedRelaxed, XForwardedStrict
from playwright.async_api import Browser
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.server.upgrade import HUB
from tests.integration.real_proxies import PATH, proxying
from tests.integration.server import Server, running
from tests.ports import free_port

pytestmark = pytest.mark.fast_wire  # the wire does not matter here, and each takes seconds
Eventually = Callable[..., Any]
PAGE = (Path(__file__).parents[2] / "docs/behind-a-proxy.md").read_text()
CLIENT = "127.0.0.2"
"""Where clients come from; the proxies are at 127.0.0.1."""
TIMEOUT = 3
"""Seconds in place of the page's 60."""
HEARTBEAT = 0.5
MODULES = ["authz_core", "headers", "http2", "proxy", "proxy_http", "ssl"]
AROUND = {
    "nginx": """
        daemon off;
        pid nginx.pid;
        error_log stderr crit;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
            {page}
        }}
    """,
    "haproxy": "{page}",
    "Apache": "\n".join([
        "ServerRoot {folder}", "DefaultRuntimeDir {folder}", "PidFile {folder}/pid", "ErrorLog {folder}/error.log",
        "User www-data", "Group www-data", "Listen 127.0.0.1:{port}",
        "LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so",
        *(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in MODULES), "{page}",
    ]),
    "Caddy": "{{\n    admin localhost:{admin}\n    auto_https disable_redirects\n}}\n{page}",
}  # fmt: skip
COMMANDS = {
    "nginx": "nginx -p {folder} -e stderr -c {folder}/config",
    "haproxy": "haproxy -W -db -f {folder}/config",
    "Apache": "apache2 -DFOREGROUND -f {folder}/config",
    "Caddy": "caddy run --adapter caddyfile --config {folder}/config",
}
RELOADS = {"nginx": signal.SIGHUP, "haproxy": signal.SIGUSR2, "Apache": signal.SIGUSR1}
CADDY_RELOADS = "caddy reload --force --adapter caddyfile --config {folder}/config --address localhost:{admin}"


def block(heading: str) -> str:
    """Give the first block of code below a heading of the page."""
    found = re.search(rf"^## {heading}\n.*?^```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found, heading
    return found[1]


class Proxy:
    """A proxy that runs, with the page's configuration."""

    def __init__(self, kind: str, port: int, reload: Callable[[], object], trusting: ssl.SSLContext) -> None:
        self.kind = kind
        self.port = port
        self.reload = reload
        self.trusting = trusting

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def connect(self, path: str, session: aiohttp.ClientSession, **options: Any) -> Any:
        return rxws.connect(f"wss://{self.host}{path}", session=session, ssl=self.trusting, **options)


@contextmanager
def proxy(kind: str, target: int, folder: Path, *, without: str = "") -> Iterator[Proxy]:
    """Run a proxy as the page says, but for its ports, names and timeouts, and for a line that is left out."""
    port, authority, trusting = free_port(), trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trusting)
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    values = {"folder": folder, "port": port, "admin": free_port()}
    page = "".join(line for line in block(kind).splitlines(True) if not without or without not in line)
    ours = {
        "example.com {": f"https://localhost:{port} {{",
        "/etc/ssl/example.com.pem": f"{folder}/both.pem",
        "/etc/ssl/example.com.key": f"{folder}/key.pem",
        "127.0.0.1:8080": f"127.0.0.1:{target}",
        "443": str(port),
        "example.com": "localhost",
        "60s": f"{TIMEOUT}s",
        "Timeout 60": f"Timeout {TIMEOUT}",
    }
    # At once: a port or a folder that takes one's place may have the digits of another.
    page = re.sub("|".join(map(re.escape, ours)), lambda found: ours[found[0]], page)
    with proxying(
        COMMANDS[kind].format(**values).split(), AROUND[kind].format(page=page, **values), folder, port
    ) as process:

        def reload() -> None:
            if kind in RELOADS:
                process.send_signal(RELOADS[kind])
            else:
                subprocess.run(CADDY_RELOADS.format(**values).split(), check=True, env={"PATH": PATH}, timeout=20)

        yield Proxy(kind, port, reload, trusting)


def application() -> web.Application:
    """Make the page's application, with more paths."""
    namespace: dict[str, Any] = {}
    exec(block("The application").partition("rxws.run")[0], namespace)
    app: web.Application = namespace["app"]
    app.add_routes(
        [web.get(f"/{handler.__name__}", handler) for handler in (who, busy, idle, lonely, hold, pour, tick)]
    )
    return app


@rxws.websocket(heartbeat=HEARTBEAT)
def who(request: web.Request, socket: Any, incoming: Observable[Any]) -> Observable[Any]:
    return incoming.pipe(ops.start_with(json.dumps([socket.remote, request.scheme, request.host])))


@rxws.websocket
def busy() -> None:
    raise web.HTTPServiceUnavailable(text="all tables are taken\n", headers={"Retry-After": "7"})


@rxws.websocket(heartbeat=HEARTBEAT)
def idle(incoming: Observable[Any]) -> Observable[Any]:
    return incoming


@rxws.websocket(heartbeat=None)
def lonely(incoming: Observable[Any]) -> Observable[Any]:
    return incoming


@rxws.websocket(heartbeat=HEARTBEAT)
async def hold(socket: Any) -> None:
    await asyncio.sleep(30)  # and read nothing meanwhile


@rxws.websocket(heartbeat=None)
async def pour() -> AsyncIterator[bytes]:
    for _ in range(5000):
        yield bytes(64 * 1024)


@rxws.websocket(heartbeat=HEARTBEAT, max_buffered=100_000)
def tick() -> Observable[Any]:
    return reactivex.interval(0.02).pipe(ops.map(lambda _: bytes(1024)))


async def unread(proxy: Proxy, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a WebSocket by hand, and read nothing more."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        proxy.port,
        ssl=proxy.trusting,
        server_hostname="localhost",
        local_addr=(CLIENT, 0),
        limit=1024,
    )
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {proxy.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    assert b" 101 " in await reader.readline()
    return reader, writer


async def refused(connecting: Any) -> rxws.ConnectError:
    with pytest.raises(rxws.ConnectError) as error:
        await connecting
    return error.value


async def whom_the_server_sees(proxy: Proxy, session: aiohttp.ClientSession, hub: rxws.Hub) -> None:
    """The client, and not the proxy; whatever it says of itself."""
    own, evil = f"https://{proxy.host}", "https://evil.example"
    spoofed = {
        "X-Forwarded-For": "192.0.2.6",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=192.0.2.6;proto=http;host=evil.example",
    }
    for headers in ({}, {"Origin": own}, {"Origin": own, **spoofed}):
        async with proxy.connect("/who", session, headers=headers) as socket:
            assert json.loads(await socket.receive()) == [CLIENT, "https", proxy.host]
    for headers, says in (
        ({"Origin": evil}, f"A page from {evil!r} may not connect to {proxy.host!r}"),
        ({"Origin": evil, **spoofed}, f"A page from {evil!r} may not connect to {proxy.host!r}"),
        ({"Origin": f"http://{proxy.host}"}, "it came without encryption"),
    ):
        error = await refused(proxy.connect("/who", session, headers=headers))
        assert (error.status, says in error.body) == (403, True)
    error = await refused(proxy.connect("/busy", session))
    assert (error.status, error.body, error.retry_after) == (503, "all tables are taken\n", 7)
    hub.max_connections = 0
    error = await refused(proxy.connect("/who", session))
    assert (error.status, error.body, error.retry_after) == (503, "No more sockets at the moment\n", 1)
    hub.max_connections = None


async def close_codes(proxy: Proxy, session: aiohttp.ClientSession, server: Server) -> None:
    """They pass both ways."""
    async with proxy.connect("/idle", session) as socket:
        socket.outgoing.on_next("here")
        await socket.receive()
        served = server.sockets[-1]
        socket.close(4001, "bye")
        assert await served.closed == rxws.Close(4001, "bye")
    async with proxy.connect("/idle", session) as socket:
        socket.outgoing.on_next("here")
        await socket.receive()
        server.sockets[-1].close(4002, "and bye")
        assert await socket.closed == rxws.Close(4002, "and bye")


async def held_server(proxy: Proxy, session: aiohttp.ClientSession) -> Any:
    """Send more than all the buffers on the way take to a server that reads nothing."""
    options = {"heartbeat": None, "overflow": "drop_newest", "max_buffered": 100_000}
    socket = await proxy.connect("/hold", session, **options)
    async with asyncio.timeout(20):
        while not socket.stats.dropped:
            socket.outgoing.on_next(bytes(20_000))
            await asyncio.sleep(0)
    return socket


async def back_pressure(proxy: Proxy, server: Server, eventually: Eventually) -> None:
    """A reader that does not read stops the source, when the buffers between are full; it goes on when it reads."""
    reader, writer = await unread(proxy, "/pour")
    served = server.sockets[-1]
    sent = -1
    async with asyncio.timeout(20):
        while sent < served.stats.sent_bytes:
            sent = served.stats.sent_bytes
            await asyncio.sleep(0.5)
    assert 2**20 < sent < 2**25
    assert served.stats.buffered_bytes < 2 * 2**20
    while served.stats.sent_bytes < sent + 2**20:
        await reader.read(2**20)
    writer.transport.abort()
    await served.closed


class Client:
    """A client that sends numbers, comes back, and notes what has come back."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.got: list[int] = []
        self.lost: list[int] = []
        self.ends: list[Any] = []
        self.sent = 0
        socket.incoming.subscribe(lambda text: self.got.append(int(text)))
        socket.undelivered.subscribe(lambda text: self.lost.append(int(text)))
        socket.states.subscribe(lambda state: self.ends.append(getattr(state, "because", None)))

    async def send(self, count: int) -> None:
        for _ in range(count):
            self.socket.outgoing.on_next(str(self.sent))
            self.sent += 1
            await asyncio.sleep(0.02)

    @property
    def ends_of_connections(self) -> list[Any]:
        return [end for end in self.ends if end is not None]

    @property
    def codes(self) -> set[int | None]:
        return {getattr(end, "code", None) for end in self.ends_of_connections}


async def reload_under_load(
    proxy: Proxy, session: aiohttp.ClientSession, stack: AsyncExitStack, eventually: Eventually
) -> list[Client]:
    """Nothing is lost without a word, and all come back if they have to."""
    back = {"reconnect": rxws.Backoff(initial=0.05, maximum=0.5, final="never"), "heartbeat": HEARTBEAT}
    clients = [Client(await stack.enter_async_context(proxy.connect("/idle", session, **back))) for _ in range(6)]
    sending = [asyncio.ensure_future(client.send(60)) for client in clients]
    await eventually(lambda: all(client.got for client in clients))
    await asyncio.to_thread(proxy.reload)
    await asyncio.gather(*sending)
    await eventually(lambda: all({client.sent - 1} & {*client.got, *client.lost} for client in clients))
    if proxy.kind == "Caddy":  # which may close behind the last message
        await eventually(lambda: all(client.ends_of_connections for client in clients))
    for client in clients:
        assert client.got == sorted(set(client.got))
        assert {*range(client.sent)} - {*client.got} <= {*client.lost}
        assert bool(client.ends_of_connections) is (proxy.kind == "Caddy")
    codes = {code for client in clients for code in client.codes}
    assert (1001 in codes) is (proxy.kind == "Caddy")  # where it meets a message on its way, some see 1006
    async with proxy.connect("/who", session) as socket:  # of the new configuration
        assert json.loads(await socket.receive()) == [CLIENT, "https", proxy.host]
    return clients


@pytest.mark.parametrize("kind", COMMANDS)
async def test_page(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, eventually: Eventually) -> None:
    """What the page says of a proxy is true."""
    caplog.set_level(logging.DEBUG, "rxws.server")
    tmp_path.chmod(0o755)
    app = application()
    hub = app[HUB]
    with ExitStack() as proxies:
        async with AsyncExitStack() as stack:
            connector = aiohttp.TCPConnector(local_addr=(CLIENT, 0), family=sockets.AF_INET)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            async with running(app, hub) as server:
                one = proxies.enter_context(proxy(kind, server.port, tmp_path))
                began = time.monotonic()
                quiet = await stack.enter_async_context(one.connect("/idle", session, heartbeat=None))
                unheard = await stack.enter_async_context(one.connect("/lonely", session, heartbeat=None))
                _, dead_end = await unread(one, "/tick")
                not_reading = server.sockets[-1]
                held = await held_server(one, session)
                await whom_the_server_sees(one, session, hub)
                await close_codes(one, session, server)
                await back_pressure(one, server, eventually)
                assert (await not_reading.closed).code == 1006
                dead_end.transport.abort()
                await asyncio.sleep(max(0.0, began + TIMEOUT + 1.5 - time.monotonic()))
                quiet.outgoing.on_next("still here")
                assert await quiet.receive() == "still here"
                assert held._life.close_cause is None
                for served in hub:  # Caddy 2.6 would wait with its reload: it cannot send the close frame
                    if served.request.path == "/hold":
                        served._life.abort()
                assert (unheard._life.close_cause is not None) is (kind in ("nginx", "Apache"))
                clients = await reload_under_load(one, session, stack, eventually)
            await eventually(lambda: all(1001 in client.codes for client in clients))
    opened = [record for record in caplog.records if getattr(record, "ws_event", "") == "opened"]
    assert {record.ws_remote for record in opened} == {CLIENT}


async def test_haproxy_cuts_a_held_server(tmp_path: Path) -> None:
    """Without `timeout tunnel`, haproxy cuts a server that reads nothing at `timeout server`, though its pings pass."""
    app = application()
    async with running(app, app[HUB]) as server, aiohttp.ClientSession() as session:
        with proxy("haproxy", server.port, tmp_path, without="timeout tunnel") as one:
            alive = await one.connect("/idle", session, heartbeat=None)
            held = await held_server(one, session)
            began = time.monotonic()
            assert (await held.closed).code == 1006
            assert time.monotonic() - began > TIMEOUT / 2
            assert alive._life.close_cause is None
            alive.dispose()
            await alive.closed


async def page_of_ours(_: web.Request) -> web.Response:
    return web.Response(text="<title>here</title>", content_type="text/html")


async def test_websockets_over_http_2(tmp_path: Path, browser: Browser, eventually: Eventually) -> None:
    """Through haproxy and Apache, Chromium opens them over HTTP/2 (RFC 8441), on the page's connection."""
    app = application()
    app.router.add_get("/", page_of_ours)
    context = await browser.new_context(ignore_https_errors=True)
    async with running(app, app[HUB]) as server:
        for kind in ("haproxy", "Apache"):
            (folder := tmp_path / kind).mkdir(mode=0o755)
            with proxy(kind, server.port, folder) as one:
                page = await context.new_page()
                statuses: list[int] = []
                devtools = await context.new_cdp_session(page)
                devtools.on(
                    "Network.webSocketHandshakeResponseReceived",
                    lambda event, statuses=statuses: statuses.append(event["response"]["status"]),
                )
                await devtools.send("Network.enable")
                await page.goto(f"https://{one.host}/")
                told = await page.evaluate("""async () => {
                    const open = () => new Promise((done, failed) => {
                        const socket = new WebSocket(`wss://${location.host}/who`)
                        socket.onmessage = (event) => done([socket, event.data])
                        socket.onerror = failed
                    })
                    const [[first, told], [second]] = await Promise.all([open(), open()])
                    const ends = [first, second].map((socket) => new Promise((done) => { socket.onclose = done }))
                    first.close(4001, "bye")
                    second.send("\\u00e9".repeat(100_000))
                    await new Promise((done) => { second.onmessage = done })
                    second.close(4003, "bye too")
                    const how = (end) => `${end.code} ${end.reason} ${end.wasClean}`
                    return [told, ...(await Promise.all(ends)).map(how)]
                }""")
                assert told[1:] == ["4001 bye true", "4003 bye too true"]
                assert json.loads(told[0])[1:] == ["https", one.host]
                assert statuses == [200, 200]  # of CONNECT; over HTTP/1.1 it is 101
                await page.close()
        await eventually(lambda: not server.hub)
        assert server.hub is not None
        assert (server.hub.opened_total, server.hub.closed_total) == (4, {4001: 2, 4003: 2})
    await context.close()


async def test_proxy_on_a_unix_socket(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`XForwardedRelaxed` believes who may open the socket; `XForwardedStrict` has no peer to trust: 500."""
    path = tmp_path / "socket"
    caplog.set_level(logging.INFO, "aiohttp.access")
    access_log = re.findall("`access_log_format='(.*)'`", PAGE)[0]
    for kind, status in ((XForwardedRelaxed(), 200), (XForwardedStrict([["127.0.0.1"]]), 500)):
        app = web.Application(middlewares=[kind.middleware])
        app.router.add_get("/who", who)
        rxws.setup(app)
        runner = web.AppRunner(app, access_log_format=access_log)
        await runner.setup()
        await web.UnixSite(runner, str(path)).start()
        try:
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
                forwarded = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
                connecting = rxws.connect("ws://example.com/who", session=session, headers=forwarded)
                if status == 500:
                    assert (await refused(connecting)).status == 500
                else:
                    async with connecting as socket:
                        assert json.loads(await socket.receive()) == ["192.0.2.1", "https", "example.com"]
        finally:
            await runner.cleanup()
    lines = [record.getMessage() for record in caplog.records if record.name == "aiohttp.access"]
    assert lines == [f'192.0.2.1 "GET /who HTTP/1.1" {status}' for status in (101, 500)]
