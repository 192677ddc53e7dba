"""A connection that nobody takes, and attempts whose parts are cancelled."""

import asyncio
import gc
import socket
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession, TCPConnector, web
from aiohttp.abc import AbstractResolver
from reactivex import operators as ops

import rxws
from rxws.client.dial import Dialer
from rxws.options import Settings
from tests.conformance.peers import answering, upgrade
from tests.integration.server import running, serving
from tests.streams import ended


async def test_aborted_connection_leaves_nothing(eventually: Any) -> None:
    """A connection that is aborted before it was used leaves nothing behind."""

    @rxws.websocket
    def handler(incoming: Any) -> Any:
        return incoming

    async with serving(handler) as server:
        dialer = Dialer(server.url, Settings())
        (await dialer.dial()).wire.abort()
        await eventually(lambda: server.hub is not None and len(server.hub) == 0)
        gc.collect()  # of a response that is not closed, aiohttp complains here
        await dialer.close()


@pytest.mark.parametrize("where", ["url", "headers", "greet"])
async def test_token_that_is_refused(where: str) -> None:
    """A status of who gives the token counts as the server's own: 503 is tried again, when it says, 403 is final."""
    statuses = [503, 403]

    async def token(_: web.Request) -> web.Response:
        return web.Response(status=statuses.pop(0), headers={"Retry-After": "0"})

    async def ask(*_: object) -> Any:
        async with ClientSession(raise_for_status=True) as session, session.get(f"{server.http}token") as answer:
            return await answer.text()

    app = web.Application()
    app.router.add_get("/token", token)
    app.router.add_get("/", rxws.websocket(lambda incoming: incoming))
    rxws.setup(app)
    waits: list[Exception] = []
    async with running(app) as server:
        options: dict[str, Any] = {"headers": None, "greet": None, "url": server.url, where: ask}
        back_off = rxws.Backoff(initial=0.01, maximum=0.01)
        async with rxws.connect(options.pop("url"), reconnect=back_off, **options) as socket:
            errors: list[Exception] = []
            socket.errors.subscribe(errors.append)
            socket.states.subscribe(
                lambda state: waits.append(state.because) if isinstance(state, rxws.Waiting) else None
            )
            assert await ended(socket) == rxws.Close.received(1006)
    (later,), (refused,) = waits, [error for error in errors if error not in waits]
    assert isinstance(later, rxws.ConnectError)
    assert isinstance(refused, rxws.ConnectError)
    assert (later.status, later.retry_after, refused.status) == (503, 0.0, 403)
    assert later.stage == refused.stage == ("greeting" if where == "greet" else "request")


async def test_shared_token_task_that_is_cancelled() -> None:
    """Clients share a task that fetches a token; when it is cancelled, each tries again, and connects."""

    async def fetch(url: str) -> str:
        await asyncio.sleep(0.05 if fetched else 3600)
        return url

    fetched: list[str] = []
    async with serving(rxws.websocket(lambda incoming: incoming)) as server:
        shared = asyncio.create_task(fetch(server.url))

        async def url() -> str:
            return await (asyncio.shield(asyncio.create_task(fetch(server.url))) if fetched else shared)

        back_off = rxws.Backoff(initial=0.01, maximum=0.1)
        async with (
            asyncio.timeout(10),
            rxws.connect(url, reconnect=back_off) as one,
            rxws.connect(url, reconnect=back_off) as another,
        ):
            await asyncio.sleep(0.05)
            fetched.append("now")
            shared.cancel()
            for client in (one, another):
                client.outgoing.on_next("hello")
                assert await client.incoming.pipe(ops.first()) == "hello"


async def test_function_that_awaits_what_was_cancelled() -> None:
    """Without `reconnect`, it is a clear error, not a cancellation of the caller."""

    async def url() -> str:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        return await future

    with pytest.raises(rxws.ConnectError, match="was cancelled") as caught:
        await rxws.connect(url)
    assert caught.value.stage == "request"


ABSURD = {
    "seconds of 5,000 digits": f"Retry-After: {'9' * 5000}",
    "the year 99999999": "Retry-After: Wed, 21 Oct 99999999 07:28:00 GMT",
    "a minute before the year 1": "Retry-After: Mon, 01 Jan 0001 00:00:00 +2359",
    "the end of time": "Retry-After: Fri, 31 Dec 9999 23:59:59 -2359",
    "a zone": "Retry-After: Wed, 21 Oct 2099 07:28:00 +999999999999",
    "no text": "Retry-After: \xff\xfe, ,,,",
    "a cookie": f"Set-Cookie: a=b; max-age={'9' * 5000}; expires=Wed, 99 Foo 99999999 99:99:99",
    "a length": "Content-Length: -5",
    "an encoding": "Content-Encoding: gzip",
    "a charset": "Content-Type: text/plain; charset=nosuch",
}


@pytest.mark.parametrize("line", ABSURD.values(), ids=ABSURD)
async def test_absurd_refusal_does_not_end_a_client(line: str) -> None:
    """Whatever a server says of when to come back, a client that was told to come back does."""
    length = "" if line.startswith("Content-Length") else "\nContent-Length: 4"
    answers = iter([f"HTTP/1.1 503 Busy\n{line}{length}\n\nbusy"])
    back_off = rxws.Backoff(initial=0.01, maximum=0.01, jitter=lambda ceiling: ceiling)
    async with answering(lambda head: next(answers, "") or upgrade(head)) as server:
        delays: list[float] = []
        async with asyncio.timeout(10), rxws.connect(server.url, reconnect=back_off) as socket:
            delays += [state.delay for state in await waits(socket, server)]
        assert all(delay <= 3600.01 for delay in delays)


async def waits(socket: Any, server: Any) -> list[Any]:
    """Give what the socket waits for before its second attempt, which is made at once."""
    waiting: list[rxws.Waiting] = []
    socket.states.subscribe(lambda state: waiting.append(state) if isinstance(state, rxws.Waiting) else None)
    while not waiting:
        await asyncio.sleep(0.01)
    assert isinstance(waiting[0].because, rxws.ConnectError)
    if waiting[0].delay < 1:
        while not server.peers.qsize():
            await asyncio.sleep(0.01)
        server.close()
    return waiting


@pytest.mark.parametrize(
    "ends", ["HTTP/1.0 401 No\n\n", "HTTP/1.1 401 No\nConnection: close\n\n", "HTTP/1.1 401 No\n\n"]
)
async def test_body_without_a_length(ends: str) -> None:
    """The body of a refusal is there, though nothing says how long it is."""
    async with answering(lambda head: ends + "who are you?") as server:
        with pytest.raises(rxws.ConnectError) as caught:
            await rxws.connect(server.url)
    assert (caught.value.status, caught.value.body.strip()) == (401, "who are you?")


async def refuse_all(_: aiohttp.ClientResponse) -> None:
    raise KeyError("status")


@pytest.mark.parametrize("check", [True, refuse_all])
async def test_status_behind_a_session_that_raises(check: Any) -> None:
    """A session that raises for statuses hides none: 401 is final."""
    async with (
        answering(lambda head: "HTTP/1.1 401 No\nX-Why: token\nContent-Length: 0") as server,
        aiohttp.ClientSession(raise_for_status=check) as session,
    ):
        socket = await rxws.connect(server.url, session=session, reconnect=rxws.Backoff(initial=0.01))
        states = await asyncio.wait_for(socket.states.pipe(ops.to_list()), 5)
        assert isinstance(states[-1], rxws.Closed)
        assert len(server.requests) == 1
        with pytest.raises(rxws.ConnectError) as caught:
            await rxws.connect(server.url, session=session)
    assert (caught.value.stage, caught.value.status, caught.value.headers["x-why"]) == ("http", 401, "token")


async def test_headers_of_the_answer() -> None:
    """The headers of each connection's answer are in its `Open`."""
    numbers = iter(["1", "2"])
    back_off = rxws.Backoff(initial=0.01)
    async with answering(lambda head: upgrade(head, also=f"X-Number: {next(numbers)}")) as server:
        seen: list[str] = []
        async with asyncio.timeout(5), rxws.connect(server.url, reconnect=back_off) as socket:
            socket.states.subscribe(
                lambda state: seen.append(state.headers["x-number"]) if isinstance(state, rxws.Open) else None
            )
            for number in (1, 2):
                while len(seen) < number:
                    await asyncio.sleep(0.01)
                server.close()
        assert seen == ["1", "2"]


async def test_tokens_from_a_shared_session() -> None:
    """What `url` and `headers` ask of the session that is shared is theirs, whole, also while others connect."""
    asked = issued = 0

    async def token(_: web.Request) -> web.Response:
        nonlocal issued
        issued += 1
        return web.Response(text=f"{issued:05}" * 1000)

    @web.middleware
    async def slow(request: web.Request, handler: Any) -> Any:
        await asyncio.sleep(0.05)
        return await handler(request)

    slowly = web.Application(middlewares=[slow])
    slowly.router.add_get("/", rxws.websocket(lambda incoming: incoming))
    async with serving(app=slowly) as server, aiohttp.ClientSession() as session:
        app = web.Application()
        app.router.add_get("/token", token)
        async with running(app) as issuer:

            async def ask() -> dict[str, str]:
                nonlocal asked
                asked += 1
                await asyncio.sleep(0.01 * asked)
                async with session.get(f"{issuer.url.replace('ws:', 'http:')}token") as answer:
                    text = await answer.text()
                assert len(text) == 5000
                return {"X-Token": text[:5]}

            sockets = await asyncio.gather(*(rxws.connect(server.url, session=session, headers=ask) for _ in range(20)))
            for socket in sockets:
                socket.dispose()
                await socket.closed
        assert len({one.request.headers["X-Token"] for one in server.sockets}) == 20
        assert session.trace_configs == []


async def test_relative_url() -> None:
    """A URL may be relative to the `base_url` of the session."""
    async with serving(rxws.websocket(lambda incoming: incoming)) as server:
        async with (
            aiohttp.ClientSession(base_url=server.url.replace("ws:", "http:")) as session,
            rxws.connect("/?room=1", session=session) as socket,
        ):
            socket.outgoing.on_next("hello")
            assert await socket.receive() == "hello"
        assert str(server.sockets[0].request.rel_url) == "/?room=1"


async def test_connector_without_room_is_named() -> None:
    """An attempt that waits for the session's other connections says so when its time is over."""
    async with (
        serving(rxws.websocket(lambda incoming: incoming)) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        rxws.connect(server.url, session=session),
    ):
        with pytest.raises(rxws.ConnectError, match=r"all connections of the session's .* in use \(limit=1,") as caught:
            await rxws.connect(server.url, session=session, open_timeout=0.2)
    assert caught.value.stage == "timeout"


class Resolver(AbstractResolver):
    """Finds this machine; the first time, what it waits for is cancelled."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> Any:
        self.asked += 1
        if self.asked == 1:
            raise asyncio.CancelledError
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


async def test_attempt_whose_part_is_cancelled() -> None:
    """What a session that is shared waits for may be cancelled by others: that is no end, and no cancellation."""
    async with serving(rxws.websocket(lambda incoming: incoming)) as server:
        url = f"ws://somewhere.test:{server.port}/"
        async with ClientSession(connector=TCPConnector(resolver=Resolver())) as session:
            with pytest.raises(rxws.ConnectError, match="was cancelled"):
                await rxws.connect(url, session=session)
        async with (
            ClientSession(connector=TCPConnector(resolver=Resolver())) as session,
            asyncio.timeout(10),
            rxws.connect(url, session=session, reconnect=rxws.Backoff(initial=0.01)) as client,
        ):
            client.outgoing.on_next("hello")
            assert await client.receive() == "hello"
