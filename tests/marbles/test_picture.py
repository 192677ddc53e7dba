"""Recordings as pictures."""

import re
import subprocess
import sys
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from rxws import Close
from rxws.marbles import ascii, svg
from rxws.marbles.layout import Lane
from rxws.marbles.picture import Sheet
from rxws.recording import SOCKET_LANES, Event, RecordedError, Recording

NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(recording: Recording, **options: Any) -> tuple[ElementTree.Element, list[dict[str, str]]]:
    """Parse a picture; give its root, and its marbles in order: class, label, title, left and right edge."""
    root = ElementTree.fromstring(svg(recording, **options))
    marbles: list[dict[str, Any]] = []
    for group in root.iter(f"{NAMESPACE}g"):
        title, rect, text = list(group)
        x = float(rect.get("x", 0))
        right = x + float(rect.get("width", 0))
        marbles.append(
            {"class": group.get("class"), "label": text.text, "title": title.text, "left": x, "right": right}
        )
    return root, marbles


def numbers(*times: float, lane: str = "a") -> list[Event]:
    return [Event(time, lane, "next", number) for number, time in enumerate(times)]


def test_values() -> None:
    """Values stand in marbles in the order of their times, and say more on hover."""
    long = {"symbol": "EURUSD", "bid": 1.07}
    events = [Event(0.1, "a", "next", "hello"), Event(0.5, "a", "next", long), Event(0.9, "a", "next", b"\x00")]
    _, marbles = drawn(Recording(events))
    assert [marble["label"] for marble in marbles] == ["hello", '{"symbol":"EU…', "b'\\x00'"]
    assert marbles[1]["title"] == '500 ms: {"symbol":"EURUSD","bid":1.07}'
    middles = [(marble["left"] + marble["right"]) / 2 for marble in marbles]
    assert middles[1] - middles[0] == pytest.approx(middles[2] - middles[1], abs=0.5)


def test_bursts() -> None:
    """Bursts are counted pills, and nothing overlaps or leaves the picture."""
    times = [0.0, 0.001, 0.002, 5.0, *(7 + step / 100 for step in range(300))]
    _, marbles = drawn(Recording(numbers(*times)))
    assert (marbles[0]["label"], marbles[0]["class"], marbles[1]["label"]) == ("×3", "m l0 burst", "3")
    counts = [int(marble["label"].removeprefix("×")) if "burst" in marble["class"] else 1 for marble in marbles]
    assert sum(counts) == len(times)
    for before, after in pairwise(marbles):
        assert after["left"] > before["right"]
    assert marbles[-1]["right"] <= 840
    assert marbles[-1]["title"].endswith(f"{counts[-1]} items, the last: {len(times) - 1}")


def test_picture_size_is_bounded() -> None:
    """A picture of 100,000 events is not larger than one of 1,000."""
    many = svg(Recording(numbers(*(step / 1000 for step in range(100_000)))))
    few = svg(Recording(numbers(*(step / 10 for step in range(1000)))))
    assert len(many) < len(few) * 1.5 < 30_000


def test_ends_are_bars_crosses_and_codes() -> None:
    events = [
        Event(0.0, "socket", "open", "chat"),
        Event(0.5, "a", "completed"),
        Event(0.6, "b", "error", KeyError("no <b>")),
        Event(0.7, "errors", "next", ValueError("x")),
        Event(0.7, "errors", "next", RecordedError("OSError", "y")),
        Event(0.8, "socket", "close", Close(4001, "bye")),
        Event(1.0, "socket", "close", Close()),
    ]
    root, marbles = drawn(Recording(events, ("a", "b")))
    kinds = [path.get("class") for path in root.iter(f"{NAMESPACE}path")]
    assert (kinds.count("end"), kinds.count("cross")) == (1, 1)
    assert [(marble["label"], marble["class"]) for marble in marbles] == [
        ("chat", "m open"),
        ("4001", "m bad"),
        ("1000", "m good"),
        ("×2", "m bad burst"),
    ]
    assert "KeyError('no <b>')" in [text.text for text in root.iter(f"{NAMESPACE}text")]


def test_lane_order() -> None:
    """Lanes keep their order, and those without events are drawn."""
    root, _ = drawn(Recording(numbers(0.1, lane="late"), SOCKET_LANES))
    names = [text.text for text in root.iter(f"{NAMESPACE}text") if text.get("class") == "name"]
    assert names == [*SOCKET_LANES, "late"]


def test_operators_box() -> None:
    """A box shows the operators between two lanes."""
    events = [Event(0.1, "a", "next", 1), Event(0.2, "b", "next", 2)]
    plain, _ = drawn(Recording(events, ("a", "b")))
    root, _ = drawn(Recording(events, ("a", "b")), operators={"b": "ops.map(double)", "a": "source"})
    texts = [text.text for text in root.iter(f"{NAMESPACE}text") if text.get("class") == "optext"]
    assert texts == ["source", "ops.map(double)"]
    assert [path.get("class") for path in root.iter(f"{NAMESPACE}path")].count("drop") == 3
    assert float(root.get("viewBox", "").split()[3]) > float(plain.get("viewBox", "").split()[3])


@pytest.mark.parametrize(
    "data", ["<script>", "\x00\x1b[31m", "\ud800", '"&', "日本語のとても長い文字列です", 1.23456789, None, [], object()]
)
def test_hostile_values(data: Any) -> None:
    """Whatever a marble holds, the picture is valid and harmless."""
    root, marbles = drawn(
        Recording([Event(0.5, "<lane>", "next", data), Event(0.7, "<lane>", "error", ValueError(data))])
    )
    assert len(marbles) == 1
    assert {element.tag.removeprefix(NAMESPACE) for element in root.iter()} <= {
        "svg", "style", "text", "path", "g", "title", "rect",
    }  # fmt: skip
    ascii(Recording([Event(0.5, "a", "next", data)]))


def test_text_alternative() -> None:
    """The text alternative lists the first events and says how many more there are."""
    events = [*numbers(*(step / 10 for step in range(10))), Event(1.0, "a", "completed")]
    events += [
        Event(0.0, "s", "open"),
        Event(1.0, "s", "close", Close(4001, "bye")),
        Event(1.0, "e", "error", KeyError(1)),
    ]
    root, _ = drawn(Recording(events, ("a", "none")))
    label = root.get("aria-label", "")
    assert root.get("role") == "img"
    assert label.startswith("Marble diagram. a: 0 at 0, 1 at 100 ms, ")
    assert (
        "7 at 700 ms, completes at 1 s, and 2 more. none: nothing. s: opens at 0, closes with 4001 bye at 1 s." in label
    )
    assert label.endswith("e: fails with KeyError(1) at 1 s.")


def test_colors() -> None:
    """A picture has colors for light and dark that stay its own."""
    text = svg(Recording(numbers(0.5)))
    assert "@media(prefers-color-scheme:dark)" in text
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    selectors = re.findall(r"([^{},]+)(?=[,{][^{}]*\})", style[1].replace("@media(prefers-color-scheme:dark){", ""))
    assert selectors
    assert all(
        selector.strip().startswith((".rxws-marbles ", ".rxws-marbles.")) for selector in selectors if "." in selector
    )


@pytest.mark.parametrize("recording", [Recording([]), Recording([], ("a",)), Recording(numbers(0.0), ("a",))])
def test_empty_recordings(recording: Recording) -> None:
    """Recordings of nothing or of no time are drawn too."""
    drawn(recording)
    assert "1 s" in ascii(recording)


def test_imports() -> None:
    """Pictures need only the standard library and Rx."""
    program = (
        "import sys; import rxws; before = set(sys.modules); import rxws.marbles; print(set(sys.modules) - before)"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert {name.split(".")[0] for name in re.findall(r"'([\w.]+)'", printed)} <= {"rxws", "html", "_strptime"} | set(
        sys.stdlib_module_names
    )


def test_sheet() -> None:
    """A sheet takes events as they come, and shows any stretch of time."""
    sheet = Sheet(["a"], 60.0, 80.0, 840)
    lane, layout = Lane("a"), sheet.layout()
    layout.add(lane, Event(61.0, "a", "next", "one"))
    layout.add(lane, Event(70.0, "a", "next", "many"), count=500)
    layout.add(lane, Event(70.1, "a", "next", "more"), count=20)
    drawn = sheet.draw([lane], "told", {}, ground=True)
    layout.add(lane, Event(75.0, "a", "next", RecordedError("KeyError", "no")))
    assert [marble.label for marble in lane.marbles] == ["one", "×520", "KeyError"]
    assert all(part in drawn for part in (">one<", ">×520<", "1 min 15 s", 'aria-label="told"', "background:#10151d"))
    assert "background" not in sheet.draw([lane], "told", {})


def test_well_formed_whatever_is_recorded() -> None:
    """Names and reasons with control characters make a well-formed picture."""
    events = [Event(0.1, "a\0\x1b", "next", "\0"), Event(0.2, "\ud800", "close", Close.received(1006, "\0\ud800"))]
    drawn = svg(Recording(events, ("b\n<",)))
    assert ElementTree.fromstring(drawn.encode()).get("role") == "img"
