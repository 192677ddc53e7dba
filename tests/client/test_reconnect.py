"""One that comes back: streams that survive connections, on the in-memory wire."""

import asyncio
from typing import Any

import pytest
from reactivex import operators as ops

import rxws
from rxws.core.receipts import ASK_AFTER
from rxws.testing import MemoryDialer, connect
from tests.streams import ended, opened, reopened, turns, watch
from tests.threads import in_a_thread

VIRTUAL = True


def quick(**more: Any) -> rxws.Backoff:
    return rxws.Backoff(**{"initial": 0.001, "maximum": 0.001, **more})


async def test_streams_outlive_connections() -> None:
    """The streams live across connections."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        log = watch(incoming=socket.incoming, outgoing=socket.outgoing, errors=socket.errors)
        await opened(socket)
        dialer.peer.send("one")
        socket.outgoing.on_next("a")
        await turns()
        dialer.peer.close(rxws.Close(1012, "restart"))
        await reopened(socket)
        dialer.peer.send("two")
        socket.outgoing.on_next("b")
        await turns()
        assert log == [("incoming", "one"), ("outgoing", "a"), ("incoming", "two"), ("outgoing", "b")]
        assert [wire.sent for wire in dialer.wires] == [["a"], ["b"]]
    assert log[4:] == ["incoming|", "outgoing|", "errors|"]
    assert dialer.closed


async def test_states() -> None:
    """The states are seen from the first attempt to the end."""
    dialer = MemoryDialer()
    refusal = rxws.ConnectError("nobody there", "tcp")
    dialer.refusals.append(refusal)
    dialer.protocol = "chat"
    async with connect(dialer, quick(jitter=lambda ceiling: ceiling)) as socket:
        log = watch(s=socket.states)
        await opened(socket)
        dialer.peer.close(rxws.Close(1001))
        await reopened(socket)
    assert log == [
        ("s", rxws.Connecting(1)),
        ("s", rxws.Waiting(0.001, refusal)),
        ("s", rxws.Connecting(2)),
        ("s", rxws.Open("chat", 2)),
        ("s", rxws.Waiting(0.001, rxws.Close(1001))),
        ("s", rxws.Connecting(3)),
        ("s", rxws.Open("chat", 3)),
        ("s", rxws.Closed(rxws.Close())),
        "s|",
    ]
    assert socket.protocol == "chat"


async def test_reset_after_stable() -> None:
    """Attempts and waits begin anew only after a stable connection."""
    dialer = MemoryDialer()
    backoff = rxws.Backoff(initial=0.001, factor=2, maximum=1, jitter=lambda ceiling: ceiling, reset_after=0.05)
    waits: list[float] = []
    async with connect(dialer, backoff) as socket:
        socket.states.subscribe(lambda state: waits.append(state.delay) if isinstance(state, rxws.Waiting) else None)
        for stay in (0, 0, 0, 0.06, 0):
            await opened(socket)
            await asyncio.sleep(stay)
            dialer.peer.drop()
            await turns()
    assert waits == [0.001, 0.002, 0.004, 0.001, 0.001]


@pytest.mark.parametrize("code", [1000, 1008, 4000, 4999])
async def test_final_close(code: int) -> None:
    """A final close by the peer ends the socket."""
    dialer = MemoryDialer()
    socket = await connect(dialer, quick())
    await opened(socket)
    dialer.peer.close(rxws.Close(code, "enough"))
    assert await ended(socket) == rxws.Close(code, "enough")
    assert dialer.attempts == 1


@pytest.mark.parametrize("code", [1001, 1002, 1009, 1011, 1012, 1013, 1014, 3000])
async def test_other_closes(code: int) -> None:
    """Other closes by the peer do not end the socket."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        await opened(socket)
        dialer.peer.close(rxws.Close(code))
        await reopened(socket)
        assert dialer.attempts == 2


async def test_back_after_what_does_not_decode(caplog: pytest.LogCaptureFixture) -> None:
    """A message that does not decode ends the connection with 1007, if nobody observes `errors`, not the client."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(final="never"), codec=rxws.json) as socket:
        log, received = watch(s=socket.states), watch(i=socket.incoming)
        await opened(socket)
        first = dialer.peer
        first.send("1", "not JSON", "2")
        await reopened(socket)
        assert first.close_sent == rxws.Close(1007, "Invalid Message")
        assert isinstance(log[2][1].because, rxws.DecodeError)
        assert "DecodeError" in caplog.text
        errors = watch(e=socket.errors)
        dialer.peer.send("not JSON", "3")
        await turns()
        assert (len(errors), dialer.peer.close_sent, received) == (1, None, [("i", 1), ("i", 3)])


async def test_back_after_a_flood() -> None:
    """A server that sends more than `message_rate` loses its connection, not its client."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), message_rate=1) as socket:
        errors, _ = watch(e=socket.errors), watch(i=socket.incoming)
        await opened(socket)
        first = dialer.peer
        first.send("one", "two", "three")
        await reopened(socket)
        assert first.close_sent == rxws.Close(1008, "Message Rate Exceeded")
        assert [str(error) for _, error in errors] == ["more than 1 messages a second"]


async def test_reconnect_while_waiting() -> None:
    """Who asks for it ends the wait for the next attempt, from another thread too."""
    dialer, loop = MemoryDialer(), asyncio.get_running_loop()
    dialer.refusals.extend([OSError(), OSError()])
    async with connect(dialer, quick(initial=20, maximum=20)) as socket:
        await turns()
        assert dialer.attempts == 1
        began = loop.time()
        socket.reconnect()
        socket.reconnect()
        await turns()
        assert (dialer.attempts, isinstance(await now(socket), rxws.Waiting)) == (2, True)
        in_a_thread(socket.reconnect)
        await opened(socket)
        assert (dialer.attempts, loop.time() - began < 1) == (3, True)


async def test_reconnect_after_a_rotation_that_waits() -> None:
    """The wait that is cut short is the present one, not that of a rotation that waited when its connection broke."""
    dialer, loop = MemoryDialer(), asyncio.get_running_loop()
    async with connect(dialer, quick(initial=20, maximum=20)) as socket:
        await opened(socket)
        dialer.refusals.append(OSError())
        socket.rotate()
        await turns()
        dialer.peer.drop()
        await turns()
        assert (dialer.attempts, isinstance(await now(socket), rxws.Waiting)) == (2, True)
        began = loop.time()
        socket.reconnect()
        await opened(socket)
        assert (dialer.attempts, loop.time() - began < 1) == (3, True)


@pytest.mark.parametrize("how", ["broken", "refused", "broken in a rotation"])
async def test_reconnect_as_soon_as_it_is_told(how: str) -> None:
    """Who asks for it while `states` tells of the wait cuts that short, too."""
    dialer, loop = MemoryDialer(), asyncio.get_running_loop()
    async with connect(dialer, quick(initial=20, maximum=20)) as socket:
        await opened(socket)
        if how == "refused":
            dialer.peer.drop()
            await turns()
        if how != "broken":
            dialer.refusals.append(OSError())
        if how == "broken in a rotation":
            socket.rotate()
            await turns()
        told = socket.states.subscribe(lambda state: isinstance(state, rxws.Waiting) and socket.reconnect())
        if how != "refused":
            dialer.peer.drop()
        began = loop.time()
        await opened(socket)
        assert loop.time() - began < 1
        told.dispose()


async def test_reconnect_during_a_rotation_that_waits() -> None:
    """The present connection is given up also while a rotation waits for its next attempt."""
    dialer, loop = MemoryDialer(), asyncio.get_running_loop()
    async with connect(dialer, quick(initial=20, maximum=20)) as socket:
        await opened(socket)
        first, began = dialer.peer, loop.time()
        dialer.refusals.append(OSError())
        socket.rotate()
        await turns()
        socket.reconnect()
        await reopened(socket)
        assert (first.ended, dialer.attempts, loop.time() - began < 1) == (True, 3, True)
        await asyncio.sleep(60)
        assert dialer.attempts == 3


async def test_reconnect_while_open() -> None:
    """The present connection is given up as lost, and the next attempt follows at once, also if it was the last."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(initial=20, maximum=20, max_attempts=1)) as socket:
        await turns()
        log = watch(lost=socket.undelivered, error=socket.errors)
        dialer.peer.pongs = False
        socket.outgoing.on_next("on its way")
        await turns()
        first = dialer.peer
        socket.reconnect()
        await reopened(socket, 1)
        assert first.ended
        assert [name for name, _ in log] == ["error", "lost"]
        assert (str(log[0][1]), log[1][1]) == ("another connection was asked for", "on its way")
        assert dialer.attempts == 2
        dialer.peer.drop()
        assert await ended(socket) == rxws.Close.received(1006)


async def test_reconnect_does_nothing_else() -> None:
    """While an attempt is under way it goes on; behind the end nothing happens; without `reconnect` it is an error."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, quick()) as socket:
        await turns()
        socket.reconnect()
        dialer.answering.set()
        await opened(socket)
        assert dialer.attempts == 1
    socket.reconnect()
    await turns()
    assert dialer.attempts == 1
    async with connect(MemoryDialer()) as lone:
        with pytest.raises(RuntimeError, match=r"reconnect\(\) needs a client that reconnects"):
            lone.reconnect()


async def test_sent_while_blind(caplog: pytest.LogCaptureFixture) -> None:
    """While a hold keeps pongs from being read, sending goes on; what is lost then and not remembered is counted."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), max_buffered=1000) as socket:
        await turns()
        lost = watch(u=socket.undelivered)
        dialer.peer.blind, dialer.peer.pongs = True, False
        for number in range(40):
            socket.outgoing.on_next(f"{number:036}")
            await turns()
        assert (len(dialer.peer.sent), socket.stats.buffered) == (40, 0)
        dialer.peer.drop()
        await turns()
        assert [int(message) for _, message in lost] == list(range(20, 40))
        assert "20 more messages may not have arrived" in caplog.text


async def test_stale_feed() -> None:
    """A connection that brings no message for so long is given up, though its pings are answered."""
    dialer, loop = MemoryDialer(), asyncio.get_running_loop()
    async with connect(dialer, quick(stale_after=10)) as socket:
        await opened(socket)
        log = watch(m=socket.incoming, error=socket.errors)
        began = loop.time()
        for _ in range(3):
            await asyncio.sleep(8)
            dialer.peer.send("tick")
        await reopened(socket, 30)
        assert 24 + 10 <= loop.time() - began < 24 + 13
        assert log[:3] == [("m", "tick")] * 3
        assert str(log[3][1]) == "no message has come for 10 s"
        assert dialer.attempts == 2
        dialer.peer.drop()
        await reopened(socket)
        for _ in range(5):
            await asyncio.sleep(5)
            dialer.peer.send("tick")
        assert dialer.attempts == 3


async def test_held_feed_is_not_stale() -> None:
    """While nobody reads, no message is missed."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(stale_after=10)) as socket:
        await asyncio.sleep(100)
        assert dialer.attempts == 1
        socket.incoming.subscribe()
        await reopened(socket, 30)
        assert dialer.attempts == 2


async def now(socket: Any) -> Any:
    """The present state."""
    return await socket.states.pipe(ops.first())


async def test_final_rule_replaced() -> None:
    """The rule of what is final can be replaced."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(final=lambda because: because == rxws.Close(1012))) as socket:
        await opened(socket)
        dialer.peer.close(rxws.Close(4001))
        await reopened(socket)
        dialer.peer.close(rxws.Close(1012))
        assert await ended(socket) == rxws.Close(1012)


async def test_a_rule_that_raises_is_the_end(caplog: pytest.LogCaptureFixture) -> None:
    dialer = MemoryDialer()
    socket = await connect(dialer, quick(final=lambda because: 1 / 0 > 1))
    await opened(socket)
    dialer.peer.close(rxws.Close(1012))
    assert await ended(socket) == rxws.Close(1012)
    assert "Backoff(final=...) raised, so this failure is final" in caplog.text


async def test_a_jitter_that_raises_is_the_end(caplog: pytest.LogCaptureFixture) -> None:
    dialer = MemoryDialer()
    socket = await connect(dialer, quick(jitter=lambda ceiling: 1 / 0))
    await opened(socket)
    dialer.peer.close(rxws.Close(1012))
    assert await ended(socket) == rxws.Close(1012)
    assert "Backoff(jitter=...) raised, so the socket ends" in caplog.text
    dialer.refusals.append(OSError())
    assert await ended(await connect(dialer, quick(jitter=lambda ceiling: 1 / 0))) == rxws.Close.received(1006)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("function", ["jitter", "final"])
async def test_exit_in_the_backoff(function: str, caplog: pytest.LogCaptureFixture) -> None:
    """An exit of the program in a function of the back-off is logged and goes on, and the socket can end."""

    def leave(_: Any) -> Any:
        raise KeyboardInterrupt

    dialer = MemoryDialer()
    async with connect(dialer, quick(**{function: leave})) as socket:
        await opened(socket)
        with pytest.raises(KeyboardInterrupt):
            dialer.peer.drop()
    assert await ended(socket) == rxws.Close.received(1006)
    assert "KeyboardInterrupt" in caplog.text


async def test_final_refusal(caplog: pytest.LogCaptureFixture) -> None:
    """A final refusal is an error and the end."""
    dialer = MemoryDialer()
    refusal = rxws.ConnectError("the server answered 404", "http", status=404)
    dialer.refusals.append(refusal)
    async with connect(dialer, quick()) as socket:
        log = watch(errors=socket.errors, states=socket.states)
        assert await ended(socket) == rxws.Close.received(1006)
    assert log == [
        ("states", rxws.Connecting(1)),
        ("errors", refusal),
        "errors|",
        ("states", rxws.Closed(rxws.Close.received(1006))),
        "states|",
    ]
    assert caplog.text == ""
    dialer.refusals.append(refusal)
    assert await ended(await connect(dialer, quick())) == rxws.Close.received(1006)
    assert "the server answered 404" in caplog.text


async def test_final_close_of_an_attempt() -> None:
    """A `Close` that an attempt raises, of a function that makes the URL, say, is how the socket ends."""
    dialer = MemoryDialer()
    dialer.refusals.append(rxws.Close(4001, "no token"))
    async with connect(dialer, quick()) as socket:
        log = watch(errors=socket.errors)
        assert await ended(socket) == rxws.Close(4001, "no token")
    assert log == ["errors|"]


async def test_max_attempts() -> None:
    """The socket gives up after as many attempts as it may make."""
    dialer = MemoryDialer()
    dialer.refusals.extend(OSError(number) for number in range(10))
    async with connect(dialer, quick(max_attempts=3)) as socket:
        log = watch(errors=socket.errors)
        assert await ended(socket) == rxws.Close.received(1006)
    assert dialer.attempts == 3
    assert [str(error) for _, error in log[:-1]] == ["2"]


async def test_lost_connection() -> None:
    """A lost connection is an error on the stream, and the socket comes back."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        log = watch(errors=socket.errors)
        await opened(socket)
        reset = ConnectionResetError("reset")
        dialer.peer.drop(reset)
        await reopened(socket)
        dialer.peer.violate(1002)
        await reopened(socket)
    kinds = [type(error) for _, error in log[:-1]]
    assert kinds == [rxws.ConnectionLost, rxws.ProtocolError]
    assert log[0][1].__cause__ is reset
    assert [wire.close_sent for wire in dialer.wires] == [None, rxws.Close(1002), rxws.Close()]


async def test_violation_unobserved(caplog: pytest.LogCaptureFixture) -> None:
    """A violation that nobody observes is logged, and the socket comes back."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        await opened(socket)
        dialer.peer.violate(1009)
        await reopened(socket)
    assert "ProtocolError" in caplog.text


async def test_a_dead_link_is_found_while_idle() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, quick(), heartbeat=0.05) as socket:
        log = watch(errors=socket.errors)
        await opened(socket)
        dialer.peer.pongs = False
        await reopened(socket)
    assert [type(error) for _, error in log[:-1]] == [rxws.HeartbeatTimeout]


async def test_hold_spares_healthy_peer() -> None:
    """A hold does not kill a healthy peer."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), heartbeat=0.03, high_water=100) as socket:
        await opened(socket)
        dialer.peer.blind = True  # what the wire says when it has read ahead as far as it may
        dialer.peer.pongs = False
        await asyncio.sleep(0.2)
        assert dialer.attempts == 1


async def test_waiting_messages_go_on() -> None:
    """Messages that wait when a connection breaks go out on the next one."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        await opened(socket)
        dialer.peer.congested = True
        for letter in "abc":
            socket.outgoing.on_next(letter)
        await turns()
        dialer.peer.drop()
        await reopened(socket)
        assert [wire.sent for wire in dialer.wires] == [[], ["a", "b", "c"]]


async def test_end_behind_unread_answers() -> None:
    """What came before a connection broke is delivered at once, and its answers go out on the next one."""
    loop, dialer = asyncio.get_running_loop(), MemoryDialer()
    messages = [str(number) + "x" * 100 for number in range(50)]
    async with connect(dialer, quick(), high_water=1000) as socket:
        socket.incoming.subscribe(socket.outgoing)
        await opened(socket)
        dialer.peer.congested = True
        dialer.peer.send(*messages)
        await turns()
        assert socket.stats.unread > 20
        began = loop.time()
        dialer.peer.drop()
        await reopened(socket)
        assert loop.time() - began < 1
        assert dialer.peer.sent == messages
        assert not socket._life.held


async def test_undelivered_reported() -> None:
    """A message that may not have arrived is reported, and not sent again."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        log = watch(u=socket.undelivered)
        await opened(socket)
        socket.outgoing.on_next("a")
        await turns()
        assert dialer.peer.sent == ["a"]
        dialer.peer.drop()
        await reopened(socket)
        assert log == [("u", "a")]
        assert dialer.peer.sent == []
    assert log == [("u", "a"), "u|"]


async def test_confirmed_not_reported() -> None:
    """A message that a pong confirms is not reported."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        log = watch(u=socket.undelivered)
        await opened(socket)
        socket.outgoing.on_next("a")
        await asyncio.sleep(2 * ASK_AFTER)
        dialer.peer.drop()
        await reopened(socket)
    assert log == ["u|"]


@pytest.mark.parametrize(("rate", "reported"), [(1, 1), (10, 4), (100, 6)])
async def test_goodbye_in_a_stream(rate: int, reported: int) -> None:
    """When a peer says goodbye, few of the messages that have arrived are reported, however many are sent a second."""
    most = 0
    for moment in range(10):
        dialer = MemoryDialer()
        async with connect(dialer, quick()) as socket:
            log = watch(u=socket.undelivered)
            await opened(socket)
            for number in range(2 * rate + moment * rate // 10):
                socket.outgoing.on_next(str(number))
                await asyncio.sleep(1 / rate)
            dialer.peer.close(rxws.Close(1001))
            await reopened(socket)
            most = max(most, len(log))
        assert len(dialer.wires[0].pings) <= max(3, rate)
    assert most <= reported


async def test_no_ping_behind_a_goodbye() -> None:
    """Nothing that comes after the peer's close frame counts, so no ping goes before the answer to it."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        log = watch(u=socket.undelivered)
        await opened(socket)
        first = dialer.peer
        socket.outgoing.on_next("a")
        await turns()
        first.close(rxws.Close(1001))
        await reopened(socket)
        assert (first.pings, first.close_sent, log) == ([], rxws.Close(1001), [("u", "a")])


async def test_goodbye_while_a_close_waits_for_pongs() -> None:
    """A close that waits for a pong before it sends the rest waits no longer when the peer says goodbye."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), max_buffered=1000, close_timeout=60) as socket:
        log = watch(u=socket.undelivered)
        await opened(socket)
        dialer.peer.pongs = False
        for number in range(12):
            socket.outgoing.on_next(f"{number:036}")
            await turns(2)
        socket.close()
        await turns()
        assert (len(dialer.peer.sent), dialer.peer.close_sent) == (10, None)
        dialer.peer.close(rxws.Close(1001))
        await turns()
        assert (len(dialer.peer.sent), dialer.peer.close_sent) == (12, rxws.Close())
        assert (await ended(socket)).code == 1000
    assert len(log) == 13


async def send_unconfirmed(dialer: MemoryDialer, socket: rxws.ClientWebSocket[Any, Any]) -> None:
    """Send fifteen messages to a peer that answers no pings: the last five wait."""
    dialer.peer.pongs = False
    for number in range(15):
        socket.outgoing.on_next(f"{number:036}")
        await turns(2)
    assert len(dialer.peer.sent) == 10


async def test_unconfirmed_limit() -> None:
    """Sending waits while too much is unconfirmed."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), max_buffered=1000) as socket:
        await opened(socket)
        await send_unconfirmed(dialer, socket)
        dialer.peer.pong(dialer.peer.pings[-1])
        await turns()
        assert len(dialer.peer.sent) > 10
        dialer.peer.pongs = True
        dialer.peer.pong(dialer.peer.pings[-1])
        await turns(50)
        assert [int(message) for message in dialer.peer.sent] == list(range(15))


async def test_empty_pongs() -> None:
    """A peer that answers pings with empty pongs, as uWSGI does, is sent to; what was sent may not have arrived."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), max_buffered=1000) as socket:
        log = watch(u=socket.undelivered)
        await opened(socket)
        await send_unconfirmed(dialer, socket)
        dialer.peer.pong(b"")
        await turns()
        assert [int(message) for message in dialer.peer.sent] == list(range(15))
    assert [int(message) for _, message in log[:-1]] == list(range(15))


async def test_clean_close_confirms() -> None:
    """A clean close confirms before it closes."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        log = watch(u=socket.undelivered)
        await opened(socket)
        socket.outgoing.on_next("a")
    assert log == ["u|"]
    assert len(dialer.peer.pings) == 1


async def test_slow_peer() -> None:
    """A peer that cannot keep up loses its connection, but not what waits."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), max_buffered=500) as socket:
        dropped = watch(d=socket.dropped)
        await opened(socket)
        dialer.peer.congested = True
        for number in range(6):
            socket.outgoing.on_next(f"{number:036}")
        await reopened(socket)
        assert [int(message) for message in dialer.peer.sent] == [0, 1, 2, 3, 4]
        assert [int(message) for _, message in dropped] == [5]
        dialer.wires[0].congested = False
        await turns()
        assert dialer.wires[0].close_sent == rxws.Close(1013, "Too Slow")


async def test_leave_at_once() -> None:
    """Leaving at once still sends what was given."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        socket.outgoing.on_next("hello")
    assert dialer.peer.sent == ["hello"]
    assert dialer.peer.close_sent == rxws.Close()


async def test_leave_offline_idle() -> None:
    """Leaving offline with nothing to say does not wait."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    started = asyncio.get_running_loop().time()
    async with connect(dialer, quick()) as socket:
        pass
    assert asyncio.get_running_loop().time() == started
    assert await ended(socket) == rxws.Close()


async def test_leave_offline_deadline() -> None:
    """Leaving offline waits for a connection within the deadline."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, quick(), close_timeout=0.1) as socket:
        log = watch(u=socket.undelivered)
        socket.outgoing.on_next("never")
    assert log == [("u", "never"), "u|"]
    assert await ended(socket) == rxws.Close()


async def test_leave_offline_one_deadline() -> None:
    """A connection that opens while the socket leaves does not begin a deadline of its own."""

    class Mute(MemoryDialer):
        async def dial(self) -> Any:
            dialed = await super().dial()
            self.peer.mute = True
            return dialed

    dialer, loop = Mute(), asyncio.get_running_loop()
    dialer.answering.clear()
    async with connect(dialer, quick(), close_timeout=1) as socket:
        socket.outgoing.on_next("stuck")
        await turns()
        loop.call_later(0.7, dialer.answering.set)
        started = loop.time()
    assert loop.time() - started == pytest.approx(1)
    assert dialer.peer.aborted


async def test_dispose_while_waiting() -> None:
    """A socket can be disposed while it waits."""
    dialer = MemoryDialer()
    dialer.refusals.extend(OSError() for _ in range(5))
    socket = await connect(dialer, rxws.Backoff(initial=60, maximum=60, jitter=lambda ceiling: ceiling))
    log = watch(states=socket.states, incoming=socket.incoming)
    await turns()
    socket.dispose()
    socket.dispose()
    assert await ended(socket) == rxws.Close()
    assert [type(entry[1]) for entry in log if entry[0] == "states"][-1] is rxws.Closed


async def test_unanswered_close() -> None:
    """A peer that does not answer a close does not keep the next connection away."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), close_timeout=0.2) as socket:
        await opened(socket)
        dialer.peer.violate(1002)
        dialer.peer.mute = True
        await reopened(socket)
        assert not dialer.wires[0].aborted
        await asyncio.sleep(0.25)
        assert dialer.wires[0].aborted
        assert not dialer.wires[1].aborted


async def test_break_as_rotation_begins() -> None:
    """A connection that breaks as it is told to rotate is replaced as usual."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        await opened(socket)
        socket.rotate()
        dialer.peer.drop()
        await opened(socket)
        await turns(30)
        assert dialer.attempts == 2


async def test_a_wait_is_logged_at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "rxws.client")
    dialer = MemoryDialer()
    dialer.refusals.append(OSError("no route"))
    async with connect(dialer, quick()) as socket:
        await opened(socket)
    assert [record.getMessage() for record in caplog.records] == ["no route; another attempt in 0.0 s"]


# Rotation


async def test_rotation_switches() -> None:
    """Rotation opens the successor first, switches to it, and closes the old connection."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        log = watch(i=socket.incoming, s=socket.states)
        await opened(socket)
        socket.outgoing.on_next("before")
        dialer.answering.clear()
        socket.rotate()
        await turns()
        dialer.peer.send("still here")
        socket.outgoing.on_next("on the old")
        await turns()
        assert dialer.attempts == 2
        dialer.answering.set()
        await reopened(socket)
        old, new = dialer.wires
        await turns(30)
        assert old.close_sent == rxws.Close()
        new.send("from the new")
        socket.outgoing.on_next("on the new")
        await turns()
        assert (old.sent, new.sent) == (["before", "on the old"], ["on the new"])
        assert [entry for entry in log if entry[0] == "i"] == [("i", "still here"), ("i", "from the new")]
        assert socket.protocol is None
    assert new.close_sent == rxws.Close()


async def test_rotation_reads_old_to_its_end() -> None:
    """Messages that come on the old connection until its end are not lost."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        log = watch(i=socket.incoming)
        await opened(socket)
        dialer.peer.mute = True
        socket.rotate()
        await turns(50)
        old, _ = dialer.wires
        assert old.close_sent == rxws.Close()
        old.send("late")
        await turns()
        assert log == [("i", "late")]
        old.close(rxws.Close())


async def test_old_lost_while_its_successor_is_slow() -> None:
    """What came on an old connection waits until its successor has taken the answers, also if the old one is lost."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), high_water=200) as socket:
        socket.incoming.subscribe(socket.outgoing)
        await opened(socket)
        dialer.peer.mute = True
        socket.rotate()
        await turns(50)
        old, new = dialer.wires
        new.congested = True
        old.send(*"0123456789")
        await turns()
        unread = old.unread
        old.drop()
        await turns(50)
        assert old.unread == unread > 0
        new.congested = False
        await turns(50)
        assert new.sent == list("0123456789")
        assert old.ended


async def test_rotation_keeps_order() -> None:
    """Messages wait while the old connection confirms, so that their order is kept."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        await opened(socket)
        dialer.peer.pongs = False
        socket.outgoing.on_next("1")
        await turns()
        socket.rotate()
        await turns()
        socket.outgoing.on_next("2")
        await turns()
        old, new = dialer.wires
        assert (old.sent, new.sent) == (["1"], [])
        old.pong(old.pings[-1])
        await turns(30)
        assert (old.sent, new.sent) == (["1"], ["2"])


async def test_rotation_while_outgoing_holds_reading() -> None:
    """A full `outgoing` keeps the pong from being read: the old connection sends on, until its successor takes over."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), high_water=200) as socket:
        errors = watch(e=socket.errors)
        socket.incoming.subscribe(socket.outgoing)
        await opened(socket)
        old = dialer.peer
        old.pongs = False
        old.send("0")
        await turns()
        old.congested = True
        old.send(*"123456789")
        await turns()
        assert (old.unread, socket.stats.buffered, old.log[-1][1]) == (5, 4, "hold")
        old.blind = True
        socket.rotate()
        await turns()
        new = dialer.peer
        old.congested = False
        await turns()
        assert (old.sent, old.unread, old.log[-2][1]) == (list("0123456789"), 0, "message")
        old.blind = False
        socket.outgoing.on_next("waits")
        old.pong(old.pings[0])
        await turns()
        assert (old.sent, new.sent) == (list("0123456789"), [])
        new.pongs = False
        old.pong(old.pings[1])
        await turns()
        assert (old.sent, new.sent) == (list("0123456789"), ["waits"])
        old.blind = new.congested = True
        socket.outgoing.on_next("is for the new")
        old.wake()
        await turns()
        new.congested = False
        await turns()
        assert (old.sent, new.sent) == (list("0123456789"), ["waits", "is for the new"])
    assert errors == ["e|"]


async def test_rotation_while_nobody_reads() -> None:
    """A hold that the program wants stays, and a rotation that it keeps from its end delays no message."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), close_timeout=1) as socket:
        errors = watch(e=socket.errors)
        await opened(socket)
        old = dialer.peer
        old.pongs, old.blind = False, True
        old.send("unread")
        socket.outgoing.on_next("1")
        await turns()
        socket.rotate()
        await turns()
        socket.outgoing.on_next("2")
        await turns()
        assert (len(dialer.wires), old.sent, old.unread, errors) == (2, ["1", "2"], 1, [])
        await asyncio.sleep(1.1)
        assert (old.close_sent, dialer.peer.aborted, old.unread) == (None, True, 1)
        assert [type(error) for _, error in errors] == [TimeoutError]


async def test_rotation_conflates() -> None:
    """What the old connection sends after all is the newest, where that is the policy."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), overflow="latest") as socket:
        await opened(socket)
        old = dialer.peer
        old.pongs = False
        socket.outgoing.on_next("1")
        await turns()
        socket.rotate()
        await turns()
        for number in "234":
            socket.outgoing.on_next(number)
        old.congested = old.blind = True
        await turns()
        assert (len(dialer.wires), old.sent) == (2, ["1"])
        old.congested = False
        await turns()
        assert old.sent == ["1", "4"]


async def test_rotation_given_up() -> None:
    """If the peer does not confirm in time, the old connection stays, so that order is kept; later a rotation works."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), close_timeout=1) as socket:
        log = watch(errors=socket.errors, undelivered=socket.undelivered)
        await opened(socket)
        dialer.peer.pongs = False
        socket.outgoing.on_next("1")
        await turns()
        socket.rotate()
        await turns()
        socket.outgoing.on_next("2")
        await asyncio.sleep(1.1)
        old, new = dialer.wires
        assert (old.sent, new.sent, old.close_sent, new.aborted) == (["1", "2"], [], None, True)
        ((stream, error),) = log
        assert (stream, type(error)) == ("errors", TimeoutError)
        assert str(error) == "rotation given up: the peer has not confirmed within 1 s what was sent"
        old.pongs = True
        old.pong(old.pings[-1])
        socket.rotate()
        await reopened(socket)
        socket.outgoing.on_next("3")
        await turns(30)
        assert (old.sent, old.close_sent, dialer.wires[2].sent) == (["1", "2"], rxws.Close(), ["3"])
    assert log[1:] == ["errors|", "undelivered|"]


async def test_peer_closes_while_it_confirms() -> None:
    """If the peer closes instead, and does not leave, the successor takes over within `close_timeout`."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), close_timeout=1) as socket:
        log = watch(errors=socket.errors, undelivered=socket.undelivered)
        await opened(socket)
        dialer.peer.pongs = False
        socket.outgoing.on_next("1")
        await turns()
        socket.rotate()
        await turns()
        socket.outgoing.on_next("2")
        dialer.wires[0].congested = True
        dialer.wires[0].close(rxws.Close(1001))
        await asyncio.sleep(1.1)
        assert dialer.attempts == 2
        assert [wire.sent for wire in dialer.wires] == [["1"], ["2"]]
        assert log == [("undelivered", "1")]


async def test_break_before_successor() -> None:
    """A connection that breaks while its successor is awaited is replaced as usual."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        await opened(socket)
        dialer.answering.clear()
        socket.rotate()
        await turns()
        dialer.peer.drop()
        await turns()
        dialer.answering.set()
        await opened(socket)
        await turns(30)
        assert dialer.peer.close_sent is None
        socket.outgoing.on_next("hello")
        await turns()
        assert dialer.peer.sent == ["hello"]


async def test_break_while_confirming() -> None:
    """A connection that breaks while it confirms is succeeded at once."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        log = watch(u=socket.undelivered)
        await opened(socket)
        dialer.peer.pongs = False
        socket.outgoing.on_next("1")
        await turns()
        socket.rotate()
        await turns()
        socket.outgoing.on_next("2")
        dialer.wires[0].drop()
        await turns(30)
        assert dialer.attempts == 2
        assert dialer.peer.sent == ["2"]
        assert log == [("u", "1")]


async def test_successor_refused() -> None:
    """A successor that is refused for good leaves the present connection alone."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        log = watch(errors=socket.errors)
        await opened(socket)
        refusal = rxws.ConnectError("the server answered 403", "http", status=403)
        dialer.refusals.append(refusal)
        socket.rotate()
        await turns(30)
        ((_, error),) = log
        assert (type(error), error.status, error.__cause__) == (rxws.ConnectError, 403, refusal)
        assert str(error) == "rotation given up: the server answered 403"
        socket.outgoing.on_next("still here")
        await turns()
        assert dialer.peer.sent == ["still here"]


async def test_successor_meets_a_bug() -> None:
    """What a function of the program raises is on `errors` as it is, with a note; the present connection stays."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        log = watch(errors=socket.errors)
        await opened(socket)
        dialer.refusals.append(bug := KeyError("token"))
        socket.rotate()
        await turns(30)
        assert log == [("errors", bug)]
        assert bug.__notes__ == ["rotation given up: the present connection stays"]
        assert dialer.peer.close_sent is None


async def test_successor_refused_unobserved(caplog: pytest.LogCaptureFixture) -> None:
    """A refused successor does no harm when nobody observes the errors."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        await opened(socket)
        dialer.refusals.append(rxws.ConnectError("the server answered 403", "http", status=403))
        socket.rotate()
        await turns(30)
        assert "the server answered 403" in caplog.text
        assert dialer.peer.close_sent is None
        socket.outgoing.on_next("still here")
        await turns()
        assert dialer.peer.sent == ["still here"]


async def test_successor_retried(caplog: pytest.LogCaptureFixture) -> None:
    """A successor is tried again until it opens; the log says that it is one."""
    caplog.set_level("INFO", logger="rxws.client")
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        await opened(socket)
        dialer.refusals.extend([OSError("no route"), OSError("no route")])
        socket.rotate()
        await reopened(socket)
        assert (dialer.attempts, len(dialer.wires)) == (4, 2)
    assert [record.getMessage() for record in caplog.records] == [
        "rotation: no route; another attempt in 0.0 s (memory)"
    ] * 2


class OneSession(MemoryDialer):
    """A server that allows one session: it closes the newest, or the oldest for its sake."""

    def __init__(self, closes: str, code: int = 4409) -> None:
        super().__init__()
        self.closes = closes
        self.code = code

    async def dial(self) -> Any:
        dialed = await super().dial()
        others = [wire for wire in self.wires[:-1] if not wire.ended]
        if others and self.closes == "newest":
            self.peer.pongs = False
            asyncio.get_running_loop().call_later(0.01, self.peer.close, rxws.Close(self.code, "one is enough"))
        elif others:
            others[0].close(rxws.Close(4001, "another login"))
        return dialed


async def test_successor_let_in_and_closed() -> None:
    """A successor that is let in to be closed does not take over; the connection that works stays."""
    dialer = OneSession("newest")
    async with connect(dialer, quick()) as socket:
        log = watch(e=socket.errors, s=socket.states)
        await opened(socket)
        first = dialer.peer
        for _ in range(2):
            socket.rotate()
            await asyncio.sleep(0.1)
        assert [str(event) for stream, event in log if stream == "e"] == [
            "rotation given up: the successor ended before it took over: Close(code=4409, reason='one is enough')"
        ] * 2
        socket.outgoing.on_next("still here")
        await turns()
        assert (first.sent, first.close_sent, dialer.attempts) == (["still here"], None, 3)
        assert [event for stream, event in log if stream == "s"] == [rxws.Connecting(1), rxws.Open(None, 1)]


async def test_old_closed_for_its_successor(caplog: pytest.LogCaptureFixture) -> None:
    """A server that closes the old connection for the new one's sake ends nothing: the new one takes over."""
    caplog.set_level("INFO", logger="rxws.client")
    dialer = OneSession("oldest")
    async with connect(dialer, quick(rotate_every=10)) as socket:
        log = watch(e=socket.errors, s=socket.states)
        await opened(socket)
        await asyncio.sleep(9.9)
        socket.outgoing.on_next("on the old")
        await asyncio.sleep(15)
        socket.outgoing.on_next("on the third")
        await turns()
        assert [wire.sent for wire in dialer.wires] == [["on the old"], [], ["on the third"]]
    because = rxws.Close(4001, "another login")
    waiting = ("s", rxws.Waiting(0.0, because))
    opens = ("s", rxws.Open(None, 1))
    assert [event for event in log[:-3] if event[1] != rxws.Connecting(1)] == [opens, waiting, opens, waiting, opens]
    said = f"rotation: the old connection ended before its successor took over: {because} (memory)"
    assert [record.getMessage() for record in caplog.records] == [said] * 2


async def test_old_ends_and_so_does_its_successor() -> None:
    """If the old connection ends, and its successor fails, the rules for both are asked as for any connection."""
    for close, refusal, comes_back in (
        (rxws.Close(1012), OSError("no route"), True),
        (rxws.Close(4001), OSError("no route"), False),
        (rxws.Close(1012), rxws.ConnectError("no", "http", status=403), False),
    ):
        dialer = MemoryDialer()
        async with connect(dialer, quick()) as socket:
            log = watch(e=socket.errors, s=socket.states)
            await opened(socket)
            dialer.answering.clear()
            socket.rotate()
            await turns()
            dialer.peer.close(close)
            await turns()
            assert log[-2:] == [("s", rxws.Waiting(0.0, close)), ("s", rxws.Connecting(1))]
            dialer.refusals.append(refusal)
            dialer.answering.set()
            if comes_back:
                await reopened(socket)
                assert dialer.attempts == 3
            else:
                assert await ended(socket) == (close if close.code == 4001 else rxws.Close.received(1006))
                assert dialer.attempts == 2
                told = [str(entry[1]) for entry in log if entry[0] == "e" and isinstance(entry, tuple)]
                assert told == (["no"] if close.code == 1012 else ["no route"])


async def test_successor_refused_while_closing() -> None:
    """A successor that is refused while the socket closes leaves the close as it is."""
    dialer = MemoryDialer()
    async with connect(dialer, quick()) as socket:
        log = watch(e=socket.errors)
        await opened(socket)
        first = dialer.peer
        first.mute = True
        dialer.answering.clear()
        dialer.refusals.append(rxws.ConnectError("no", "http", status=403))
        socket.rotate()
        await turns()
        socket.close(4000)
        await turns()
        dialer.answering.set()
        await turns()
        first.close(rxws.Close(4000))
        assert await ended(socket) == rxws.Close(4000)
        assert (first.close_sent, len(log), log[-1]) == (rxws.Close(4000), 2, "e|")


async def test_silent_successor_takes_over() -> None:
    """A successor that answers no ping takes over all the same, after a quarter of `close_timeout`."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), close_timeout=4) as socket:
        await opened(socket)
        dialer.answering.clear()
        socket.rotate()
        await turns()
        dialer.answering.set()
        await asyncio.sleep(0)
        dialer.peer.pongs = False
        await asyncio.sleep(0.9)
        assert dialer.wires[0].close_sent is None
        await asyncio.sleep(0.2)
        assert dialer.wires[0].close_sent == rxws.Close()


async def test_rotate_as_it_opens() -> None:
    """A rotation that is asked for as `states` tells of a connection is that of this connection."""
    dialer, opens = MemoryDialer(), list[rxws.Open]()

    def look(state: Any) -> None:
        if isinstance(state, rxws.Open):
            opens.append(state)
            if len(opens) < 3:
                socket.rotate()

    async with connect(dialer, quick()) as socket:
        socket.states.subscribe(look)
        await asyncio.sleep(10)
        assert (len(opens), dialer.attempts) == (3, 3)


async def test_rotate_while_the_old_one_leaves() -> None:
    """A rotation that is asked for while the last one waits to close the old connection follows it."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), close_timeout=1, heartbeat=None) as socket:
        await opened(socket)
        old = dialer.peer
        old.pongs = False
        socket.outgoing.on_next("a")
        socket.rotate()
        await turns(50)
        dialer.peer.pongs = False
        socket.outgoing.on_next("b")
        await asyncio.sleep(0.5)
        for ping in old.pings:
            old.pong(ping)
        await turns()
        assert (dialer.peer.sent, old.close_sent) == (["b"], None)
        socket.rotate()
        await asyncio.sleep(2)
        assert (dialer.attempts, old.close_sent) == (3, rxws.Close())


async def test_close_while_rotating() -> None:
    """A socket that closes while it rotates leaves nothing behind."""
    for moment in range(0, 30, 2):
        dialer = MemoryDialer()
        async with connect(dialer, quick()) as socket:
            await opened(socket)
            socket.rotate()
            await turns(moment)
        await turns(30)
        assert all(wire.aborted or wire.close_sent is not None for wire in dialer.wires), moment


async def test_connections_are_rotated_in_time() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, quick(rotate_every=0.05)) as socket:
        await opened(socket)
        await reopened(socket)
        await reopened(socket)
        assert [wire.close_sent for wire in dialer.wires[:1]] == [rxws.Close()]


async def test_rotate_every_refused() -> None:
    """A rotation in time is tried again after a refusal."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(rotate_every=0.05)) as socket:
        log = watch(errors=socket.errors)
        await opened(socket)
        dialer.refusals.append(rxws.ConnectError("403", "http", status=403))
        await reopened(socket)
        assert len(log) == 1


@pytest.mark.parametrize(("code", "given_up"), [(1013, [10, 11, 14, 23, 33, 43]), (4409, [10, 20, 30, 40])])
async def test_rotation_given_up_is_tried_again(code: int, given_up: list[int]) -> None:
    """A rotation in time that is given up is tried again soon, then ever later; not soon if its end was for good."""
    dialer = OneSession("newest", code)
    loop, times = asyncio.get_running_loop(), list[int]()
    async with connect(dialer, quick(initial=1, maximum=1, factor=3, rotate_every=10)) as socket:
        began = loop.time()
        socket.errors.subscribe(lambda error: times.append(round(loop.time() - began)))
        await asyncio.sleep(45)
        assert times == given_up
        dialer.closes = "none"
        await asyncio.sleep(10)
        assert dialer.attempts == len(given_up) + 2
        dialer.closes = "newest"
        await asyncio.sleep(13)
        assert times[len(given_up) :] == ([63, 64, 67] if code == 1013 else [60])


async def test_rotate_twice() -> None:
    """Rotating twice, or offline, does nothing more."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, quick()) as socket:
        socket.rotate()
        dialer.answering.set()
        await opened(socket)
        socket.rotate()
        socket.rotate()
        await turns(50)
        assert dialer.attempts == 2
