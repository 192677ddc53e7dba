import asyncio
import itertools
from functools import partial
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase

import rxws
from rxws.rx.loop_thread import MAX_HANDED_OVER
from rxws.testing import MemoryDialer, connect
from tests.streams import ended, opened, raising, reopened, turns, watch
from tests.threads import in_a_thread, preempted

VIRTUAL = True

QUICK = rxws.Backoff(initial=0.001, maximum=0.001)
Socket = rxws.ClientWebSocket[Any, Any]


def topic(socket: Socket, name: str) -> Observable[Any]:
    return socket.multiplex(
        subscribe={"subscribe": name},
        unsubscribe=lambda: {"unsubscribe": name},
        matches=lambda message: message["topic"] == name,
    )


def said(dialer: MemoryDialer) -> list[list[Any]]:
    return [[rxws.json.decode(message) for message in wire.sent] for wire in dialer.wires]


SUB_A, SUB_B, UNSUB_A = {"subscribe": "a"}, {"subscribe": "b"}, {"unsubscribe": "a"}


async def test_first_and_last_subscriber() -> None:
    """A topic is subscribed with its first subscriber and unsubscribed with its last one."""
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        a = topic(socket, "a")
        await turns()
        assert said(dialer) == [[]]
        log: list[Any] = []
        first = a.subscribe(lambda message: log.append(("first", message["n"])))
        second = a.subscribe(lambda message: log.append(("second", message["n"])))
        dialer.peer.send('{"topic":"a","n":1}', '{"topic":"b","n":2}')
        await turns()
        first.dispose()
        first.dispose()
        dialer.peer.send('{"topic":"a","n":3}')
        await turns()
        assert said(dialer) == [[SUB_A]]
        second.dispose()
        await turns()
        assert said(dialer) == [[SUB_A, UNSUB_A]]
        assert log == [("first", 1), ("second", 1), ("second", 3)]
        third = a.subscribe()
        await turns()
        third.dispose()
        await turns()
        assert said(dialer) == [[SUB_A, UNSUB_A] * 2]


async def test_resubscribe_on_reopen() -> None:
    """Topics are subscribed again after every reopen, once."""
    dialer = MemoryDialer()
    async with connect(dialer, QUICK, codec=rxws.json) as socket:
        log = watch(a=topic(socket, "a"))
        topic(socket, "b").subscribe().dispose()
        for _ in range(3):
            await turns(50)
            await opened(socket)
            dialer.peer.send('{"topic":"a"}')
            await turns()
            dialer.peer.drop()
            await turns()
        await opened(socket)
        assert said(dialer) == [[SUB_A]] * 4
    assert log == [("a", {"topic": "a"})] * 3 + ["a|"]


async def test_own_hooks_first() -> None:
    """The socket's own hooks come before those of topics subscribed later."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK, codec=rxws.json) as socket:
        socket.states.subscribe(
            lambda state: socket.outgoing.on_next("login") if isinstance(state, rxws.Open) else None
        )
        topic(socket, "a").subscribe()
        dialer.answering.set()
        await turns()
        assert said(dialer) == [["login", SUB_A]]


async def test_unsent_subscription() -> None:
    """A subscription that was never sent is sent once on the next connection."""
    dialer = MemoryDialer()
    async with connect(dialer, QUICK, codec=rxws.json) as socket:
        reported = watch(u=socket.undelivered, d=socket.dropped)
        await turns()
        dialer.peer.congested = True
        topic(socket, "a").subscribe()
        await turns()
        dialer.peer.drop()
        await reopened(socket)
        assert said(dialer) == [[], [SUB_A]]
        assert reported == []


async def test_offline_sends_nothing() -> None:
    """Nothing is sent to a dead socket."""
    dialer = MemoryDialer()
    async with connect(dialer, QUICK, codec=rxws.json) as socket:
        subscription = topic(socket, "a").subscribe()
        await turns()
        dialer.answering.clear()
        dialer.peer.drop()
        await turns()
        subscription.dispose()
        late = topic(socket, "b").subscribe()
        late.dispose()
        dialer.answering.set()
        await opened(socket)
        assert said(dialer) == [[SUB_A], []]
    topic(socket, "c").subscribe().dispose()
    assert said(dialer) == [[SUB_A], []]


async def test_subscribe_while_rotating() -> None:
    """A topic that comes while the connection is replaced is subscribed once."""
    dialer = MemoryDialer()
    async with connect(dialer, QUICK, codec=rxws.json) as socket:
        await turns()
        dialer.peer.pongs = False
        socket.outgoing.on_next("unconfirmed")
        await turns()
        socket.rotate()
        await turns()
        topic(socket, "a").subscribe()
        topic(socket, "b").subscribe().dispose()
        await turns()
        old = dialer.wires[0]
        old.pong(old.pings[-1])
        await turns(30)
        assert said(dialer) == [["unconfirmed"], [SUB_A]]


async def test_subscribe_function_raises() -> None:
    """A subscribe function that raises fails its topic, which can be retried."""
    messages = iter(["first", "second"])
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        a = socket.multiplex(subscribe=lambda: next(messages), unsubscribe="gone", matches=lambda _: True)
        log = watch(a=a.pipe(ops.retry(2)))
        await turns()
        for _ in range(2):
            dialer.peer.drop()
            await turns(30)
            await opened(socket)
        assert [name for name, _ in log] == ["a#"]
        assert isinstance(log[0][1], StopIteration)
        messages = iter(["third"])
        log = watch(a=a)
        dialer.peer.send("hello")
        await turns()
        assert log == [("a", "hello")]
        assert [wire.sent for wire in dialer.wires] == [["first"], ["second"], ["third"]]


async def test_unsubscribe_function_raises() -> None:
    """An unsubscribe function that raises is an error of the socket."""
    async with connect(MemoryDialer()) as socket:
        errors = watch(errors=socket.errors)
        a = socket.multiplex(subscribe="a", unsubscribe=lambda: {}["name"], matches=lambda _: True)
        a.subscribe().dispose()
        assert isinstance(errors[0][1], KeyError)


async def test_topics_end_apart() -> None:
    """The end of one topic leaves the others alone."""
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        broken = socket.multiplex(subscribe="broken", unsubscribe="gone", matches=lambda message: message["other"])
        log = watch(a=topic(socket, "a").pipe(ops.take(1)), b=topic(socket, "b"), broken=broken)
        dialer.peer.send('{"topic":"a","n":1}', '{"topic":"a","n":2}', '{"topic":"b"}')
        await turns()
        assert log[:2] == [("a", {"topic": "a", "n": 1}), "a|"]
        assert log[2][0] == "broken#"
        assert isinstance(log[2][1], KeyError)
        assert log[3:] == [("b", {"topic": "b"})]
        assert said(dialer) == [[SUB_A, SUB_B, "broken", UNSUB_A, "gone"]]
    assert log[-1] == "b|"


async def test_retry_failed_topic() -> None:
    """A topic that failed can be retried."""
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        picky = socket.multiplex(subscribe="sub", unsubscribe="unsub", matches=lambda message: message["ok"])
        log = watch(t=picky.pipe(ops.retry(2)))
        await turns()
        dialer.peer.send('{"bad":1}', '{"ok":true}')
        await turns()
        assert log == [("t", {"ok": True})]
        assert said(dialer) == [["sub", "unsub", "sub"]]


async def test_no_unsubscribe_message() -> None:
    """A topic may have no unsubscribe message."""
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        socket.multiplex(subscribe="sub", matches=lambda _: True).subscribe().dispose()
        await turns()
        assert dialer.peer.sent == ["sub"]


async def test_subscriber_raises() -> None:
    """A subscriber that raises does not keep the message from its siblings."""
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        errors: list[Any] = []
        socket.errors.subscribe(errors.append)
        shared = socket.multiplex(subscribe="sub", matches=lambda _: True)
        shared.subscribe(lambda _: 1 / 0)
        log = watch(t=shared)
        dialer.peer.send("hello")
        await turns()
        assert log == [("t", "hello")]
        assert [type(error) for error in errors] == [ZeroDivisionError]


async def test_closed_socket() -> None:
    """A topic of a closed socket is complete."""
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        shared = socket.multiplex(subscribe="sub", matches=lambda _: True)
    await ended(socket)
    assert watch(t=shared) == ["t|"]
    assert dialer.peer.sent == []


@pytest.mark.parametrize("fault", ["subscribe", "matches"])
async def test_failure_that_no_subscriber_takes(fault: str) -> None:
    """A topic that fails is an error of its socket, if its subscriber takes no errors."""
    dialer = MemoryDialer()
    functions: dict[str, Any] = {"subscribe": "on", "matches": bool, fault: raising(KeyError("no"))}
    async with connect(dialer) as socket:
        log = watch(errors=socket.errors)
        await turns()
        socket.multiplex(**functions).subscribe()
        dialer.peer.send("a")
        await turns()
        assert [type(error) for _, error in log] == [KeyError]


async def test_topics_share_a_method() -> None:
    """Topics with the same method of the same object share a subscription: each access makes another object."""

    class Feed:
        def subscribe(self) -> dict[str, str]:
            return {"subscribe": "all"}

    one, dialer = Feed(), MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        for feed in (one, one, Feed()):
            socket.multiplex(subscribe=feed.subscribe, matches=lambda _: True).subscribe()
        await turns()
        assert dialer.peer.sent == ['{"subscribe":"all"}'] * 2


async def test_threads_come_and_go() -> None:
    """Whenever a thread subscribes while the last subscriber leaves, the server is told, and the messages come."""
    for line in itertools.count(1):
        dialer = MemoryDialer()
        async with connect(dialer, codec=rxws.json) as socket:
            a, log = topic(socket, "a"), list[Any]()
            first, later = a.subscribe(), list[DisposableBase]()
            await turns()
            subscribe = partial(lambda a, log, later: later.append(a.subscribe(log.append)), a, log, later)
            came = preempted(subscribe, first.dispose, line)
            await turns()
            assert said(dialer) in ([[SUB_A]], [[SUB_A, UNSUB_A, SUB_A]]), f"line {line}"
            dialer.peer.send('{"topic":"a"}')
            await turns()
            assert log == [{"topic": "a"}], f"line {line}"
            in_a_thread(later[0].dispose)
            await turns()
            assert said(dialer)[0][-1] == UNSUB_A
        if not came:
            break


async def test_thread_finds_a_reader() -> None:
    """A thread that subscribes while somebody reads alone is told so, and one that has run ahead, too."""
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        a, errors = topic(socket, "a"), list[Exception]()
        waiting = asyncio.ensure_future(socket.receive())
        await turns()
        in_a_thread(lambda: [a.subscribe(on_error=errors.append) for _ in range(MAX_HANDED_OVER + 1)])
        assert [type(error) for error in errors] == [rxws.errors.ConnectionLost]
        await turns()
        assert len(errors) == MAX_HANDED_OVER + 1
        assert {type(error) for error in errors[1:]} == {RuntimeError}
        waiting.cancel()


async def test_two_topics_that_ask_for_the_same() -> None:
    """Topics with the same message share a subscription, from the first to the last of them, over connections."""
    dialer = MemoryDialer()
    async with connect(dialer, QUICK, codec=rxws.json) as socket:
        await turns()
        log: list[Any] = []
        one = topic(socket, "a").subscribe(lambda message: log.append(("one", message["n"])))
        two = topic(socket, "a").subscribe(lambda message: log.append(("two", message["n"])))
        await turns()
        one.dispose()
        dialer.peer.send('{"topic":"a","n":1}')
        await turns()
        assert said(dialer) == [[SUB_A]]
        one = topic(socket, "a").subscribe(lambda message: log.append(("one", message["n"])))
        asyncio.get_running_loop().call_soon(dialer.peer.drop)
        await reopened(socket)
        dialer.peer.send('{"topic":"a","n":2}')
        await turns()
        assert said(dialer) == [[SUB_A], [SUB_A]]
        two.dispose()
        await turns()
        assert said(dialer) == [[SUB_A], [SUB_A]]
        one.dispose()
        await turns()
        assert said(dialer) == [[SUB_A], [SUB_A, UNSUB_A]]
    assert log == [("two", 1), ("two", 2), ("one", 2)]


async def test_subscribe_function_is_shared() -> None:
    """A function that makes the message is one subscription, two functions are two."""
    dialer = MemoryDialer()

    def ask() -> Any:
        return {"subscribe": "a"}

    async with connect(dialer, codec=rxws.json) as socket:
        for make in (ask, ask, lambda: ask()):
            socket.multiplex(subscribe=make, matches=lambda _: True).subscribe()
        await turns()
        assert said(dialer) == [[SUB_A, SUB_A]]


async def test_message_that_cannot_be_sent_fails_each() -> None:
    """Of topics whose message cannot be sent, each is told on `errors`."""
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        errors: list[Exception] = []
        socket.errors.subscribe(errors.append)
        await turns()
        for _ in range(2):
            socket.multiplex(subscribe={1}, matches=lambda _: True).subscribe()
        await turns()
        assert [type(error) for error in errors] == [rxws.EncodeError] * 2


async def test_told_before_it_unsubscribes() -> None:
    """A subscriber is told of the end first; what it sends then goes out before the message that unsubscribes."""
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        await turns()
        topic(socket, "a").subscribe(on_error=lambda _: socket.outgoing.on_next("told"))
        dialer.peer.send('{"no":"topic"}')
        await turns()
        assert said(dialer) == [[SUB_A, "told", UNSUB_A]]


async def test_subscribed_again_when_told() -> None:
    """Who is told of the end and subscribes the same at once does so behind the message that unsubscribes."""
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        await turns()
        again: list[Any] = []
        topic(socket, "a").subscribe(on_error=lambda _: again.append(topic(socket, "a").subscribe()))
        dialer.peer.send('{"no":"topic"}')
        await turns()
        assert said(dialer) == [[SUB_A, UNSUB_A, SUB_A]]
        again[0].dispose()
        again[0].dispose()
        await turns()
        assert said(dialer) == [[SUB_A, UNSUB_A, SUB_A, UNSUB_A]]
