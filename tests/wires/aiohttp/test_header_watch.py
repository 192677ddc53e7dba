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


def watch() -> tuple[HeaderWatch, list[bytes]]:
    fed: list[bytes] = []
    parser = SimpleNamespace(
        feed_data=lambda data: (fed.append(data), (False, b""))[1], feed_eof=lambda: fed.append(b"|")
    )
    clock = itertools.count(1)
    return HeaderWatch(parser, None, lambda: next(clock)), fed


@pytest.mark.parametrize("whole", [EMPTY, PING, masked(1, b"abc"), LONG, masked(2, bytes(300)), HUGE, FRAGMENT + LAST])
def test_whole_with_its_last_byte(whole: bytes) -> None:
    """A message is whole with its last byte, and not earlier."""
    one, _ = watch()
    for at in range(len(whole) - 1):
        one.feed_data(whole[at : at + 1])
        assert one.since == 1
    one.feed_data(whole[-1:])
    assert one.since is None


def test_since_message_not_frame() -> None:
    """The time is when the message began, not its frame."""
    one, _ = watch()
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
    one, fed = watch()
    told: list[Any] = []
    one.feed_data(FRAGMENT)
    one.begin(lambda: told.append(one.since))
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


def test_what_has_arrived_before_counts() -> None:
    assert HeaderWatch(None, None, lambda: 7.0, arrived=FRAGMENT[:1]).since == 7
    assert HeaderWatch(None, None, lambda: 7.0, arrived=EMPTY).since is None


@pytest.mark.parametrize("seed", range(20))
def test_any_cut(seed: int) -> None:
    """Any cut of any frames comes to the same."""
    choose = random.Random(seed)
    whole = b"".join(
        choose.choice([EMPTY, PING, LONG, HUGE, FRAGMENT + PING + LAST, masked(1, b"x")]) for _ in range(30)
    )
    one, _ = watch()
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
    fed: list[bytes] = []
    errors: list[Any] = []
    parser = SimpleNamespace(feed_data=lambda data: (fed.append(data), (False, b""))[1])
    one = HeaderWatch(parser, SimpleNamespace(set_exception=errors.append), lambda: 1.0, limit=1000)
    header = plain(2, bytes(size))[:10] if size < 2**20 else b"\x82\x7f" + size.to_bytes(8, "big")
    one.feed_data(EMPTY + header[:cut])
    one.feed_data(header[cut:] + b"more")
    assert [error.code for error in errors] == ([1009] if size >= 1000 else [])
    if errors:
        known = 4 if size < 65536 else 10
        assert b"".join(fed) == EMPTY + (header[:cut] if cut < known else b"")
        assert one.feed_data(b"yet more") == (False, b"")
