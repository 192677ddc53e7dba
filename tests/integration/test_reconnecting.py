"""One that comes back, over real sockets that are cut, stalled, reset, half opened; and a storm of clients."""

import asyncio
import contextlib
import heapq
import itertools
import math
import random
from typing import Any

import pytest
import reactivex
from aiohttp import web
from reactivex import operators as ops
from websockets.asyncio.server import ServerConnection, serve

import rxws
from rxws.testing import MemoryDialer, connect
from tests.integration.proxy import Fault, proxying
from tests.integration.server import running, serving
from tests.streams import ended, turns, watch

BOTH_LOOPS = True
QUICK = rxws.Backoff(initial=0.01, maximum=0.01)


@rxws.websocket
def echo(incoming: Any) -> Any:
    return incoming


async def opened(socket: rxws.ClientWebSocket[Any, Any], skip: int = 0) -> rxws.Open:
    stream = socket.states.pipe(ops.skip(skip), ops.first(lambda state: isinstance(state, rxws.Open)))
    return await asyncio.wait_for(stream, 10)


async def test_two_that_echo_to_each_other_go_on() -> None:
    """A client that waits for a confirmation of what it has sent goes on, though a hold keeps that from being read."""
    async with serving(echo) as server, rxws.connect(server.url, reconnect=QUICK, heartbeat=2) as socket:
        await opened(socket)
        socket.incoming.subscribe(socket.outgoing)
        for _ in range(90):
            socket.outgoing.on_next(bytes(10_000))
        for _ in range(3):
            received = socket.stats.received
            async with asyncio.timeout(10):
                while socket.stats.received < received + 1000:
                    await asyncio.sleep(0.01)
        socket.dispose()


@pytest.mark.parametrize("how", ["cut", "reset"])
async def test_broken_connection_comes_back(how: Any) -> None:
    """A broken connection is an error, and comes back."""
    async with (
        serving(echo) as server,
        proxying(server.port) as proxy,
        rxws.connect(proxy.url, reconnect=QUICK) as socket,
    ):
        errors = watch(e=socket.errors)
        await opened(socket)
        proxy.break_all(how)
        await opened(socket, 1)
        assert isinstance(errors[0][1], rxws.ConnectionLost)
        assert await socket.request("hello", matches=lambda _: True) == "hello"


@pytest.mark.parametrize("how", ["stall", "half_open"])
async def test_heartbeat_finds_a_dead_link(how: Any) -> None:
    """The heartbeat finds a dead link while nothing is sent."""
    async with serving(echo) as server, proxying(server.port) as proxy:
        proxy.faults.append(Fault(how, 400, "up"))
        async with rxws.connect(proxy.url, reconnect=QUICK, heartbeat=0.1, close_timeout=0.3) as socket:
            errors = watch(e=socket.errors)
            await opened(socket)
            socket.outgoing.on_next("x" * 1000)
            await opened(socket, 1)
            assert isinstance(errors[0][1], rxws.HeartbeatTimeout)
            assert watch(u=socket.undelivered) == [("u", "x" * 1000)]
            assert await socket.request("hello", matches=lambda _: True) == "hello"


async def test_stalled_handshake_is_tried_again() -> None:
    """A stalled handshake is given up and tried again."""
    async with serving(echo) as server, proxying(server.port) as proxy:
        proxy.faults.extend([Fault("stall", 0, "down"), Fault("cut", 50, "up"), Fault("reset", 20, "down")])
        async with rxws.connect(proxy.url, reconnect=QUICK, open_timeout=1) as socket:
            log = watch(s=socket.states)
            assert (await opened(socket)).attempt == 3  # aiohttp itself tries once more when a server cuts
        stages = [state.because.stage for _, state in log[:-1] if isinstance(state, rxws.Waiting)]
        assert stages == ["timeout", "handshake"]


async def test_a_hold_does_not_kill_a_healthy_peer() -> None:
    @rxws.websocket
    def feed(outgoing: Any) -> None:
        for number in range(3000):
            outgoing.on_next(f"{number:0100}")

    async with serving(feed) as server, rxws.connect(server.url, reconnect=QUICK, heartbeat=0.1) as socket:
        log = watch(s=socket.states, e=socket.errors)
        await opened(socket)
        await asyncio.sleep(0.6)  # nobody has subscribed: reading is held
        numbers = await socket.incoming.pipe(ops.take(3000), ops.map(int), ops.to_list())
        assert numbers == list(range(3000))
        assert [state for _, state in log] == [rxws.Connecting(1), rxws.Open(None, 1)]


async def test_what_does_not_decode_is_no_end() -> None:
    """A message that does not decode, with `errors` observed by nobody, costs a client its connection: 1007."""
    said = iter(["not JSON"])

    @rxws.websocket
    def handler() -> Any:
        return reactivex.concat(reactivex.just(next(said, "1")), reactivex.never())

    async with serving(handler) as server, rxws.connect(server.url, codec=rxws.json, reconnect=QUICK) as socket:
        assert await asyncio.wait_for(socket.receive(), 10) == 1
        assert await ended(server.sockets[0]) == rxws.Close(1007, "Invalid Message")


async def test_restarted_server_is_followed() -> None:
    """A client follows a server that restarts."""
    async with proxying(1) as proxy, rxws.connect(proxy.url, reconnect=QUICK) as socket:
        answers: list[Any] = []
        socket.incoming.subscribe(answers.append)
        for life in range(3):
            async with serving(echo) as server:
                proxy._target = server.port
                await opened(socket)
                socket.outgoing.on_next(f"life {life}")
                while len(answers) <= life:
                    await asyncio.sleep(0.005)
            await asyncio.wait_for(
                socket.states.pipe(ops.first(lambda state: isinstance(state, rxws.Waiting))), 5
            )  # closed with 1001
        assert answers == ["life 0", "life 1", "life 2"]


async def test_a_retry_after_is_honoured() -> None:
    busy = 1

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal busy
        if busy:
            busy -= 1
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"})
        return await echo(request)

    app = web.Application()
    app.router.add_get("/", handle)
    rxws.setup(app)
    async with running(app) as server, rxws.connect(server.url, reconnect=QUICK) as socket:
        started = asyncio.get_running_loop().time()
        assert await opened(socket) == rxws.Open(None, 2)
        assert 0.95 < asyncio.get_running_loop().time() - started < 5


async def test_a_refusal_for_good_ends_it() -> None:
    async def refuse(_: web.Request) -> web.Response:
        raise web.HTTPUnauthorized(text="Who are you?")

    app = web.Application()
    app.router.add_get("/", refuse)
    async with running(app) as server, rxws.connect(server.url, reconnect=QUICK) as socket:
        errors = watch(e=socket.errors)
        assert await ended(socket) == rxws.Close.received(1006)
        assert (errors[0][1].status, errors[0][1].body) == (401, "Who are you?")


async def test_rotation_leaves_no_gap_in_a_feed() -> None:
    """Every number of a feed comes, through twenty rotations."""
    subscribers: list[Any] = []
    number = 0

    async def publish() -> None:
        nonlocal number
        while True:
            for outgoing in subscribers:
                outgoing.on_next(number)
            number += 1
            await asyncio.sleep(0.001)

    @rxws.websocket(codec=rxws.json)
    def feed(incoming: Any, outgoing: Any) -> None:
        incoming.subscribe(
            lambda message: subscribers.append(outgoing), on_completed=lambda: subscribers.remove(outgoing)
        )

    async with serving(feed) as server, rxws.connect(server.url, reconnect=QUICK, codec=rxws.json) as socket:
        seen: list[int] = []
        ticks = socket.multiplex(subscribe="subscribe", matches=lambda _: True)
        ticks.pipe(ops.distinct()).subscribe(seen.append)
        opens = watch(o=socket.states.pipe(ops.filter(lambda state: isinstance(state, rxws.Open))))
        publisher = asyncio.create_task(publish())
        try:
            async with asyncio.timeout(30):
                while len(opens) < 21:
                    socket.rotate()  # does nothing while it is rotating
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.05)
        finally:
            publisher.cancel()
        assert len(server.sockets) == 21
        assert set(range(seen[0], seen[-1] + 1)) == set(seen)
        assert len(seen) > 21


async def test_connection_is_rotated_before_it_is_cut() -> None:
    """A connection that is cut at a certain age is rotated before."""

    @rxws.websocket
    async def short_lived(incoming: Any, outgoing: Any) -> None:
        incoming.subscribe(outgoing)
        await asyncio.sleep(1.5)

    backoff = rxws.Backoff(initial=0.01, maximum=0.01, rotate_every=0.3)
    async with serving(short_lived) as server, rxws.connect(server.url, reconnect=backoff) as socket:
        log = watch(s=socket.states, e=socket.errors)
        await asyncio.sleep(1.8)
        assert await socket.request("hello", matches=lambda _: True) == "hello"
        assert {type(state) for _, state in log} == {rxws.Connecting, rxws.Open}
        assert len(server.sockets) >= 4


@pytest.mark.parametrize("rule", ["409", "4409", "4001"])
async def test_rotation_where_one_session_is_allowed(rule: str) -> None:
    """The second session is refused or let in to be closed: the first one stays; or it is closed, and the second stays.

    Whatever the server does, it is told, and a rotation makes one connection: the two do not take turns.
    """
    present: list[web.WebSocketResponse] = []
    came: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        came.append(request.path)
        if present and rule == "409":
            raise web.HTTPConflict(text="one session")
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        if present and rule == "4409":
            await ws.close(code=4409, message=b"one session")
            return ws
        if present:
            await present.pop().close(code=4001, message=b"another login")
        present.append(ws)
        async for frame in ws:
            await ws.send_str(frame.data)
        if ws in present:
            present.remove(ws)
        return ws

    app = web.Application()
    app.router.add_get("/", handle)
    backoff = rxws.Backoff(initial=0.01, maximum=0.01, rotate_every=0.1)
    async with running(app) as server, rxws.connect(server.url, reconnect=backoff) as socket:
        log = watch(s=socket.states, e=socket.errors)
        undelivered = watch(u=socket.undelivered)
        answers = watch(a=socket.incoming)
        loop = asyncio.get_running_loop()
        began = loop.time()
        number, errors, waits = 0, list[str](), list[Any]()
        while number < 35 or (number < 1000 and len(errors or waits) < 2):
            socket.outgoing.on_next(str(number))
            number += 1
            await asyncio.sleep(0.01)
            errors = [str(error) for stream, error in log if stream == "e"]
            waits = [state.because for stream, state in log if stream == "s" and isinstance(state, rxws.Waiting)]
        rotations = (loop.time() - began) / 0.1
        if rule == "4001":
            assert errors == []
            assert set(waits) == {rxws.Close(4001, "another login")}
        else:
            assert waits == []
            assert {error.partition(":")[0] for error in errors} == {"rotation given up"}
            assert all(rule in error for error in errors)
        assert 2 <= len(errors or waits) < len(came) <= 2 + rotations
        async with asyncio.timeout(5):
            while len({text for _, text in answers + undelivered}) < number:  # one may be in both
                await asyncio.sleep(0.01)
    assert [int(number) for _, number in answers[:-1]] == sorted({int(number) for _, number in answers[:-1]})
    assert {number for _, number in answers[:-1] + undelivered[:-1]} == set(map(str, range(number)))


async def test_greeting_does_not_delay_leaving() -> None:
    """What a server says does not delay a client that leaves at once."""

    @rxws.websocket
    def greet(incoming: Any, outgoing: Any) -> None:
        outgoing.on_next("hello")
        incoming.subscribe()

    async with serving(greet) as server:
        started = asyncio.get_running_loop().time()
        async with rxws.connect(server.url, reconnect=QUICK) as socket:
            socket.outgoing.on_next("bye")
        assert asyncio.get_running_loop().time() - started < 3
        assert await ended(socket) == rxws.Close()


async def test_gateway_closes_with_a_sendable_code() -> None:
    """A gateway whose other side refuses closes with a code that may be sent."""

    @rxws.websocket
    async def gateway(incoming: Any) -> None:
        await rxws.connect("ws://127.0.0.1:1/")

    async with serving(gateway) as server, rxws.connect(server.url) as socket:
        assert await ended(socket) == rxws.Close(1011, "Unexpected Error")


async def test_nothing_is_left_of_a_client_that_comes_back(eventually: Any) -> None:
    async with serving(echo) as server, proxying(server.port) as proxy:
        for how in ("cut", "reset"):
            async with rxws.connect(proxy.url, reconnect=QUICK) as socket:
                await opened(socket)
                proxy.break_all(how)
                await opened(socket, 1)
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not {name for name in names if name.startswith("rxws")}
        assert server.hub is not None
        await eventually(lambda: len(server.hub) == 0)


def storm(backoff: rxws.Backoff, clients: int = 10_000, downtime: float = 60, seconds: int = 180) -> list[int]:
    """Attempts in each second after a server's end, of clients that all lost it at once; it takes all when it is up."""
    because = ConnectionResetError()
    attempts = [0] * seconds
    due = [(backoff.delay(0, because), 1) for _ in range(clients)]
    heapq.heapify(due)
    while due:
        now, failures = heapq.heappop(due)
        if now >= seconds:
            break
        attempts[int(now)] += 1
        if now < downtime:
            heapq.heappush(due, (now + backoff.delay(failures, because), failures + 1))
    return attempts


class VirtualTime(asyncio.SelectorEventLoop):
    """An event loop that does not wait: when nothing is ready, its clock jumps to what comes next."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0]._when)
        super()._run_once()


async def storm_of_sockets(backoff: rxws.Backoff, clients: int, downtime: float, seconds: int) -> list[int]:
    """The same with sockets, in memory."""
    loop = asyncio.get_running_loop()
    attempts = [0] * seconds

    class Server(MemoryDialer):
        ended = math.inf

        async def dial(self) -> Any:
            since = loop.time() - Server.ended
            if since >= 0:
                attempts[int(since)] += 1
            if 0 <= since < downtime:
                raise ConnectionRefusedError
            return await super().dial()

    servers = [Server() for _ in range(clients)]
    sockets = [await connect(server, backoff, heartbeat=None) for server in servers]
    await asyncio.sleep(1)
    Server.ended = loop.time()
    for server in servers:
        server.peer.drop()
    await asyncio.sleep(seconds - 1)
    for socket in sockets:
        assert isinstance(await socket.states.pipe(ops.first()), rxws.Open)
        socket.dispose()
    await asyncio.gather(*(socket.closed for socket in sockets))
    await turns()
    return attempts


def test_storm_of_clients_is_flat() -> None:
    """In a storm of ten thousand clients, the attempts per second stay flat."""
    random.seed(7)
    attempts = storm(rxws.Backoff())
    settled = attempts[30:85]
    mean = sum(settled) / len(settled)
    assert mean < 1500
    assert max(settled) < 1.6 * mean, "a second has many more attempts than the mean one"
    assert attempts[60] < 1.6 * mean, "the server's return is met by a wave"
    assert sum(attempts[95:]) == 0, "everybody is back within `maximum`"
    assert max(attempts) == attempts[0] < 2.5 * 10_000, "the first second is the worst"
    assert all(later < 1.3 * earlier for earlier, later in itertools.pairwise(attempts[:60])), "it never rises again"
    assert max(storm(rxws.Backoff(jitter=lambda ceiling: ceiling))) == 10_000, "without jitter all come at once"


def test_larger_initial_is_flat_from_the_start() -> None:
    """A fleet with a larger `initial` is flat from the first second."""
    random.seed(7)
    attempts = storm(rxws.Backoff(initial=15))
    assert max(attempts) < 2 * 10_000 / 15
    assert sum(attempts[95:]) == 0


def test_sockets_do_what_the_simulation_of_them_does() -> None:
    random.seed(7)
    backoff, how = rxws.Backoff(), {"clients": 500, "downtime": 60, "seconds": 100}
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        met = runner.run(storm_of_sockets(backoff, **how))
    expected = storm(backoff, **how)
    for begin, end in ((0, 1), (1, 10), (10, 30), (30, 60), (60, 90)):
        assert sum(met[begin:end]) == pytest.approx(sum(expected[begin:end]), rel=0.2)
    assert sum(met[95:]) == 0


async def test_rotation_from_a_slow_reader_keeps_order(eventually: Any) -> None:
    """What a server has not read yet is not overtaken by what is sent after a rotation."""
    seen: list[str] = []
    ready = asyncio.Event()

    async def read_late(request: web.Request) -> web.WebSocketResponse:
        peer = web.WebSocketResponse()
        await peer.prepare(request)
        seen.append("opened")
        await ready.wait()
        async for message in peer:  # aiohttp answers pings here
            seen.append(message.data)
        return peer

    app = web.Application()
    app.router.add_get("/", read_late)
    async with running(app) as server, rxws.connect(server.url, reconnect=QUICK, close_timeout=0.2) as socket:
        errors = watch(e=socket.errors)
        await opened(socket)
        for number in "123":
            socket.outgoing.on_next(number)
            socket.rotate()
            await eventually(lambda number=number: len(errors) == int(number))
        assert [type(error) for _, error in errors] == [TimeoutError] * 3
        ready.set()
        while "3" not in seen:
            await asyncio.sleep(0.01)
        socket.rotate()
        await opened(socket, 1)
        socket.outgoing.on_next("4")
        while "4" not in seen:
            await asyncio.sleep(0.01)
    assert [entry for entry in seen if entry != "opened"] == ["1", "2", "3", "4"]
    assert seen.count("opened") == 5


async def test_rotation_of_a_relay_that_is_full() -> None:
    """A client that sends on what it receives is rotated while the server does not read: nothing waits for itself."""
    sockets: list[web.WebSocketResponse] = []
    came: list[int] = []
    pushed = 0
    pushes, reads = asyncio.Event(), asyncio.Event()
    pushes.set()

    async def push(peer: web.WebSocketResponse) -> None:
        nonlocal pushed
        while pushes.is_set():
            pushed += 1
            await peer.send_bytes(pushed.to_bytes(10_000, "big"))

    async def handle(request: web.Request) -> web.WebSocketResponse:
        peer = web.WebSocketResponse()
        await peer.prepare(request)
        sockets.append(peer)
        pusher = asyncio.create_task(push(peer))
        async for message in peer:
            came.append(int.from_bytes(message.data, "big"))
            if peer is sockets[0]:
                await reads.wait()
        await pusher
        return peer

    app = web.Application()
    app.router.add_get("/", handle)
    async with running(app) as server, rxws.connect(server.url, reconnect=QUICK) as socket:
        errors = watch(e=socket.errors, u=socket.undelivered)
        socket.incoming.subscribe(socket.outgoing)
        async with asyncio.timeout(20):
            before = -1
            while not socket.stats.unread or pushed > before:  # until the read-ahead is full: no pong can be read
                before = pushed
                await asyncio.sleep(0.1)
            pushes.clear()
            socket.rotate()
            while len(sockets) < 2:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            reads.set()
            await opened(socket, 1)
            while len(came) < pushed:
                await asyncio.sleep(0.01)
    assert came == list(range(1, pushed + 1))
    assert errors == ["e|", "u|"]


async def test_restart_in_a_stream_reports_little() -> None:
    """A server that closes with 1001 in mid-stream: what it has not got is reported, and little besides; nothing twice.

    The program sends a hundred messages a second, and the server leaves within a second of the first: about eighty
    would be reported if a pong was asked for once a second.
    """
    got: list[str] = []
    port = 0

    async def handler(peer: ServerConnection) -> None:
        async for message in peer:
            got.append(str(message))

    async with contextlib.AsyncExitStack() as servers:
        for generation in range(2):
            server = await servers.enter_async_context(serve(handler, "127.0.0.1", port))
            if generation == 0:
                port = server.sockets[0].getsockname()[1]
                socket = await servers.enter_async_context(rxws.connect(f"ws://127.0.0.1:{port}/", reconnect=QUICK))
                reported = watch(u=socket.undelivered)
                await opened(socket)
            else:
                await opened(socket)
            for number in range(80):
                socket.outgoing.on_next(f"{generation} {number}")
                await asyncio.sleep(0.01)
            if generation == 0:
                server.close()
                await server.wait_closed()
    sent = [f"{generation} {number}" for generation in range(2) for number in range(80)]
    assert sorted(got) == sorted(set(got))
    assert set(sent) - set(got) <= {message for _, message in reported[:-1]}
    assert len(reported) < 40
