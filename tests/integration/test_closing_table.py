"""What closes a socket, with which code: every row, as a client nobody here wrote sees it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import websockets
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.subject import Subject

import rxws
from rxws.errors import FeedbackLoop
from tests.integration.raw import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame, raw
from tests.integration.server import accept, serving
from tests.streams import ended

BOTH_LOOPS = TRANSPORTS = True
Eventually = Callable[..., Any]


async def close_seen(handler: Any, *messages: str | bytes) -> tuple[int | None, str | None, list[Any]]:
    """Connect with `websockets`, send, read to the end: code, reason and messages."""
    async with serving(handler) as server, websockets.connect(server.url, compression=None) as client:
        seen: list[Any] = []
        async with asyncio.timeout(10):
            with contextlib.suppress(websockets.ConnectionClosedError):
                for message in messages:
                    await client.send(message)
            with contextlib.suppress(websockets.ConnectionClosedError):
                async for message in client:
                    seen.append(message)
        return client.close_code, client.close_reason, seen


@rxws.websocket
def outgoing_completes(incoming: Observable[str], outgoing: Subject[str]) -> None:
    incoming.subscribe(lambda m: (outgoing.on_next(m), outgoing.on_completed()))


@rxws.websocket
def returned_observable_completes(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.take(1))


@rxws.websocket
async def coroutine_ends(incoming: Observable[str], outgoing: Subject[str]) -> None:
    outgoing.on_next(await incoming.pipe(ops.first()))


@rxws.websocket
async def generator_ends(incoming: Observable[str]) -> AsyncIterator[str]:
    yield await incoming.pipe(ops.first())


@rxws.websocket
def subscription_is_disposed(incoming: Observable[str], outgoing: Subject[str]) -> Any:
    def act(message: str) -> None:
        outgoing.on_next(message)
        subscription.dispose()

    subscription = incoming.subscribe(act)
    return subscription


@rxws.websocket
def socket_is_disposed(incoming: Observable[str], socket: Any) -> None:
    incoming.subscribe(lambda m: (socket.outgoing.on_next(m), socket.dispose()))


async def async_with_is_left(request: web.Request) -> web.StreamResponse:
    async with accept(request) as socket:
        socket.outgoing.on_next(await socket.incoming.pipe(ops.first()))
    return socket.response


@pytest.mark.parametrize(
    "handler",
    [
        outgoing_completes,
        returned_observable_completes,
        coroutine_ends,
        generator_ends,
        subscription_is_disposed,
        socket_is_disposed,
        async_with_is_left,
    ],
    ids=lambda handler: handler.__name__,
)
async def test_an_orderly_end_is_1000(handler: Any) -> None:
    assert await close_seen(handler, "a") == (1000, "", ["a"])


@rxws.websocket
def close_is_sent(incoming: Observable[str], outgoing: Subject[Any]) -> None:
    incoming.subscribe(lambda m: (outgoing.on_next(m), outgoing.on_next(rxws.Close(4001, "bye"))))


@rxws.websocket
def close_is_raised_in_a_pipeline(incoming: Observable[str]) -> Observable[str]:
    def bye(message: str) -> str:
        if message == "b":
            raise rxws.Close(4001, "bye")
        return message

    return incoming.pipe(ops.map(bye))


@rxws.websocket
def close_is_raised_in_a_def(outgoing: Subject[str]) -> None:
    outgoing.on_next("a")
    raise rxws.Close(4001, "bye")


@rxws.websocket
async def close_is_raised_in_a_coroutine(incoming: Observable[str], outgoing: Subject[str]) -> None:
    outgoing.on_next(await incoming.pipe(ops.first()))
    raise rxws.Close(4001, "bye")


async def soon(error: Exception) -> None:
    await asyncio.sleep(0)
    raise error


async def at_work() -> None:
    async with asyncio.TaskGroup() as outer:
        outer.create_task(in_a_task_group(rxws.Close(4001, "bye")))
        outer.create_task(asyncio.sleep(60))


async def in_a_task_group(error: Exception) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(soon(error))


@rxws.websocket
async def close_is_raised_in_a_task_group(incoming: Observable[str], outgoing: Subject[str]) -> None:
    outgoing.on_next(await incoming.pipe(ops.first()))
    await at_work()


@rxws.websocket
async def close_is_raised_in_a_generator_s_task_group(incoming: Observable[str]) -> AsyncIterator[str]:
    yield await incoming.pipe(ops.first())
    await at_work()


@rxws.websocket
def close_is_raised_in_a_group_in_a_def(outgoing: Subject[str]) -> None:
    outgoing.on_next("a")
    raise ExceptionGroup("checks", [rxws.Close(4001, "bye")])


@rxws.websocket
def close_is_raised_in_a_task_group_of_map_async(incoming: Observable[str]) -> Observable[str]:
    async def work(message: str) -> str:
        if message == "b":
            await at_work()
        return message

    return incoming.pipe(rxws.operators.map_async(work))


async def close_is_raised_in_a_task_group_of_an_accept_block(request: web.Request) -> web.StreamResponse:
    async with accept(request) as socket:
        socket.outgoing.on_next(await socket.incoming.pipe(ops.first()))
        await at_work()
    return socket.response


@rxws.websocket
async def close_is_yielded(incoming: Observable[str]) -> AsyncIterator[Any]:
    yield await incoming.pipe(ops.first())
    yield rxws.Close(4001, "bye")


@rxws.websocket
def socket_close_is_called(incoming: Observable[str], socket: Any) -> None:
    incoming.subscribe(lambda m: (socket.outgoing.on_next(m), socket.close(4001, "bye")))


async def close_is_raised_in_an_accept_block(request: web.Request) -> web.StreamResponse:
    async with accept(request) as socket:
        socket.outgoing.on_next(await socket.incoming.pipe(ops.first()))
        raise rxws.Close(4001, "bye")
    return socket.response


@pytest.mark.parametrize(
    "handler",
    [
        close_is_sent,
        close_is_raised_in_a_pipeline,
        close_is_raised_in_a_def,
        close_is_raised_in_a_coroutine,
        close_is_raised_in_a_task_group,
        close_is_raised_in_a_generator_s_task_group,
        close_is_raised_in_a_group_in_a_def,
        close_is_raised_in_a_task_group_of_map_async,
        close_is_raised_in_a_task_group_of_an_accept_block,
        close_is_yielded,
        socket_close_is_called,
        close_is_raised_in_an_accept_block,
    ],
    ids=lambda handler: handler.__name__,
)
async def test_a_close_of_one_s_own_is_its_code_and_reason(handler: Any) -> None:
    assert await close_seen(handler, "a", "b") == (4001, "bye", ["a"])


def fail(*_: Any) -> Any:
    raise ValueError("secret")


@rxws.websocket
def outgoing_gets_an_error(incoming: Observable[str], outgoing: Subject[str]) -> None:
    incoming.pipe(ops.map(fail)).subscribe(outgoing)


@rxws.websocket
def a_def_raises() -> None:
    fail()


@rxws.websocket
async def a_coroutine_raises() -> None:
    fail()


@rxws.websocket
async def a_generator_raises() -> AsyncIterator[str]:
    if fail():
        yield ""


@rxws.websocket
def a_returned_observable_fails(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(fail))


@rxws.websocket
def a_subscriber_raises_and_nobody_observes_errors(incoming: Observable[str]) -> None:
    incoming.subscribe(fail)


@pytest.mark.parametrize(
    "handler",
    [
        outgoing_gets_an_error,
        a_def_raises,
        a_coroutine_raises,
        a_generator_raises,
        a_returned_observable_fails,
        a_subscriber_raises_and_nobody_observes_errors,
    ],
    ids=lambda handler: handler.__name__,
)
async def test_error_is_1011(handler: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An error closes with 1011 "Unexpected Error", and tells the client no more."""
    assert await close_seen(handler, "a") == (1011, "Unexpected Error", [])
    assert (
        len([record for record in caplog.records if record.name == "rxws.server" and "secret" in str(record.exc_info)])
        == 1
    )


async def test_an_error_s_class_may_have_a_code_of_its_own() -> None:
    class Teapot(Exception):
        close_code = 4018

    def pour(_: str) -> str:
        raise Teapot

    handler = rxws.websocket(lambda incoming: incoming.pipe(ops.map(pour)))
    assert await close_seen(handler, "a") == (4018, "", [])


async def test_a_message_that_does_not_decode_is_1007() -> None:
    handler = rxws.websocket(codec=rxws.json)(lambda incoming: incoming)
    assert await close_seen(handler, "{") == (1007, "Invalid Message", [])


async def test_exceeding_message_rate_is_1008() -> None:
    """More messages than `message_rate` allows close with 1008."""
    handler = rxws.websocket(message_rate=3)(lambda incoming: incoming)
    assert await close_seen(handler, *"abcde") == (1008, "Message Rate Exceeded", ["a", "b", "c"])


async def test_slow_peer_with_policy_close_is_1013() -> None:
    """With the policy `close` a slow peer is closed with 1013, and sees it when it reads on."""
    room = Subject[str]()
    handler = rxws.websocket(max_buffered=100_000, close_timeout=10)(lambda incoming: room)
    async with serving(handler) as server, raw(server.port, receive_buffer=4096) as peer:
        while not server.sockets:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            while not server.sockets[0].outgoing.is_stopped:
                room.on_next("x" * 10_000)
                await asyncio.sleep(0)
        assert await peer.receive_close() == (1013, "Too Slow")


async def test_a_stalled_peer_is_gone_by_the_deadline(eventually: Eventually, transport: str) -> None:
    room = Subject[str]()
    handler = rxws.websocket(max_buffered=100_000, close_timeout=0.3)(lambda incoming: room)
    async with serving(handler) as server, raw(server.port, receive_buffer=4096):
        await eventually(lambda: server.sockets)
        while not server.sockets[0].outgoing.is_stopped:
            room.on_next("x" * 10_000)
            await asyncio.sleep(0)
        began = time.monotonic()
        assert (await ended(server.sockets[0])).code == 1013
        assert time.monotonic() - began < 4
        if transport == "aiohttp":  # uvicorn has the connection until the peer reads
            await eventually(lambda: not server.runner.server or not server.runner.server.connections)
        assert room.observers == []


async def test_the_application_s_shutdown_is_1001() -> None:
    handler = rxws.websocket(lambda incoming: incoming)
    async with serving(handler) as server, websockets.connect(server.url) as client:
        reading = asyncio.ensure_future(client.recv())
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await server.runner.cleanup()
        assert time.monotonic() - began < 4
        with pytest.raises(websockets.ConnectionClosed):
            await reading
        assert client.close_code == 1001


@pytest.mark.parametrize(("size", "limit"), [(999, 1000), (1000, 1000), (10, 10)])
async def test_a_message_of_exactly_max_msg_size_passes(size: int, limit: int) -> None:
    handler = rxws.websocket(max_msg_size=limit)(lambda incoming: incoming.pipe(ops.take(1)))
    assert await close_seen(handler, "x" * size) == (1000, "", ["x" * size])


@pytest.mark.parametrize(("size", "limit"), [(1001, 1000), (2_000_000, 1000), (11, 10)])
async def test_message_above_max_msg_size_is_1009(size: int, limit: int) -> None:
    """A message above `max_msg_size` closes with 1009, and the client sees it."""
    kinds: list[type[Exception]] = []

    @rxws.websocket(max_msg_size=limit)
    def handler(incoming: Observable[str], errors: Observable[Exception]) -> Observable[str]:
        errors.subscribe(lambda error: kinds.append(type(error)))
        return incoming

    code, _, seen = await close_seen(handler, "x" * size)
    assert (code, seen, kinds) == (1009, [], [rxws.ProtocolError])


VIOLATIONS = {
    "bad UTF-8": (1007, lambda peer: peer.send(TEXT, b"\xff\xfe")),
    "a reserved bit": (1002, lambda peer: peer.send(TEXT, b"a", rsv=0x40)),
    "an unknown opcode": (1002, lambda peer: peer.send(3)),
    "a continuation of nothing": (1002, lambda peer: peer.send(CONTINUATION, b"a")),
    "a ping too long": (1002, lambda peer: peer.send(PING, b"x" * 126)),
    "a close of one byte": (1002, lambda peer: peer.send(8, b"x")),
    "a close reason of bad UTF-8": (1007, lambda peer: peer.send_close(1000, b"\xff")),
}


@pytest.mark.parametrize("violation", VIOLATIONS)
async def test_a_protocol_violation_closes_with_its_code(violation: str, transport: str) -> None:
    code, act = VIOLATIONS[violation]
    errors: list[Exception] = []

    @rxws.websocket
    def handler(incoming: Observable[Any], errors: Observable[Exception]) -> Observable[Any]:
        errors.subscribe(log.append)
        return incoming

    log = errors
    async with serving(handler) as server, raw(server.port) as peer:
        act(peer)
        assert (await peer.receive_close())[0] == code
        peer.writer.close()
        assert (await ended(server.sockets[0])).code == code
    # uvicorn tells the code alone, which a peer may have sent, too
    assert [type(error) for error in errors] == ([rxws.ProtocolError] if transport == "aiohttp" else [])


@pytest.mark.aiohttp_only
async def test_a_message_that_does_not_decompress_is_1002() -> None:
    handler = rxws.websocket(compress=True)(lambda incoming: incoming)
    offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    async with serving(handler) as server, raw(server.port, headers=offer) as peer:
        peer.send(TEXT, b"\xff\xff\xff", rsv=0x40)
        assert await peer.receive_close() == (1002, "")
        peer.writer.close()
        assert await ended(server.sockets[0]) == rxws.Close(1002)


async def test_a_fragmented_message_arrives_whole() -> None:
    handler = rxws.websocket(lambda incoming: incoming)
    async with serving(handler) as server, raw(server.port) as peer:
        peer.send(BINARY, b"a", fin=False)
        peer.send(PING, b"in between")
        peer.send(CONTINUATION, b"b", fin=False)
        peer.send(CONTINUATION, b"c")
        assert sorted([await peer.receive(), await peer.receive()]) == [(BINARY, b"abc"), (10, b"in between")]


@pytest.mark.parametrize("leave", ["reset", "end of file"])
async def test_a_peer_gone_without_a_close_frame_is_1006(leave: str, eventually: Eventually) -> None:
    kinds: list[type[Exception]] = []

    @rxws.websocket
    def handler(incoming: Observable[str], errors: Observable[Exception]) -> Observable[str]:
        errors.subscribe(lambda error: kinds.append(type(error)))
        return incoming

    async with serving(handler) as server, raw(server.port) as peer:
        await eventually(lambda: server.sockets)
        peer.reset() if leave == "reset" else peer.writer.close()
        assert await ended(server.sockets[0]) == rxws.Close.received(1006)
    assert kinds == [rxws.ConnectionLost]


async def test_a_missed_heartbeat_is_1006(transport: str) -> None:
    """A peer that answers no ping is lost; on ASGI, where the server has the ping frames, pings are messages."""
    kinds: list[type[Exception]] = []
    in_words = rxws.Heartbeat(0.05, ping="ping", pong=lambda message: message == "pong")

    @rxws.websocket(heartbeat=0.05 if transport == "aiohttp" else in_words)
    def handler(incoming: Observable[str], errors: Observable[Exception]) -> Observable[str]:
        errors.subscribe(lambda error: kinds.append(type(error)))
        return incoming

    async with serving(handler) as server, raw(server.port) as peer:
        assert (await peer.receive())[0] == (PING if transport == "aiohttp" else TEXT)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while (await asyncio.wait_for(peer.receive(), 5))[0] != CLOSE:
                pass
        assert await ended(server.sockets[0]) == rxws.Close.received(1006)
    assert kinds == [rxws.HeartbeatTimeout]


async def test_base_exception_leaves_no_socket(eventually: Eventually) -> None:
    """A subscriber that raises a `BaseException` closes 1011, and leaves no socket behind."""

    class Outcome(BaseException):
        """As test frameworks have them."""

    def give_up(_: str) -> None:
        raise Outcome

    async with (
        serving(rxws.websocket(lambda incoming: incoming.subscribe(give_up))) as server,
        raw(server.port) as peer,
    ):
        peer.send(TEXT, b"a")
        assert await peer.receive_close() == (1011, "Unexpected Error")
        peer.send_close(1011)
        assert (await ended(server.sockets[0], 4)).code == 1011
        assert server.hub is not None
        assert len(server.hub) == 0


async def test_the_peer_s_close_is_answered_with_its_code() -> None:
    handler = rxws.websocket(lambda incoming: incoming)
    async with serving(handler) as server, raw(server.port) as peer:
        peer.send_close(4005, b"my reason")
        assert await peer.receive_close() == (4005, "my reason")
        assert await ended(server.sockets[0]) == rxws.Close(4005, "my reason")


async def test_frames_after_the_peer_s_close_count_for_nothing() -> None:
    """What follows the peer's close frame counts for nothing."""
    got: list[str] = []
    handler = rxws.websocket(lambda incoming: incoming.pipe(ops.do_action(got.append)))
    async with serving(handler) as server, raw(server.port) as peer:
        chunk = frame(TEXT, b"before") + frame(CLOSE, b"\x03\xe8") + frame(PING, b"after") + frame(TEXT, b"after")
        peer.writer.write(chunk)
        answers = [await peer.receive()]
        while answers[-1][0] != CLOSE:
            answers.append(await peer.receive())
        assert await ended(server.sockets[0]) == rxws.Close()
    assert got == ["before"]
    assert [answer for answer in answers if answer[1] == b"after"] == []


async def test_unanswered_close_ends_at_the_deadline(transport: str) -> None:
    """A peer that never answers our close is dropped at the deadline."""
    handler = rxws.websocket(close_timeout=0.2)(lambda: Disposable())
    async with serving(handler) as server, raw(server.port) as peer:
        while not server.sockets:
            await asyncio.sleep(0.01)
        server.sockets[0].close(4001, "bye")
        assert await peer.receive_close() == (4001, "bye")
        assert await ended(server.sockets[0], 4) == rxws.Close(4001, "bye")
        if transport == "aiohttp":  # uvicorn has a deadline of its own, of ten seconds
            assert await peer.reader.read() == b""


async def test_sending_peer_sees_our_close() -> None:
    """A peer that is still sending sees our close."""
    handler = rxws.websocket(lambda incoming: incoming.pipe(ops.take(3), ops.ignore_elements()))
    async with serving(handler) as server, raw(server.port) as peer:
        for _ in range(500):
            peer.send(TEXT, b"x" * 10_000)
        assert await peer.receive_close() == (1000, "")
        peer.send_close(1000)
        assert await ended(server.sockets[0], 4) == rxws.Close()


async def test_observed_errors_keep_the_socket_open() -> None:
    """What does not decode, what cannot be sent and what a subscriber raises come on `errors`; the others go on."""
    kinds: list[type[Exception]] = []

    @rxws.websocket(codec=rxws.json)
    def handler(incoming: Any, outgoing: Any, errors: Any) -> None:
        errors.subscribe(lambda error: kinds.append(type(error)))
        incoming.subscribe(lambda message: 1 / message)
        incoming.pipe(ops.map(lambda message: object() if message == 1 else message)).subscribe(outgoing)

    async with serving(handler) as server, raw(server.port) as peer:
        for text in (b"{", b"0", b"1", b"2"):
            peer.send(TEXT, text)
        assert [await asyncio.wait_for(peer.receive(), 5) for _ in range(2)] == [(TEXT, b"0"), (TEXT, b"2")]
        assert kinds == [rxws.DecodeError, ZeroDivisionError, rxws.EncodeError]
        assert server.sockets[0].stats.received == 4


async def test_failed_pipeline_is_on_errors() -> None:
    """What the returned Observable fails with comes on `errors`, and the socket closes all the same."""
    seen: list[Exception] = []

    @rxws.websocket
    def handler(incoming: Observable[str], errors: Observable[Exception]) -> Observable[str]:
        errors.subscribe(seen.append)
        return incoming.pipe(ops.map(fail))

    assert await close_seen(handler, "a") == (1011, "Unexpected Error", [])
    assert list(map(str, seen)) == ["secret"]


async def test_stream_that_feeds_itself_is_1011(caplog: pytest.LogCaptureFixture) -> None:
    """An error that causes the next one is a `FeedbackLoop` after 1,000, which ends the socket."""

    @rxws.websocket
    def handler(incoming: Observable[Any], outgoing: Subject[Any], errors: Observable[Exception]) -> None:
        errors.subscribe(outgoing.on_next)
        incoming.pipe(ops.map(lambda _: object())).subscribe(outgoing)

    assert await close_seen(handler, "a") == (1011, "Unexpected Error", [])
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [FeedbackLoop]
