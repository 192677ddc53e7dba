"""From a message to a frame."""

import tracemalloc
from typing import Any

import pytest
from reactivex.subject import Subject

import rxws
from rxws.core.encoding import encode, encode_again, sharing, split, with_copy
from rxws.core.wire import Binary, Limited, Several, Text
from rxws.testing import MemoryDialer, connect, serve
from tests.streams import raising, turns, watch


def idle() -> None:
    """A handler that does nothing."""


async def test_text_and_bytes_go_as_they_are() -> None:
    socket, peer = serve(idle)
    for message in ("é", b"\x00\xff", bytearray(b"ab"), memoryview(b"cd")):
        socket.outgoing.on_next(message)
    await turns()
    assert peer.sent == ["é", b"\x00\xff", b"ab", b"cd"]
    assert (socket.stats.sent, socket.stats.sent_bytes) == (4, 8)
    peer.drop()


@pytest.mark.parametrize("data", ["text", b"bytes"])
def test_marked_messages(data: Any) -> None:
    """What is marked is a frame that is not to be compressed, the same for all, for one connection too."""
    marked = rxws.codecs.uncompressed(data)
    frame = encode(rxws.codecs.text, marked)
    assert encode(rxws.codecs.text, marked) is frame
    unmarked = encode(rxws.codecs.text, data)
    assert (frame.opcode, frame.data, marked) == (unmarked.opcode, unmarked.data, data)
    assert (frame.plain, Limited(frame).plain, unmarked.plain) == (True, True, False)


def test_frames_of_a_message() -> None:
    """The frames of a message are made once for all who send it; for one connection alone they are its own."""
    message = Several([Text(b"head"), Binary(b"body")], None)
    frames = split(message)
    assert [(type(frame), frame.data) for frame in frames] == [(Text, b"head"), (Binary, b"body")]
    assert split(message) is frames
    limited = split(Limited(message))
    assert [frame.data for frame in limited] == [b"head", b"body"]
    assert limited[0] is not frames[0]
    assert split(frames[0]) == frames[:1]


def test_sharing_of_two_threads() -> None:
    """Of blocks that overlap, as those of two threads may, neither leaves its frame to the time after it."""
    one, other = {"a": 1}, {"b": 1}
    first, second = sharing(one), sharing(other)
    first.__enter__()
    assert encode(rxws.json, one) is encode(rxws.json, one)
    second.__enter__()
    assert encode(rxws.json, other) is encode(rxws.json, other)
    first.__exit__()
    second.__exit__()
    one["a"] = other["b"] = 2
    assert [encode(rxws.json, message).data for message in (one, other)] == [b'{"a":2}', b'{"b":2}']


async def test_bad_codec_result() -> None:
    """A codec that returns something else is an EncodeError."""

    class Wrong:
        def decode(self, data: Any) -> Any:
            return data

        def encode(self, message: Any) -> Any:
            return 3

    socket, peer = serve(idle, codec=Wrong())
    log = watch(errors=socket.errors)
    socket.outgoing.on_next("a")
    assert "Wrong.encode must return str or bytes, not int" in str(log[0][1])
    peer.drop()


async def test_subclass_of_bytes() -> None:
    """A subclass of bytes goes out as its bytes."""

    class Blob(bytes):
        pass

    socket, peer = serve(idle)
    socket.outgoing.on_next(Blob(b"ab"))
    await turns()
    assert [(type(message), message) for message in peer.sent] == [(bytes, b"ab")]
    peer.drop()


class Numbering:
    """A codec that numbers what it encodes: no two frames are the same."""

    def __init__(self) -> None:
        self.number = 0

    def decode(self, data: Any) -> Any:
        return data

    def encode(self, message: Any) -> str:
        if message == "bad":
            raise ValueError("a bad message")
        self.number += 1
        return f"{self.number} {message}"


@pytest.mark.parametrize("message", ["a", b"a", 1, 1.5, ("a",)])
async def test_a_codec_that_numbers_is_asked_each_time(message: Any) -> None:
    """A message that comes again, or goes to many sockets, has a number of its own each time."""
    codec = Numbering()
    first, second = serve(idle, codec=codec), serve(idle, codec=codec)
    for socket, _ in (first, first, second):
        socket.outgoing.on_next(message)
    await turns()
    assert [peer.sent for _, peer in (first, second)] == [[f"1 {message}", f"2 {message}"], [f"3 {message}"]]
    for _, peer in (first, second):
        peer.drop()


@pytest.mark.parametrize("codec", [rxws.codecs.text, rxws.json, rxws.codecs.msgspec(str)])
def test_our_codecs_are_asked_once(codec: Any) -> None:
    """A message that cannot change is encoded once for all sockets that get it one after the other."""
    message = "a message for many"
    assert encode(codec, message) is encode(codec, message)


async def test_a_request_is_encoded_once() -> None:
    """The frame that shows that a question can be sent is the one that is sent."""
    dialer = MemoryDialer()
    async with connect(dialer, codec=Numbering()) as socket:
        for question in ("a", {"b": 1}):
            socket.request(question, matches=lambda _: True).subscribe(on_error=lambda _: None)
        await turns()
        assert dialer.peer.sent == ["1 a", "2 {'b': 1}"]


async def test_blame_does_not_ask_a_codec_that_numbers() -> None:
    """Whether the sender could have sent a value is not tried with a codec whose peer would miss a number."""
    room: Subject[Any] = Subject()
    codec = Numbering()
    told: dict[str, list[str]] = {"sender": [], "same": [], "other": []}

    def handler(name: str) -> Any:
        def run(incoming: Any, errors: Any) -> Any:
            errors.subscribe(lambda error: told[name].append(str(error.value)))
            incoming.subscribe(room)
            return None if name == "sender" else room

        return run

    sender, peer = serve(handler("sender"), codec=codec)
    others = [serve(handler("same"), codec=codec)[1], serve(handler("other"), codec=Picky())[1]]
    await turns()
    peer.send("bad", "worse", "good")
    await turns()
    sender.outgoing.on_next("last")
    await turns()
    assert told == {"sender": ["bad"], "same": [], "other": ["worse"]}
    assert [other.sent for other in others] == [["1 worse", "2 good"], ["bad", "good"]]
    assert peer.sent == ["3 last"]
    for wire in (peer, *others):
        wire.drop()


class Picky:
    def decode(self, data: Any) -> Any:
        return data

    def encode(self, message: Any) -> str:
        if message == "worse":
            raise ValueError("a worse message")
        return message


class Squeezing:
    """A codec that is pure, and whose frames are small."""

    pure = True

    def decode(self, data: Any) -> Any:
        return data

    def encode(self, message: Any) -> str:
        return message[:1]


@pytest.mark.parametrize("codec", [rxws.codecs.text, rxws.json, rxws.codecs.msgspec(str), Squeezing()])
async def test_a_large_message_is_kept_for_its_turn(codec: Any) -> None:
    """It is encoded once for all that get it in this turn of the event loop, and is not kept alive any longer."""
    tracemalloc.start()
    try:
        message = "x" * 2**20
        assert encode(codec, message) is encode(codec, message)
        await turns()
        del message
        assert tracemalloc.get_traced_memory()[0] < 2**18
    finally:
        tracemalloc.stop()


def test_without_an_event_loop_no_large_message_is_kept() -> None:
    message = "x" * 2**20
    assert encode(rxws.codecs.text, message) is not encode(rxws.codecs.text, message)


# Once more, for another codec


class Pure:
    """A codec of two functions that says that it is pure."""

    pure = True

    def __init__(self, encode: Any, decode: Any) -> None:
        self.encode = encode
        self.decode = decode


class Uncopyable(list[Any]):
    def __init__(self, raised: BaseException) -> None:
        super().__init__()
        self.raised = raised

    def __deepcopy__(self, memo: Any) -> Any:
        raise self.raised


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit()], ids=repr)
def test_what_ends_the_program_is_raised_on(raised: BaseException) -> None:
    """What ends the program is raised on, by a codec that is to tell what a message was, or by a message's copy."""
    codec = Pure(str, raising(raised))
    message = [1]
    frame = encode(codec, message)
    message.append(2)
    with pytest.raises(type(raised)):
        encode_again(frame, codec, rxws.json)
    with pytest.raises(type(raised)):
        with_copy(encode(rxws.json, Uncopyable(raised)))


def test_encoded_again_from_a_lossy_frame() -> None:
    """What a codec reads otherwise than it wrote it is not sent as if it were the message."""
    codec = Pure(lambda message: str(round(message[0])), lambda data: [int(data) + 0.6])
    message: list[Any] = [1.2]
    frame = encode(codec, message)
    again = encode_again(frame, codec, rxws.json)
    assert again is not None
    assert again.data == b"[1.2]"
    for message[0] in (5.0, "not a number"):
        assert encode_again(frame, codec, rxws.json) is None


def test_a_message_that_cannot_be_copied() -> None:
    """What nobody can copy, of a codec that is not pure, is not encoded again."""
    message = Uncopyable(TypeError("cannot be copied"))
    frame = with_copy(encode(Numbering(), message))
    assert encode_again(frame, Numbering(), rxws.json) is None
    pure = encode_again(with_copy(encode(rxws.json, message)), rxws.json, Numbering())
    assert pure is not None
    assert pure.data == b"1 []"
