"""Pings find dead peers, spare live ones, and measure the round trip."""

import asyncio
from contextvars import copy_context
from itertools import count, pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest

import rxws
from rxws import testing
from rxws.core.connection import ANSWERS_WAITING
from rxws.core.heartbeat import PINGERS_A_TURN, Pinger
from rxws.stats import Counters
from rxws.testing import MemoryDialer, MemoryWire, connect
from tests.streams import ended, opened, raising, reopened, turns, watch

VIRTUAL = True

BEAT = 0.05
PING, PONG = {"op": "ping"}, {"op": "pong"}


def words(**more: Any) -> rxws.Heartbeat:
    """A heartbeat in JSON."""
    return rxws.Heartbeat(BEAT, **{"ping": PING, "pong": lambda message: message.get("op") == "pong", **more})


def quick() -> rxws.Backoff:
    return rxws.Backoff(initial=0.001, maximum=0.001, jitter=lambda ceiling: ceiling)


def serve(handler: Any, **options: Any) -> tuple[rxws.WebSocket[Any, Any], testing.MemoryWire]:
    """Serve a peer that answers no pings by itself."""
    socket, peer = testing.serve(handler, **options)
    peer.pongs = False
    return socket, peer


def idle() -> None:
    """A handler that does nothing."""


async def answer(peer: MemoryWire, beats: int) -> None:
    for beat in range(beats):
        async with asyncio.timeout(5):
            while len(peer.pings) <= beat:
                await asyncio.sleep(0.002)
        peer.pong(peer.pings[beat])


async def test_mute_peer() -> None:
    """A mute peer is found within two heartbeats and is 1006."""
    socket, peer = serve(idle, heartbeat=BEAT)
    log = watch(errors=socket.errors)
    assert (await ended(socket)).code == 1006
    assert asyncio.get_running_loop().time() == pytest.approx(2 * BEAT)
    assert [type(error) for _, error in log[:-1]] == [rxws.HeartbeatTimeout]
    assert (len(peer.pings), peer.aborted) == (1, True)


async def test_rtt() -> None:
    """A peer that answers lives, and the round trip is measured."""
    socket, peer = serve(idle, heartbeat=BEAT)
    assert socket.rtt is None
    await answer(peer, 4)
    assert socket.rtt is not None
    assert 0 <= socket.rtt < 0.003
    assert socket.stats.rtt == socket.rtt
    assert len(set(peer.pings)) == 4
    assert peer.close_sent is None
    peer.drop()


async def test_messages_are_life() -> None:
    """A peer that sends messages lives."""
    socket, peer = serve(idle, heartbeat=BEAT)
    for _ in range(20):
        peer.send("alive")
        await asyncio.sleep(BEAT / 4)
    assert (socket.rtt, peer.aborted) == (None, False)
    peer.pong(b"unasked")
    assert socket.rtt is None
    peer.drop()


async def test_hold_spares_healthy_peer() -> None:
    """A hold does not kill a healthy peer whose pong cannot be seen."""
    socket, peer = serve(idle, heartbeat=BEAT)
    peer.blind = True
    await asyncio.sleep(BEAT * 4)
    assert not peer.aborted
    peer.blind = False
    assert (await ended(socket)).code == 1006


async def test_stalled_peer() -> None:
    """A stalled peer that does not even take the ping is found."""
    socket, peer = serve(idle, heartbeat=BEAT)
    peer.congested = peer.blind = True
    assert (await ended(socket)).code == 1006
    assert peer.pings == []


async def test_slow_peer() -> None:
    """A slow peer that makes room lives."""
    socket, peer = serve(idle, heartbeat=BEAT)
    for _ in range(16):
        peer.congested = True
        await asyncio.sleep(BEAT / 4)
        peer.congested = False
    assert not peer.aborted
    peer.drop()


async def test_blocked_loop() -> None:
    """A pong that waits while the event loop is blocked saves the peer."""
    socket, peer = serve(idle, heartbeat=BEAT)
    await answer(peer, 1)
    while len(peer.pings) < 2:
        await asyncio.sleep(0.002)
    loop: Any = asyncio.get_running_loop()
    loop._jumps.now += BEAT * 2  # as when this blocked for as long
    await turns()  # while the transport reads what has come meanwhile
    peer.pong(peer.pings[1])
    await asyncio.sleep(BEAT / 5)
    assert not peer.aborted
    peer.drop()


async def test_no_heartbeat() -> None:
    """Without a heartbeat there are no pings."""
    socket, peer = serve(idle, heartbeat=None)
    peer.pong(b"unasked")
    peer.send("unasked")
    await asyncio.sleep(0.02)
    assert (peer.pings, socket.rtt) == ([], None)
    peer.drop()


async def test_asked_ping() -> None:
    """A ping that is asked for gives the round trip."""
    socket, peer = serve(idle, heartbeat=BEAT)
    await asyncio.sleep(BEAT / 2)
    heartbeat = socket._life.connection.heartbeat
    asked = heartbeat.beat()
    await asyncio.sleep(BEAT / 5)
    peer.pong(peer.pings[0])
    assert await asked == socket.rtt == pytest.approx(BEAT / 5)
    assert asyncio.get_running_loop().time() == pytest.approx(0.7 * BEAT)
    await asyncio.sleep(0.9 * BEAT)
    assert len(peer.pings) == 2
    peer.pong(peer.pings[1])
    assert await asked == pytest.approx(BEAT / 5)
    peer.drop()
    peer.pong(b"late")


async def test_no_ping_follows_a_close() -> None:
    socket, peer = serve(idle, heartbeat=BEAT, close_timeout=BEAT * 3)
    peer.mute = True
    socket.close()
    await ended(socket)
    assert peer.pings == []


@pytest.mark.parametrize("error", [asyncio.CancelledError(), OSError()], ids=lambda error: type(error).__name__)
async def test_ping_that_cannot_be_sent(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport that raises over a ping does not end the watch: the mute peer is found all the same."""
    asyncio.get_running_loop().set_exception_handler(lambda _, context: None)
    socket, peer = serve(idle, heartbeat=BEAT)
    monkeypatch.setattr(type(peer), "wake", raising(error))
    await asyncio.sleep(2 * BEAT)
    monkeypatch.undo()
    assert (await ended(socket)).code == 1006


async def test_other_pings_measure() -> None:
    """A ping that asks what is in flight does not set the clock back, and its pong answers the one before it, too."""
    socket, peer = serve(lambda incoming: incoming.subscribe(), heartbeat=10.0, overflow="latest")
    await asyncio.sleep(10)
    assert len(peer.pings) == 1
    await asyncio.sleep(1)
    for number in range(20):
        socket.outgoing.on_next(f"{number} " + "x" * 1000)
    await turns()
    assert len(peer.pings) > 1
    peer.pong(peer.pings[-1])
    assert socket.rtt == pytest.approx(1)
    peer.drop()


async def test_late_pong_measures_nothing() -> None:
    """A pong for the ping before the last one is a sign of life, and no more."""
    socket, peer = serve(lambda incoming: incoming.subscribe(), heartbeat=BEAT)
    await asyncio.sleep(1.5 * BEAT)
    peer.send("alive")
    while len(peer.pings) < 2:
        await asyncio.sleep(BEAT / 10)
    peer.pong(peer.pings[0])
    assert socket.rtt is None
    peer.pong(peer.pings[1])
    assert socket.rtt is not None
    peer.drop()


# In the application's own words


async def test_ping_in_words() -> None:
    """Pings are messages, answers measure, and neither is seen on the streams or counted."""
    socket, peer = serve(lambda incoming: incoming.subscribe(), codec=rxws.json, heartbeat=words())
    log = watch(i=socket.incoming, o=socket.outgoing)
    for beat in range(3):
        await asyncio.sleep(BEAT)
        assert peer.sent == ['{"op":"ping"}'] * (beat + 1)
        await asyncio.sleep(0.01)
        peer.send('{"op":"pong"}')
    await turns()
    assert socket.rtt is not None
    assert (peer.pings, log, socket.stats.sent, socket.stats.received) == ([], [], 0, 0)
    peer.send('{"op":"news"}')
    socket.outgoing.on_next("hello")
    await turns()
    assert log == [("i", {"op": "news"}), ("o", "hello")]
    assert (socket.stats.sent, socket.stats.received) == (1, 1)
    peer.drop()


async def test_no_answer_in_words() -> None:
    """A peer that does not answer is found within two heartbeats and is 1006; a client comes back."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), codec=rxws.json, heartbeat=words()) as socket:
        log = watch(e=socket.errors)
        await opened(socket)
        await reopened(socket)
        assert asyncio.get_running_loop().time() == pytest.approx(2 * BEAT, abs=0.01)
        assert dialer.wires[0].sent == ['{"op":"ping"}']
        assert dialer.wires[1].sent == []
        assert [type(error) for _, error in log] == [rxws.HeartbeatTimeout]
        await asyncio.sleep(BEAT)
        assert dialer.peer.sent == ['{"op":"ping"}']


async def test_any_message_will_do() -> None:
    """Without `pong` any message is an answer, and a message; there is no round trip."""
    socket, peer = serve(lambda incoming: incoming.subscribe(), heartbeat=rxws.Heartbeat(BEAT, ping="2"))
    log = watch(i=socket.incoming)
    for _ in range(4):
        await asyncio.sleep(BEAT)
        peer.send("3")
    assert (set(peer.sent), log, socket.rtt) == ({"2"}, [("i", "3")] * 4, None)
    assert (await ended(socket)).code == 1006


async def test_ping_that_is_made() -> None:
    """A function makes each ping when it goes out, ahead of what waits and in a frame for each of its parts."""
    numbers = count(1)

    class Parts:
        def messages(self, data: str | bytes) -> list[str | bytes]:
            return [data]

        def frames(self, message: list[str]) -> list[str | bytes]:
            return list(message)

    beat = rxws.Heartbeat(BEAT, ping=lambda: ["ping", str(next(numbers))], pong=lambda message: message == "pong")
    socket, peer = serve(lambda incoming: incoming.subscribe(), codec=Parts(), heartbeat=beat)
    await turns()
    peer.congested = True
    socket.outgoing.on_next(["waits"])
    await asyncio.sleep(1.5 * BEAT)
    assert next(numbers) == 1
    peer.congested = False
    await turns()
    assert peer.sent == ["ping", "2", "waits"]
    peer.drop()


async def test_old_answer_does_not_measure() -> None:
    """An answer that may be that of the ping before measures nothing."""
    socket, peer = serve(lambda incoming: incoming.subscribe(), codec=rxws.json, heartbeat=words())
    await asyncio.sleep(1.5 * BEAT)
    peer.send("{}")
    while len(peer.sent) < 2:
        await asyncio.sleep(BEAT / 10)
    peer.send('{"op":"pong"}')
    await turns()
    assert socket.rtt is None
    while len(peer.sent) < 3:
        await asyncio.sleep(BEAT / 10)
    peer.send('{"op":"pong"}')
    await turns()
    assert socket.rtt is not None
    peer.drop()


async def test_held_pongs_are_life() -> None:
    """While nobody reads, what waits unread is a sign of life; a peer that sends nothing is found."""

    async def handler(socket: rxws.WebSocket[Any, Any]) -> None:
        await socket.closed

    socket, peer = serve(handler, codec=rxws.json, heartbeat=words())
    for beat in range(4):
        while len(peer.sent) == beat:
            await asyncio.sleep(BEAT / 10)
        peer.send('{"op":"pong"}')
    assert not peer.aborted
    peer.blind = True
    await asyncio.sleep(4 * BEAT)
    assert not peer.aborted
    peer.blind = False
    assert (await ended(socket)).code == 1006


async def test_messages_that_waited_are_life() -> None:
    """When a hold ends, what waited is handed on before more is read: a beat that ends in between misses nothing."""

    async def handler(socket: rxws.WebSocket[Any, Any]) -> None:
        await socket.closed

    socket, peer = serve(handler, heartbeat=BEAT)
    await turns()
    peer.send("waits")
    peer.blind = True
    await asyncio.sleep(2.95 * BEAT)
    socket.incoming.subscribe()
    peer.blind = False
    await asyncio.sleep(0.1 * BEAT)
    assert (socket.stats.received, peer.aborted) == (1, False)
    assert (await ended(socket)).code == 1006


def unmade() -> Any:
    raise LookupError("no ping")


@pytest.mark.parametrize(
    ("ping", "kind"), [(unmade, LookupError), (lambda: {"op": {1}}, rxws.EncodeError)], ids=["raises", "a set"]
)
async def test_ping_that_cannot_be_made(ping: Any, kind: type[Exception]) -> None:
    """It is an error of the socket's each time, and no reason to take the peer for dead."""
    socket, peer = serve(lambda incoming: incoming.subscribe(), codec=rxws.json, heartbeat=words(ping=ping))
    log = watch(e=socket.errors)
    await asyncio.sleep(5 * BEAT)
    assert {type(error) for _, error in log} == {kind}
    assert len(log) > 2
    assert (peer.sent, peer.aborted) == ([], False)
    peer.drop()


async def test_ping_that_cannot_be_made_unobserved() -> None:
    """Unobserved, it closes the socket."""
    socket, peer = serve(idle, codec=rxws.json, heartbeat=words(ping=unmade))
    assert (await ended(socket)).code == 1011
    assert peer.sent == []


async def test_ping_that_the_negotiated_codec_refuses() -> None:
    """Where the subprotocol says which codec there is, its refusal is told when the connection opens."""
    options: Any = {"protocols": {"json": rxws.json}, "heartbeat": rxws.Heartbeat(20, ping={1})}
    socket, peer = serve(idle, protocol="json", **options)
    assert (await ended(socket)).code == 1011
    assert (asyncio.get_running_loop().time(), peer.sent) == (0.0, [])


async def test_peer_that_pings() -> None:
    """The peer's pings are answered ahead of what waits, and are no messages; pings of our own are control frames."""
    beat = rxws.Heartbeat(BEAT, answer=lambda packet: "3" if packet == "2" else None)
    socket, peer = serve(lambda incoming: incoming.subscribe(), heartbeat=beat)
    log = watch(i=socket.incoming, o=socket.outgoing)
    await turns()
    peer.congested = True
    socket.outgoing.on_next("waits")
    peer.send("2", "4news", "2")
    await turns()
    peer.congested = False
    await turns()
    assert peer.sent == ["3", "3", "waits"]
    assert log == [("o", "waits"), ("i", "4news")]
    assert (socket.stats.sent, socket.stats.received) == (1, 1)
    await asyncio.sleep(BEAT)
    assert len(peer.pings) == 1
    peer.drop()


async def test_peer_that_only_pings() -> None:
    """Its pings are signs of life, and not the messages that `stale_after` waits for."""
    dialer = MemoryDialer()
    beat = rxws.Heartbeat(BEAT, ping="2", answer=lambda packet: "3" if packet == "2" else None)
    backoff = rxws.Backoff(initial=0.001, maximum=0.001, stale_after=10 * BEAT)
    async with connect(dialer, backoff, heartbeat=beat) as socket:
        log = watch(i=socket.incoming)
        await opened(socket)
        for _ in range(9):
            await asyncio.sleep(BEAT)
            dialer.peer.send("2")
        assert (len(dialer.wires), log) == (1, [])
        await asyncio.sleep(BEAT * 3)
        assert len(dialer.wires) == 2


async def test_answers_where_messages_are_fresh() -> None:
    """Pings in words and answers go out ahead of what the window holds back."""
    beat = rxws.Heartbeat(BEAT, ping="ping", answer=lambda message: "pong" if message == "ping" else None)
    socket, peer = serve(lambda incoming: incoming.subscribe(), heartbeat=beat, overflow="latest")
    await turns()
    for number in range(30):
        socket.outgoing.on_next(f"{number} " + "x" * 1000)
    await turns()
    peer.send("ping")
    await turns()
    assert peer.sent[-1] == "pong"
    await asyncio.sleep(BEAT)
    assert peer.sent[-1] == "ping"
    assert len(peer.sent) < 30
    peer.drop()


async def test_answers_are_bounded() -> None:
    """A peer that pings and does not read misses the oldest answers."""
    beat = rxws.Heartbeat(20, answer=lambda message: message)
    _, peer = serve(lambda incoming: incoming.subscribe(), heartbeat=beat)
    await turns()
    peer.congested = True
    peer.send(*map(str, range(100)))
    await turns()
    peer.congested = False
    await turns()
    assert peer.sent == [str(n) for n in range(100 - ANSWERS_WAITING, 100)]
    peer.drop()


class Refusing:
    """A codec that refuses one message."""

    def decode(self, data: str | bytes) -> str | bytes:
        return data

    def encode(self, message: str) -> str:
        if message == "bad":
            raise ValueError(message)
        return message


@pytest.mark.parametrize("sent", [["bad", "good"], ["bad"]], ids=repr)
async def test_answer_that_cannot_be_sent(sent: list[str]) -> None:
    """It is an error, and the next one goes out."""
    beat = rxws.Heartbeat(BEAT, answer=lambda message: message)
    socket, peer = serve(lambda incoming: incoming.subscribe(), codec=Refusing(), heartbeat=beat)
    log = watch(e=socket.errors)
    await turns()
    peer.congested = True
    peer.send(*sent)
    peer.congested = False
    await turns()
    assert ([type(error) for _, error in log], peer.sent) == ([rxws.EncodeError], sent[1:])
    peer.drop()


@pytest.mark.parametrize("name", ["pong", "answer"])
async def test_functions_that_raise(name: str) -> None:
    """What `pong` or `answer` raises over a message is an error, and the message is one."""
    functions: Any = {name: lambda message: message["op"]}
    beat = rxws.Heartbeat(BEAT, ping=PING, **functions)
    socket, peer = serve(lambda incoming: incoming.subscribe(), codec=rxws.json, heartbeat=beat)
    log = watch(i=socket.incoming, e=socket.errors)
    await turns()
    peer.send('{"other":1}')
    await turns()
    assert [(stream, type(value)) for stream, value in log] == [("e", KeyError), ("i", dict)]
    peer.drop()


async def test_function_that_ends_the_program() -> None:
    """It is raised on, and the message is not lost."""
    beat = rxws.Heartbeat(BEAT, answer=raising(KeyboardInterrupt()))
    socket, peer = serve(lambda incoming: incoming.subscribe(), heartbeat=beat)
    log = watch(i=socket.incoming)
    socket.errors.subscribe(lambda _: None)
    await turns()
    with pytest.raises(KeyboardInterrupt):
        peer.send("x")
    assert log == [("i", "x")]
    peer.drop()


async def test_close_that_an_answer_raises() -> None:
    """A `Close` that `answer` raises closes the socket, and what waits to be answered is not."""

    def answer(message: str) -> str:
        if message == "bye":
            raise rxws.Close(4000)
        return message

    socket, peer = serve(lambda incoming: incoming.subscribe(), heartbeat=rxws.Heartbeat(BEAT, answer=answer))
    await turns()
    peer.congested = True
    peer.send("1", "bye")
    peer.congested = False
    assert await ended(socket) == rxws.Close(4000)
    assert peer.sent == []


async def test_greeting_has_the_words_to_itself() -> None:
    """No ping goes out before the greeting is done, and it gets all that comes."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        await asyncio.sleep(3 * BEAT)
        dialer.peer.send('{"op":"pong"}')
        assert await connection.receive() == PONG

    async with connect(dialer, greet=greet, codec=rxws.json, heartbeat=words()) as socket:
        assert dialer.peer.sent == []
        await asyncio.sleep(1.1 * BEAT)
        assert dialer.peer.sent == ['{"op":"ping"}']
        dialer.peer.send('{"op":"pong"}', '{"op":"news"}')
        assert await socket.receive() == {"op": "news"}
        assert socket.rtt is not None


async def test_peer_that_pings_during_the_greeting() -> None:
    """Its pings are answered, and are no messages of the greeting's either."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        dialer.peer.send("2", "0{}", "2", "40")
        await connection.send("40")
        assert [await connection.receive() for _ in range(2)] == ["0{}", "40"]

    beat = rxws.Heartbeat(BEAT, answer=lambda packet: "3" if packet == "2" else None)
    async with connect(dialer, greet=greet, heartbeat=beat) as socket:
        dialer.peer.send("2")
        await turns()
        assert dialer.peer.sent[0] == "40"
        assert sorted(dialer.peer.sent[1:]) == ["3", "3"]
        assert socket.stats.received == 2
        socket.incoming.subscribe()
        await turns()
        assert dialer.peer.sent == ["40", "3", "3", "3"]


async def test_successor_sees_each_message_once() -> None:
    """A connection that is proved and greeted before it takes over has its pings answered once, its messages once."""
    dialer, seen = MemoryDialer(), list[str]()

    def answer(packet: str) -> str | None:
        seen.append(packet)
        return "3" if packet == "2" else None

    async with connect(dialer, quick(), greet="40", heartbeat=rxws.Heartbeat(BEAT, answer=answer)) as socket:
        log = watch(i=socket.incoming)
        await opened(socket)
        socket.rotate()
        await reopened(socket)
        dialer.peer.send("2", "news")
        await turns()
        assert (dialer.peer.sent, log, seen) == (["40", "3"], [("i", "news")], ["2", "news"])


async def test_asked_ping_in_words() -> None:
    """A ping that is asked for gives the round trip, in words too."""
    socket, peer = serve(lambda incoming: incoming.subscribe(), codec=rxws.json, heartbeat=words())
    await turns()
    heartbeat = socket._life.connection.heartbeat
    asked = heartbeat.beat()
    await asyncio.sleep(0.01)
    peer.send('{"op":"pong"}', '{"op":"pong"}')
    assert await asked == pytest.approx(0.01)
    peer.drop()


class Beating:
    """A connection that notes when it pings, and may raise over it."""

    def __init__(self, name: str, log: list[tuple[str, float]], error: Exception | None = None) -> None:
        self.wire: Any = SimpleNamespace(unread=0, blind=False)
        self.counters = Counters()
        self.context = copy_context()
        self._name, self._log, self._error = name, log, error

    def send_ping(self) -> None:
        self._log.append((self._name, asyncio.get_running_loop().time()))
        if self._error is not None:
            raise self._error

    def heartbeat_missed(self) -> None:
        self._log.append((f"{self._name} lost", asyncio.get_running_loop().time()))


async def test_one_timer_for_many() -> None:
    """All pingers of a loop share a timer. Each acts on time, even if others stop, and the last one cancels it."""
    loop, log, told = asyncio.get_running_loop(), list[tuple[str, float]](), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: told.append(context))
    error = ValueError("no ping")
    pingers: dict[str, Pinger] = {}
    for name in "abcde":
        pingers[name] = Pinger(loop, 10, Beating(name, log, error if name == "d" else None))
        await asyncio.sleep(1)
    live = [handle for handle in cast("Any", loop)._scheduled if not handle.cancelled()]
    assert len(live) == 1
    for name in "ca":  # from the middle, and the first one
        pingers[name].stop()
    await asyncio.sleep(10)
    assert log == [("b", 11), ("d", 13), ("e", 14)]
    assert [context["exception"] for context in told] == [error]
    pingers["e"].stop()  # the last one
    await asyncio.sleep(10)
    assert log[3:] == [("b lost", 21), ("d lost", 23)]
    for pinger in pingers.values():
        pinger.stop()
    await asyncio.sleep(1)
    assert [handle for handle in cast("Any", loop)._scheduled if not handle.cancelled()] == []


async def test_many_at_once() -> None:
    """Pingers that are due at the same time act over several turns of the event loop."""
    loop, log = asyncio.get_running_loop(), list[tuple[str, float]]()
    crowd = [Pinger(loop, 10, Beating(str(number), log)) for number in range(2 * PINGERS_A_TURN + 1)]
    await asyncio.sleep(10)
    seen = [len(log)]
    for _ in range(4):
        await asyncio.sleep(0)
        seen.append(len(log))
    assert log == [(str(number), 10) for number in range(2 * PINGERS_A_TURN + 1)]
    assert max(after - before for before, after in pairwise([0, *seen])) == PINGERS_A_TURN
    for pinger in crowd:
        pinger.stop()
