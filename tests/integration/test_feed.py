"""A feed that many share, on real sockets."""

import asyncio
import inspect
import typing
from collections.abc import Callable
from typing import Any

import pytest
from reactivex import operators as ops

import rxws
from rxws.client.opening import ConnectOptions
from tests.integration.proxy import proxying
from tests.integration.server import serving
from tests.streams import watch
from tests.threads import in_a_thread

BOTH_LOOPS = True
Eventually = Callable[..., Any]

QUICK = rxws.Backoff(initial=0.01, maximum=0.01)


@rxws.websocket
def hello(outgoing: Any) -> None:
    outgoing.on_next("hello")


async def test_many_subscribers_one_connection(eventually: Eventually) -> None:
    """Fifty subscribers, one of a thread, have one connection; the last one that leaves closes it."""
    async with serving(hello) as server:
        feed = rxws.feed(server.url, reconnect=QUICK)
        log: list[Any] = []
        subscriptions = [feed.subscribe(log.append) for _ in range(49)]
        in_a_thread(lambda: subscriptions.append(feed.subscribe(log.append)))
        await eventually(lambda: len(log) == 50)
        assert len(server.sockets) == 1
        server.sockets[0].outgoing.on_next("x" * 100_000)
        await eventually(lambda: len(log) == 100)
        in_a_thread(lambda: [subscription.dispose() for subscription in subscriptions])
        assert await server.sockets[0].closed == rxws.Close()
        assert await feed.pipe(ops.first()) == "hello"
        assert len(server.sockets) == 2
        assert await server.sockets[1].closed == rxws.Close()


async def test_an_outage_is_on_states(eventually: Eventually) -> None:
    """Subscribers of the data get what comes before and after an outage; those of `states` learn of it."""
    async with serving(hello) as server, proxying(server.port) as proxy:
        feed = rxws.feed(proxy.url, reconnect=QUICK)
        states = watch(s=feed.states)
        log: list[Any] = []
        subscription = feed.subscribe(log.append)
        await eventually(lambda: len(log) == 1)
        proxy.break_all("reset")
        await eventually(lambda: len(log) == 2)
        subscription.dispose()
        await eventually(lambda: states[-1] == "s|")
    kinds = [type(state) for _, state in states[:-1]]
    expected = [rxws.Connecting, rxws.Open, rxws.Waiting, rxws.Connecting, rxws.Open, rxws.Closed]
    assert kinds == expected


async def test_without_reconnect_the_end_is_an_error() -> None:
    """A feed of one connection fails with what ends it, and with what keeps it from connecting."""
    async with serving(hello) as server, proxying(server.port) as proxy:
        feed = rxws.feed(proxy.url)
        received: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        feed.subscribe(lambda message: proxy.break_all("reset"), received.set_exception)
        with pytest.raises(rxws.ConnectionLost):
            await received
    with pytest.raises(rxws.ConnectError) as refusal:
        await feed
    assert refusal.value.stage == "tcp"


async def test_wrong_options_are_told_at_the_call() -> None:
    for options in ({"hartbeat": 1}, {"offline": "keep"}, {"reconnect": True}, {"proxy": "b:3128"}):
        with pytest.raises((TypeError, ValueError)):
            rxws.feed("ws://a", **options)
    with pytest.raises(ValueError, match="is not a WebSocket URL"):
        rxws.feed("example.com")


def test_a_feed_takes_what_connect_takes() -> None:
    """What type checkers know of the options of `feed` is what `connect` has."""
    names = {name for name in inspect.signature(rxws.connect).parameters if name not in ("url", "options")}
    assert names == typing.get_type_hints(ConnectOptions).keys() | {"codec"}
    assert inspect.signature(rxws.feed).parameters == inspect.signature(rxws.connect).parameters
