"""Connections through proxies: tinyproxy, squid, one by hand that only makes tunnels, SOCKS by aiohttp-socks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket as sockets
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp_socks import ProxyConnector
from reactivex import Observable
from yarl import URL

import rxws
from rxws.client.targets import proxy_of_environment
from tests.integration.server import certified, serving
from tests.integration.test_connect import refused
from tests.ports import free_port
from tests.streams import ended, watch

BOTH_LOOPS = True
Eventually = Callable[..., Any]
QUICK = rxws.Backoff(initial=0.01, maximum=0.01)


@rxws.websocket
def echo(incoming: Observable[Any]) -> Observable[Any]:
    return incoming


async def answers(url: str, message: str = "hello", **options: Any) -> bool:
    """Tell whether a server behind a proxy echoes."""
    async with rxws.connect(url, **options) as socket:
        return await socket.request(message, matches=lambda _: True) == message


async def pass_all(reader: Any, writer: Any, up_reader: Any, up_writer: Any) -> None:
    async def one_way(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await source.read(65536):
                sink.write(chunk)
        sink.close()

    await asyncio.gather(one_way(reader, up_writer), one_way(up_reader, writer))


class Proxy:
    """A proxy by hand: HTTP, and only `CONNECT`; or SOCKS 5. It notes whom it was asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.heads: list[str] = []
        self.answer = ""
        """What it says in place of a tunnel."""

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        method, target, *_ = head.split(" ")
        answer = self.answer or ("" if method == "CONNECT" else "HTTP/1.1 405 No\r\nContent-Length: 0")
        if answer == "silence":
            await reader.read()
        if answer:
            writer.write(answer.encode() + b"\r\n\r\n")
            writer.close()
            return
        host, _, port = target.partition(":")
        upstream = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await pass_all(reader, writer, *upstream)

    async def socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do what RFC 1928 says, without authentication."""
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        *_, kind = await reader.readexactly(4)
        host = await reader.readexactly((await reader.readexactly(1))[0]) if kind == 3 else await reader.readexactly(4)
        port = int.from_bytes(await reader.readexactly(2))
        name = host.decode() if kind == 3 else sockets.inet_ntoa(host)
        self.heads.append(f"{name}:{port}")
        if self.answer:
            writer.write(b"\x05\x02\x00\x01" + bytes(6))  # not allowed
            writer.close()
            return
        upstream = await asyncio.open_connection(name, port)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await pass_all(reader, writer, *upstream)


@asynccontextmanager
async def proxy(kind: str = "http") -> AsyncIterator[Proxy]:
    one = Proxy()
    async with await asyncio.start_server(getattr(one, kind), "127.0.0.1", 0) as server:
        one.url = f"{'http' if kind == 'http' else 'socks5'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield one


@asynccontextmanager
async def program(port: int, *command: str | Path) -> AsyncIterator[str]:
    """Run a proxy until the block is left."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PATH": path}) as process:
        try:
            async with asyncio.timeout(20):
                while True:
                    with contextlib.suppress(OSError):
                        (await asyncio.open_connection("127.0.0.1", port))[1].close()
                        break
                    await asyncio.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@asynccontextmanager
async def tinyproxy(folder: Path) -> AsyncIterator[str]:
    """Run tinyproxy for `ada:secret`."""
    config, port = folder / "tinyproxy.conf", free_port()
    lines = (f"Port {port}", "Listen 127.0.0.1", "Timeout 60", "MaxClients 20", "BasicAuth ada secret", "")
    config.write_text("\n".join(lines))
    async with program(port, "tinyproxy", "-d", "-c", config) as url:
        yield url


SQUID = """
http_port 127.0.0.1:{port}
pid_filename none
cache_log /dev/null
access_log none
cache deny all
coredump_dir none
pinger_enable off
visible_hostname localhost
shutdown_lifetime 0 seconds
auth_param basic program /usr/lib/squid/basic_ncsa_auth {folder}/users
acl known proxy_auth REQUIRED
http_access deny !known
http_access allow all
"""


@asynccontextmanager
async def squid(_: Path) -> AsyncIterator[str]:
    """Run squid for `ada:secret`. Started by root it runs as another user, who is to read the password."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        (folder / "squid.conf").write_text(SQUID.format(port=port, folder=folder))
        (folder / "users").write_text("ada:$apr1$rxws$i8hK1g009XKRxgicSkktB/\n")
        async with program(port, "squid", "-N", "-n", f"rxws{port}", "-f", folder / "squid.conf") as url:
            yield url


@pytest.fixture(autouse=True)
def no_proxy_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests do not depend on the proxies of the machine that they run on."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(("proxying", "unreachable"), [(tinyproxy, 500), (squid, 503)])
async def test_real_proxy(tmp_path: Path, proxying: Callable[[Path], Any], unreachable: int) -> None:
    """A real proxy, with a password: `ws` and `wss` pass, and what it refuses is told as its refusal."""
    certificate, trusting = certified()
    async with (
        serving(echo) as plain,
        serving(echo, tls=certificate) as secure,
        proxying(tmp_path) as url,
    ):
        known = str(URL(url).with_user("ada").with_password("secret"))
        assert await answers(plain.url, "x" * 500_000, proxy=known)
        assert await answers(plain.url, proxy=known, reconnect=QUICK)
        assert await answers(f"wss://localhost:{secure.port}/", ssl=trusting, proxy=known)
        error = await refused(plain.url, proxy=url)
        assert (error.stage, error.status) == ("proxy", 407)
        error = await refused("ws://127.0.0.1:1/", proxy=known)
        assert (error.stage, error.status) == ("proxy", unreachable)  # nobody is there: it says so in its own words
        assert (await refused(f"wss://localhost:{secure.port}/", proxy=known)).stage == "tls"


async def test_tunnel_of_a_shared_session() -> None:
    """A shared session gives its headers and cookies, its connector is not used, and it stays as it is."""

    async def who(request: web.Request) -> web.StreamResponse:
        async with rxws.accept(request) as socket:
            socket.outgoing.on_next(f"{request.path_qs} {request.headers['X-Who']} {request.cookies['a']}")
        return socket.response

    app = web.Application()
    app.router.add_get("/feed", who)
    async with (
        serving(app=app) as server,
        proxy() as via,
        aiohttp.ClientSession(
            base_url=server.http, headers={"X-Who": "me"}, cookie_jar=aiohttp.CookieJar(unsafe=True)
        ) as session,
    ):
        session.cookie_jar.update_cookies({"a": "1"}, URL(server.http))
        for _ in range(2):
            async with rxws.connect("feed?b=2", session=session, proxy=via.url) as socket:
                assert await socket.receive() == "/feed?b=2 me 1"
        assert [head.splitlines()[0] for head in via.heads] == [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"] * 2
        assert not session.closed
        assert session.trace_configs == []
        async with session.get("/nothing") as answer:  # as aiohttp does, without the proxy
            assert answer.status == 404


async def test_proxy_that_refuses_is_not_the_server() -> None:
    """Whatever a proxy does in place of a tunnel has the stage "proxy", for `ws` and for `wss`."""
    async with proxy() as via:
        for url in ("ws://example.invalid/", "wss://example.invalid/"):
            via.answer = "HTTP/1.1 503 Busy\r\nRetry-After: 9\r\nContent-Length: 0"
            error = await refused(url, proxy=via.url)
            assert (error.stage, error.status, error.retry_after) == ("proxy", 503, 9.0)
            for via.answer in ("SSH-2.0-OpenSSH", "\r\n"):
                error = await refused(url, proxy=via.url)
                assert (error.stage, error.status) == ("proxy", None)
            via.answer = "silence"
            error = await refused(url, proxy=via.url, open_timeout=0.1)
            assert (error.stage, str(error)) == ("timeout", f"no connection within 0.1 s through the proxy {via.url}")
            assert (await refused(url, proxy="http://127.0.0.1:1")).stage == "proxy"
            assert (await refused(url, proxy="http://nowhere.invalid:1")).stage == "proxy"


async def test_a_server_behind_a_proxy_is_not_the_proxy() -> None:
    """What the server answers through a tunnel is told as the server's."""

    async def forbid(_: web.Request) -> web.Response:
        raise web.HTTPForbidden

    async with serving(forbid) as server, proxy() as via:
        error = await refused(server.url, proxy=via.url)
        assert (error.stage, error.status) == ("http", 403)
        assert (await refused(server.url.replace("ws:", "wss:"), proxy=via.url)).stage == "tls"


@pytest.mark.filterwarnings("ignore:An HTTPS request is being sent:RuntimeWarning")  # aiohttp 3.11, on uvloop: in vain
async def test_a_redirect_in_a_tunnel() -> None:
    """A server that redirects is followed through another tunnel, also to TLS."""
    certificate, _ = certified()
    places: list[str] = []

    async def move(_: web.Request) -> web.Response:
        raise web.HTTPFound(places.pop())

    async with (
        serving(move) as server,
        serving(echo) as plain,
        serving(echo, tls=certificate) as secure,
        proxy() as via,
    ):
        places.append(plain.http)
        assert await answers(server.url, proxy=via.url)
        places.append(f"https://localhost:{secure.port}/")
        assert (await refused(server.url, proxy=via.url)).stage == "tls"  # its certificate is of nobody that we know
        assert len(via.heads) == 4


async def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `proxy=True` the environment says which proxy, and for which hosts none."""
    async with serving(echo) as server, proxy() as via:
        assert await answers(server.url, proxy=True)
        monkeypatch.setenv("HTTPS_PROXY", via.url)
        assert await answers(server.url, proxy=True)
        assert len(via.heads) == 1
        assert await answers(server.url)
        monkeypatch.setenv("NO_PROXY", f"example.com,127.0.0.1:{server.port}")
        assert await answers(server.url, proxy=True)
        assert len(via.heads) == 1


@pytest.mark.parametrize(
    ("variables", "ws", "wss"),
    [
        ({}, None, None),
        ({"HTTP_PROXY": "http://a:1"}, "http://a:1", None),
        ({"HTTP_PROXY": "http://a:1", "https_proxy": "b:2"}, "http://b:2", "http://b:2"),
        ({"HTTPS_PROXY": "b:2", "WS_PROXY": "c:3"}, "http://c:3", "http://b:2"),
        ({"HTTPS_PROXY": "b:2", "WSS_PROXY": "https://ada:secret@d:4"}, "http://b:2", "https://ada:secret@d:4"),
        ({"ALL_PROXY": "http://e:5"}, "http://e:5", "http://e:5"),
        ({"ALL_PROXY": "http://e:5", "NO_PROXY": "example.com"}, None, None),
        ({"ALL_PROXY": "http://e:5", "NO_PROXY": ".com"}, None, None),
        ({"ALL_PROXY": "http://e:5", "NO_PROXY": "*"}, None, None),
        ({"ALL_PROXY": "http://e:5", "NO_PROXY": "feed.example.com:443"}, "http://e:5", None),
    ],
)
def test_which_variable_counts(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], ws: str | None, wss: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = [proxy_of_environment(URL(f"{scheme}://feed.example.com/")) for scheme in ("ws", "wss")]
    assert found == [None if url is None else URL(url) for url in (ws, wss)]


async def test_wrong_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment that cannot be one is an error, and no attempt is made without it."""
    monkeypatch.setenv("ALL_PROXY", "socks5://ada:secret@a:1080")
    with pytest.raises(ValueError, match="aiohttp does not support SOCKS: for 'socks5://a:1080' use"):
        await rxws.connect("ws://b/", proxy=True)
    async with rxws.connect("ws://b/", proxy=True, reconnect=QUICK) as socket:
        errors = watch(e=socket.errors)
        assert await ended(socket) == rxws.Close.received(1006)
    assert [type(error) for _, error in errors[:-1]] == [ValueError]


async def test_socks_by_aiohttp_socks() -> None:
    """What the error for `proxy="socks5://..."` says to do works; what that proxy refuses has the stage "proxy"."""
    certificate, trusting = certified()
    async with serving(echo) as server, serving(echo, tls=certificate) as secure, proxy("socks") as via:
        with pytest.raises(
            ValueError, match=r"session=ClientSession\(connector=...\)\) with the connector of aiohttp-s"
        ):
            rxws.connect(server.url, proxy=via.url)
        async with aiohttp.ClientSession(connector=ProxyConnector.from_url(via.url)) as session:
            assert await answers(server.url, "x" * 500_000, session=session, reconnect=QUICK)
            assert await answers(f"wss://localhost:{secure.port}/", session=session, ssl=trusting)
            assert via.heads == [f"127.0.0.1:{server.port}", f"localhost:{secure.port}"]
            via.answer = "no"
            assert (await refused(server.url, session=session)).stage == "proxy"
        async with aiohttp.ClientSession(connector=ProxyConnector.from_url("socks5://127.0.0.1:1")) as session:
            assert (await refused(server.url, session=session)).stage == "proxy"
