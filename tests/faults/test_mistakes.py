"""Mistakes of the application's own: they end at most their own socket."""

import asyncio
import itertools
import threading
import time
from array import array
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from tests.integration.raw import BINARY, TEXT, Raw, raw
from tests.integration.server import serving
from tests.streams import ended

BOTH_LOOPS = True
Eventually = Callable[..., Any]


def fail(*_: Any) -> Any:
    raise ValueError("a mistake")


def handler_raises(incoming: Observable[str]) -> None:
    incoming.subscribe()
    fail()


async def coroutine_raises(incoming: Observable[str]) -> None:
    await incoming.pipe(ops.first())
    fail()


async def generator_raises(incoming: Observable[str]) -> AsyncIterator[str]:
    yield await incoming.pipe(ops.first())
    fail()


def operator_raises(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(fail))


def subscriber_raises(incoming: Observable[str]) -> None:
    incoming.subscribe(fail)


@pytest.mark.parametrize(
    "handler",
    [handler_raises, coroutine_raises, generator_raises, operator_raises, subscriber_raises],
    ids=lambda handler: handler.__name__,
)
async def test_exception_closes_its_own_socket_only(handler: Any, eventually: Eventually) -> None:
    """When a handler, an operator, or a subscriber raises, its socket closes with 1011 and its neighbor's goes on."""
    echo = rxws.websocket(lambda incoming: incoming)
    faulty = rxws.websocket(handler)

    async def either(request: Any) -> Any:
        return await (echo if "X-Neighbor" in request.headers else faulty)(request)

    async with (
        serving(either) as server,
        raw(server.port, headers="X-Neighbor: yes\r\n") as neighbor,
        raw(server.port) as peer,
    ):
        peer.send(TEXT, b"a")
        assert await peer.receive_close() == (1011, "Unexpected Error")
        neighbor.send(TEXT, b"alive")
        assert await neighbor.receive() == (TEXT, b"alive")


async def test_raising_subscriber_spares_siblings_and_socket() -> None:
    """When a subscriber raises and `errors` is observed, its siblings get the item and the socket stays open."""
    errors_seen: list[Exception] = []
    seen: list[str] = []

    @rxws.websocket
    def handler(incoming: Any, errors: Any) -> Any:
        errors.subscribe(errors_seen.append)
        incoming.subscribe(fail)
        incoming.subscribe(seen.append)
        return incoming

    async with serving(handler) as server, raw(server.port) as peer:
        for message in (b"a", b"b"):
            peer.send(TEXT, message)
            assert await peer.receive() == (TEXT, message)
    assert seen == ["a", "b"]
    assert [str(error) for error in errors_seen] == ["a mistake", "a mistake"]


async def test_errors_that_make_errors_are_1011(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that sends errors as they are, which cannot be sent, ends its own socket, at once, and says so once."""

    @rxws.websocket(codec=rxws.json)
    def handler(request: Any, incoming: Any, outgoing: Any, errors: Any) -> Any:
        sent = itertools.count()

        def complain(error: Exception) -> None:
            if next(sent) < 10_000:  # or the test would never end
                outgoing.on_next({"error": error})

        if "X-Neighbor" not in request.headers:
            errors.subscribe(complain)
        return incoming

    async with (
        serving(handler) as server,
        raw(server.port, headers="X-Neighbor: yes\r\n") as neighbor,
        raw(server.port) as peer,
    ):
        began = time.perf_counter()
        peer.send(TEXT, b"not JSON")
        assert await peer.receive_close() == (1011, "Unexpected Error")
        assert time.perf_counter() - began < 2
        neighbor.send(TEXT, b'"alive"')
        assert await neighbor.receive() == (TEXT, b'"alive"')
    (record,) = caplog.records
    assert "a stream feeds itself: one item caused 1001" in record.getMessage()


ILLEGAL = [(code, "") for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536, -1)]
ILLEGAL += [(1000, "x" * 124), (1000, "é" * 62), (4000, "\ud800")]


@pytest.mark.parametrize(("code", "reason"), ILLEGAL)
async def test_illegal_close_is_a_value_error(code: int, reason: str, eventually: Eventually) -> None:
    """An illegal close code or reason is a `ValueError`, and nothing goes on the wire."""
    async with serving(rxws.websocket(lambda incoming: incoming)) as server, raw(server.port) as peer:
        await eventually(lambda: server.sockets)
        with pytest.raises(ValueError, match="close"):
            server.sockets[0].close(code, reason)
        with pytest.raises(ValueError, match="close"):
            rxws.Close(code, reason)
        peer.send(TEXT, b"next")
        assert await peer.receive() == (TEXT, b"next")


async def test_unsendable_value_keeps_frames_in_sync() -> None:
    """A value that cannot be sent is an error on the error stream, and the frames stay in sync."""
    wrong: list[Any] = [{"a": "dict"}, "\ud800", None, 3.14, ["list"], object()]
    errors_seen: list[Any] = []

    @rxws.websocket
    def handler(incoming: Any, outgoing: Any, errors: Any) -> None:
        errors.subscribe(errors_seen.append)

        def send(message: str) -> None:
            for value in wrong:
                outgoing.on_next(value)
            outgoing.on_next(memoryview(array("H", [1, 2, 3])))
            outgoing.on_next(message)

        incoming.subscribe(send)

    async with serving(handler) as server, raw(server.port) as peer:
        for message in (b"one", b"two"):
            peer.send(TEXT, message)
            assert await peer.receive() == (BINARY, array("H", [1, 2, 3]).tobytes())
            assert await peer.receive() == (TEXT, message)
    assert [type(error) for error in errors_seen] == [rxws.EncodeError] * len(wrong) * 2


async def receive_all(peer: Raw, number: int) -> list[str]:
    return [(await peer.receive())[1].decode() for _ in range(number)]


class Counting:
    """A codec whose frames tell how often it was asked."""

    def __init__(self) -> None:
        self._number = itertools.count()

    def decode(self, data: str | bytes) -> str | bytes:
        return data

    def encode(self, message: str) -> str:
        return f"{next(self._number)} {message}"


async def test_codec_that_counts_is_asked_for_each_socket(eventually: Eventually) -> None:
    """Each socket gets a frame of its own, of a message that comes twice, too."""
    room: Subject[str] = Subject()
    async with (
        serving(rxws.websocket(codec=Counting())(lambda: room)) as server,
        raw(server.port) as first,
        raw(server.port) as second,
    ):
        await eventually(lambda: len(server.sockets) == 2)
        for message in ["news"] * 2:
            room.on_next(message)
        got = [await asyncio.wait_for(receive_all(peer, 2), 5) for peer in (first, second)]
        assert sorted(itertools.chain(*got)) == [f"{number} news" for number in range(4)]


async def test_four_threads_keep_their_order(eventually: Eventually) -> None:
    """What four threads send to one socket all arrives, in the order of each thread."""
    async with (
        serving(rxws.websocket(max_buffered=2**23)(lambda incoming: incoming)) as server,
        raw(server.port) as peer,
    ):
        await eventually(lambda: server.sockets)
        outgoing = server.sockets[0].outgoing

        def work(name: str) -> None:
            for number in range(1000):
                outgoing.on_next(f"{name}{number}")

        workers = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for worker in workers:
            worker.start()
        seen = await asyncio.wait_for(receive_all(peer, 4000), 20)
        for name in "abcd":
            assert [m for m in seen if m.startswith(name)] == [f"{name}{number}" for number in range(1000)]
        for worker in workers:
            worker.join()


@pytest.mark.parametrize("reason", ["\r\nERROR faked", "\x1b[31mred", "a\nb\tc\x00", "\u2028\x85\u202e"])
@pytest.mark.parametrize("who", ["the peer", "we"])
async def test_logged_close_reason_is_escaped(
    reason: str, who: str, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    """A close reason with control characters is escaped when it is logged."""
    caplog.set_level("DEBUG", "rxws")

    @rxws.websocket
    def handler(incoming: Any, socket: Any) -> Any:
        socket.closed.subscribe(complain)
        return incoming.pipe(ops.map(lambda _: raise_(rxws.Close(4000, reason))))

    def complain(close: rxws.Close) -> None:
        raise RuntimeError(f"{close}") from close

    async with serving(handler) as server, raw(server.port) as peer:
        if who == "we":
            peer.send(TEXT, b"go")
            assert await peer.receive_close() == (4000, reason)
            peer.send_close(4000)
        else:
            peer.send_close(4000, reason.encode())
        assert (await ended(server.sockets[0])).reason == reason
        await eventually(lambda: caplog.records)
    lines = caplog.text
    assert "reason=" in lines
    assert not set(reason) & set(lines) & set("\r\x1b\x00\u2028\x85\u202e")
    assert "\nERROR faked" not in lines
    assert "a\nb" not in lines


def raise_(error: Exception) -> Any:
    raise error
