"""The rows of docs/coming-from-rxjs.md, one test each, in its order; rxjs's own behaviour is of version 7.8."""

import re
from pathlib import Path
from typing import Any

import pytest
from reactivex import operators as ops

import rxws
from rxws.testing import MemoryDialer, connect
from tests.integration.server import serving
from tests.streams import ended, opened, reopened, turns, watch

QUICK = rxws.Backoff(initial=0.001, maximum=0.001)
DOCUMENT = Path(__file__).parent.parent / "docs" / "coming-from-rxjs.md"


def is_open(state: Any) -> bool:
    return isinstance(state, rxws.Open)


def test_every_row_names_a_test() -> None:
    """Every row names a test, and every test has a row."""
    rows = re.findall(r"\| `(\w+)` \|$", DOCUMENT.read_text(), re.MULTILINE)
    own = [name.removeprefix("test_") for name in globals() if name.startswith("test_") and "every_row" not in name]
    assert rows == own


async def test_url() -> None:
    @rxws.websocket
    def echo(incoming: Any) -> Any:
        return incoming

    async with serving(echo) as server:
        for url in (server.url, lambda: server.url):
            async with rxws.connect(url) as socket:
                assert await socket.request("hello", matches=lambda _: True) == "hello"


async def test_protocol() -> None:
    dialer = MemoryDialer()
    dialer.protocol = "v2"
    async with connect(dialer, protocols={"v1": rxws.codecs.text, "v2": rxws.json}) as socket:
        assert socket.protocol == "v2"
        socket.outgoing.on_next([1])
        await turns()
        assert dialer.peer.sent == ["[1]"]


async def test_serializer() -> None:
    class Reversed:
        def encode(self, message: str) -> str:
            return message[::-1]

        def decode(self, data: str | bytes) -> Any:
            return data[::-1]

    for codec, value, sent in ((rxws.json, {"a": 1}, '{"a":1}'), (Reversed(), "abc", "cba")):
        dialer = MemoryDialer()
        async with connect(dialer, codec=codec) as socket:
            socket.outgoing.on_next(value)
        assert dialer.peer.sent == [sent]


async def test_deserializer() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        log = watch(i=socket.incoming)
        dialer.peer.send('{"a":1}')
        await turns()
        assert log == [("i", {"a": 1})]


async def test_binary_type() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log = watch(i=socket.incoming)
        dialer.peer.send("text", b"binary")
        await turns()
        assert log == [("i", "text"), ("i", b"binary")]


async def test_open_observer() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        opens = watch(s=socket.states.pipe(ops.filter(is_open)))
        await opened(socket)
        dialer.peer.drop()
        await reopened(socket)
    assert opens == [("s", rxws.Open(None, 1)), ("s", rxws.Open(None, 2)), "s|"]


async def test_close_observer() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        log = watch(s=socket.states.pipe(ops.filter(lambda state: isinstance(state, rxws.Waiting))), c=socket.closed)
        await opened(socket)
        dialer.peer.close(rxws.Close(1012))
        await reopened(socket)
        assert [state.because for _, state in log] == [rxws.Close(1012)]
        dialer.peer.close(rxws.Close(4001, "bye"))
        await ended(socket)
    assert log[1:] == ["s|", ("c", rxws.Close(4001, "bye")), "c|"]


async def test_closing_observer() -> None:
    dialer = MemoryDialer()
    socket = await connect(dialer)
    await turns()
    dialer.peer.mute = True
    log = watch(i=socket.incoming, c=socket.closed)
    socket.close()
    await turns()
    assert log == ["i|"]
    dialer.peer.close(rxws.Close())
    await ended(socket)
    assert log == ["i|", ("c", rxws.Close()), "c|"]


async def test_web_socket_ctor() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        assert isinstance(socket, rxws.ClientWebSocket)
        assert dialer.attempts == 1


async def test_connecting() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        dialer.peer.send("early")
        await turns()
        log = watch(i=socket.incoming)
        await turns()
        assert log == [("i", "early")]


async def test_buffering_before_open() -> None:
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK, max_buffered=200) as socket:
        dropped = watch(d=socket.dropped)
        for number in range(3):
            socket.outgoing.on_next(f"{number:036}")
        assert [int(message) for _, message in dropped] == [2]
        dialer.answering.set()
        await opened(socket)
        assert [int(message) for message in dialer.peer.sent] == [0, 1]


async def test_order() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        for number in range(300):
            socket.outgoing.on_next(str(number))
            if number % 100 == 50:
                await opened(socket)
                dialer.peer.congested = True
            if number % 100 == 99:
                dialer.peer.drop()
        await opened(socket)
        await turns()
        assert [int(message) for wire in dialer.wires for message in wire.sent] == list(range(300))


async def test_complete() -> None:
    dialer = MemoryDialer()
    socket = await connect(dialer)
    socket.outgoing.on_next("last words")
    socket.outgoing.on_completed()
    assert await ended(socket) == rxws.Close()
    assert (dialer.peer.sent, dialer.peer.close_sent) == (["last words"], rxws.Close(1000))


@pytest.mark.parametrize("way", ["close", "on_next", "on_error"])
async def test_error_with_a_code(way: str) -> None:
    dialer = MemoryDialer()
    socket = await connect(dialer)
    match way:
        case "close":
            socket.close(4001, "bye")
        case "on_next":
            socket.outgoing.on_next(rxws.Close(4001, "bye"))
        case _:
            socket.outgoing.on_error(rxws.Close(4001, "bye"))
    assert await ended(socket) == dialer.peer.close_sent == rxws.Close(4001, "bye")


async def test_error_without_a_code() -> None:
    dialer = MemoryDialer()
    socket = await connect(dialer)
    log = watch(e=socket.errors)
    error = LookupError()
    socket.outgoing.on_error(error)
    assert await ended(socket) == dialer.peer.close_sent == rxws.Close(1011, "Unexpected Error")
    assert log == [("e", error), "e|"]
    with pytest.raises(TypeError):
        socket.close("bye")  # type: ignore[arg-type]


async def test_unsubscribe() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        socket.incoming.subscribe().dispose()
        await turns()
        assert dialer.peer.close_sent is None
    assert dialer.peer.close_sent == rxws.Close()


async def test_clean_close() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log = watch(i=socket.incoming)
        await turns()
        dialer.peer.close(rxws.Close(4001, "bye"))
        assert await ended(socket) == rxws.Close(4001, "bye")
        assert log == ["i|"]


async def test_lost_connection() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log = watch(i=socket.incoming, e=socket.errors)
        await turns()
        dialer.peer.drop()
        assert await ended(socket) == rxws.Close.received(1006)
        assert isinstance(log[0][1], rxws.ConnectionLost)
        assert log[1:] == ["i|", "e|"]


async def test_resubscribe_after_close() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        log = watch(i=socket.incoming)
        for message in ("one", "two"):
            await opened(socket)
            dialer.peer.send(message)
            await turns()
            dialer.peer.close(rxws.Close(1001))
            await turns()
        assert log == [("i", "one"), ("i", "two")]


async def test_retry() -> None:
    dialer = MemoryDialer()
    dialer.refusals.extend(OSError() for _ in range(10))
    backoff = rxws.Backoff(initial=0.001, factor=2, maximum=0.003, jitter=lambda ceiling: ceiling, max_attempts=4)
    async with connect(dialer, backoff) as socket:
        log = watch(s=socket.states)
        socket.errors.subscribe()
        await ended(socket)
    assert [state.delay for _, state in log[:-1] if isinstance(state, rxws.Waiting)] == [0.001, 0.002, 0.003]


async def test_deserializer_error() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        log = watch(i=socket.incoming, e=socket.errors)
        dialer.peer.send("{", "1")
        await turns()
        assert isinstance(log[0][1], rxws.DecodeError)
        assert log[1:] == [("i", 1)]
    socket = await connect(dialer, codec=rxws.json)
    socket.incoming.subscribe()
    dialer.peer.send("{")
    assert (await ended(socket)).code == 1007


async def test_serializer_error() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        log = watch(e=socket.errors)
        socket.outgoing.on_next(object())
        socket.outgoing.on_next(1)
        await turns()
        assert isinstance(log[0][1], rxws.EncodeError)
        assert dialer.peer.sent == ["1"]
    socket = await connect(dialer, codec=rxws.json)
    socket.outgoing.on_next(object())
    assert (await ended(socket)).code == 1011


def topic(socket: rxws.ClientWebSocket[Any, Any]) -> Any:
    return socket.multiplex(subscribe="sub", unsubscribe=lambda: "unsub", matches=lambda message: message != "other")


async def test_multiplex() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log: list[Any] = []
        subscription = topic(socket).subscribe(log.append)
        dialer.peer.send("mine", "other")
        await turns()
        subscription.dispose()
        await turns()
        assert (log, dialer.peer.sent) == (["mine"], ["sub", "unsub"])


async def test_multiplex_is_shared() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        shared = topic(socket)
        both = shared.subscribe(), shared.subscribe()
        for one in both:
            one.dispose()
        await turns()
        assert dialer.peer.sent == ["sub", "unsub"]


async def test_multiplex_after_a_lost_connection() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        log = watch(t=topic(socket))
        for _ in range(2):
            await opened(socket)
            dialer.peer.send("mine")
            await turns()
            dialer.peer.drop()
            await turns()
        assert log == [("t", "mine"), ("t", "mine")]
        assert [wire.sent for wire in dialer.wires[:2]] == [["sub"], ["sub"]]


async def test_multiplex_with_retry() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        picky = socket.multiplex(subscribe="sub", unsubscribe="unsub", matches=lambda message: message["ok"])
        log = watch(t=picky.pipe(ops.retry(2)))
        dialer.peer.send("{}", '{"ok":1}')
        await turns()
        assert log == [("t", {"ok": 1})]
        assert dialer.peer.sent == ['"sub"', '"unsub"', '"sub"']


async def test_multiplex_with_repeat() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log = watch(t=topic(socket).pipe(ops.take(1), ops.repeat(2)))
        dialer.peer.send("a", "b", "c")
        await turns()
        assert log == [("t", "a"), ("t", "b"), "t|"]
        assert dialer.peer.sent == ["sub", "unsub", "sub", "unsub"]


async def test_multiplex_unsubscribes_from_open_sockets_only() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        subscription = topic(socket).subscribe()
        await opened(socket)
        dialer.answering.clear()
        dialer.peer.drop()
        await turns()
        subscription.dispose()
        dialer.answering.set()
        await opened(socket)
        assert [wire.sent for wire in dialer.wires] == [["sub"], []]
