"""Recordings as tests."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.recording import Event, RecordedError, Recording, keep, read, record
from rxws.testing import replay, run, run_virtually, serve


def shout(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(str.upper))


async def made(file: Path) -> None:
    kept: list[Any] = []
    socket, peer = serve(
        shouting,
        codec=rxws.json,
        watch=lambda socket: kept.append(record(socket, file)),
    )
    await asyncio.sleep(0.5)
    peer.send('"a"', '{"', b'"b"')
    await asyncio.sleep(0.5)
    peer.close(rxws.Close(4001))
    await socket.closed


def shouting(incoming: Observable[Any], errors: Observable[Exception]) -> Observable[Any]:
    return incoming.pipe(ops.map(str.upper), ops.merge(errors.pipe(ops.map(lambda error: "what?"))))


def test_replay(tmp_path: Path) -> None:
    """A recording is played to a handler and compared."""
    run_virtually(made(tmp_path / "r.jsonl"))
    recording = read(tmp_path / "r.jsonl")
    result = replay(shouting, recording, codec=rxws.json)
    assert result == recording
    assert result == '-----("A" "what?" "B")----(close 4001)'

    def broken(incoming: Observable[Any], errors: Observable[Exception]) -> Observable[Any]:
        return shouting(incoming, errors).pipe(ops.filter(lambda message: message != "B"))

    changed = replay(broken, recording, codec=rxws.json)
    assert changed != recording
    assert changed.difference(recording).splitlines() == [
        'recorded  A"what?"B           (close 4001)',
        '     got  A"what?"(close 4001)',
        "                  ^^^^^^^^^^^^^^^^^^^^^^^^",
    ]


@pytest.mark.parametrize("end", ["drop", "violate"])
def test_how_a_peer_went_is_played_too(end: str) -> None:
    async def main() -> Recording:
        kept: list[Any] = []
        socket, peer = serve(shout, watch=lambda socket: kept.append(keep(socket)))
        await asyncio.sleep(0.1)
        getattr(peer, end)()
        await socket.closed
        return kept[0].recording

    recording = run_virtually(main())
    result = replay(shout, recording)
    assert result == recording
    assert result.close == recording.lane("socket")[-2].data


def test_handler_that_does_not_close() -> None:
    """A handler that does not close any more is noticed."""
    recording = run(lambda incoming: incoming.pipe(ops.take(1)), "-a-").recording
    assert replay(lambda incoming: incoming.pipe(ops.take(1)), recording) == recording
    assert replay(lambda incoming: incoming, recording) != recording


def test_not_of_a_handler() -> None:
    """What is not a recording of a handler's socket is an error."""
    twice = Recording([Event(0.0, "socket", "open"), Event(1.0, "socket", "open"), Event(1.0, "incoming", "next", "a")])
    with pytest.raises(ValueError, match="several connections"):
        replay(shout, twice)
    with pytest.raises(ValueError, match="no lane 'incoming'"):
        replay(shout, Recording([Event(0.0, "a", "next", RecordedError("KeyError", ""))]))
