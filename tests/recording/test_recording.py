"""Recordings: values, lines, recorders that count as nobody, and Observables of them."""

import asyncio
import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.scheduler import TimeoutScheduler, VirtualTimeScheduler
from reactivex.subject import Subject

import rxws
from rxws.recording import Event, RecordedError, Recording, Unreadable, keep, read, record, replay, write
from rxws.recording import writer as pen
from rxws.recording.lines import event_of, line
from rxws.testing import MemoryDialer, connect, run_virtually, serve, virtual_time
from tests.streams import ended, turns, watch

DATA = [
    "text",
    "\ud800 alone",
    "日本",
    {"a": [1, None, 2.5, True]},
    None,
    b"\x00\xff",
    b"",
    [],
    Unreadable("<object>"),
]


@pytest.mark.parametrize("data", DATA, ids=ascii)
def test_json_values(data: Any) -> None:
    """What JSON can say, and bytes, come back as they were."""
    event = Event(1.25, "incoming", "next", data)
    text = line(event)
    assert text.encode().decode() == text
    assert "\n" not in text
    assert event_of(text) == event


def test_errors_and_closes() -> None:
    """Errors and closes come back with their name, text, code and reason."""
    error = event_of(line(Event(0.0, "errors", "next", KeyError("no")))).data
    assert (type(error), error.type, error.text, str(error), repr(error)) == (
        (RecordedError, "KeyError", "'no'", "'no'", "KeyError(\"'no'\")")
    )
    assert line(Event(0.0, "errors", "next", error)) == line(Event(0.0, "errors", "next", KeyError("no")))
    for close in (rxws.Close(4001, "bye"), rxws.Close.received(1006), rxws.Close.received(1005)):
        assert event_of(line(Event(0.0, "socket", "close", close))).data == close


@pytest.mark.parametrize("message", ["{", b"\xff"])
def test_undecodable_message(message: str | bytes) -> None:
    """An undecodable message is kept whole."""
    for error in (rxws.DecodeError(message), RecordedError("DecodeError", "?", message)):
        assert event_of(line(Event(0.0, "errors", "next", error))).data.message == message


@pytest.mark.parametrize("data", [object(), {1, 2}, float("nan"), {(1, 2): 3}, [b"x"]])
def test_not_json(data: Any) -> None:
    """What JSON cannot say comes back as its repr."""
    assert event_of(line(Event(0.0, "a", "next", data))).data == Unreadable(repr(data))
    assert repr(Unreadable("<object>")) == "<object>"


def test_file_format(tmp_path: Path) -> None:
    """A file holds a header and a line for each event, and is read as it is iterated."""
    events = [Event(0.5, "a", "next", 1), Event(1.0, "a", "completed")]
    made = Recording(events, ("a", "b"), datetime(2026, 1, 2, tzinfo=UTC), {"url": "ws://x/"})
    write(made, tmp_path / "r.jsonl")
    first, *rest = (tmp_path / "r.jsonl").read_text().splitlines()
    assert json.loads(first) == {
        "recording": 1,
        "start": "2026-01-02T00:00:00+00:00",
        "lanes": ["a", "b"],
        "about": {"url": "ws://x/"},
    }
    assert [json.loads(text) for text in rest] == [
        {"time": 0.5, "lane": "a", "kind": "next", "data": 1},
        {"time": 1.0, "lane": "a", "kind": "completed"},
    ]
    again = read(tmp_path / "r.jsonl")
    assert (again.lanes, again.start, again.about) == (made.lanes, made.start, made.about)
    assert list(again) == list(again) == events
    assert again.lane("a") == events
    assert "r.jsonl" in repr(again.events)


@pytest.mark.parametrize("text", ["", "hello\n", "[]\n", '{"recording": "x"}\n', '{"a": 1}\n'])
def test_not_a_recording(tmp_path: Path, text: str) -> None:
    """What is not a recording is an error that says so."""
    (tmp_path / "r.jsonl").write_text(text)
    with pytest.raises(ValueError, match="is no recording: its first line should be like"):
        read(tmp_path / "r.jsonl")


def test_bad_lines(tmp_path: Path) -> None:
    """A newer version and a bad line are errors, and half a last line is ignored."""
    path = tmp_path / "r.jsonl"
    path.write_text('{"recording": 2}\n')
    with pytest.raises(ValueError, match="has version 2 of the format; this rxws reads 1"):
        read(path)
    header = '{"recording":1,"start":null,"lanes":[],"about":{}}\n'
    for bad in ('{"time":"x"}', '{"time":1,"lane":"a","kind":"?"}', "nonsense", "\ufffd"):
        path.write_text(header + bad + "\n" + line(Event(1.0, "a", "completed")) + "\n")
        with pytest.raises(ValueError, match=r"r.jsonl, line 2: no event"):
            list(read(path))
    whole = line(Event(1.0, "a", "next", "日本"))
    path.write_bytes((header + whole + "\n" + whole).encode()[:-4])
    assert len(list(read(path))) == 1
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")


# Recorders


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
    socket, peer = serve(waits, watch=lambda socket: kept.append(keep(socket)), codec=rxws.json)
    peer.send("0")
    await turns()
    assert socket.stats.received == 0
    assert (await ended(socket)).code == 1011
    assert [(event.kind, event.data) for event in kept[0].recording.lane("incoming")][:1] == [("next", 0)]
    assert [str(event.data) for event in kept[0].recording.lane("errors")] == ["division by zero", "None"]
    assert "which nobody observed" in caplog.text


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


class Tick(msgspec.Struct):
    price: float


async def test_typed_messages(tmp_path: Path) -> None:
    """Typed messages are recorded as JSON values."""
    codec = rxws.codecs.msgspec(Tick)
    recorders: list[Any] = []
    socket, peer = serve(
        lambda incoming: incoming,
        codec=codec,
        watch=lambda socket: recorders.extend([record(socket, tmp_path / "r.jsonl"), keep(socket)]),
    )
    peer.send('{"price":1.5}', b'{"price":2}', "{")
    await ended(socket)
    data = [event.data for event in read(tmp_path / "r.jsonl").lane("incoming")]
    assert data[:2] == [{"price": 1.5}, {"price": 2.0}]
    assert [event.data for event in recorders[1].recording.lane("incoming")][:1] == [Tick(1.5)]


class Odd:
    def decode(self, data: Any) -> Any:
        return data

    def encode(self, message: Any) -> Any:
        return {1: b"one", 2: "no json", 3: 1 / 0}[message]


@pytest.mark.parametrize(("item", "plain"), [(1, 1), ("a", "a"), (None, None)])
def test_not_made_plain(item: Any, plain: Any) -> None:
    """What a codec cannot make plain stays as it is."""
    from rxws.recording.plain import plainly

    assert plainly(Odd())(item) == plain


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


# Files


def test_flushed_in_time(tmp_path: Path) -> None:
    """Lines are flushed while a recording goes on."""
    source = Subject[str]()
    recorder = record({"a": source}, tmp_path / "r.jsonl")
    source.on_next("x")
    for _ in range(500):
        if len((tmp_path / "r.jsonl").read_text().splitlines()) == 2:
            break
        threading.Event().wait(0.01)
    assert [event.data for event in read(tmp_path / "r.jsonl")] == ["x"]
    recorder.dispose()


def test_file_limit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full file ends a recording and says so."""
    source = Subject[str]()
    recorder = record({"a": source}, tmp_path / "r.jsonl", max_bytes=1000)
    for _ in range(100):
        source.on_next("x" * 100)
    assert recorder.is_disposed
    *events, last = read(tmp_path / "r.jsonl")
    assert (len(events), last.lane, last.kind) == (6, "recording", "error")
    assert last.data.text == "the recording ends here: the file has reached its limit"
    assert (tmp_path / "r.jsonl").stat().st_size < 1300
    assert "has reached its limit" in caplog.text
    with pytest.raises(ValueError, match="max_bytes must be a positive whole number of bytes, not 0"):
        record({"a": source}, tmp_path / "s.jsonl", max_bytes=0)
    with pytest.raises(FileNotFoundError):
        record({"a": source}, tmp_path / "none" / "r.jsonl")


def test_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a slow disk cannot take is counted in the file."""
    monkeypatch.setattr(pen, "MAX_QUEUED", 1000)
    monkeypatch.setattr(pen, "FLUSH_TIMEOUT", 0.01)
    source, disk = Subject[str](), threading.Event()
    pen._writers.submit(disk.wait)
    recorder = record({"a": source}, tmp_path / "r.jsonl")
    for _ in range(20):
        source.on_next("x" * 100)
    disk.set()
    pen._writers.submit(lambda: None).result(5)
    source.on_next("last")
    recorder.dispose()
    pen._writers.submit(lambda: None).result(5)
    events = list(read(tmp_path / "r.jsonl"))
    notes = [event.data.text for event in events if event.lane == "recording"]
    assert notes
    assert all(note.endswith("events are missing here: the disk was too slow") for note in notes)
    assert events[-1].data == "last"
    assert sum(int(note.split()[0]) for note in notes) + len(events) - len(notes) == 21
    assert 3 < len(events) < 15


def test_close_on_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Closing does not wait forever for a disk."""
    monkeypatch.setattr(pen, "FLUSH_TIMEOUT", 0.01)
    disk = threading.Event()
    pen._writers.submit(disk.wait)
    record({"a": Subject[str]()}, tmp_path / "r.jsonl").dispose()
    assert "a recording's disk is slow" in caplog.text
    disk.set()
    pen._writers.submit(lambda: None).result(5)
    assert list(read(tmp_path / "r.jsonl")) == []


def test_full_disk(caplog: pytest.LogCaptureFixture) -> None:
    """A full disk ends a recording and is logged."""
    source = Subject[str]()
    recorder = record({"a": source}, "/dev/full")
    pen._writers.submit(lambda: None).result(5)
    source.on_next("x")
    assert recorder.is_disposed
    assert "/dev/full cannot be written" in caplog.text


def test_full_disk_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A disk that is full at the end is logged too."""

    class Full:
        def write(self, data: bytes) -> None: ...

        def flush(self) -> None: ...

        def close(self) -> None:
            raise OSError("full")

    recorder = record({"a": Subject[str]()}, tmp_path / "r.jsonl")
    pen._writers.submit(lambda: None).result(5)
    file, recorder._sink._file = recorder._sink._file, Full()  # type: ignore[attr-defined]
    recorder.dispose()
    file.close()
    assert "cannot be closed: full" in caplog.text


# Replays

RECORDING = Recording(
    [
        Event(0.0, "a", "open"),
        Event(1.0, "a", "next", 1),
        Event(2.0, "b", "next", "x"),
        Event(4.0, "a", "next", 2),
        Event(4.0, "a", "completed"),
        Event(5.0, "b", "error", RecordedError("KeyError", "no")),
    ],
    ("a", "b"),
)


@pytest.mark.parametrize(
    ("speed", "times"), [(1.0, [0, 1, 2, 4, 4, 5]), (2.0, [0, 0.5, 1, 2, 2, 2.5]), (float("inf"), [0] * 6)]
)
@virtual_time
async def test_speed(speed: float, times: list[float]) -> None:
    """Events come when they came, or faster."""
    loop, seen = asyncio.get_running_loop(), list[Any]()
    await replay(RECORDING, speed=speed).pipe(
        ops.do_action(lambda event: seen.append((loop.time(), event))), ops.count()
    )
    assert [event for _, event in seen] == list(RECORDING.events)
    assert [time for time, _ in seen] == pytest.approx(times, abs=1e-6)


@virtual_time
async def test_a_lane_ends_as_it_did() -> None:
    log = watch(a=replay(RECORDING, "a"), b=replay(RECORDING, "b"), c=replay(RECORDING, "c"))
    await asyncio.sleep(6)
    assert [entry for entry in log if entry[0] != "b#"] == [("a", 1), ("b", "x"), ("a", 2), "a|", "c|"]
    assert repr(log[-2]) == "('b#', KeyError('no'))"


def test_virtual_scheduler() -> None:
    """A virtual scheduler plays too, and disposing stops it."""
    scheduler = VirtualTimeScheduler()
    log: list[int] = []
    replay(RECORDING, "a").subscribe(log.append, scheduler=scheduler)
    stopped = replay(RECORDING, "a").subscribe(lambda item: (log.append(-item), stopped.dispose()), scheduler=scheduler)
    scheduler.start()
    assert log == [1, -1, 2]


def test_without_a_loop() -> None:
    """Without an event loop a recording plays on a thread."""
    log, done = list[int](), threading.Event()
    replay(RECORDING, "a", speed=1000).subscribe(log.append, on_completed=done.set)
    assert done.wait(10)
    assert log == [1, 2]


class Hasty(TimeoutScheduler):
    """Fires its first timer, in another thread, before it is given back."""

    hasty = True

    def schedule_relative(self, duetime: Any, action: Any, state: Any = None) -> Any:
        if not self.hasty:
            return super().schedule_relative(duetime, action, state)
        self.hasty = False
        time.sleep(0.05)
        thread = threading.Thread(target=action, args=(self, state))
        thread.start()
        thread.join()
        return Disposable()


def test_hasty_timer() -> None:
    """A timer that fires before it is held does not stop the playback."""
    log, done = list[int](), threading.Event()
    replay(RECORDING, "a", speed=40).subscribe(log.append, on_completed=done.set, scheduler=Hasty())
    assert done.wait(10)
    assert log == [1, 2]


@virtual_time
async def test_many_events_at_once() -> None:
    """Many events at once leave others their turn."""
    done: list[int] = []
    recording = Recording([Event(0.0, "a", "next", n) for n in range(1000)])
    replay(recording, "a").subscribe(done.append)
    assert len(done) == 64
    await asyncio.sleep(0.001)
    assert len(done) == 1000


async def test_unreadable_file(tmp_path: Path) -> None:
    """A file that cannot be read on fails the Observable."""
    (tmp_path / "r.jsonl").write_text('{"recording":1,"start":null,"lanes":[],"about":{}}\nbad\n')
    with pytest.raises(ValueError, match="line 2: no event"):
        await replay(read(tmp_path / "r.jsonl"))
    with pytest.raises(ValueError, match="speed must be a positive number, or inf, not 0"):
        replay(RECORDING, speed=0)
