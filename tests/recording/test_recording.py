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
def test_what_json_can_say_and_bytes_come_back_as_they_were(data: Any) -> None:
    event = Event(1.25, "incoming", "next", data)
    text = line(event)
    assert text.encode().decode() == text
    assert "\n" not in text
    assert event_of(text) == event


def test_errors_and_closes_come_back_with_their_name_text_code_and_reason() -> None:
    error = event_of(line(Event(0.0, "errors", "next", KeyError("no")))).data
    assert (type(error), error.type, error.text, str(error), repr(error)) == (
        (RecordedError, "KeyError", "'no'", "'no'", "KeyError(\"'no'\")")
    )
    assert line(Event(0.0, "errors", "next", error)) == line(Event(0.0, "errors", "next", KeyError("no")))
    for close in (rxws.Close(4001, "bye"), rxws.Close.received(1006), rxws.Close.received(1005)):
        assert event_of(line(Event(0.0, "socket", "close", close))).data == close


@pytest.mark.parametrize("message", ["{", b"\xff"])
def test_an_undecodable_message_is_kept_whole(message: str | bytes) -> None:
    for error in (rxws.DecodeError(message), RecordedError("DecodeError", "?", message)):
        assert event_of(line(Event(0.0, "errors", "next", error))).data.message == message


@pytest.mark.parametrize("data", [object(), {1, 2}, float("nan"), {(1, 2): 3}, [b"x"]])
def test_what_json_cannot_say_comes_back_as_its_repr(data: Any) -> None:
    assert event_of(line(Event(0.0, "a", "next", data))).data == Unreadable(repr(data))
    assert repr(Unreadable("<object>")) == "<object>"


def test_a_file_holds_a_header_and_a_line_for_each_event_and_is_read_as_it_is_iterated(tmp_path: Path) -> None:
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
def test_what_is_no_recording_is_an_error_that_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.jsonl").write_text(text)
    with pytest.raises(ValueError, match="is no recording: its first line should be like"):
        read(tmp_path / "r.jsonl")


def test_a_newer_version_and_a_bad_line_are_errors_and_half_a_last_line_is_none(tmp_path: Path) -> None:
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


def test_a_session_is_recorded_in_order_with_the_event_loop_s_times(tmp_path: Path) -> None:
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


async def test_a_recorder_starts_no_reading_and_observes_no_errors(caplog: pytest.LogCaptureFixture) -> None:
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


async def test_errors_are_recorded_whether_or_not_they_are_observed() -> None:
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


async def test_a_socket_that_comes_back_has_an_open_and_a_close_for_each_connection() -> None:
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


async def test_a_recorder_of_an_open_or_a_closed_socket_says_what_it_is() -> None:
    socket, peer = serve(upper, protocol="chat", protocols=["chat"])
    kept = keep(socket)
    assert kept.recording.about == {"remote": "memory", "protocol": "chat"}
    assert list(kept.recording) == [Event(kept.recording.lane("socket")[0].time, "socket", "open", "chat")]
    peer.drop()
    await ended(socket)
    late = keep(socket)
    assert late.is_disposed
    assert late.recording.lane("socket")[-2].data == rxws.Close.received(1006)


async def test_disposing_ends_a_recording_and_nothing_follows() -> None:
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


async def test_typed_messages_are_recorded_as_json_values(tmp_path: Path) -> None:
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
def test_what_a_codec_cannot_make_plain_stays_as_it_is(item: Any, plain: Any) -> None:
    from rxws.recording.plain import plainly

    assert plainly(Odd())(item) == plain


def test_observables_are_recorded_with_their_names_and_ends(tmp_path: Path) -> None:
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


def test_observables_are_recorded_from_any_thread_and_without_an_event_loop() -> None:
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
    with pytest.raises(ValueError, match="max_events must be positive, not 0"):
        keep({"numbers": source}, max_events=0)


# Files


def test_lines_are_flushed_while_a_recording_goes_on(tmp_path: Path) -> None:
    source = Subject[str]()
    recorder = record({"a": source}, tmp_path / "r.jsonl")
    source.on_next("x")
    for _ in range(500):
        if len((tmp_path / "r.jsonl").read_text().splitlines()) == 2:
            break
        threading.Event().wait(0.01)
    assert [event.data for event in read(tmp_path / "r.jsonl")] == ["x"]
    recorder.dispose()


def test_a_full_file_ends_a_recording_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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
    with pytest.raises(ValueError, match="max_bytes must be positive, not 0"):
        record({"a": source}, tmp_path / "s.jsonl", max_bytes=0)
    with pytest.raises(FileNotFoundError):
        record({"a": source}, tmp_path / "none" / "r.jsonl")


def test_what_a_slow_disk_cannot_take_is_counted_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_closing_does_not_wait_for_ever_for_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pen, "FLUSH_TIMEOUT", 0.01)
    disk = threading.Event()
    pen._writers.submit(disk.wait)
    record({"a": Subject[str]()}, tmp_path / "r.jsonl").dispose()
    assert "a recording's disk is slow" in caplog.text
    disk.set()
    pen._writers.submit(lambda: None).result(5)
    assert list(read(tmp_path / "r.jsonl")) == []


def test_a_full_disk_ends_a_recording_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    source = Subject[str]()
    recorder = record({"a": source}, "/dev/full")
    pen._writers.submit(lambda: None).result(5)
    source.on_next("x")
    assert recorder.is_disposed
    assert "/dev/full cannot be written" in caplog.text


def test_a_disk_that_is_full_at_the_end_is_logged_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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
async def test_events_come_when_they_came_or_faster(speed: float, times: list[float]) -> None:
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


def test_a_virtual_scheduler_plays_too_and_disposing_stops() -> None:
    scheduler = VirtualTimeScheduler()
    log: list[int] = []
    replay(RECORDING, "a").subscribe(log.append, scheduler=scheduler)
    stopped = replay(RECORDING, "a").subscribe(lambda item: (log.append(-item), stopped.dispose()), scheduler=scheduler)
    scheduler.start()
    assert log == [1, -1, 2]


def test_without_an_event_loop_it_plays_on_a_thread() -> None:
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


def test_a_timer_that_fires_before_it_is_held_does_not_stop_it() -> None:
    log, done = list[int](), threading.Event()
    replay(RECORDING, "a", speed=40).subscribe(log.append, on_completed=done.set, scheduler=Hasty())
    assert done.wait(10)
    assert log == [1, 2]


@virtual_time
async def test_many_events_at_once_leave_others_their_turn() -> None:
    done: list[int] = []
    recording = Recording([Event(0.0, "a", "next", n) for n in range(1000)])
    replay(recording, "a").subscribe(done.append)
    assert len(done) == 64
    await asyncio.sleep(0.001)
    assert len(done) == 1000


async def test_a_file_that_cannot_be_read_on_fails_the_observable(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"recording":1,"start":null,"lanes":[],"about":{}}\nbad\n')
    with pytest.raises(ValueError, match="line 2: no event"):
        await replay(read(tmp_path / "r.jsonl"))
    with pytest.raises(ValueError, match="speed must be positive, not 0"):
        replay(RECORDING, speed=0)
