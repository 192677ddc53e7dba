"""Frames as bytes, and the frame that is read without aiohttp's parser."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxws.wires.aiohttp.fast.direct_queue import NO_PROTOCOL, DirectQueue, make_parser
from rxws.wires.aiohttp.fast.framing import LONE, masked, text_in

TEXTS = st.text().map(str.encode) | st.binary(max_size=130)
OPCODES = st.sampled_from([0, 1, 1, 1, 2, 8, 9, 10])


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """Make frames of a client's, whole, cut, changed, or several."""
    chunk = b"".join(masked(draw(OPCODES), draw(TEXTS)[:125]) for _ in range(draw(st.integers(1, 2))))
    if draw(st.booleans()):
        at = draw(st.integers(0, min(len(chunk) - 1, 6)))
        chunk = chunk[:at] + draw(st.binary(min_size=1, max_size=1)) + chunk[at + 1 :]
    return chunk[: min(draw(st.sampled_from([len(chunk), len(chunk), len(chunk) - 1, 3])), LONE)]


def text_of(chunk: bytes) -> str | None:
    """Read a chunk in memory that has been used before."""
    return text_in(bytearray(chunk + masked(1, b"before")), len(chunk))


@given(chunks())
def test_text_in(chunk: bytes) -> None:
    """What is taken for a text is the only message that aiohttp's parser finds, and leaves nothing behind."""
    text = text_of(chunk)
    queue, seen = DirectQueue(NO_PROTOCOL), list[Any]()
    queue.receiver = cast("Any", SimpleNamespace(message_received=seen.append, as_it_comes=False))
    queue.left, queue.watch = 10, cast("Any", None)
    queue.open()
    parser = make_parser(queue, 0)
    for fed in (chunk, masked(1, b"next")) if text is not None else ():
        parser.feed_data(fed)
    assert (seen, queue.exception()) == ([] if text is None else [text, "next"], None)


@pytest.mark.parametrize("size", [0, 1, 124, 125])
def test_text_in_each_size(size: int) -> None:
    """A short text is found, of up to 125 bytes."""
    chunk = masked(1, b"a" * size)
    assert text_of(chunk) == "a" * size
    assert text_of(chunk[:-1]) is None
    assert size == 125 or text_of(chunk + b"\x81") is None
    assert len(chunk) <= LONE
    assert text_of(b"") is None


OTHERS = {
    "longer": masked(1, b"a" * 126)[:LONE],
    "binary": masked(2, b"a"),
    "a ping": masked(9, b"a"),
    "a fragment": b"\x01" + masked(1, b"a")[1:],
    "compressed": b"\xc1" + masked(1, b"a")[1:],
    "not masked": b"\x81\x01a",
    "not UTF-8": masked(1, b"\xff"),
    "two": masked(1, b"a") * 2,
}


@pytest.mark.parametrize("what", OTHERS)
def test_text_in_nothing_else(what: str) -> None:
    """Any other frame is the parser's."""
    assert text_of(OTHERS[what]) is None
