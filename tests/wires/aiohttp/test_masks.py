"""Masks are new for each frame, and nobody can predict them."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from rxws.wires.aiohttp import masks
from rxws.wires.aiohttp.fast.framing import masked


def test_masks_do_not_repeat() -> None:
    """Many more masks than are made at once are all different, but for chance."""
    assert len({masks.mask() for _ in range(5000)}) > 4990


def test_masks_do_not_follow_from_others() -> None:
    """The generator of Python's `random` tells what follows from 624 of its numbers; it is not what masks come from."""
    random.seed(1)
    first = [masked(1, b"")[2:] for _ in range(10)]
    random.seed(1)
    assert [masked(1, b"")[2:] for _ in range(10)] != first


def test_masks_come_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system's source of entropy makes them, with one call for many."""
    asked: list[int] = []

    def urandom(size: int) -> bytes:
        asked.append(size)
        return b"mask" * (size // 4)

    monkeypatch.setattr(masks, "_made", iter(()))
    monkeypatch.setattr(os, "urandom", urandom)
    made = [masks.mask() for _ in range(masks.AT_ONCE + 1)]
    monkeypatch.undo()
    masks._forget()
    assert set(made) == {b"mask"}
    assert asked == [4 * masks.AT_ONCE] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork there")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_child_has_masks_of_its_own() -> None:
    """After a fork parent and child do not use the same masks."""
    masks.mask()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"".join(masks.mask() for _ in range(100)))
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        theirs: Any = pipe.read()
    ours = {masks.mask() for _ in range(100)}
    assert len(theirs) == 400
    assert len(ours & {theirs[at : at + 4] for at in range(0, 400, 4)}) < 3
