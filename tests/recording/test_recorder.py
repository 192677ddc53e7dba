"""Recorders change nothing."""

import asyncio
import logging
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws.marbles import ascii
from rxws.recording import Event, Unreadable, keep, read, record
from rxws.testing import MemoryDialer, connect, run_virtually, serve
from tests.streams import ended, raising, turns

VIRTUAL = True


def upper(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(str.upper))


async def session(file: Path) -> list[Event]:
    kept: list[Any] = []
    socket, peer = serve(upper, watch=lambda socket: kept.extend([keep(socket), record(socket, file)]))
    await asyncio.sleep(1)
    peer.send("a")
    await asyncio.sleep(1)
    peer.close(rxws.Close(4001, "bye"))
    await ended(socket)
    assert all(recorder.is_disposed for recorder in kept)
    return list(kept[0].recording)


def test_session(tmp_path: Path) -> None:
    """A session is recorded in order, with the event loop's times."""
    events = run_virtually(session(tmp_path / "r.jsonl"))
    assert events == [
        Event(0.0, "socket", "open"),
        Event(1.0, "incoming", "next", "a"),
        Event(1.0, "outgoing", "next", "A"),
        Event(2.0, "incoming", "close", rxws.Close(4001, "bye")),
        Event(2.0, "incoming", "completed"),
        Event(2.0, "outgoing", "completed"),
        Event(2.0, "errors", "completed"),
        Event(2.0, "socket", "close", rxws.Close(4001, "bye")),
        Event(2.0, "socket", "completed"),
    ]
    recording = read(tmp_path / "r.jsonl")
    assert list(recording) == events
    assert recording.lanes == ("incoming", "outgoing", "errors", "socket")
    assert abs(datetime.now(UTC) - recording.start).total_seconds() < 60  # type: ignore[operator]


async def test_recorder_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A recorder does not start reading, and does not observe errors."""

    async def waits(socket: rxws.WebSocket[Any, Any]) -> None:
        await asyncio.sleep(0.02)
        socket.incoming.subscribe(lambda message: 1 / int(message))
        await asyncio.sleep(60)

    kept: list[Any] = []
    socket, peer = serve(waits, watch=lambda socket: kept.append(keep(socket)), codec=rxws.json, close_timeout=0.05)
    peer.send("0")
    await turns()
    assert socket.stats.received == 0
    assert (await ended(socket)).code == 1011
    assert [(event.kind, event.data) for event in kept[0].recording.lane("incoming")][:1] == [("next", 0)]
    assert [str(event.data) for event in kept[0].recording.lane("errors")] == ["division by zero", "None"]
    assert "which nobody observed" in caplog.text


class Shy:
    __repr__ = raising(ZeroDivisionError("shy"))


class Masked:
    """An item that may raise when it is asked for its class; not for longer, since collectors of garbage ask too."""

    error: BaseException | None = None

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        if Masked.error is not None:
            raise Masked.error
        return Masked


class Odd:
    """A codec of odd items."""

    def encode(self, message: str) -> str:
        return message + ""

    def decode(self, data: str | bytes) -> Any:
        return Shy() if data == "shy" else Masked()


async def test_items_that_raise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An item whose methods raise ends no socket because it is recorded: at most, it ends the recording."""
    recorders: list[Any] = []
    socket, peer = serve(
        lambda incoming: incoming.pipe(ops.map(lambda _: "ok")),
        watch=lambda socket: recorders.extend([record(socket, tmp_path / "r.jsonl"), keep(socket)]),
        codec=Odd(),
    )
    file, kept = recorders
    peer.send("shy")
    await turns()
    assert (socket._life.close_cause, peer.sent, file.is_disposed) == (None, ["ok"], False)
    assert "<Shy, whose r…" in ascii(kept.recording)
    monkeypatch.setattr(Masked, "error", ZeroDivisionError("\x1b[2J"))
    peer.send("masked")
    await turns()
    assert (socket._life.close_cause, peer.sent, file.is_disposed) == (None, ["ok", "ok"], True)
    assert "an event of the lane incoming cannot be recorded: ZeroDivisionError('\\x1b[2J')" in caplog.text
    assert not kept.is_disposed
    events = [(event.kind, event.data) for event in read(tmp_path / "r.jsonl") if event.lane == "incoming"]
    assert events == [("next", Unreadable("<Shy, whose repr raises ZeroDivisionError>"))]
    peer.drop()


def test_what_ends_the_program_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder does not keep the program from ending."""
    source = Subject[Any]()
    recorder = record({"a": source}, tmp_path / "r.jsonl")
    monkeypatch.setattr(Masked, "error", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        source.on_next(Masked())
    recorder.dispose()


async def test_errors() -> None:
    """Errors are recorded whether or not they are observed."""

    async def fails(socket: rxws.WebSocket[Any, Any]) -> None:
        async with rxws.core.socket.closing_on_exit(socket._life):  # type: ignore[attr-defined]
            raise LookupError("within")

    def listens(errors: Observable[Exception]) -> None:
        errors.subscribe()

    for handler, act, name in (
        (listens, "violate", "ProtocolError"),
        (listens, "drop", "ConnectionLost"),
        (lambda: None, "drop", "ConnectionLost"),
        (fails, None, "LookupError"),
    ):
        kept: list[Any] = []
        socket, peer = serve(handler, watch=lambda socket, kept=kept: kept.append(keep(socket)))
        await turns()
        if act:
            getattr(peer, act)()
        await ended(socket)
        assert type(kept[0].recording.lane("errors")[0].data).__name__ == name


async def test_reconnecting_socket() -> None:
    """A socket that comes back has an open and a close for each connection."""
    dialer = MemoryDialer()
    async with connect(dialer, rxws.Backoff(initial=0.001)) as socket:
        kept = keep(socket)
        while not dialer.wires:
            await asyncio.sleep(0)
        await turns()
        dialer.peer.close(rxws.Close(1012))
        while len(dialer.wires) < 2:
            await asyncio.sleep(0.001)
        await turns()
    assert [(event.kind, event.data) for event in kept.recording.lane("socket")] == [
        ("open", None),
        ("close", rxws.Close(1012)),
        ("open", None),
        ("close", rxws.Close()),
        ("completed", None),
    ]


async def test_open_and_closed_sockets() -> None:
    """A recorder of an open or a closed socket says what it is."""
    socket, peer = serve(upper, protocol="chat", protocols=["chat"])
    kept = keep(socket)
    assert kept.recording.about == {"remote": "memory", "protocol": "chat"}
    assert list(kept.recording) == [Event(kept.recording.lane("socket")[0].time, "socket", "open", "chat")]
    peer.drop()
    await ended(socket)
    late = keep(socket)
    assert late.is_disposed
    assert late.recording.lane("socket")[-2].data == rxws.Close.received(1006)


async def test_dispose() -> None:
    """Disposing ends a recording, and nothing follows."""
    socket, peer = serve(upper)
    kept = keep(socket)
    peer.send("a")
    kept.dispose()
    kept.dispose()
    kept.note("incoming", "next", "late")
    peer.send("b")
    await turns()
    assert [event.data for event in kept.recording.lane("incoming")] == ["a"]
    peer.drop()


def test_observables(tmp_path: Path) -> None:
    """Observables are recorded with their names and ends."""

    async def main() -> None:
        ticks = reactivex.interval(0.5).pipe(ops.take(2))
        fails = reactivex.timer(2.0).pipe(ops.flat_map(lambda _: reactivex.throw(ValueError("no"))))
        recorder = record({"ticks": ticks, "fails": fails}, tmp_path / "r.jsonl", about={"feed": "test"})
        await asyncio.sleep(3)
        assert recorder.is_disposed

    run_virtually(main())
    recording = read(tmp_path / "r.jsonl")
    assert [(event.time, event.lane, event.kind) for event in recording] == [
        (0.5, "ticks", "next"),
        (1.0, "ticks", "next"),
        (1.0, "ticks", "completed"),
        (2.0, "fails", "error"),
    ]
    assert recording.about == {"feed": "test"}


def test_observables_of_threads() -> None:
    """Observables are recorded from any thread and without an event loop."""
    source = Subject[int]()
    kept = keep({"numbers": source}, max_events=500)
    threads = [threading.Thread(target=lambda: [source.on_next(n) for n in range(200)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    source.on_completed()
    times = [event.time for event in kept.recording]
    assert (len(times), times) == (500, sorted(times))
    with pytest.raises(ValueError, match="max_events must be a positive whole number of events, not 0"):
        keep({"numbers": source}, max_events=0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Subject[str](), r"not of <reactivex.*: give it a name, {'items': observable}"),
        ([Subject[str]()], "a recording is of a socket, or of Observables by name, not of "),
        ({"a": 5}, "a must be an Observable, not 5"),
        ({1: Subject[str]()}, "the name of a lane must be a str, not 1"),
    ],
)
def test_what_cannot_be_recorded(source: Any, message: str, tmp_path: Path) -> None:
    """What is neither a socket nor Observables by name is refused, and makes no file."""
    with pytest.raises(TypeError, match=message):
        keep(source)
    with pytest.raises(TypeError, match=message):
        record(source, tmp_path / "r.jsonl")
    assert not (tmp_path / "r.jsonl").exists()


def test_log_that_is_recorded(tmp_path: Path) -> None:
    """A handler of logs may send on the stream that is recorded, also that its file is full."""
    lines, kept = Subject[str](), list[Any]()

    class Sender(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.on_next(record.getMessage())

    def work() -> None:
        kept.append(record({"lines": lines}, tmp_path / "r.jsonl", max_bytes=200))
        for number in range(10):
            lines.on_next(f"line {number}")

    logger, sender = logging.getLogger("rxws"), Sender()
    logger.addHandler(sender)
    try:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
    finally:
        logger.removeHandler(sender)
    assert kept[0].is_disposed
    data = [event.data for event in read(tmp_path / "r.jsonl")]
    assert (data[0], str(data[-1])) == ("line 0", "the recording ends here: the file has reached its limit")
    assert len(data) == len(set(map(str, data)))
