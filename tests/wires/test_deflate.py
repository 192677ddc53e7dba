"""What makes messages smaller and large again, without a network."""

from __future__ import annotations

import random
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxws.core.wire import Binary, Frame, Ping, PlainBinary, PlainText, Text
from rxws.options import Deflate
from rxws.wires import deflate as module
from rxws.wires.deflate import BLOCKS, LARGEST, TAIL, Deflation, InflateError, Inflater, make_deflation
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
