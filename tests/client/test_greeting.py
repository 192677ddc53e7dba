"""What goes first on every connection of a client, on the in-memory wire."""

import asyncio
import contextlib
import functools
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import aiohttp
import pytest

import rxws
from rxws.testing import MemoryDialer, connect
from tests.streams import ended, opened, reopened, turns, watch

VIRTUAL = True


def quick(**more: Any) -> rxws.Backoff:
    return rxws.Backoff(**{"initial": 0.001, "maximum": 0.001, "jitter": lambda ceiling: ceiling, **more})


async def login(connection: rxws.Greeting[Any, Any]) -> None:
    """Log in, and wait for the answer."""
    await connection.send("login")
    answer = await connection.receive()
    if answer != "welcome":
        raise rxws.Close(4401, answer)


def states(log: list[Any]) -> list[str]:
    """Name the states that were watched as `s`."""
    return [type(note[1]).__name__ for note in log if note[0] == "s" and note != "s|"]


@pytest.mark.parametrize(
    ("greet", "said"), [("hello", ["hello"]), (("user", b"key"), ["user", b"key"]), ((), [])], ids=str
)
async def test_messages_go_first(greet: Any, said: list[Any]) -> None:
    """Messages go out on every connection before what is kept and what is subscribed."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, quick(), greet=greet) as socket:
        socket.multiplex(subscribe="topic", matches=lambda _: True).subscribe()
        socket.outgoing.on_next("kept")
        dialer.answering.set()
        await opened(socket)
        dialer.peer.drop()
        await reopened(socket)
        assert [wire.sent for wire in dialer.wires] == [[*said, "kept", "topic"], [*said, "topic"]]


async def test_answer_awaited() -> None:
    """The socket is open, and what is kept goes out, when the login has its answer."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), greet=login) as socket:
        log = watch(s=socket.states, m=socket.incoming, o=socket.outgoing)
        socket.outgoing.on_next("kept")
        await asyncio.sleep(5)
        assert dialer.peer.sent == ["login"]
        assert isinstance(log[0][1], rxws.Connecting)
        dialer.peer.send("welcome", "news")
        await turns()
        assert dialer.peer.sent == ["login", "kept"]
        assert log[-2:] == [("s", rxws.Open(None, 1)), ("m", "news")]
        assert (socket.stats.sent, socket.stats.received) == (2, 2)


async def test_greeting_is_sent_whole() -> None:
    """A policy that conflates leaves the greeting as it is, even if the server reads late."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        dialer.peer.congested = True
        saying = asyncio.gather(connection.send("user"), connection.send("key"))
        await turns()
        dialer.peer.congested = False
        await saying

    async with connect(dialer, None, greet=greet, overflow="latest"):
        assert dialer.peer.sent == ["user", "key"]


async def test_single_connection() -> None:
    """Without `reconnect`, entering waits for the greeting."""
    dialer = MemoryDialer()
    dialer.protocol = "chat"
    seen: list[Any] = []

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        seen.extend((connection.protocol, dict(connection.headers)))
        asyncio.get_running_loop().call_later(1, dialer.peer.send, "welcome", "more")
        await login(connection)

    async with connect(dialer, greet=greet) as socket:
        assert dialer.peer.sent == ["login"]
        socket.outgoing.on_next("hello")
        assert await socket.receive() == "more"
        assert dialer.peer.sent == ["login", "hello"]
    assert seen == ["chat", {}]
    assert dialer.peer.close_sent == rxws.Close()


async def test_unread_messages_reach_incoming() -> None:
    """What came during the greeting and was not received is the first on `incoming`, in order, once."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        dialer.peer.send("one", "two", "three")
        assert await connection.receive() == "one"
        await asyncio.sleep(1)

    async with connect(dialer, greet=greet) as socket:
        assert dialer.peer.unread == 2
        assert [await socket.receive(), await socket.receive()] == ["two", "three"]


async def test_receive_that_is_cancelled() -> None:
    """A `receive` that is cancelled loses nothing, to the next one and to `incoming`."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        for messages in (["one"], ["two", "three"]):
            waiting = asyncio.create_task(connection.receive())
            await turns()
            dialer.peer.send(*messages)
            waiting.cancel()
            await asyncio.wait({waiting})
            if messages == ["one"]:
                assert await connection.receive() == "one"

    async with connect(dialer, greet=greet) as socket:
        assert socket.stats.unread == 2
        log = watch(m=socket.incoming)
        await turns()
        assert log == [("m", "two"), ("m", "three")]
    dialer = MemoryDialer()
    async with connect(dialer, quick(), greet=greet) as socket:
        log = watch(m=socket.incoming)
        await opened(socket)
        dialer.peer.drop()
        await reopened(socket)
        assert log == [("m", "two"), ("m", "three")] * 2


async def test_receive_what_matches() -> None:
    """What comes before the answer that is awaited waits for `incoming`, in order, and so does what comes behind it."""
    dialer = MemoryDialer()
    heard: list[Any] = []

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        await connection.send("subscribe")
        heard.append(await connection.receive(lambda message: message == "subscribed"))
        heard.append(await connection.receive())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await connection.receive(lambda message: message == "never")
        heard.append(await connection.receive(lambda message: message.startswith("l")))

    async with connect(dialer, quick(), greet=greet) as socket:
        log = watch(m=socket.incoming)
        await turns()
        dialer.peer.send("one", "two")
        await turns()
        dialer.peer.send("three", "subscribed", "four", "last", "five")
        await opened(socket)
        assert heard == ["subscribed", "one", "last"]
        assert [message for _, message in log] == ["two", "three", "four", "five"]


async def test_receive_what_matches_is_bounded() -> None:
    """A greeting that passes over more than `max_buffered` fails."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        await connection.receive(lambda message: message == "subscribed")

    async with connect(dialer, quick(), greet=greet, max_buffered=1000) as socket:
        log = watch(s=socket.states)
        await turns()
        dialer.peer.send("x" * 500, "y" * 500)
        await turns(30)
        expected = "more than 1000 bytes came before the message that the greeting waits for"
        assert str(log[1][1].because) == expected


async def test_rule_of_receive_raises() -> None:
    """What the rule raises is the greeting's failure."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        asyncio.get_running_loop().call_soon(dialer.peer.send, "one")
        await connection.receive(lambda message: bool(1 / 0))

    with pytest.raises(ZeroDivisionError):
        await connect(dialer, greet=greet)


async def test_rule_of_receive_is_a_coroutine_function() -> None:
    """A rule that would never run matches nothing by accident: it is told at the call."""
    dialer = MemoryDialer()

    async def confirmed(message: Any) -> bool:
        return bool(message == "confirmed")

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        asyncio.get_running_loop().call_soon(dialer.peer.send, "one")
        rule: Any = confirmed
        await connection.receive(rule)

    with pytest.raises(TypeError, match="matches is called, not awaited"):
        await connect(dialer, greet=greet)


async def test_unread_of_two_connections() -> None:
    """What a cancelled reader left, and what a greeting left on the next connection, come in order."""
    dialer = MemoryDialer()
    left = "greeted"

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        waiting = asyncio.create_task(connection.receive())
        await turns()
        dialer.peer.send(left)
        waiting.cancel()
        await asyncio.wait({waiting})

    async with connect(dialer, quick(), greet=greet) as socket:
        await opened(socket)
        left = "again"
        dialer.peer.drop()
        await reopened(socket)
        assert socket.stats.unread == 2
        assert [await socket.receive(), await socket.receive()] == ["greeted", "again"]


async def test_undecodable_answer() -> None:
    """A message that does not decode fails the greeting; one that may be skipped does not."""
    dialer = MemoryDialer()
    skipped: list[Exception] = []

    async def skip(connection: rxws.Greeting[Any, Any]) -> None:
        dialer.peer.send("{", "{}")
        try:
            await connection.receive()
        except rxws.DecodeError as error:
            skipped.append(error)
        await connection.receive()

    async with connect(dialer, greet=skip, codec=rxws.json):
        assert len(skipped) == 1

    async def fail(connection: rxws.Greeting[Any, Any]) -> None:
        dialer.peer.send("{")
        await connection.receive()

    with pytest.raises(rxws.DecodeError):
        await connect(dialer, greet=fail, codec=rxws.json)
    assert dialer.peer.close_sent == rxws.Close(1007, "Invalid Message")


async def test_undecodable_and_not_received(caplog: pytest.LogCaptureFixture) -> None:
    """A message that does not decode, whose reader was cancelled, is an error of the socket."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        waiting = asyncio.create_task(connection.receive())
        await turns()
        dialer.peer.send("{")
        waiting.cancel()
        await asyncio.wait({waiting})

    async with connect(dialer, quick(), greet=greet, codec=rxws.json) as socket:
        log = watch(e=socket.errors)
        await opened(socket)
        assert [type(error) for _, error in log] == [rxws.DecodeError]


@pytest.mark.parametrize(
    ("error", "close", "raised"),
    [
        (rxws.Close(4401, "no"), rxws.Close(4401, "no"), rxws.Close),
        (KeyError("token"), rxws.Close(1011, "Unexpected Error"), KeyError),
        (TimeoutError(), rxws.Close(1011, "Unexpected Error"), TimeoutError),
        (aiohttp.ClientPayloadError("half"), rxws.Close(1011, "Unexpected Error"), rxws.ConnectError),
        (asyncio.CancelledError(), rxws.Close(1011, "Unexpected Error"), rxws.ConnectError),
        (ExceptionGroup("two", [KeyError(), rxws.Close(4001)]), rxws.Close(4001), ExceptionGroup),
    ],
    ids=repr,
)
async def test_single_failure(error: BaseException, close: rxws.Close, raised: Any) -> None:
    """Without `reconnect`, entering raises what the greeting did; the connection has closed with its code."""
    dialer = MemoryDialer()

    async def greet(_: object) -> None:
        raise error

    with pytest.raises(raised):
        await connect(dialer, greet=greet)
    assert dialer.peer.close_sent == close
    assert dialer.peer.ended
    assert dialer.closed


@pytest.mark.parametrize(
    ("error", "last", "errors"),
    [
        (rxws.Close(4401, "no"), rxws.Close(4401, "no"), 0),
        (KeyError("token"), rxws.Close.received(1006), 1),
        (ExceptionGroup("two", [KeyError(), rxws.Close(4001)]), rxws.Close(4001), 1),
    ],
    ids=repr,
)
async def test_final_failure(error: Exception, last: rxws.Close, errors: int) -> None:
    """What is final by the rule ends the socket: a `Close` is how it ends, another error is on `errors`."""
    dialer = MemoryDialer()

    async def greet(_: object) -> None:
        raise error

    socket = await connect(dialer, quick(), greet=greet)
    log = watch(s=socket.states, e=socket.errors, u=socket.undelivered)
    socket.outgoing.on_next("kept")
    assert await ended(socket) == last
    assert (dialer.attempts, states(log)) == (1, ["Connecting", "Closed"])
    assert len([0 for note in log if note[0] == "e" and note != "e|"]) == errors
    assert ("u", "kept") in log
    assert dialer.peer.sent == []


@pytest.mark.parametrize(
    "error", [rxws.Close(1013, "later"), OSError("gone"), aiohttp.ClientPayloadError("half")], ids=repr
)
async def test_failure_that_is_not_final(error: Exception) -> None:
    """What is not final is another attempt, with the waits of the back-off."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        await connection.send("hello")
        if dialer.attempts < 3:
            raise error

    async with connect(dialer, quick(), greet=greet) as socket:
        log = watch(s=socket.states, u=socket.undelivered, e=socket.errors)
        socket.outgoing.on_next("kept")
        await opened(socket)
        assert states(log) == ["Connecting", "Waiting", "Connecting", "Waiting", "Connecting", "Open"]
        assert [wire.sent for wire in dialer.wires] == [["hello"], ["hello"], ["hello", "kept"]]
        assert all(value[0] == "s" for value in log)


async def test_max_attempts() -> None:
    """A greeting that fails counts as an attempt."""
    dialer = MemoryDialer()

    async def greet(_: object) -> None:
        raise OSError

    socket = await connect(dialer, quick(max_attempts=3), greet=greet)
    watch(e=socket.errors)
    assert await ended(socket) == rxws.Close.received(1006)
    assert dialer.attempts == 3


async def test_peer_closes_during_greeting() -> None:
    """The peer's close during the greeting fails it, and is final or not by the rule."""
    dialer = MemoryDialer()
    socket = await connect(dialer, quick(), greet=login)
    log = watch(s=socket.states, e=socket.errors)
    await turns()
    dialer.peer.close(rxws.Close(1012))
    await asyncio.sleep(0.1)
    assert dialer.attempts == 2
    dialer.peer.close(rxws.Close(4401, "who?"))
    assert await ended(socket) == rxws.Close(4401, "who?")
    assert dialer.peer.close_sent == rxws.Close(4401, "who?")
    assert states(log) == ["Connecting", "Waiting", "Connecting", "Closed"]
    assert log[1] == ("s", rxws.Waiting(0.001, rxws.Close(1012)))


async def test_peer_closes_single_connection() -> None:
    """Without `reconnect`, entering raises the peer's close, and the loss of the connection."""
    dialer = MemoryDialer()

    async def after(action: Callable[[], object]) -> None:
        await turns()
        action()

    async with asyncio.TaskGroup() as group:
        group.create_task(after(lambda: dialer.peer.close()))
        with pytest.raises(rxws.Close) as closed:
            await connect(dialer, greet=login)
        assert closed.value == rxws.Close.received(1005)
        reset = ConnectionResetError()
        group.create_task(after(lambda: dialer.peer.drop(reset)))
        with pytest.raises(rxws.ConnectionLost) as lost:
            await connect(dialer, greet=login)
        assert lost.value.__cause__ is reset
        group.create_task(after(lambda: dialer.peer.violate(1002)))
        with pytest.raises(rxws.ProtocolError):
            await connect(dialer, greet=login)
        assert dialer.peer.close_sent == rxws.Close(1002)


async def test_function_is_cancelled_at_the_end() -> None:
    """A function that does not read is cancelled when its connection ends; what it makes of the end counts."""
    dialer = MemoryDialer()
    seen: list[str] = []

    async def sleep(_: object) -> None:
        dialer.peer.drop()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(rxws.ConnectionLost):
        await connect(dialer, greet=sleep)
    assert seen == ["cancelled"]

    async def translate(connection: rxws.Greeting[Any, Any]) -> None:
        dialer.peer.close(rxws.Close(4401))
        try:
            await connection.receive()
        except rxws.Close as close:
            raise PermissionError("log in first") from close

    with pytest.raises(PermissionError, match="log in first"):
        await connect(dialer, greet=translate)

    async def heedless(connection: rxws.Greeting[Any, Any]) -> None:
        dialer.peer.close(rxws.Close(1012))

    with pytest.raises(rxws.Close, match="1012"):
        await connect(dialer, greet=heedless)


async def test_deadline(caplog: pytest.LogCaptureFixture) -> None:
    """`open_timeout` is for the attempt and its greeting together."""
    dialer, loop = MemoryDialer(), asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(rxws.ConnectError, match="no connection within 2 s: the greeting was not done") as failed:
        await connect(dialer, greet=login, open_timeout=2)
    assert (failed.value.stage, round(loop.time() - began, 3)) == ("timeout", 2)
    dialer.answering.clear()
    loop.call_later(1.5, dialer.answering.set)
    began = loop.time()
    with pytest.raises(rxws.ConnectError):
        await connect(dialer, greet=login, open_timeout=2)
    assert round(loop.time() - began, 3) == 2
    async with connect(dialer, quick(initial=1, maximum=1), greet=login, open_timeout=2) as socket:
        log = watch(s=socket.states)
        await asyncio.sleep(5.5)
        assert states(log) == ["Connecting", "Waiting", "Connecting", "Waiting"]


async def test_mute_peer_keeps_nothing_open() -> None:
    """A peer that does not answer the close after a failed greeting is dropped after `close_timeout`."""
    dialer, loop = MemoryDialer(), asyncio.get_running_loop()

    async def greet(_: object) -> None:
        dialer.peer.mute = True
        raise rxws.Close(4001)

    began = loop.time()
    with pytest.raises(rxws.Close):
        await connect(dialer, greet=greet, close_timeout=2)
    assert round(loop.time() - began, 3) == 2
    assert (dialer.peer.close_sent, dialer.peer.ended) == (rxws.Close(4001), True)


async def test_greeting_that_ignores_its_cancellation(caplog: pytest.LogCaptureFixture) -> None:
    """A function that ignores its cancellation is left behind, and named in the log."""
    dialer, loop = MemoryDialer(), asyncio.get_running_loop()
    over = loop.create_future()

    async def greet(_: object) -> None:
        while not over.done():
            try:
                await asyncio.wait({over})
            except asyncio.CancelledError:
                continue

    began = loop.time()
    with pytest.raises(rxws.ConnectError):
        await connect(dialer, greet=greet, open_timeout=1, close_timeout=2)
    assert round(loop.time() - began, 3) == 3
    assert "a greeting ignores its cancellation" in caplog.text
    over.set_result(None)
    await turns()


async def test_close_while_greeting() -> None:
    """A socket that closes during its greeting closes the connection with its code, and nothing is kept open."""
    dialer, loop = MemoryDialer(), asyncio.get_running_loop()
    began = loop.time()
    async with connect(dialer, quick(), greet=login) as socket:
        await turns()
        socket.close(4001, "bye")
        assert await ended(socket) == rxws.Close(4001, "bye")
    assert (dialer.peer.close_sent, dialer.peer.ended) == (rxws.Close(4001, "bye"), True)
    assert loop.time() - began < 1
    async with connect(dialer, quick(), greet=login) as socket:
        await turns()
        dialer.peer.mute = True
    assert dialer.peer.close_sent == rxws.Close()
    assert (dialer.peer.ended, dialer.closed) == (True, True)
    assert round(loop.time() - began, 3) == 5


async def test_close_with_kept_messages() -> None:
    """What is kept when a socket closes during its greeting goes out behind that, within `close_timeout`."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), greet=login) as socket:
        log = watch(u=socket.undelivered)
        await turns()
        socket.outgoing.on_next("kept")
        socket.close()
        await turns()
        dialer.peer.send("welcome", "late")
        assert await ended(socket) == rxws.Close()
    assert (dialer.peer.sent, dialer.peer.close_sent) == (["login", "kept"], rxws.Close())
    assert log == ["u|"]
    async with connect(dialer, quick(), greet=login, close_timeout=1) as socket:
        log = watch(u=socket.undelivered)
        await turns()
        socket.outgoing.on_next("kept")
    assert log == [("u", "kept"), "u|"]
    assert (dialer.peer.sent, dialer.peer.ended) == (["login"], True)


async def test_unread_when_it_closes() -> None:
    """What a greeting left for a socket that has closed meanwhile is dropped, as what comes later."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        waiting = asyncio.create_task(connection.receive())
        await turns()
        dialer.peer.send("left")
        waiting.cancel()
        await asyncio.sleep(1)

    async with connect(dialer, quick(), greet=greet) as socket:
        await turns()
        socket.outgoing.on_next("kept")
    assert dialer.peer.sent == ["kept"]
    assert watch(m=socket.incoming) == ["m|"]


async def test_cancelled_while_greeting() -> None:
    """Whoever enters and is cancelled drops the connection at once."""
    dialer = MemoryDialer()
    for reconnect in (None, quick()):

        async def follow(reconnect: rxws.Backoff | None = reconnect) -> None:
            async with connect(dialer, reconnect, greet=login):
                await asyncio.sleep(60)

        task = asyncio.create_task(follow())
        await turns()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        await turns()
        assert (dialer.peer.sent, dialer.peer.close_sent, dialer.peer.ended) == (["login"], None, True)


async def test_cancelled_while_it_closes() -> None:
    """Whoever is cancelled while a failed greeting closes its connection waits no longer: it is dropped."""
    dialer = MemoryDialer()

    async def greet(_: object) -> None:
        dialer.peer.mute = True
        raise rxws.Close(4001)

    task = asyncio.ensure_future(connect(dialer, greet=greet)._connect())
    await turns()
    assert dialer.peer.close_sent == rxws.Close(4001)
    assert not dialer.peer.ended
    task.cancel()
    await asyncio.wait({task})
    await turns()
    assert (task.cancelled(), dialer.peer.ended) == (True, True)


async def test_rotation_greets_before_it_switches() -> None:
    """A successor takes over when it has been greeted."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), greet=login) as socket:
        await turns()
        dialer.peer.send("welcome")
        await opened(socket)
        first = dialer.peer
        log = watch(s=socket.states, m=socket.incoming)
        socket.rotate()
        await turns()
        second = dialer.peer
        socket.outgoing.on_next("early")
        first.send("from the old")
        await turns()
        assert (first.sent, second.sent) == (["login", "early"], ["login"])
        second.send("welcome", "from the new")
        await asyncio.sleep(1)
        socket.outgoing.on_next("late")
        await turns()
        assert (first.sent, second.sent) == (["login", "early"], ["login", "late"])
        assert log[1:] == [("m", "from the old"), ("s", rxws.Open(None, 1)), ("m", "from the new")]
        assert first.close_sent == rxws.Close()


async def test_successor_that_is_refused() -> None:
    """A successor whose greeting fails for good leaves the connection there is, and is an error."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), greet=login) as socket:
        await turns()
        dialer.peer.send("welcome")
        await opened(socket)
        first, log = dialer.peer, watch(e=socket.errors)
        socket.rotate()
        await turns()
        dialer.peer.send("who?")
        await turns(20)
        assert dialer.peer.close_sent == rxws.Close(4401, "who?")
        assert [str(error) for _, error in log] == [
            "rotation given up: the successor ended during its greeting with Close(code=4401, reason='who?')"
        ]
        socket.outgoing.on_next("still here")
        await turns()
        assert first.sent == ["login", "still here"]
        socket.rotate()
        await turns()
        dialer.peer.send("welcome")
        await asyncio.sleep(1)
        assert first.close_sent == rxws.Close()


async def test_successor_lost_before_it_takes_over() -> None:
    """A successor that ends between its greeting and the switch leaves the connection there is."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), greet="hello") as socket:
        await opened(socket)
        first, log = dialer.peer, watch(e=socket.errors)
        socket.outgoing.on_next("unconfirmed")
        await turns()
        first.pongs = False
        socket.rotate()
        await turns()
        dialer.peer.close(rxws.Close(1012))
        first.pongs = True
        await turns()
        first.pong(first.pings[-1])
        await turns()
        assert len(log) == 1
        assert "1012" in str(log[0][1])
        socket.outgoing.on_next("still here")
        await turns()
        assert first.sent == ["hello", "unconfirmed", "still here"]


async def test_both_connections_lost_in_a_rotation() -> None:
    """A rotation that loses the present connection and the greeted successor at once leaves the client to come back."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), greet="token") as socket:
        errors = watch(e=socket.errors)
        await opened(socket)
        first = dialer.peer
        first.pongs = False
        socket.outgoing.on_next("a")
        await turns()
        socket.rotate()
        await turns()
        assert len(dialer.wires) == 2
        dialer.peer.drop()
        first.drop()
        await reopened(socket)
        socket.outgoing.on_next("b")
        await turns()
        assert dialer.peer.sent == ["token", "b"]
        assert isinstance(errors[-1][1], rxws.ConnectionLost)


async def test_rotation_ends_with_the_socket() -> None:
    """A socket that closes while its successor is greeted closes both."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), greet=login) as socket:
        await turns()
        dialer.peer.send("welcome")
        await opened(socket)
        socket.rotate()
        await turns()
    assert [wire.close_sent for wire in dialer.wires] == [rxws.Close(), rxws.Close()]
    assert all(wire.ended for wire in dialer.wires)


async def test_connection_breaks_while_its_successor_is_greeted() -> None:
    """A connection that ends while its successor is greeted is followed by that one."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), greet=login) as socket:
        await turns()
        dialer.peer.send("welcome")
        await opened(socket)
        first = dialer.peer
        socket.rotate()
        await turns()
        first.close(rxws.Close(4001, "another login"))
        socket.outgoing.on_next("kept")
        await asyncio.sleep(1)
        assert [wire.ended for wire in dialer.wires] == [True, False]
        dialer.peer.send("welcome")
        await opened(socket)
        assert dialer.peer.sent == ["login", "kept"]


async def test_heartbeat_runs() -> None:
    """The heartbeat runs during the greeting, and finds a dead peer."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        dialer.peer.pongs = len(dialer.wires) > 1
        await asyncio.sleep(5)

    async with connect(dialer, quick(), greet=greet, heartbeat=1) as socket:
        log = watch(s=socket.states)
        await opened(socket, 20)
        assert isinstance(log[1][1].because, rxws.HeartbeatTimeout)
        assert len(dialer.peer.pings) >= 3


async def test_message_rate() -> None:
    """A peer that sends faster than it may fails the greeting."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        dialer.peer.send("one", "two")
        await connection.receive()
        await connection.receive()

    with pytest.raises(rxws.Close, match="1008"):
        await connect(dialer, greet=greet, message_rate=1)
    assert dialer.peer.close_sent == rxws.Close(1008, "Message Rate Exceeded")


async def test_send_waits_for_the_transport() -> None:
    """`send` waits until the transport has taken its message; one that is cancelled sends nothing."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        dialer.peer.congested = True
        sending = [asyncio.create_task(connection.send(word)) for word in ("a", "b", "c")]
        await turns()
        sending[1].cancel()
        await turns()
        assert [task.done() for task in sending] == [False, True, False]
        dialer.peer.congested = False
        await asyncio.gather(sending[0], sending[2])

    async with connect(dialer, greet=greet):
        assert dialer.peer.sent == ["a", "c"]


async def test_many_messages_wait_for_pongs() -> None:
    """What a greeting sends is confirmed by pings, and bounded by `max_buffered`, as what the socket sends."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        for number in range(100):
            await connection.send(f"{number}")

    async with connect(dialer, quick(), greet=greet, max_buffered=1000) as socket:
        await opened(socket)
        assert dialer.peer.sent == [f"{number}" for number in range(100)]
        assert len(dialer.peer.pings) > 5


async def test_wrong_value_is_final(caplog: pytest.LogCaptureFixture) -> None:
    """A value that cannot be sent is the program's own error: it ends the socket."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        await connection.send({1})

    socket = await connect(dialer, quick(), greet=greet, codec=rxws.json)
    assert await ended(socket) == rxws.Close.received(1006)
    assert dialer.attempts == 1
    assert "EncodeError" in caplog.text


async def test_use_at_the_wrong_time() -> None:
    """A second reader at a time, and whoever goes on when the greeting is over or has failed, is told."""
    dialer = MemoryDialer()
    kept: list[Any] = []
    tasks: list[asyncio.Task[Any]] = []

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        kept.append(connection)
        tasks.append(asyncio.create_task(connection.receive()))
        await turns()
        with pytest.raises(RuntimeError, match=r"another receive\(\)"):
            await connection.receive()
        dialer.peer.congested = True
        tasks.append(asyncio.create_task(connection.send("late")))
        await turns()

    async with connect(dialer, greet=greet) as socket:
        await asyncio.wait(tasks)
        assert ["is over" in str(task.exception()) for task in tasks] == [True, True]
        for wrong in (kept[0].receive(), kept[0].send("late")):
            with pytest.raises(RuntimeError, match="the greeting is over: send and receive with the socket"):
                await wrong
        dialer.peer.congested = False
        dialer.peer.send("for the socket")
        assert await socket.receive() == "for the socket"
        assert dialer.peer.sent == []

    async def fail(connection: rxws.Greeting[Any, Any]) -> None:
        kept.append(connection)
        raise rxws.Close(4001)

    with pytest.raises(rxws.Close):
        await connect(dialer, greet=fail)
    for wrong in (kept[-1].receive(), kept[-1].send("late")):
        with pytest.raises(RuntimeError, match="the greeting is over"):
            await wrong


async def sync_partial(connection: Any, *, word: str) -> None:
    """Say a word."""
    await connection.send(word)


async def test_what_a_greeting_may_be() -> None:
    """Functions of all kinds that return an awaitable greet; what is awaitable only later is told when it is called."""
    dialer = MemoryDialer()
    for greet in (functools.partial(sync_partial, word="a"), lambda c: c.send("a")):
        async with connect(dialer, greet=greet):
            assert dialer.peer.sent == ["a"]
    with pytest.raises(TypeError, match="coroutine function that takes the connection: <function"):
        await connect(dialer, greet=lambda c: 1)


async def words(_: object) -> AsyncIterator[str]:
    """Yield."""
    yield "a"


@pytest.mark.parametrize(
    "greet", [lambda: None, lambda a, b: None, str, words, max], ids=["none", "two", "class", "yields", "built in"]
)
async def test_wrong_function(greet: Any) -> None:
    """A function that cannot greet is an error of the call."""
    with pytest.raises(TypeError, match="greet must be a message, a tuple of messages, or a coroutine function"):
        connect(MemoryDialer(), greet=greet)


def test_wrong_message() -> None:
    """A message that the codec cannot encode is an error of the call, which does not show what is in it."""
    with pytest.raises(
        TypeError, match="greet holds a dict that the codec cannot encode: expected str or bytes"
    ) as one:
        connect(MemoryDialer(), greet={"token": "secret"})
    assert "secret" not in str(one.value)
    with pytest.raises(TypeError, match="greet holds a set that the codec cannot encode: Object of"):
        connect(MemoryDialer(), greet=("fine", {1}), codec=rxws.json)
    connect(MemoryDialer(), greet=["realm", {}], codec=rxws.json)
    connect(MemoryDialer(), greet=["realm", {}], protocols={"wamp.2.json": rxws.json})


class Login(NamedTuple):
    """A message that is a tuple."""

    user: str
    token: str


async def test_named_tuple_is_one_message() -> None:
    """A named tuple is a message, where a tuple is several."""
    dialer = MemoryDialer()
    async with connect(dialer, greet=Login("me", "key"), codec=rxws.json):
        assert dialer.peer.sent == ['["me","key"]']


async def test_codec_of_the_subprotocol() -> None:
    """A greeting speaks with the codec that was negotiated; a list is one message."""
    dialer = MemoryDialer()
    dialer.protocol = "wamp.2.json"
    options: Any = {"protocols": {"wamp.2.json": rxws.json}, "greet": [1, "realm", {}]}
    async with connect(dialer, quick(), **options) as socket:
        await opened(socket)
        assert dialer.peer.sent == ['[1,"realm",{}]']


@pytest.mark.parametrize("how", ["greets", "fails", "single fails"])
async def test_freed(how: str) -> None:
    """A socket that has ended, and what greeted on its connections, is freed without Python's collector."""
    refs: list[weakref.ref[Any]] = []

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        refs.append(weakref.ref(connection._greeter))
        dialer.peer.send("a", "b")
        await connection.receive()
        if how != "greets":
            raise rxws.Close(1012) if len(refs) == 2 else rxws.Close(4001)

    async def live() -> None:
        if how == "single fails":
            with contextlib.suppress(rxws.Close):
                await connect(dialer, greet=greet)
            return
        async with connect(dialer, quick(), greet=greet) as socket:
            refs.append(weakref.ref(socket._life.outgoing))
            await asyncio.sleep(1)

    logging.disable()
    gc.collect()
    gc.disable()
    try:
        dialer = MemoryDialer()
        await live()
        dialer.wires.clear()
        await turns()
        assert [ref() for ref in refs] == [None] * len(refs)
        assert len(refs) == {"greets": 2, "fails": 3, "single fails": 1}[how]
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)
