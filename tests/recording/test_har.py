"""HAR files with the messages of WebSockets; those that real browsers write are tests/integration/test_har.py."""

import base64
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rxws.recording import Event, RecordedError, Recording, read, write

STARTED = "2026-03-01T10:00:00.500Z"
AT = datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp()


def message(way: str, time: float, data: str, opcode: int = 1) -> dict[str, Any]:
    return {"type": way, "time": time, "opcode": opcode, "data": data}


def entry(*messages: Any, url: str = "wss://example.com/feed?token=SECRET", **more: Any) -> dict[str, Any]:
    response = {
        "status": 101,
        "headers": [{"name": "Date", "value": "x"}, {"name": "SEC-WebSocket-Protocol", "value": "v1"}],
    }
    about = {"startedDateTime": STARTED, "_resourceType": "websocket", "request": {"url": url}, "response": response}
    return {**about, "_webSocketMessages": list(messages), **more}


def har(path: Path, *entries: Any, indent: int | None = 2) -> Recording:
    text = json.dumps({"log": {"version": "1.2", "creator": {"name": "x"}, "entries": entries}}, indent=indent)
    path.write_text(text, encoding="utf-8-sig")
    return read(path)


def test_messages_of_chromium_s_developer_tools(tmp_path: Path) -> None:
    """Times are seconds since 1970; the recording begins with the request."""
    page = {"request": {"url": "https://example.com/"}, "response": {"content": {"text": "hello"}}}
    recording = har(
        tmp_path / "a.har",
        page,
        entry(
            message("send", AT + 0.75, "hello"),
            message("receive", AT + 1.5, base64.b64encode(b"\x00\x01").decode(), 2),
            message("receive", AT + 1.6, "", 9),
            message("error", AT + 2, "Connection closed", -1),
        ),
    )
    assert list(recording) == [
        Event(0.0, "socket", "open", "v1"),
        Event(0.25, "outgoing", "next", "hello"),
        Event(1.0, "incoming", "next", b"\x00\x01"),
        recording.lane("errors")[0],
    ]
    assert isinstance(recording.lane("errors")[0].data, RecordedError)
    assert recording.lanes == ("incoming", "outgoing", "errors", "socket")
    assert recording.start == datetime.fromisoformat(STARTED)
    assert recording.about == {"url": "wss://example.com/feed"}
    write(recording, tmp_path / "again.jsonl")
    assert len(list(read(tmp_path / "again.jsonl"))) == 4


def test_a_file_that_chromium_wrote() -> None:
    """Its developer tools, of version 156, wrote chromium.har; some headers are left out."""
    recording = read(Path(__file__).with_name("chromium.har"))
    assert [(event.time, event.lane, event.data) for event in recording] == [
        (0.0, "socket", None),
        (0.021743, "outgoing", "hello"),
        (0.067759, "incoming", "hello"),
        (0.622619, "outgoing", b"\x00\x01\xff"),
        (0.647282, "incoming", b"\x00\x01\xff"),
    ]
    assert recording.about == {"url": "ws://127.0.0.1:18999/echo"}


def test_messages_of_playwright(tmp_path: Path) -> None:
    """Times are milliseconds since 1970."""
    sent = [message("send", 1000 * AT + 750, "hello"), message("receive", 1000 * AT + 1500.25, "HELLO")]
    recording = har(tmp_path / "a.har", entry(*sent), indent=None)
    assert [(event.time, event.data) for event in recording] == [(0.0, "v1"), (0.25, "hello"), (1.00025, "HELLO")]


def test_several_sockets_have_lanes_of_their_own(tmp_path: Path) -> None:
    first = entry(message("receive", AT + 2, "a"), message("receive", AT + 4, "c"))
    second = entry(message("receive", AT + 3, "b"), url="ws://localhost/", startedDateTime="2026-03-01T10:00:01Z")
    second["response"]["headers"] = None
    recording = har(tmp_path / "a.har", first, entry(), second)
    assert [(event.lane, event.data) for event in recording] == [
        ("socket", "v1"),
        ("socket 2", None),
        ("incoming", "a"),
        ("incoming 2", "b"),
        ("incoming", "c"),
    ]
    assert recording.lanes == ("incoming", "outgoing", "socket", "incoming 2", "outgoing 2", "socket 2")
    assert recording.about == {"urls": ["wss://example.com/feed", "ws://localhost/"]}


@pytest.mark.parametrize("time", [-1, None, True, "x", 10**400])
def test_a_message_without_a_time(tmp_path: Path, time: Any) -> None:
    """It is where the one before it is."""
    messages = [message("send", time, "a"), message("send", AT + 3.5, "b"), message("send", time, "c")]
    assert [event.time for event in har(tmp_path / "a.har", entry(*messages))] == [0, 0, 3, 3]
    assert [event.time for event in har(tmp_path / "a.har", entry(messages[0]))] == [0, 0]


@pytest.mark.parametrize("started", ["2026-02-27T00:00:00Z", "2026-03-01T10:00:03Z", "yesterday", None, 1])
def test_the_first_message_is_the_start_of_another_clock(tmp_path: Path, started: Any) -> None:
    """Where the time of the request cannot be that of the messages."""
    recording = har(
        tmp_path / "a.har", entry(message("send", 12.5, "a"), message("send", 13, "b"), startedDateTime=started)
    )
    assert [event.time for event in recording] == [0, 0, 0.5]


def test_messages_in_files_of_their_own(tmp_path: Path) -> None:
    """As Playwright attaches them: beside the file, or packed with it; nowhere else."""
    lines = "\n".join(json.dumps(message("send", 1000 * AT + 1000 * n, str(n))) for n in range(2)) + "\n"
    attached = entry()
    del attached["_webSocketMessages"]
    attached["response"]["content"] = {"_file": "../messages.jsonl"}
    (tmp_path / "messages.jsonl").write_text(lines)
    assert [event.data for event in har(tmp_path / "a.har", attached)] == ["v1", "0", "1"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.har", "har.har")
        archive.writestr("../messages.jsonl", lines)
    assert [event.data for event in read(tmp_path / "a.zip")] == ["v1", "0", "1"]
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.write(tmp_path / "a.har", "other")
    with pytest.raises(ValueError, match=r"other\.zip is not a HAR file with messages of WebSockets: .*har\.har"):
        read(tmp_path / "other.zip")


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([], "it has none; Chromium's developer tools and Playwright write them, Firefox does not"),
        ([entry()], "it has none"),
        ([entry(_webSocketMessages={})], "it has none"),
        ([1], "it has none"),
        ([entry({"type": "send"})], "this is not a message: {'type': 'send'}"),
        ([entry(message("sent", 0, "x"))], "this is not a message"),
        ([entry(message("send", 0, "=", 2))], "padding"),
    ],
)
def test_what_has_no_messages_is_an_error_that_says_so(tmp_path: Path, entries: list[Any], says: str) -> None:
    with pytest.raises(ValueError, match=rf"a\.har is not a HAR file with messages of WebSockets: .*({says})"):
        har(tmp_path / "a.har", *entries)


@pytest.mark.parametrize(
    "text", ['{"log": ', '{\n\n"log": []}', '{"log": 1}', '{"log":' + "[" * 100_000, '{"log": {"entries": 1}}']
)
def test_damaged_files_are_value_errors(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.har").write_text(text)
    with pytest.raises(ValueError, match="is not a HAR file with messages of WebSockets"):
        read(tmp_path / "a.har")


def test_damaged_archive_is_a_value_error(tmp_path: Path) -> None:
    """What is packed in it, too."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("har.har", json.dumps({"log": {"entries": [str(number) for number in range(100)]}}))
    damaged = bytearray((tmp_path / "a.zip").read_bytes())
    damaged[60:100] = bytes(byte ^ 0x55 for byte in damaged[60:100])
    (tmp_path / "a.zip").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"a\.zip is not a HAR file with messages of WebSockets"):
        read(tmp_path / "a.zip")
