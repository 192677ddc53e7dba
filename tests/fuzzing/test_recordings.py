"""Damaged recordings: `ValueError` or events that everything that takes a recording can take, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex.scheduler import VirtualTimeScheduler

from rxws import marbles
from rxws.recording import Event, Recording, read, replay, write
from tests.fuzzing.profiles import few

KINDS = ["next", "error", "completed", "open", "close"]
LANES = ["incoming", "outgoing", "errors", "socket", "a\x1b", "\ud800"]
HEADER = {"recording": 1, "start": "2026-01-02T00:00:00+00:00", "lanes": ["incoming"], "about": {}}

scalars = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.integers(-(10**400), 10**400), st.floats(), st.text()),
    st.sampled_from([*KINDS, *LANES, "aGk=", "=", *HEADER.values(), 1000, 1005, 1006, 4001, 10**15, 1e300, 1e-320]),
)
names = st.sampled_from(["type", "text", "message", "message_base64"])
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4))
events = st.fixed_dictionaries(
    {"time": st.floats(0, 100) | values, "lane": st.sampled_from(LANES) | values, "kind": st.sampled_from(KINDS)},
    optional=dict.fromkeys(("data", "base64", "error", "code", "reason", "repr"), values),
)
headers = st.just(HEADER) | st.fixed_dictionaries({name: st.just(value) | values for name, value in HEADER.items()})
nested = st.integers(500, 20_000).map(lambda depth: f'{{"a":{"[" * depth}{"]" * depth}}}'.encode())
lines = st.lists(events.map(lambda event: json.dumps(event).encode()) | nested | st.binary(max_size=30), max_size=5)
damages = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=3)


def damaged(header: Any, lines: list[bytes], flips: list[tuple[int, int]], cut: int) -> bytes:
    """Write a file, change some of its bytes, and cut off its end."""
    data = bytearray(b"\n".join([json.dumps(header).encode(), *lines, b""]))
    for at, byte in flips:
        data[at % len(data)] = byte
    return bytes(data[: len(data) - cut])


def use(recording: Recording, again: Path) -> None:
    """Do with a recording what can be done with it."""
    write(recording, again)
    assert [event.kind for event in read(again)] == [event.kind for event in recording]
    marbles.ascii(recording).encode()
    ElementTree.fromstring(marbles.svg(recording).encode())
    played: list[Event] = []
    clock = VirtualTimeScheduler()
    replay(recording).subscribe(played.append, scheduler=clock)
    for lane in LANES:
        replay(recording, lane).subscribe(print, print, print, scheduler=clock)
    if all(event.time < 1e9 for event in recording):
        clock.start()
        assert len(played) == len(list(recording))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_damaged_recordings(tmp_path: Path) -> None:
    """Reading raises nothing else, and what it gives can be drawn, written, and played."""
    path = tmp_path / "r.jsonl"

    @few(100)
    @given(headers, lines, damages, st.just(0) | st.integers(0, 30))
    def tried(header: Any, lines: list[bytes], flips: list[tuple[int, int]], cut: int) -> None:
        path.write_bytes(damaged(header, lines, flips, cut))
        try:
            recording = read(path)
            list(recording)
        except ValueError:
            return
        use(recording, tmp_path / "again.jsonl")

    tried()
