"""A thousand seeded faults under load: nothing is lost unreported or comes twice, order is kept, nothing leaks."""

import asyncio
import gc
import logging
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from operator import itemgetter
from typing import Any, get_args

import pytest
from aiohttp import web

import rxws
from tests.integration.proxy import Fault, How, Proxy, Side, proxying
from tests.integration.server import running

CLIENTS = {"asyncio": 100, "uvloop": 20}
FAULTS = 10  # of each client: a thousand together, and two hundred on uvloop
BOTH_LOOPS = True
OPTIONS: dict[str, Any] = {
    "reconnect": rxws.Backoff(initial=0.001, maximum=0.001),
    "heartbeat": 0.8,
    "open_timeout": 2.0,
    "close_timeout": 2.0,
}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def population() -> Counter[str]:
    """The objects that are alive of the libraries concerned; but for messages, which `undelivered` keeps."""
    gc.collect()
    kinds = (type(one) for one in gc.get_objects())
    return Counter(
        kind.__qualname__
        for kind in kinds
        if str(kind.__module__).partition(".")[0] in ("rxws", "aiohttp", "asyncio", "_asyncio", "reactivex", "uvloop")
        and kind.__module__ != "rxws.core.wire"
    )


def faults(seed: int) -> list[Fault]:
    """Breaks of every kind, on both sides: in the handshake, in the first frames, after many."""
    choose = random.Random(seed)
    hows = [get_args(How)[number % 4] for number in range(FAULTS)]
    choose.shuffle(hows)
    depths = [(1, 400), (200, 3000), (2000, 10_000)]
    return [Fault(how, choose.randint(*choose.choice(depths)), choose.choice(get_args(Side))) for how in hows]


class Client:
    """One client: what it has sent, and all that its socket has told."""

    def __init__(self, number: int, proxy: Proxy, socket: rxws.ClientWebSocket[Any, Any]) -> None:
        self.number = number
        self.sent = 0
        self.pushed: list[tuple[int, int]] = []
        self.undelivered: list[int] = []
        self.dropped: list[Any] = []
        self.errors: Counter[str] = Counter()
        self.open = False
        self._size = random.Random(number)
        self._proxy = proxy
        self._socket = socket
        socket.states.subscribe(lambda state: setattr(self, "open", isinstance(state, rxws.Open)))
        socket.incoming.subscribe(lambda message: self.pushed.append((message[0], message[1])))
        socket.undelivered.subscribe(lambda message: self.undelivered.append(message[1]))
        socket.dropped.subscribe(self.dropped.append)
        socket.errors.subscribe(lambda error: self.errors.update([type(error).__name__]))

    def send(self) -> None:
        self._socket.outgoing.on_next([self.number, self.sent, "." * self._size.randint(0, 400)])
        self.sent += 1

    async def meet(self, faults: list[Fault]) -> None:
        """Send through all the faults, until there is a connection that meets none."""
        self._proxy.faults.extend(faults)
        self._proxy.break_all("reset")
        while self._proxy.faults or not self.open or self._proxy.connections <= len(faults) + 1:
            if self._socket.stats.buffered < 100:
                for _ in range(5):
                    self.send()
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("own_heap")
async def test_a_thousand_faults_lose_nothing_silently(
    eventually: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand faults lose nothing that is not reported."""
    number_of_clients = CLIENTS[type(asyncio.get_running_loop()).__module__.partition(".")[0]]
    caplog.set_level(logging.CRITICAL, "aiohttp.server")  # a record keeps all that is in its traceback
    received: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    sessions = 0

    @rxws.websocket(codec=rxws.json, heartbeat=0.8, close_timeout=0.5)
    def serve(incoming: Any, outgoing: Any, errors: Any) -> None:
        """Note what comes; push a numbered feed as fast as it is read."""
        nonlocal sessions
        sessions += 1
        session, feed = sessions, iter(range(10**9))

        def take(message: list[Any]) -> None:
            client, number, padding = message
            received[client].append((session, number))
            outgoing.on_next([session, next(feed), padding])

        errors.subscribe()
        incoming.subscribe(take)

    tasks, files = len(asyncio.all_tasks()), descriptors()
    app = web.Application()
    app.router.add_get("/", serve)
    hub = rxws.setup(app)
    async with running(app) as server, AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(proxying(server.port)) for _ in range(number_of_clients)]
        async with AsyncExitStack() as sockets:
            clients = [
                Client(
                    number,
                    proxy,
                    await sockets.enter_async_context(rxws.connect(proxy.url, codec=rxws.json, **OPTIONS)),
                )
                for number, proxy in enumerate(proxies)
            ]

            def quiet() -> bool:
                return len(hub) == number_of_clients and all(client.open for client in clients)

            await eventually(quiet, timeout=90)
            for client in clients:
                client.send()
            await eventually(lambda: all(client.pushed for client in clients), timeout=90)
            pinged = 2 * number_of_clients  # from where on each of them counts pings
            await eventually(lambda: population()["TokenBucket"] >= pinged, timeout=90, every=0.5)
            before = population() + Counter(tasks=len(asyncio.all_tasks()), files=descriptors())
            for kind in "MessageDeadline", "TimerHandle":  # each connection's, once a message has come in parts
                before[kind] += before["Connection"]
            await asyncio.wait_for(asyncio.gather(*(client.meet(faults(client.number)) for client in clients)), 240)
            await eventually(quiet, timeout=90)

            def grown() -> dict[str, int]:
                now = population() + Counter(tasks=len(asyncio.all_tasks()), files=descriptors())
                return {kind: number for kind, number in now.items() if number > before[kind] + number_of_clients}

            for _ in range(100):  # what the last faults left has its deadlines
                if not grown():
                    break
                await asyncio.sleep(0.2)
            assert grown() == {}
    await asyncio.sleep(0.1)

    assert sum(proxy.connections for proxy in proxies) > number_of_clients * FAULTS
    assert sessions > number_of_clients * FAULTS // 4, "most faults have to come after the handshake"
    for client in clients:
        # a busy server may hand on the rest of a lost connection after it has begun to read the next one
        arrived = [number for _, number in sorted(received[client.number], key=itemgetter(0))]
        assert arrived == sorted(set(arrived)), "something came twice, or out of order on its connection"
        assert client.pushed == sorted(set(client.pushed)), "the feed came twice, or out of order"
        assert client.undelivered == sorted(set(client.undelivered)), "something was reported twice, or out of order"
        lost = set(range(client.sent)) - set(arrived)
        assert lost <= set(client.undelivered), f"lost and not reported: {sorted(lost - set(client.undelivered))[:9]}"
        assert client.dropped == []
    errors = sum((client.errors for client in clients), Counter[str]())
    assert errors["HeartbeatTimeout"] > 0, "stalled and half open connections have to be met"
    assert errors["ConnectionLost"] > number_of_clients
    assert sum(map(len, received.values())) > sum(client.sent for client in clients) // 10
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks and descriptors() <= files + 2)
