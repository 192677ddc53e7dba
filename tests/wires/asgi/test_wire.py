"""The wire on an ASGI server that a test plays."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
import rxws.asgi
import rxws.codecs
from rxws.operators import map_async
from rxws.wires.asgi import wire as module
from tests.asgi.peer import Peer
from tests.streams import turns, watch

VIRTUAL = True


async def test_text_and_binary() -> None:
    """A text message is `str`, a binary one `bytes`, whatever the server has in the other field."""
    peer = Peer()
    peer.serve(lambda incoming: incoming)
    peer.put("websocket.receive", text="é", bytes=None)
    peer.put("websocket.receive", text=None, bytes=bytearray(b"\xff"))
    peer.put("websocket.other")
    peer.put("websocket.receive", bytes=b"")
    await turns()
    assert peer.sent[0] == {"type": "websocket.accept", "subprotocol": None, "headers": []}
    assert peer.sent[1:] == [
        {"type": "websocket.send", "text": "é"},
        {"type": "websocket.send", "bytes": b"\xff"},
        {"type": "websocket.send", "bytes": b""},
    ]
    peer.leave()
    await peer.task


@pytest.mark.parametrize(
    ("told", "close", "lost"),
    [
        ({"code": 4007, "reason": "later"}, rxws.Close(4007, "later"), False),
        ({"code": 4007}, rxws.Close(4007), False),
        ({"code": 1005, "reason": ""}, rxws.Close.received(1005), False),
        ({"code": 1005}, rxws.Close.received(1006), True),
        ({"code": 1006, "reason": ""}, rxws.Close.received(1006), True),
        ({"code": None}, rxws.Close.received(1005), False),
        ({}, rxws.Close.received(1006), True),
        ({"code": 1012}, rxws.Close(1012), False),
        ({"code": 5000}, rxws.Close(1002), False),
    ],
)
async def test_what_a_server_tells_of_the_end(told: Any, close: rxws.Close, lost: bool) -> None:
    """A code without a reason may be that of no frame; what no frame may carry is a violation."""
    peer, ends, errors = Peer(), list[rxws.Close](), list[Exception]()

    @rxws.asgi.websocket
    def handler(incoming: Observable[str], errors: Observable[Exception], socket: Any) -> Observable[str]:
        errors.subscribe(seen.append)
        socket.closed.subscribe(ends.append)
        return incoming

    seen = errors
    peer.run(handler)
    peer.put("websocket.disconnect", **told)
    await peer.task
    assert ends == [close]
    assert [type(error) for error in errors if isinstance(error, rxws.ConnectionLost)] == [rxws.ConnectionLost] * lost
    assert peer.kinds == ["accept"]


async def test_hold_does_not_receive() -> None:
    """During a hold messages are read ahead, 64 KiB; then `receive` is not called until the hold ends."""
    peer, worked = Peer(), asyncio.Event()

    async def work(message: str) -> str:
        await worked.wait()
        return message[0]

    peer.serve(lambda incoming: incoming.pipe(map_async(work)))
    peer.text(*[str(number) + "x" * 10_000 for number in range(9)] * 3)
    await turns(200)
    held_at = peer.received
    assert held_at < 12
    assert peer.sockets[0].stats.unread == held_at - 2  # the connection, and the one in hand
    await asyncio.sleep(100)
    assert peer.received == held_at
    worked.set()
    await turns(300)
    assert peer.texts == list("012345678" * 3)
    peer.leave()
    await peer.task


async def test_end_behind_a_hold() -> None:
    """The peer's end waits until what came before it is read, but not longer than `close_timeout`."""
    peer = Peer()
    loop = asyncio.get_running_loop()

    @rxws.asgi.websocket(close_timeout=3)
    async def handler(incoming: Observable[str]) -> None:
        await asyncio.sleep(1000)

    began = loop.time()
    peer.run(handler)
    peer.text("never wanted")
    peer.leave(4001)
    await peer.task
    assert 3 <= loop.time() - began <= 7


@pytest.mark.parametrize("code", [1006, 4001])
async def test_end_behind_unread_answers(code: int) -> None:
    """Answers that the peer will never read do not keep what came before its end, nor that."""
    peer, loop = Peer(), asyncio.get_running_loop()
    seen = list[str]()
    peer.serve(lambda incoming: incoming.pipe(ops.do_action(seen.append)), high_water=1000)
    peer.text("first")
    await turns()
    peer.stalled = True
    messages = [str(number) + "x" * 100 for number in range(50)]
    peer.text(*messages)
    await asyncio.sleep(1)
    assert peer.sockets[0].stats.unread > 20
    began = loop.time()
    peer.leave(code)
    await peer.task
    assert loop.time() - began < 0.01
    assert seen == ["first", *messages]


@pytest.mark.parametrize("at_once", [True, False])
async def test_stalled_server(at_once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """While `send` waits the wire is congested, and messages wait in `outgoing`; none is lost, and all keep order."""
    monkeypatch.setattr(module, "STARTS_AT_ONCE", at_once and module.STARTS_AT_ONCE)
    peer, room = Peer(), Subject[str]()
    peer.serve(lambda incoming: room)
    await turns()
    room.on_next("0")
    await turns()
    peer.stalled = True
    for number in range(1, 200):
        room.on_next(str(number))
    await turns()
    stats = peer.sockets[0].stats
    assert (stats.sent, stats.buffered) == (2, 198)
    peer.release()
    await turns(50)
    assert peer.texts == list(map(str, range(200)))
    assert peer.sockets[0].stats.buffered == 0
    room.on_completed()
    await peer.task
    assert peer.sent[-1] == {"type": "websocket.close", "code": 1000, "reason": ""}


async def test_latest_while_stalled() -> None:
    """With `latest` the newest message alone waits for a server that waits."""
    peer, room = Peer(), Subject[str]()
    peer.serve(lambda incoming: room, overflow="latest")
    await turns()
    peer.stalled = True
    room.on_next("0")
    await turns()
    for number in range(1, 100):
        room.on_next(str(number))
    await turns()
    peer.release()
    await turns()
    assert peer.texts == ["0", "99"]
    stats = peer.sockets[0].stats
    assert (stats.in_flight, stats.age, stats.rtt) == (None, None, None)
    room.on_completed()
    await peer.task


async def test_counts_bound_what_is_on_its_way() -> None:
    """Where the peer's program counts what it has taken, `latest` keeps what is on its way small, without pings."""
    peer, room = Peer(), Subject[str]()

    def count(message: str) -> int | None:
        return int(message[1:]) if message[0] == "#" else None

    peer.serve(lambda incoming: room, overflow="latest", in_flight=count)
    await turns()
    for number in range(1000):
        room.on_next(f"{number:100}")
        await turns(1)
    sent = len(peer.texts)
    assert sent < 100  # FIRST bytes
    peer.text(f"#{sent}")
    await turns()
    assert peer.texts[-1].strip() == "999"
    assert peer.kinds.count("send") == len(peer.texts)  # no ping is a message
    assert peer.sockets[0].stats.in_flight is not None
    peer.leave()
    await peer.task


async def test_stalled_end() -> None:
    """A server that waits for a peer who does not read is left at the deadline."""
    peer, room = Peer(), Subject[str]()
    loop = asyncio.get_running_loop()
    peer.serve(lambda incoming: room, close_timeout=2)
    await turns()
    peer.stalled = True
    room.on_next("a")
    began = loop.time()
    room.on_completed()
    await peer.task
    assert 1.9 <= loop.time() - began <= 2.1
    assert peer.kinds == ["accept"]


async def test_close_that_the_server_does_not_take() -> None:
    """So is one that never tells the end, after our close."""
    peer = Peer()
    loop = asyncio.get_running_loop()
    peer.leave = lambda *args, **options: None
    peer.serve(lambda incoming: None, close_timeout=2)
    await turns()
    began = loop.time()
    peer.sockets[0].close(4001, "bye")
    await peer.task
    assert peer.sent[-1] == {"type": "websocket.close", "code": 4001, "reason": "bye"}
    assert 1.9 <= loop.time() - began <= 2.1


@pytest.mark.parametrize("told", [True, False])
async def test_send_that_fails(told: bool) -> None:
    """What the peer sent before it left is read, its close, too, when `send` raises; or the error is the end."""
    peer, room, seen, errors = Peer(), Subject[str](), list[str](), list[Exception]()

    @rxws.asgi.websocket
    def handler(incoming: Observable[str], outgoing: Subject[str], errors: Observable[Exception]) -> None:
        errors.subscribe(all_errors.append)
        incoming.subscribe(seen.append)
        room.subscribe(outgoing)

    all_errors = errors
    peer.run(handler)
    await turns()
    peer.broken = OSError("gone")
    room.on_next("a")
    room.on_next("b")
    await turns()
    peer.text("last words")
    if told:
        peer.leave(4001)
    await peer.task
    assert seen == ["last words"]
    assert [type(error) for error in errors] == ([] if told else [rxws.ConnectionLost])
    if not told:
        assert str(errors[0].__cause__) == "gone"


@pytest.mark.parametrize("message", ["x" * 101, "é" * 51, b"x" * 101])
async def test_too_large(message: Any) -> None:
    """A message above `max_msg_size` closes with 1009, though the server has taken it."""
    peer, seen = Peer(), list[Any]()
    peer.serve(lambda incoming: incoming.subscribe(seen.append), max_msg_size=100)
    peer.put("websocket.receive", **{"text" if isinstance(message, str) else "bytes": message})
    peer.text("after")
    await peer.task
    assert peer.sent[-1] == {"type": "websocket.close", "code": 1009, "reason": "Message Too Big"}
    assert seen == []


async def test_exactly_max_msg_size() -> None:
    peer = Peer()
    peer.serve(lambda incoming: incoming, max_msg_size=100)
    peer.text("x" * 100, "é" * 50)
    await turns()
    assert peer.texts == ["x" * 100, "é" * 50]
    peer.leave()
    await peer.task


async def test_receive_that_raises() -> None:
    """A server whose `receive` raises has lost the connection."""
    peer, errors = Peer(), list[Exception]()

    @rxws.asgi.websocket
    def handler(errors: Observable[Exception]) -> None:
        errors.subscribe(seen.append)

    async def receive() -> Any:
        if peer.received:
            raise OSError("gone")
        return await Peer.receive(peer)

    seen = errors
    peer.receive = receive
    await peer.run(handler).task
    assert [str(error.__cause__) for error in errors] == ["gone"]


async def test_send_from_within_send() -> None:
    """What a middleware sends through the socket, while its own `send` is called, follows."""
    peer, room = Peer(), Subject[str]()
    send = peer.send

    async def middleware(event: Any) -> None:
        if event.get("text") == "a":
            room.on_next("b")
        await send(event)

    peer.send = middleware
    peer.serve(lambda incoming: room)
    await turns()
    room.on_next("a")
    await turns()
    assert peer.texts == ["a", "b"]
    peer.leave()
    await peer.task


@pytest.mark.parametrize("stalled", [False, True])
async def test_answer_that_fails(stalled: bool) -> None:
    """An answer whose `send` raises is the end, after what the peer sent before it left."""
    peer, seen, ends = Peer(), list[str](), list[rxws.Close]()

    @rxws.asgi.websocket
    def handler(incoming: Observable[str], socket: Any) -> Observable[str]:
        socket.closed.subscribe(ends.append)
        incoming.subscribe(seen.append)
        return incoming

    peer.run(handler)
    await turns()
    peer.stalled = stalled
    if not stalled:
        peer.broken = OSError("gone")
    peer.text("a")
    await turns()
    peer.text("b")
    if stalled:
        peer.broken = ConnectionError("lost")
        peer.release()
    await turns()
    peer.leave(4001)
    await peer.task
    assert (seen, ends) == (["a", "b"], [rxws.Close(4001)])


@pytest.mark.parametrize("codec", [rxws.codecs.text, rxws.json])
async def test_many_answers_to_one_message(codec: Any) -> None:
    """All answers to a message are sent, in order, however many, those of other awaitables than coroutines, too."""
    peer = Peer()
    send = peer.send
    peer.send = lambda event: asyncio.ensure_future(send(event))
    answers = [str(number) if codec is rxws.codecs.text else number for number in range(100)]
    peer.serve(lambda incoming: incoming.pipe(ops.flat_map(lambda message: reactivex.from_(answers))), codec=codec)
    peer.text("0", "0")
    await turns(500)
    assert peer.texts == [*map(str, range(100))] * 2
    assert peer.sockets[0].stats.sent_bytes == 2 * (10 + 2 * 90)
    peer.leave()
    await peer.task


@pytest.mark.parametrize("end", ["leaves", "fails", "aborts"])
async def test_end_within_many_answers(end: str) -> None:
    """Of many answers to one message those are `undelivered` that a slow server was not given before the end."""
    peer = Peer()
    peer.serve(lambda incoming: incoming.pipe(ops.flat_map(lambda message: reactivex.of("0", "1", "2", "3"))))
    await turns()
    socket = peer.sockets[0]
    peer.stalled = True
    peer.text("a")
    await asyncio.sleep(0.2)  # so that another task reads on
    peer.release()
    peer.stalled = True
    await turns()
    assert peer.texts == ["0"]
    if end == "leaves":
        peer.leave(1001)
    elif end == "fails":
        peer.broken = ConnectionError("lost")
        peer.release()
        await turns()
        peer.leave(1006)
    else:
        socket._life.abort()
    await peer.task
    assert watch(undelivered=socket.undelivered) == [("undelivered", "2"), ("undelivered", "3"), "undelivered|"]
    assert socket.stats.sent == 2


async def test_text_that_is_not_ascii() -> None:
    """Text counts in UTF-8 bytes; what UTF-8 does not have is an `EncodeError`, and the connection goes on."""
    peer, errors = Peer(), list[Exception]()
    peer.serve(lambda incoming: incoming.pipe(ops.flat_map(lambda message: reactivex.of("é", "\ud800", "z"))))
    await turns()
    peer.sockets[0].errors.subscribe(errors.append)
    peer.text("a")
    await turns()
    assert (peer.texts, peer.sockets[0].stats.sent_bytes) == (["é", "z"], 3)
    assert [type(error) for error in errors] == [rxws.EncodeError]
    peer.leave()
    await peer.task


async def test_others_have_their_turn() -> None:
    """A server that always has a message keeps others from their turn for four deliveries of 64 at most."""
    peer, loop, seen = Peer(), asyncio.get_running_loop(), list[int]()
    peer.serve(lambda incoming: incoming)
    await turns()

    def look() -> None:
        seen.append(len(peer.texts))
        if seen[-1] < 1000:
            loop.call_soon(look)

    peer.text(*["a"] * 1000)
    look()
    await turns(100)
    assert seen[-1] == 1000
    assert max(after - before for before, after in pairwise(seen)) <= 256
    peer.leave()
    await peer.task


async def test_cancelled_call() -> None:
    """A server that cancels its call gets it back soon, with a close frame, and the socket is gone."""
    peer, ends = Peer(), list[rxws.Close]()
    peer.serve(lambda incoming: incoming)
    await turns()
    peer.sockets[0].closed.subscribe(ends.append)
    peer.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await peer.task
    await turns()
    assert ends == [rxws.Close(1001)]
    assert peer.sent[-1]["code"] == 1001


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4001])
async def test_server_that_cannot_say_all_codes(code: int) -> None:
    """A server as daphne, which closes with 1000 and 3000 to 4999 alone, is given an error to make 1011 of."""
    peer, ends = Peer(), list[rxws.Close]()
    peer.scope["asgi"] = {"version": "3.0"}
    peer.serve(lambda incoming: incoming)
    await turns()
    peer.sockets[0].closed.subscribe(ends.append)
    peer.sockets[0].outgoing.on_next("last")
    peer.sockets[0].close(code)
    if code in (1000, 4001):
        await peer.task
        assert peer.sent[-1]["code"] == code
    else:
        with pytest.raises(RuntimeError, match=rf"cannot close with Close\(code={code}"):
            await peer.task
        assert peer.kinds == ["accept", "send"]
    assert ends == [rxws.Close(code)]


async def test_server_that_would_keep_what_is_aborted() -> None:
    """Such a server keeps the connection of a call that returns without a close; so it is given an error, too."""
    peer = Peer()
    peer.scope["asgi"] = {"version": "3.0"}
    peer.serve(lambda incoming: incoming, heartbeat=rxws.Heartbeat(10, ping="ping", pong=lambda message: False))
    with pytest.raises(RuntimeError, match=r"cannot close with Close\(code=1006"):
        await peer.task
    assert peer.kinds == ["accept", "send"]


@pytest.mark.parametrize("takes_a_turn", [False, True])
async def test_heartbeat_in_words(takes_a_turn: bool) -> None:
    """A heartbeat in words of one's own works: `rtt` is measured, and a peer that is mute is given up.

    Also where a server takes each message in a later turn of the event loop: that is not a sign of the peer's life.
    """
    peer = Peer()
    peer.takes_a_turn = takes_a_turn
    loop = asyncio.get_running_loop()
    beat = rxws.Heartbeat(10, ping="ping", pong=lambda message: message == "pong")
    peer.serve(lambda incoming: incoming, heartbeat=beat)
    await asyncio.sleep(11)
    assert peer.texts == ["ping"]
    await asyncio.sleep(0.5)
    peer.text("pong", "hi")
    await turns()
    assert peer.texts == ["ping", "hi"]
    assert peer.sockets[0].rtt == pytest.approx(1.5)
    began, errors = loop.time(), list[Exception]()
    peer.sockets[0].errors.subscribe(errors.append)
    await peer.task
    assert loop.time() - began < 25
    assert [type(error) for error in errors] == [rxws.HeartbeatTimeout]


async def test_answers_in_words() -> None:
    """So do answers alone; the server pings."""
    peer = Peer()
    answer = rxws.Heartbeat(10, answer=lambda message: "3" if message == "2" else None)
    peer.serve(lambda incoming: incoming, heartbeat=answer)
    peer.text("2", "hi")
    await asyncio.sleep(60)
    assert peer.texts == ["3", "hi"]
    peer.leave()
    await peer.task
