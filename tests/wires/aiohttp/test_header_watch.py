"""The watch knows of each message whether it is whole, however its frames are cut."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import pytest

from rxws.wires.aiohttp.fast.framing import masked, plain
from rxws.wires.aiohttp.header_watch import HeaderWatch

EMPTY, FRAGMENT, LAST, PING = b"\x81\x00", b"\x01\x03abc", b"\x80\x01d", b"\x89\x02hi"
LONG, HUGE = plain(2, bytes(300)), plain(2, bytes(70_000))


def opcode(value: object) -> str | None:
    """Name a parameter by what does not change from run to run, as a mask does."""
    return f"{value[0]:x}" if isinstance(value, bytes) else None


class Queue:
    """As much of aiohttp's queue as a watch needs."""

    def __init__(self) -> None:
        self.errors: list[Any] = []
        self._buffer: list[Any] = []

    def exception(self) -> Any:
        return self.errors[-1] if self.errors else None

    def set_exception(self, error: Any) -> None:
        self.errors.append(error)


def watch(*, masked: bool = False, limit: int = 0) -> tuple[HeaderWatch, list[bytes], list[Any]]:
    fed: list[bytes] = []
    parser = SimpleNamespace(
        feed_data=lambda data: (fed.append(data), (False, b""))[1], feed_eof=lambda: fed.append(b"|")
    )
    clock, queue = itertools.count(1), Queue()
    return (
        HeaderWatch(parser, queue, SimpleNamespace(time=lambda: next(clock)), masked=masked, limit=limit),
        fed,
        queue.errors,
    )


@pytest.mark.parametrize(
    "whole", [EMPTY, PING, masked(1, b"abc"), LONG, masked(2, bytes(300)), HUGE, FRAGMENT + LAST], ids=opcode
)
def test_whole_with_its_last_byte(whole: bytes) -> None:
    """A message is whole with its last byte, and not earlier."""
    one, *_ = watch(masked=whole[1] >= 0x80)
    for at in range(len(whole) - 1):
        one.feed_data(whole[at : at + 1])
        assert one.since == 1
    one.feed_data(whole[-1:])
    assert one.since is None


def test_since_message_not_frame() -> None:
    """The time is when the message began, not its frame."""
    one, *_ = watch()
    one.feed_data(EMPTY + FRAGMENT)
    assert one.since == 1
    one.feed_data(PING)
    one.feed_data(b"\x00\x00")
    one.feed_data(PING + b"\x00")
    assert one.since == 1
    one.feed_data(b"\x00" + LAST + FRAGMENT)
    assert one.since == 2
    one.feed_data(LAST)
    assert one.since is None


def test_parts() -> None:
    """The watch feeds the parser, and reports parts from the beginning to the end."""
    one, fed, _ = watch()
    told: list[Any] = []
    one.feed_data(FRAGMENT)
    one.begin(SimpleNamespace(part_received=lambda: told.append(one.since)))
    one.feed_data(PING)
    one.excuse()
    one.feed_data(PING)
    one.feed_data(LAST)
    one.excuse()
    one.end()
    one.feed_data(FRAGMENT)
    one.feed_eof()
    assert told == [1, 1, 2]
    assert fed == [FRAGMENT, PING, PING, LAST, FRAGMENT, b"|"]


def test_end_within_chunk() -> None:
    """An end may be skipped if the header of the last frame is whole, and the message ends within the chunk."""
    one, *_ = watch()
    one.feed_data(LONG[:1])
    assert one.skip_end(1000) == 0, "its header is not whole"
    one.feed_data(LONG[1:100])
    assert one.skip_end(203) == 0
    assert one.since == 1
    assert one.skip_end(204) == 204
    assert one.since is None
    assert one.check(EMPTY + FRAGMENT[:-1])[0] == 1
    assert one.skip_end(1000) == 0, "another frame follows"
    one.feed_data(FRAGMENT[-1:] + LAST[:-1])
    assert one.skip_end(1) == 1


@pytest.mark.parametrize("seed", range(20))
def test_any_cut(seed: int) -> None:
    """Any cut of any frames comes to the same."""
    choose = random.Random(seed)
    whole = b"".join(
        choose.choice([EMPTY, PING, LONG, HUGE, FRAGMENT + PING + LAST, b"\x81\x7e\x00\x01x"]) for _ in range(30)
    )
    one, *_ = watch()
    at = 0
    while at < len(whole):
        size = choose.choice([1, 2, 3, 100, 5000])
        one.feed_data(whole[at : at + size])
        at += size
    assert one.since is None


@pytest.mark.parametrize("cut", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("size", [100, 999, 1000, 70_000, 2**40])
def test_limit(size: int, cut: int) -> None:
    """A frame over the limit is an error with its header, and what came before is parsed."""
    one, fed, errors = watch(limit=1000)
    header = plain(2, bytes(size))[:10] if size < 2**20 else b"\x82\x7f" + size.to_bytes(8, "big")
    one.feed_data(EMPTY + header[:cut])
    one.feed_data(header[cut:] + b"more")
    assert [error.code for error in errors] == ([1009] if size >= 1000 else [])
    if errors:
        known = 4 if size < 65536 else 10
        assert b"".join(fed) == EMPTY + (header[:cut] if cut < known else b"")
        assert one.feed_data(b"yet more") == (False, b"")


def test_limit_is_not_for_control_frames() -> None:
    """A control frame has a limit of its own, which the parser knows."""
    one, _, errors = watch(limit=1)
    one.feed_data(PING)
    assert errors == []


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4])
@pytest.mark.parametrize(
    ("is_masked", "bad", "says"),
    [
        (True, plain(1, b"hi"), "not masked"),
        (True, plain(2, bytes(300))[:4], "not masked"),
        (True, b"\x89\x00", "not masked"),
        (False, masked(1, b"hi"), "is masked"),
        (False, masked(2, bytes(70_000))[:4], "is masked"),
        (True, b"\xc9\x80mask", "reserved bit"),
        (False, b"\xca\x00", "reserved bit"),
        (False, b"\x82\x7f\xff" + bytes(7), "63 bits"),
        (True, b"\x82\xff\x80" + bytes(7), "63 bits"),
    ],
    ids=opcode,
)
def test_violation(is_masked: bool, bad: bytes, says: str, cut: int) -> None:
    """A header that the parser would let pass is an error as soon as it is there, and what came before is parsed."""
    good = masked(1, b"good") if is_masked else plain(1, b"good")
    one, fed, errors = watch(masked=is_masked)
    one.feed_data(good + bad[:cut])
    one.feed_data(bad[cut:] + b"more")
    assert [error.code for error in errors] == [1002]
    assert says in str(errors[0])
    assert b"".join(fed) in [good + bad[:at] for at in (0, *range(cut + 1))]
    assert one.feed_data(good) == (False, b"")


def test_first_violation_counts() -> None:
    """What the parser finds before it is what the connection ends with."""
    one, _, errors = watch()
    errors.append("of the parser")
    one.feed_data(masked(1, b"hi"))
    assert errors == ["of the parser"]
