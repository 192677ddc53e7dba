"""What makes messages smaller and large again, without a network."""

from __future__ import annotations

import contextlib
import json
import random
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rxws
from rxws.core.encoding import encode, hand_on
from rxws.core.wire import Binary, Frame, Ping, PlainBinary, PlainText, Text
from rxws.options import Deflate
from rxws.wires import deflate as module
from rxws.wires.deflate import BLOCKS, LARGEST, PROBE, SEED, TAIL, Deflation, InflateError, Inflater, make_deflation
from rxws.wires.negotiation import Agreement, Half

ALONE, KEPT = Half(15, True), Half(15, False)
SHARED = Agreement(ALONE, ALONE)
LONG = b"the same words again and again, " * 10


def made(options: Deflate | bool = True, agreed: Agreement = SHARED, limit: int | None = None) -> Deflation:
    return make_deflation(options, agreed, limit)


def deflated(frame: Frame, options: Deflate | bool = True, agreed: Agreement = SHARED) -> Frame:
    deflate = made(options, agreed).deflate
    assert deflate is not None
    return deflate(frame)


def expand(data: bytes, bits: int = 15) -> bytes:
    return zlib.decompressobj(-bits).decompress(data + TAIL)


def squeezed(data: bytes, stream: Any = None) -> bytes:
    stream = stream or zlib.compressobj(wbits=-15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]


# Making smaller


@pytest.mark.parametrize("kind", [Text, Binary])
def test_compressed_once(kind: type[Frame]) -> None:
    """A frame is compressed once for all that agree on the same, in all sockets."""
    frame = kind(LONG)
    first, second = deflated(frame), deflated(frame)
    assert first is second
    assert (first.opcode, expand(first.data)) == (kind.opcode | 0x40, LONG)
    assert first.weight == len(first.data) + 64
    assert deflated(frame, Deflate(level=1)) is not first


def test_same_bytes_as_a_new_compressor() -> None:
    """Nothing of one message is in the next: the kept compressor makes what a new one makes, and no last block."""
    source = random.Random(1)
    for number in range(200):
        data = LONG[: source.randrange(128, 300)] + source.randbytes(number)
        fresh = zlib.compressobj(6, zlib.DEFLATED, -15, 8)
        packed = deflated(Binary(data)).data
        assert packed == (fresh.compress(data) + fresh.flush(zlib.Z_FULL_FLUSH))[:-4]
        inflate = zlib.decompressobj(-15)
        assert (inflate.decompress(packed + TAIL), inflate.eof) == (data, False)


@pytest.mark.parametrize(
    "frame",
    [
        Text(b"x" * 127),
        PlainText(LONG),
        PlainBinary(LONG),
        Ping(bytes(125)),
        Binary(random.Random(1).randbytes(500)),
        Binary(bytes(LARGEST + 1)),
    ],
    ids=["short", "plain text", "plain bytes", "ping", "random", "large"],
)
def test_goes_as_it_is(frame: Frame) -> None:
    """What is short, marked, of the protocol, incompressible or very large goes as it is, each time."""
    assert [deflated(frame) for _ in range(3)] == [frame] * 3


@pytest.mark.parametrize(
    ("options", "least"),
    [(Deflate(), 128), (Deflate(outgoing_context=True), 16), (Deflate(outgoing_context=True, threshold=20), 20)],
)
def test_threshold(options: Deflate, least: int) -> None:
    """Messages are compressed from the threshold on; with a context, small ones too."""
    agreed = Agreement(KEPT if options.outgoing_context else ALONE, ALONE)
    assert deflated(Text(b"x" * least), options, agreed).opcode == 0x41
    assert deflated(Text(b"x" * (least - 1)), options, agreed).opcode == 1


@pytest.mark.parametrize("bits", range(8, 16))
@pytest.mark.parametrize("resets", [True, False])
def test_window(bits: int, resets: bool) -> None:
    """No message refers further back than its window, of 8 bits either."""
    block = random.Random(1).randbytes(2 ** (bits - 1) + 50)
    agreed = Agreement(Half(bits, resets), ALONE)
    assert expand(deflated(Binary(b"abc" * 100 + block * 3), True, agreed).data, bits) == b"abc" * 100 + block * 3


def test_context() -> None:
    """With a context, messages refer to those before, of the same socket alone; those that go as they are, do not."""
    options, agreed = Deflate(outgoing_context=True), Agreement(KEPT, ALONE)
    one, other = made(options, agreed).deflate, made(options, agreed).deflate
    assert one is not None
    assert other is not None
    first, short, second = one(Text(LONG)), one(Text(b"short")), one(Text(LONG))  # the second is not in the context
    inflate = zlib.decompressobj(-15)
    assert [inflate.decompress(frame.data + TAIL) for frame in (first, second)] == [LONG, LONG]
    assert len(second.data) < len(first.data) // 2
    assert (short.opcode, short.data) == (1, b"short")
    assert expand(other(Text(LONG)).data) == LONG


def test_threads() -> None:
    """Sockets of several event loops share a compressor, and get what is theirs."""
    wrong: list[int] = []
    start = threading.Barrier(4)

    def work(seed: int) -> None:
        source = random.Random(seed)
        start.wait()
        for number in range(300):
            data = LONG + source.randbytes(number)
            if expand(deflated(Binary(data)).data) != data:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_compressor_that_raised_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a message that could not be compressed is not in the next one."""

    class Raising:
        def compress(self, data: bytes) -> bytes:
            return b""

        def flush(self, mode: int) -> bytes:
            raise MemoryError

    options = Deflate(level=7)
    with monkeypatch.context() as patched:
        patched.setattr(module.zlib, "compressobj", lambda *_: Raising())
        with pytest.raises(MemoryError):
            deflated(Text(LONG), options)
    assert expand(deflated(Text(LONG), options).data) == LONG


# Making large again


def inflating(agreed: Half, limit: int | None = None) -> Inflater:
    inflate = made(True, Agreement(ALONE, agreed), limit).inflate
    assert inflate is not None
    return inflate


@given(st.lists(st.binary(max_size=300)), st.booleans())
def test_round_trip(messages: list[bytes], keeps: bool) -> None:
    """Messages come back as they were, with a context and without."""
    half = KEPT if keeps else ALONE
    one = made(Deflate(outgoing_context=keeps, threshold=0), Agreement(half, half))
    assert one.deflate is not None
    assert one.inflate is not None
    for message in messages:
        frame = one.deflate(Binary(message))
        assert (one.inflate(frame.data) if frame.opcode & 0x40 else frame.data) == message


@pytest.mark.parametrize("agreed", [ALONE, KEPT])
@pytest.mark.parametrize("size", [0, 1, 999, 1000])
def test_limit_is_exact(agreed: Half, size: int) -> None:
    """A message of exactly the limit passes, a byte more is 1009."""
    for limit in (1000, 1000 + size):
        inflate = inflating(agreed, limit)
        assert len(inflate(squeezed(bytes(limit)))) == limit
        with pytest.raises(InflateError, match=f"more than {limit} bytes") as raised:
            inflate(squeezed(bytes(limit + 1)))
        assert raised.value.code == 1009


@pytest.mark.parametrize("agreed", [ALONE, KEPT])
def test_any_message_that_is_plain_inside(agreed: Half) -> None:
    """What cannot be compressed may be larger on the wire than the limit, and passes at exactly the limit."""
    data = random.Random(1).randbytes(100_000)
    packed = squeezed(data, zlib.compressobj(9, zlib.DEFLATED, -9, 1, zlib.Z_FIXED))
    assert len(data) < len(packed) <= (module.wire_limit(len(data)) or 0)
    assert inflating(agreed, len(data))(packed) == data


def test_no_limit() -> None:
    assert module.wire_limit(None) is None
    assert len(inflating(ALONE)(squeezed(bytes(10**6)))) == 10**6


@pytest.mark.parametrize("agreed", [ALONE, KEPT])
@pytest.mark.parametrize("ending", [b"", b"\x00"])
def test_last_blocks(agreed: Half, ending: bytes) -> None:
    """A message that ends with a last block is taken, with the empty block of section 7.2.3.4 behind it or without."""
    inflate, final = inflating(agreed), zlib.compressobj(wbits=-15)
    block = final.compress(LONG) + final.flush(zlib.Z_FINISH)
    for _ in range(2):
        assert inflate(block + ending) == LONG
    assert inflate(block * (BLOCKS - 1) + ending) == LONG * (BLOCKS - 1)
    with pytest.raises(InflateError, match="last blocks") as raised:
        inflate(block * (BLOCKS + 2) + ending)
    assert raised.value.code == 1002


@pytest.mark.parametrize("agreed", [ALONE, KEPT])
def test_limit_over_last_blocks(agreed: Half) -> None:
    """The limit holds for all blocks together."""
    final = zlib.compressobj(wbits=-15)
    block = final.compress(LONG) + final.flush(zlib.Z_FINISH)
    assert inflating(agreed, 2 * len(LONG))(block * 2) == LONG * 2
    with pytest.raises(InflateError, match="more than"):
        inflating(agreed, 2 * len(LONG) - 1)(block * 2)


def broken() -> Iterator[bytes]:
    yield b"\xff" * 20
    whole = squeezed(LONG)
    yield from (whole[:end] for end in range(1, len(whole) - 1))


def test_broken_messages() -> None:
    """What is not whole, or nonsense, is 1002, and not taken for less than was sent."""
    for data in broken():
        with pytest.raises(InflateError) as raised:
            inflating(ALONE)(data)
        assert raised.value.code == 1002
        assert raised.value.__suppress_context__


def test_nothing_agreed() -> None:
    """Without an agreement, nothing is compressed, and the limit holds."""
    assert make_deflation(True, None, 5) == Deflation(None, None, 5)


# Sending on


def by_a_peer(data: bytes) -> bytes:
    """Compress a message as nobody here does."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data[:50]) + stream.flush(zlib.Z_SYNC_FLUSH) + squeezed(data[50:], stream)


def going_on(message: str | bytes, packed: bytes, make: Callable[[], Any]) -> Any:
    """Make something while a message is handed on."""
    made: list[Any] = []
    data = message.encode() if isinstance(message, str) else message
    hand_on(lambda _: made.append(make()), message, data, packed)
    return made[0]


@pytest.mark.parametrize("codec", [rxws.codecs.text, rxws.json])
def test_sent_on_as_it_came(codec: Any) -> None:
    """What comes compressed goes out as it came, while it is handed on, if what is encoded is the same."""
    text = json.dumps({"word": ["again"] * 50}, separators=(",", ":"))
    message, packed = codec.decode(text), by_a_peer(text.encode())
    same = going_on(text, packed, lambda: deflated(encode(codec, message)))
    assert (same.opcode, same.data) == (0x41, packed)
    other = going_on(text, packed, lambda: deflated(encode(codec, codec.decode(text[:-1] + " }"))))
    later = deflated(encode(codec, codec.decode(text + " ")))
    assert expand(other.data) == (text if codec is rxws.json else text[:-1] + " }").encode()
    assert packed != later.data


@pytest.mark.parametrize(
    ("options", "bits", "as_it_came"),
    [
        (True, 15, True),
        (Deflate(level=1), 15, True),
        (Deflate(level=7), 15, False),
        (Deflate(outgoing_window_bits=14), 14, False),
        (True, 12, False),
    ],
)
def test_who_sends_on(options: Deflate | bool, bits: int, as_it_came: bool) -> None:
    """With a smaller window, or where more effort is wanted than peers take, messages are compressed anew."""
    packed = by_a_peer(LONG)
    frame = going_on(LONG, packed, lambda: encode(rxws.codecs.text, bytes(bytearray(LONG))))
    again = deflated(frame, options, Agreement(Half(bits, True), ALONE))
    assert expand(again.data) == LONG
    assert (again.data is packed) is as_it_came


def test_marked_or_short_is_not_sent_on() -> None:
    """A mark, and the threshold, count more."""
    plain = rxws.codecs.uncompressed(LONG)
    assert going_on(LONG, squeezed(LONG), lambda: deflated(encode(rxws.codecs.text, plain))).opcode == 2
    short = b"x" * 100
    assert going_on(short, squeezed(short), lambda: deflated(encode(rxws.codecs.text, short))).opcode == 2


def test_end_of_sending_on() -> None:
    """It ends with the call, also if that raises."""
    packed = by_a_peer(LONG)
    with pytest.raises(KeyError):
        hand_on({}.__getitem__, "key", LONG, packed)
    assert deflated(encode(rxws.codecs.text, bytes(bytearray(LONG)))).data != packed


FINAL = zlib.compress(LONG, wbits=-15)
STORED = b"\x00\x0c\x00\xf3\xffstored b"  # of whose 12 bytes four are the tail
UNFIT = {
    "empty": b"",
    "last block": FINAL,
    "last block and an empty one": FINAL + b"\x00",
    "last block first": FINAL + squeezed(LONG),
    "last block that takes the tail": b"\x01\x04\x00\xfb\xff",
    "last block that takes all": b"\x01" + struct.pack("<HH", len(PROBE), ~len(PROBE) & 0xFFFF),
    "block that takes the tail and more": b"\x00\x06\x00\xf9\xff",
    "in a header": b"\x04",
    "in a block": zlib.compress(LONG, wbits=-15)[:20],
    "nothing": b"\xff" * 20,
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_does_not_stand_alone(kind: str) -> None:
    """What has a last block, or ends within a block, is not for others, whether or not it can be read."""
    inflate = inflating(ALONE)
    inflate(squeezed(LONG))
    assert inflate.stands_alone
    with contextlib.suppress(InflateError):
        inflate(UNFIT[kind])
    assert not inflate.stands_alone


def test_seed_is_hidden() -> None:
    """A block that takes the probe for its own bytes does not end with the seed."""
    assert SEED not in PROBE
    assert zlib.decompress(b"\x00\x00\x00\xff\xff" + PROBE[len(TAIL) :], -15) == SEED


def test_context_does_not_stand_alone() -> None:
    inflate = inflating(KEPT)
    inflate(squeezed(LONG))
    assert not inflate.stands_alone


def parts() -> st.SearchStrategy[bytes]:
    """Make streams that are right, and nearly so."""
    stored = st.binary(max_size=20).map(
        lambda data: b"\x00" + struct.pack("<HH", len(data), ~len(data) & 0xFFFF) + data
    )
    flushed = st.tuples(st.binary(max_size=50), st.sampled_from([0, 1, 6, 9]), st.sampled_from([0, 2, 4])).map(
        lambda how: squeezed(how[0] * 3, zlib.compressobj(how[1], wbits=-15, strategy=how[2]))
    )
    final = st.binary(max_size=50).map(lambda data: zlib.compress(data, wbits=-15))
    noise = st.one_of(st.binary(max_size=6), st.sampled_from([TAIL, b"\x00", b"\x02\x00", STORED]))
    return st.lists(st.one_of(flushed, flushed.map(lambda data: data + TAIL), stored, final, noise), max_size=4).map(
        b"".join
    )


@given(parts(), st.booleans())
@settings(max_examples=300)
def test_who_reads_what_stands_alone(data: bytes, is_cut: bool) -> None:
    """An inflater that never begins anew, as those of browsers, reads what stands alone, and what comes after it."""
    inflate = inflating(ALONE)
    if is_cut:
        data = data[: -len(data) // 3]
    try:
        message = inflate(data)
    except InflateError:
        message = None
    assert not (inflate.stands_alone and message is None)
    if inflate.stands_alone:
        reader = zlib.decompressobj(-15)
        assert reader.decompress(data + TAIL) == message
        assert (reader.decompress(squeezed(LONG) + TAIL), reader.eof) == (LONG, False)
        assert zlib.decompressobj(-15).decompress(data + TAIL) == message
