"""Codecs whose frames and messages are not one to one, and codecs that are made for each connection."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.core.stream_connection import MESSAGES_AT_ONCE
from rxws.testing import MemoryDialer, connect, run_virtually, serve
from tests.fuzzing.profiles import few
from tests.streams import ended, opened, reopened, turns, watch

VIRTUAL = True


class Lines:
    """Lines of text, which begin in one frame and end in another; a list of words is a frame for each."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1
        self.number = self.made
        self.begun = ""
        self.closed = 0

    def messages(self, data: str | bytes) -> Iterator[str]:
        assert isinstance(data, str)
        *lines, self.begun = (self.begun + data).split("\n")
        try:
            for line in lines:
                if line == "bad":
                    raise ValueError("a bad line")
                yield line
        finally:
            self.closed += 1

    def frames(self, message: str | list[str]) -> Iterable[str | bytes]:
        return [f"{message}\n"] if isinstance(message, str) else [f"{word}\n" for word in message]


class Numbered(Lines):
    """Says in each frame the number of its codec."""

    def frames(self, message: str | list[str]) -> Iterable[str | bytes]:
        return [f"{self.number}:{part}" for part in super().frames(message)]


def quick(**more: Any) -> rxws.Backoff:
    return rxws.Backoff(**{"initial": 0.001, "maximum": 0.001, "jitter": lambda ceiling: ceiling, **more})


def hold_open(incoming: Observable[Any]) -> Any:
    return incoming.subscribe(lambda _: None)


async def read_alone(socket: Any) -> None:
    """A handler that reads nothing by itself: the test does."""
    await socket.closed


async def test_messages_of_frames() -> None:
    """A frame has none, one or several messages, and a message may come in several frames."""
    socket, peer = serve(hold_open, codec=Lines)
    log = watch(i=socket.incoming)
    peer.send("a\nb\n", "c", "d", "e\nf", "\n", "")
    await turns()
    assert log == [("i", line) for line in ("a", "b", "cde", "f")]
    assert (socket.stats.received, socket.stats.received_bytes) == (4, 10)


async def test_many_messages_of_one_frame() -> None:
    """More than are handed on at once come in order, and what another frame brings comes after them."""
    socket, peer = serve(hold_open, codec=Lines)
    got: list[str] = []
    socket.incoming.subscribe(got.append)
    numbers = [str(n) for n in range(3 * MESSAGES_AT_ONCE + 1)]
    peer.send("\n".join([*numbers, ""]), "last\n")
    await turns()
    assert got == [*numbers, "last"]


async def test_reading_one_by_one() -> None:
    """`receive()` takes one message of a frame, the others wait, and nothing overtakes them, not the end either."""
    socket, peer = serve(read_alone, codec=Lines)
    peer.send("1\n2\n3\n", "4\n")
    assert await socket.receive() == "1"
    assert socket.stats.received == 1
    assert socket.stats.unread == 2
    peer.close(rxws.Close(4000))
    await turns()
    assert [await socket.receive() for _ in range(2)] == ["2", "3"]
    assert [line async for line in socket] == ["4"]
    assert await ended(socket) == rxws.Close(4000)


async def test_operator_that_is_full() -> None:
    """An operator that takes one message at a time gets those of one frame one by one."""
    running = most = 0

    async def work(line: str) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1
        return line

    def handler(incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(rxws.operators.map_async(work))

    socket, peer = serve(handler, codec=Lines)
    await turns()
    peer.send("1\n2\n3\n4\n")
    await asyncio.sleep(0.5)
    assert socket.stats.received < 4
    await asyncio.sleep(5)
    assert (peer.sent, most) == (["1\n", "2\n", "3\n", "4\n"], 1)


async def test_decode_error_within_a_frame() -> None:
    """What comes before an error is delivered, the rest of the frame is skipped, and the next frame goes on."""
    socket, peer = serve(hold_open, codec=Lines)
    log = watch(i=socket.incoming, e=socket.errors)
    peer.send("1\n2\nbad\n3\n", "4\n")
    await turns()
    assert [note for note in log if note[0] == "i"] == [("i", "1"), ("i", "2"), ("i", "4")]
    ((_, error),) = [note for note in log if note[0] == "e"]
    assert isinstance(error, rxws.DecodeError)
    assert (error.message, repr(error.__cause__)) == ("1\n2\nbad\n3\n", "ValueError('a bad line')")
    assert socket.stats.received == 4


@pytest.mark.parametrize("given", ["text", b"bytes", 3, None], ids=repr)
async def test_messages_that_are_not_iterable(given: Any) -> None:
    """A codec that returns one message in place of several is told so."""
    codec = type("Wrong", (), {"messages": lambda self, data: given, "frames": lambda self, message: given})()
    socket, peer = serve(hold_open, codec=codec)
    log = watch(e=socket.errors)
    peer.send("x")
    socket.outgoing.on_next("y")
    await turns()
    causes = [str(error.__cause__) for _, error in log]
    assert causes == [
        f"Wrong.{name} must return a list or another iterable of {name}, not {type(given).__name__}"
        for name in ("messages", "frames")
    ]


async def test_close_within_a_frame() -> None:
    """A `Close` that a codec raises closes the socket; so does one of a pipeline, and the codec's work ends."""
    made: list[Lines] = []

    def make() -> Lines:
        made.append(Lines())
        return made[-1]

    def handler(incoming: Observable[str], socket: rxws.WebSocket[Any, Any]) -> Any:
        return incoming.subscribe(lambda line: socket.close(4001) if line == "2" else None)

    socket, peer = serve(handler, codec=make)
    got: list[str] = []
    socket.incoming.subscribe(got.append)
    peer.send("1\n2\n3\n4\n")
    assert await ended(socket) == rxws.Close(4001)
    assert (got, made[0].closed) == (["1", "2"], 1)
    assert socket.stats.received == 2


@pytest.mark.parametrize("end", ["drop", "close", "abort"])
async def test_end_while_the_rest_waits(end: str) -> None:
    """The end of a socket ends what its codec has begun, and nothing of it stays."""
    made: list[Lines] = []

    def make() -> Lines:
        made.append(Lines())
        return made[-1]

    socket, peer = serve(read_alone, codec=make, close_timeout=1.0)
    peer.send("1\n2\n3\n")
    assert await socket.receive() == "1"
    if end == "drop":
        peer.drop()
    elif end == "close":
        socket.close()
    else:
        peer._arrived.clear()
        peer.abort()
    await ended(socket)
    assert made[0].closed == 1
    gone = weakref.ref(made.pop())
    del socket, peer
    await asyncio.sleep(10)  # longer than any deadline
    gc.collect()
    assert gone() is None


async def test_list_of_messages() -> None:
    """A codec may make all messages of a frame at once; what comes after the end is nobody's."""

    class Listed(Lines):
        def messages(self, data: str | bytes) -> Any:
            return list(super().messages(data))

    socket, peer = serve(read_alone, codec=Listed)
    peer.send("1\n2\n3\n", "4\n")
    assert await socket.receive() == "1"
    peer.mute = True
    socket.close()
    await turns()
    peer.send("5\n")
    peer.drop()
    await ended(socket)
    assert socket.stats.received == 1


async def test_generator_that_goes_on() -> None:
    """A codec that makes messages although it is told to end is an error of the socket's."""

    class Stubborn(Lines):
        def messages(self, data: str | bytes) -> Iterator[str]:
            while True:
                try:
                    yield "again"
                except GeneratorExit:
                    yield "and again"

    socket, peer = serve(read_alone, codec=Stubborn)
    log = watch(e=socket.errors)
    peer.send("x")
    assert await socket.receive() == "again"
    socket.close()
    await ended(socket)
    assert repr(log[0][1]) == "RuntimeError('generator ignored GeneratorExit')"


async def test_generator_that_goes_on_in_a_greeting() -> None:
    """It does not keep the end of a greeting that fails."""

    class Stubborn(Lines):
        def messages(self, data: str | bytes) -> Iterator[str]:
            try:
                yield from "12"
            finally:
                yield "3"

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        dialer.peer.send("x")
        assert await connection.receive() == "1"
        dialer.peer._arrived.clear()
        raise LookupError("no user")

    dialer = MemoryDialer()
    with pytest.raises(LookupError, match="no user"):
        await connect(dialer, greet=greet, codec=Stubborn)
    assert dialer.peer.ended


async def test_subscriber_that_ends_the_program() -> None:
    """What ends the program within a frame is raised on, and the rest of the frame is not lost."""
    socket, peer = serve(hold_open, codec=Lines)
    got: list[str] = []

    def take(line: str) -> None:
        got.append(line)
        if line == "1":
            raise KeyboardInterrupt

    socket.incoming.subscribe(take)
    socket.errors.subscribe(lambda _: None)
    await turns()
    with pytest.raises(KeyboardInterrupt):
        peer.send("1\n2\n3\n")
    peer.send("4\n")
    assert got == ["1", "2", "3", "4"]


async def test_codec_that_ends_the_program() -> None:
    """So it is with a codec: it is raised on, and the next frame follows."""

    class Fatal(Lines):
        def messages(self, data: str | bytes) -> Iterator[str]:
            yield "1"
            if data == "die":
                raise KeyboardInterrupt

    socket, peer = serve(hold_open, codec=Fatal)
    got: list[str] = []
    socket.incoming.subscribe(got.append)
    socket.errors.subscribe(lambda _: None)
    await turns()
    with pytest.raises(KeyboardInterrupt):
        peer.send("die")
    peer.send("live")
    assert got == ["1", "1"]


@pytest.mark.parametrize(
    ("frames", "close"), [(["1\n2\n3\n4\n"], 1008), (["", "", "", ""], 1008), (["1\n2\n", "3"], 0)]
)
async def test_message_rate(frames: list[str], close: int) -> None:
    """Each message counts, and each frame that has none."""
    socket, peer = serve(hold_open, codec=Lines, message_rate=3)
    got: list[str] = []
    socket.incoming.subscribe(got.append)
    await turns()
    peer.send(*frames)
    await turns()
    assert (0 if socket._life.close_cause is None else socket._life.close_cause.code) == close
    assert len(got) <= 3


async def test_frames_of_a_message() -> None:
    """A message of several frames is one: it goes out in order with nothing between, and is counted once."""
    socket, peer = serve(hold_open, codec=Lines)
    await turns()
    peer.congested = True
    socket.outgoing.on_next(["a", "b", "c"])
    socket.outgoing.on_next("d")
    assert (socket.stats.buffered, socket.stats.buffered_bytes) == (2, 3 * 66 + 66)
    peer.congested = False
    await turns()
    assert peer.sent == ["a\n", "b\n", "c\n", "d\n"]
    assert (socket.stats.sent, socket.stats.sent_bytes) == (2, 8)


async def test_text_and_bytes_in_one_message() -> None:
    """A packet and its attachments, as socket.io has them."""

    class Packets:
        pure = True

        def messages(self, data: str | bytes) -> list[str | bytes]:
            return [data]

        def frames(self, message: Any) -> Iterator[str | bytes]:
            yield message["text"]
            yield from message["attached"]

    first, peer = serve(hold_open, codec=Packets())
    first.outgoing.on_next({"text": "é", "attached": [b"1", b""]})
    await turns()
    assert peer.sent == ["é", b"1", b""]


@pytest.mark.parametrize(
    ("frames", "why"),
    [([], "must give at least one frame for a message"), (["a", 1], "must give str or bytes, not int")],
    ids=repr,
)
async def test_frames_that_are_none(frames: list[Any], why: str) -> None:
    """A message without a frame, or with a part that is none, is an error, and nothing of it goes out."""
    codec = type("Wrong", (), {"messages": lambda self, data: [], "frames": lambda self, message: frames})()
    socket, peer = serve(hold_open, codec=codec)
    log = watch(e=socket.errors)
    socket.outgoing.on_next("x")
    await turns()
    assert (peer.sent, [type(error) for _, error in log]) == ([], [rxws.EncodeError])
    assert why in str(log[0][1].__cause__)


async def test_codec_of_each_connection() -> None:
    """No state of a codec survives a reconnect, or is seen by another socket."""
    dialer, other = MemoryDialer(), MemoryDialer()
    async with connect(dialer, quick(), codec=Lines) as socket, connect(other, quick(), codec=Lines) as second:
        log, seen = watch(i=socket.incoming), watch(i=second.incoming)
        await opened(socket)
        dialer.peer.send("half a li")
        other.peer.send("whole\n")
        await turns()
        dialer.peer.drop()
        await reopened(socket)
        dialer.peer.send("anew\n")
        await turns()
        assert (log, seen) == ([("i", "anew")], [("i", "whole")])


async def test_waiting_messages_are_encoded_anew() -> None:
    """What waits is encoded by the codec of the connection that sends it, as it was when it was sent."""
    Numbered.made = 0
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, quick(), codec=Numbered) as socket:
        words = ["a", "b"]
        socket.outgoing.on_next(words)
        words.append("c")
        socket.outgoing.on_next("d")
        assert socket.stats.buffered == 2
        dialer.answering.set()
        await opened(socket)
        assert dialer.peer.sent == ["1:a\n", "1:b\n", "1:d\n"]
        dialer.peer.congested = True
        socket.outgoing.on_next("e")
        socket.outgoing.on_next(words)
        words.append("late")
        dialer.peer.drop()
        await reopened(socket)
        assert dialer.peer.sent == ["2:e\n", "2:a\n", "2:b\n", "2:c\n"]
    assert Numbered.made == 2


async def test_message_that_cannot_be_copied() -> None:
    """It waits as it is."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    lock = (c for c in "ab")

    class Sent(Lines):
        def frames(self, message: Any) -> list[str | bytes]:
            return list(message)

    async with connect(dialer, quick(), codec=Sent) as socket:
        socket.outgoing.on_next(lock)
        dialer.answering.set()
        await opened(socket)
        assert dialer.peer.sent == ["a", "b"]


async def test_undelivered_as_one() -> None:
    """A message of several frames that may not have arrived is told of once."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), codec=Lines) as socket:
        lost: list[Any] = []
        socket.undelivered.subscribe(lost.append)
        await opened(socket)
        dialer.peer.pongs = False
        socket.outgoing.on_next(["a", "b"])
        await turns()
        assert dialer.peer.sent == ["a\n", "b\n"]
        dialer.peer.drop()
        await reopened(socket)
        assert (lost, dialer.peer.sent) == ([["a", "b"]], [])


async def test_expired_as_one() -> None:
    """So it is with one that was too old to be sent."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, quick(), codec=Lines, offline=rxws.expire(1)) as socket:
        log = watch(d=socket.dropped)
        socket.outgoing.on_next(["a", "b"])
        await asyncio.sleep(2)
        dialer.answering.set()
        await opened(socket)
        assert (log, dialer.peer.sent) == ([("d", ["a", "b"])], [])


async def test_message_that_waits_and_does_not_encode() -> None:
    """It is told of when there is a codec that refuses it; a request is told itself."""

    class Picky(Lines):
        def frames(self, message: Any) -> list[str | bytes]:
            if message == "bad":
                raise ValueError("no")
            return [message]

    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, quick(), codec=Picky) as socket:
        log = watch(e=socket.errors, r=socket.request("bad", matches=lambda _: True, timeout=5))
        for message in ("1", "bad", "2"):
            socket.outgoing.on_next(message)
        dialer.answering.set()
        await opened(socket)
        assert dialer.peer.sent == ["1", "2"]
        assert [(name, type(error)) for name, error in log] == [("r#", rxws.EncodeError), ("e", rxws.EncodeError)]


async def test_request_ends_the_program_late() -> None:
    """A codec that ends the program over a message that waited does so when the connection opens."""

    class Fatal(Lines):
        def frames(self, message: Any) -> list[str | bytes]:
            raise KeyboardInterrupt

    life_errors: list[Any] = []
    dialer = MemoryDialer()
    dialer.answering.clear()
    socket = await connect(dialer, quick(), codec=Fatal)
    socket.request("x", matches=lambda _: True, timeout=5).subscribe(on_error=life_errors.append)
    codec = Fatal()
    from rxws.codecs import Streamed

    with pytest.raises(KeyboardInterrupt):
        socket._life.outgoing.connected(Streamed(codec), dialer, None)
    assert [type(error) for error in life_errors] == [RuntimeError]
    socket._life.abort()
    await turns()


async def test_greeting_gets_one_at_a_time() -> None:
    """Of several messages in one frame a greeting takes what it receives, and `incoming` has the others."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[str, Any]) -> None:
        await connection.send(["user", "key"])
        dialer.peer.send("welcome\nto\nall\nbad\n", "more\n")
        assert await connection.receive() == "welcome"
        assert await connection.receive() == "to"

    async with connect(dialer, greet=greet, codec=Lines) as socket:
        log = watch(e=socket.errors)
        assert dialer.peer.sent == ["user\n", "key\n"]
        assert [await socket.receive(), await socket.receive()] == ["all", "more"]
        assert [type(error) for _, error in log] == [rxws.DecodeError]


async def test_greeting_and_socket_have_one_codec() -> None:
    """What a codec keeps of a frame during the greeting is there when the socket is open."""
    dialer = MemoryDialer()
    async with connect(dialer, greet="hello", codec=Numbered) as socket:
        socket.outgoing.on_next("world")
        await turns()
        (first,), (second,) = (frame.split(":")[:1] for frame in dialer.peer.sent)
        assert first == second


@pytest.mark.parametrize("made", [3, "text", Lines], ids=repr)
async def test_factory_that_makes_none(made: Any) -> None:
    """A factory that makes something else is told what it should make, and what it did."""
    with pytest.raises(TypeError, match=r"codec: .* must make an object with decode\(\) and encode\(\), .* not "):
        serve(hold_open, codec=lambda: made)
    dialer = MemoryDialer()
    with pytest.raises(TypeError, match="must make"):
        await connect(dialer, codec=lambda: made)
    assert dialer.peer.aborted


async def test_factory_that_raises() -> None:
    """What a factory raises is the attempt's failure; a fault that is none of the network's ends the client."""
    attempts = [OSError("not now"), KeyError("never")]

    def make() -> Any:
        raise attempts.pop(0)

    dialer = MemoryDialer()
    socket = await connect(dialer, quick(), codec=make)
    log = watch(s=socket.states, e=socket.errors)
    assert await ended(socket) == rxws.Close.received(1006)
    names = [type(note[1]).__name__ for note in log if note[0] == "s" and note != "s|"]
    assert names == ["Connecting", "Waiting", "Connecting", "Closed"]
    assert [repr(note[1]) for note in log if note[0] == "e" and note != "e|"] == ["KeyError('never')"]
    assert all(wire.aborted for wire in dialer.wires)


async def test_rotation_makes_a_codec() -> None:
    """A successor has a codec of its own, and what its predecessor still gets is read with that one's."""
    Numbered.made = 0
    dialer = MemoryDialer()
    async with connect(dialer, quick(), codec=Numbered) as socket:
        log = watch(i=socket.incoming)
        await opened(socket)
        old = dialer.peer
        old.send("one, ")
        old.mute = True
        socket.rotate()
        await asyncio.sleep(0.1)
        assert dialer.peer is not old
        dialer.peer.send("three\n")
        old.send("two\n", "and more\nto read\n")
        await turns()
        socket.outgoing.on_next("x")
        await turns()
        assert dialer.peer.sent == ["2:x\n"]
        assert log == [("i", line) for line in ("three", "one, two", "and more", "to read")]
        old.close()


async def test_codec_of_each_subprotocol() -> None:
    """A mapping of subprotocols may hold codecs and factories; each negotiation makes its own."""
    protocols = {"lines": Lines, "json": rxws.json}
    dialer = MemoryDialer()
    async with connect(dialer, quick(), protocols=protocols) as socket:
        socket.outgoing.on_next(["a", "b"])
        dialer.protocol = "lines"
        await opened(socket)
        assert dialer.peer.sent == ["a\n", "b\n"]
        dialer.peer.congested = True
        socket.outgoing.on_next(["c", "d"])
        dialer.protocol = "json"
        dialer.peer.drop()
        socket.outgoing.on_next(["e"])
        await reopened(socket)
        assert dialer.peer.sent == ['["c","d"]', '["e"]']
        dialer.protocol = None
        dialer.peer.drop()
        await reopened(socket)
        socket.outgoing.on_next("text")
        await turns()
        assert dialer.peer.sent == ["text"]


async def test_factory_of_a_codec_that_is_shared() -> None:
    """A factory may give the same codec each time; what waits is kept as it was all the same."""
    dialer = MemoryDialer()
    async with connect(dialer, quick(), codec=lambda: rxws.json) as socket:
        await opened(socket)
        dialer.peer.congested = True
        message = {"a": 1}
        socket.outgoing.on_next(message)
        message["a"] = 2
        dialer.peer.drop()
        socket.outgoing.on_next(message)
        await reopened(socket)
        assert dialer.peer.sent == ['{"a":1}', '{"a":2}']


class Topics(Lines):
    """Writes a message as JSON."""

    asked = 0

    def frames(self, message: Any) -> list[str | bytes]:
        type(self).asked += 1
        return [rxws.json.encode(message)]


async def test_multiplex_does_not_ask_the_codec() -> None:
    """Topics that ask for the same share it, and a codec that is not pure makes no frame that is not sent."""
    dialer = MemoryDialer()
    Topics.asked = 0
    async with connect(dialer, quick(), codec=Topics) as socket:
        await opened(socket)
        for subscribe in ({"topic": 1}, {"topic": 1}, {"topic": 2}):
            socket.multiplex(subscribe=subscribe, matches=lambda _: True).subscribe()
        await turns()
        assert dialer.peer.sent == ['{"topic":1}', '{"topic":2}']
        assert Topics.asked == 2


async def test_threads() -> None:
    """Another thread does not ask a codec of one connection; the event loop does, in its turn."""
    Numbered.made = 0
    dialer = MemoryDialer()
    async with connect(dialer, quick(), codec=Numbered) as socket:
        await opened(socket)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, socket.outgoing.on_next, ["a", "b"])
        await asyncio.sleep(0.01)
        assert dialer.peer.sent == ["1:a\n", "1:b\n"]


def test_run_with_a_codec_of_each_peer() -> None:
    """The scripted peers write with codecs of their own."""

    class Pairs(Lines):
        def messages(self, data: str | bytes) -> Iterator[str]:
            assert isinstance(data, str)
            self.begun += data
            while len(self.begun) >= 2:
                pair, self.begun = self.begun[:2], self.begun[2:]
                yield pair

        def frames(self, message: str | list[str]) -> list[str | bytes]:
            assert isinstance(message, str)
            return [*message]

    def shout(incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(ops.map(str.upper))

    result = rxws.testing.run(shout, "-a-b-c|", codec=Pairs, values={"a": "xy", "b": "z", "c": "w"})
    assert result.sent == ["X", "Y", "Z", "W"]
    peers = ["-a-b-|", "-a-|"]
    result = rxws.testing.run(shout, peers, codec=Pairs, values={"a": "xy", "b": "z"}, reconnect=quick(final="never"))
    assert result.sent == ["X", "Y", "X", "Y"]


async def test_recording(tmp_path: Any) -> None:
    """A recording has the messages, not the frames; a pure codec is not asked for them."""
    from rxws.recording import read, record

    class Pure(Lines):
        pure = True

    socket, peer = serve(hold_open, codec=Pure())
    with record(socket, tmp_path / "socket.jsonl"):
        peer.send("a\nb\n")
        socket.outgoing.on_next("c")
        await turns()
    recording = read(tmp_path / "socket.jsonl")
    assert [(event.lane, event.data) for event in recording if event.kind == "next"] == [
        *(("incoming", "a"), ("incoming", "b"), ("outgoing", "c"))
    ]


def test_partial_makes_a_codec() -> None:
    """A partial function is a factory, and so is one whose signature nobody knows."""
    settings = rxws.options.check({"codec": partial(rxws.codecs.MsgspecCodec, int)})
    assert settings.makes_codecs
    assert settings.make_codec(None).decode("1") == 1
    assert rxws.options.check({"codec": dict}).makes_codecs


STEPS = st.one_of(
    st.tuples(st.just("frame"), st.integers(0, 40)),
    st.tuples(st.sampled_from(["hold", "release", "receive", "subscribe", "leave", "turn", "bad"]), st.just(0)),
)


@few(60)
@given(st.lists(STEPS, max_size=40), st.sampled_from(["close", "drop", "flush"]))
def test_any_reader_of_any_frames(steps: list[tuple[str, int]], end: str) -> None:
    """Whoever reads, in whatever way and with whatever holds, gets all messages once, in order, and then the end."""

    async def play() -> tuple[list[str], list[str], int]:
        socket, peer = serve(read_alone, codec=Lines, close_timeout=1000.0)
        socket.errors.subscribe(lambda _: None)
        life, sent, got = socket._life, [], []
        holds, reading, bad = 0, None, 0
        for step, number in steps:
            if step == "frame":
                words = [str(len(sent) + n) for n in range(number)]
                sent += words
                text = "".join(f"{word}\n" for word in words)
                peer.send(text[:7], text[7:])
            elif step == "bad":
                bad += 1
                peer.send("bad\nnever read\n")
            elif step == "hold":
                holds += 1
                life.hold()
            elif step == "release" and holds:
                holds -= 1
                life.release()
            elif step == "receive" and reading is None:
                try:
                    async with asyncio.timeout(0.1):
                        got.append(await socket.receive())
                except TimeoutError:
                    pass
            elif step == "subscribe" and reading is None:
                reading = socket.incoming.subscribe(got.append)
            elif step == "leave" and reading is not None:
                reading.dispose()
                reading = None
            else:
                await turns(2)
        for _ in range(holds):
            life.release()
        if end == "close":
            peer.close(rxws.Close(4000))
        elif end == "drop":
            peer.drop()
        if reading is None:
            reading = socket.incoming.subscribe(got.append)
        await asyncio.sleep(1)
        socket.close()
        await ended(socket, 2000)
        return sent, got, socket.stats.received - bad

    sent, got, received = run_virtually(play())
    assert got == sent
    assert received == len(sent)
