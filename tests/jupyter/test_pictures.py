"""Live pictures, without a browser: what they draw, store and say."""

import asyncio
import base64
import dataclasses
import gc
import re
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
import rxws.jupyter
from rxws.jupyter import Live, Server, plot, show, table, watch
from rxws.jupyter.pictures import live as pictures
from rxws.jupyter.pictures.lanes import Lanes
from rxws.jupyter.pictures.plot import Thinned
from rxws.recording import Event, Recording
from rxws.testing import serve as serve_in_memory
from tests.integration.server import serving
from tests.streams import raising

Serve = Callable[..., Server]
SVG = "{http://www.w3.org/2000/svg}"


def stored(live: Live) -> str:
    """The picture that is stored, whole: the SVG in its image, too."""
    html = live.picture.still()
    match = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    return html + (base64.b64decode(match[1]).decode() if match else "")


async def test_a_marble_diagram_shows_values_ends_and_errors() -> None:
    failing = reactivex.concat(reactivex.just("<one>"), reactivex.throw(ValueError("no more")))
    live = watch(letters=reactivex.of("a"), failing=failing, window=5)
    await live.done(timeout=5)
    for part in ("letters", ">a<", 'class="end"', 'class="cross"', "no more", "&lt;one&gt;"):
        assert part in live.html
        assert part in stored(live)
    assert "<one>" not in live.html
    assert "letters: 1 items so far, the last a; it completed." in live.html
    assert re.search(r"letters +-a-\|", live.picture.text())
    assert "svg" not in live.picture.still().split("base64,")[0].replace(
        "image/svg+xml", ""
    )  # not inline: it is stripped


async def test_item_that_raises_is_shown() -> None:
    """An item whose `repr` raises is a marble and a row as any other; its stream goes on."""

    class Shy:
        __repr__ = raising(ZeroDivisionError())

    source, seen = Subject[Any](), list[Any]()
    lives = watch(items=source), table(source, key=lambda item: "shy")
    source.subscribe(seen.append)
    source.on_next(Shy())
    source.on_next("a")
    source.on_next(Shy())
    source.on_completed()
    for live in lives:
        await live.done(timeout=5)
        assert "&lt;Shy, whose repr raises ZeroDivisionError&gt;" in live.html
    assert len(seen) == 3


async def test_a_burst_is_one_pill_with_its_count() -> None:
    source = Subject[int]()
    live = watch(numbers=source)
    for number in range(1000):
        source.on_next(number)
    source.on_completed()
    await live.done(timeout=5)
    assert ">×1000<" in live.html
    assert "1000 items, the last: 999" in live.html


async def test_memory_is_what_fits_in_the_width() -> None:
    lanes = Lanes(Recording((), ("a",)), 20.0, lambda: None, lambda: None)

    def fill(begin: int, end: int) -> None:
        for n in range(begin, end):
            lanes.put(Event(n / 500, "a", "next", "x" * 200 + str(n)))

    fill(0, 5_000)
    lanes.svg()
    tracemalloc.start()
    fill(5_000, 25_000)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000
    assert lanes.counts == {"a": 25_000}


async def test_a_long_value_at_the_beginning_is_shown() -> None:
    lanes = Lanes(Recording((), ("a",)), 20.0, lambda: None, lambda: None)
    lanes.put(Event(0.0, "a", "next", "a long value, which is wide"))
    assert ">a long value,…<" in lanes.svg()


async def test_what_has_left_the_window_is_forgotten() -> None:
    lanes = Lanes(Recording((), ("a", "b")), 2.0, lambda: None, lambda: None)
    lanes.put(Event(0.1, "a", "next", "old"))
    lanes.put(Event(0.1, "b", "completed"))
    lanes.put(Event(5.0, "a", "next", "new"))
    lanes.close()
    assert "old" not in lanes.svg()
    assert "new" in lanes.svg()
    assert 'class="end"' not in lanes.svg()
    assert "4 s" in lanes.svg()


async def test_draws_at_most_twenty_times_a_second() -> None:
    """A picture is drawn at most twenty times a second, however much comes."""
    source = Subject[int]()
    live = watch(numbers=source)
    frames: list[str] = []
    live.frames.observe(lambda change: frames.append(change["new"]), "html")
    began = asyncio.get_running_loop().time()
    while (passed := asyncio.get_running_loop().time() - began) < 1:
        for number in range(100):
            source.on_next(number)
        await asyncio.sleep(0.005)
    await live.done(timeout=0)
    assert 2 <= len(frames) <= 20 * passed + 2


async def test_nothing_is_drawn_while_nothing_moves(eventually: Any) -> None:
    source = Subject[int]()
    live = table(source, key=lambda item: item)
    frames: list[str] = []
    live.frames.observe(lambda change: frames.append(change["new"]), "html")
    await eventually(lambda: frames)
    await asyncio.sleep(0.5)
    assert len(frames) == 1
    source.on_next(7)
    await eventually(lambda: len(frames) > 1)
    await asyncio.sleep(0.2)
    assert len(frames) == 2
    await live.done(timeout=0)


async def test_done_stops_watching_at_its_timeout() -> None:
    source = Subject[int]()
    live = watch(numbers=source)
    await live.done(timeout=0.1)
    assert source.observers == []
    assert live.frames.live is False
    assert repr(live) == "<LiveMarbles ended>"


async def test_a_table_has_the_latest_item_of_each_key() -> None:
    rows = [{"symbol": s, "price": p} for s, p in (("A", 1.0), ("B", 2.0), ("A", 3.0))] + [{"symbol": "<C>", "size": 5}]
    live = table(reactivex.from_(rows), key="symbol")
    await live.done(timeout=5)
    assert live.picture.text().splitlines() == [
        "symbol  price  size",
        "A       3",
        "B       2",
        "<C>            5",
        "3 keys, 4 items; completed",
    ]
    assert "<td>&lt;C&gt;</td><td></td><td>5</td>" in live.html == live.picture.still()


async def test_a_table_keeps_the_keys_that_change() -> None:
    live = table(reactivex.from_(["a", "b", "a", "c"]), key=lambda item: item, limit=2)
    await live.done(timeout=5)
    assert live.picture.text().splitlines()[1:3] == ["a", "c"]


@dataclasses.dataclass
class Tick:
    price: float
    at: float


async def test_numbers_in_a_table_have_all_digits() -> None:
    rows = [{"key": 1, "price": 1234567.891, "size": 0.1 + 0.2, "id": 10**70, "what": "x" * 100}]
    live = table(reactivex.from_(rows), key="key")
    await live.done(timeout=5)
    for part in ("<td>1234567.891</td>", "<td>0.30000000000000004</td>", f"<td>{10**70}</td>", f"<td>{'x' * 59}…</td>"):
        assert part in live.html


async def test_pictures_fit_narrow_cells() -> None:
    """Images shrink with their cell, and tables are scrolled within it."""
    source = Subject[Any]()
    lives = watch(numbers=source), plot(source), table(source, key=lambda item: item)
    socket, _ = serve_in_memory(lambda incoming: incoming)
    lives = (*lives, show(socket))
    source.on_next(1)
    source.on_completed()
    for live in lives:
        await live.done(timeout=5 if live is not lives[-1] else 0.2)
        still = live.picture.still()
        assert still.count("<img ") == still.count('style="max-width:100%;height:auto"'), still
        assert still.count("<table>") == still.count('<div style="max-width:100%;overflow-x:auto"><table>')


async def test_times_are_those_of_the_clock() -> None:
    """On the axis, where the mouse is, and in the text alternative."""
    source = Subject[str]()
    before = datetime.now().astimezone()
    live = watch(letters=source)
    source.on_next("a")
    source.on_completed()
    await live.done(timeout=5)
    found = re.search(r"<title>(\d\d:\d\d:\d\d\.\d{3}): a</title>", live.html)
    assert found
    seen = datetime.combine(before.date(), time.fromisoformat(found[1]), before.tzinfo)
    assert timedelta(0) <= (seen - before + timedelta(days=1, seconds=1)) % timedelta(days=1) < timedelta(seconds=10)
    assert re.search(r'class="time"[^>]*>\d\d:\d\d:\d[05]</text>', live.html)
    assert re.search(r"Marble diagram of the .* seconds to \d\d:\d\d:\d\d\.", live.html)
    assert re.search(r"\n +\d\d:\d\d:\d\d", live.picture.text())


async def test_names_of_lanes_are_not_covered() -> None:
    """A wide marble at the very beginning begins behind the name, and what leaves the window is cut off there."""
    live = watch(states=reactivex.concat(reactivex.just("a long label, cut"), reactivex.never()), window=2)
    await asyncio.sleep(0.1)
    svg = ElementTree.fromstring(live.picture.still() and live.html)
    left = float(svg.find(f".//{SVG}path[@class='axis']").attrib["d"][1:].split()[0])  # type: ignore[union-attr]
    inner = svg.find(f"{SVG}svg")
    assert inner is not None
    assert float(inner.attrib["x"]) == left
    assert all(float(rect.attrib["x"]) >= left - 2 for rect in inner.iter(f"{SVG}rect"))
    await live.done(timeout=0)


async def test_a_plot_draws_numbers_of_any_items() -> None:
    ticks = reactivex.from_([Tick(2.0, 0.0), Tick(9.0, 1.0), Tick(5.0, 2.0)])
    live = plot(ticks, x="at", y=["price", lambda tick: None if tick.at == 1 else 1], title="ticks")
    await live.done(timeout=20)
    png = base64.b64decode(live.html.split("base64,")[1].split('"')[0])
    assert png.startswith(b"\x89PNG")
    assert live.picture.text() == (
        "Plot of 3 items; price: from 2 to 9, the last 5; lambda: from 1 to 1, the last 1; completed."
    )


async def test_a_plot_of_numbers_needs_no_fields() -> None:
    live = plot(reactivex.of(1, 2))
    await live.done(timeout=20)
    assert "value: from 1 to 2, the last 2" in live.picture.text()


@pytest.mark.parametrize("make", [lambda ticks: plot(ticks, y="prise"), lambda ticks: table(ticks, key="prise")])
async def test_a_field_that_is_not_there_is_shown(make: Any) -> None:
    live = make(reactivex.of({"price": 1}))
    await live.done(timeout=20)
    assert "failed: KeyError: 'prise'" in live.picture.text()
    assert "failed: KeyError: &#x27;prise&#x27;" in live.html


async def test_an_item_that_comes_while_a_table_is_drawn() -> None:
    """Items may come at any time, of other threads too: a frame shows those that were there when it began."""
    source = Subject[Any]()

    class Chain:
        def __init__(self, number: int) -> None:
            self.number = number

        def __repr__(self) -> str:
            if self.number < 3:
                source.on_next({"key": self.number + 1, "value": Chain(self.number + 1)})
            return f"link {self.number}"

    live = table(source, key="key")
    source.on_next({"key": 0, "value": Chain(0)})
    assert "link 0" in live.picture.still()
    assert "link 1" in live.picture.text()
    live.stop()
    await live.done()


def test_points_of_another_thread() -> None:
    """A line may be drawn while another thread adds points to it."""
    line, over = Thinned(window=1000, columns=1000), threading.Event()

    def add() -> None:
        number = 0
        while not over.is_set():
            line.add(number, number)
            number += 1

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=add)
    thread.start()
    try:
        for _ in range(300):
            assert all(y == x for x, y in line)
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(before)


def test_thinned_line_keeps_its_extremes() -> None:
    """A line is thinned to its first, lowest, highest, and last points."""
    line = Thinned(window=100, columns=10)
    for n in range(100_000):
        line.add(n / 1000, 50 if n == 12_345 else n % 7)
    points = list(line)
    assert len(points) <= 44
    assert (12.345, 50) in points
    line.add(0.0, 1)
    line.add(float("nan"), 1)
    line.add(1000.0, 2)
    assert list(line) == [(1000.0, 2)]
    line.add(1.0, 3)
    assert list(line) == [(1.0, 3)]


async def test_show_changes_nothing(eventually: Any) -> None:
    """Showing a socket does not change anything about it."""
    socket, wire = serve_in_memory(lambda incoming: incoming.pipe(ops.map(str.upper)), protocol="v1")
    live = show(socket)
    await asyncio.sleep(0.05)
    wire.send("hello")
    parts = ("<td>open</td>", "<td>memory</td>", "<td>v1</td>", "1 messages, 5 B", ">hello<", ">HELLO<")
    await eventually(lambda: all(part in live.html for part in parts))
    assert not socket._life.reports.errors.observed
    wire.close(rxws.Close(4001, "bye"))
    await live.done(timeout=5)
    assert "closed Close(code=4001, reason=&#x27;bye&#x27;)" in live.html
    assert "state: closed" in live.picture.text()


async def test_a_fresh_socket_shows_age_and_flight(eventually: Any) -> None:
    """A socket that conflates shows what is in flight, and how old what its peer has is, below its lanes."""
    ticks = Subject[str]()
    async with (
        serving(rxws.websocket(overflow="latest")(lambda incoming: ticks)) as server,
        rxws.connect(server.url) as client,
    ):
        live = show(server.sockets[0])
        for _ in range(6):
            ticks.on_next("x" * 3000)
            assert await client.receive()
            await asyncio.sleep(0.1)
        parts = ("<th>in flight</th>", "<th>age</th>", ">in flight</text>", 'class="trace"', " ms now, ")
        await eventually(lambda: all(part in live.html for part in parts))
        assert "\nage: " in live.picture.text()
    await live.done(timeout=5)
    assert "<th>in flight</th><th>age</th><th>buffered</th>" in live.html
    unlike = show(serve_in_memory(lambda incoming: incoming)[0])
    await asyncio.sleep(0.1)
    assert "in flight" not in unlike.html
    unlike.stop()


async def test_a_socket_of_a_notebook_shows_itself_live(serve: Serve, eventually: Any) -> None:
    async with rxws.jupyter.connect(serve(lambda incoming: incoming).url()) as socket:
        live = show(socket)
        socket.outgoing.on_next("hello")
        await socket.incoming.pipe(ops.first())
        await eventually(lambda: live.html.count(">hello<") == 4)  # a marble and a line, both ways
    await live.done(timeout=5)
    assert "closed" in live.html


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: watch(), ValueError, "needs Observables by name"),
        (lambda: watch(a=1), TypeError, "a must be an Observable, not 1"),
        (lambda: watch(a=reactivex.never(), window=0), ValueError, "window must be a positive"),
        (lambda: plot(1), TypeError, "expected an Observable"),
        (lambda: plot(reactivex.never(), window=-1), ValueError, "window must be a positive"),
        (lambda: table(1, key="a"), TypeError, "expected an Observable"),
        (
            lambda: table(reactivex.never(), key="a", limit=0),
            ValueError,
            "limit must be a positive whole number of rows",
        ),
    ],
)
async def test_a_wrong_call_is_an_error_at_once(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_without_an_event_loop_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="event loop"):
        watch(a=reactivex.never())


class Stills:
    """Takes what a picture stores."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.kept.append(data["text/html"])


async def test_quiet_picture_that_nobody_has_is_freed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, eventually: Callable[..., Any]
) -> None:
    """A cell that runs again leaves nothing of its picture, and no complaint: a quiet one has no task."""
    monkeypatch.setattr(pictures, "STORE_EVERY", 0.1)

    async def cell() -> weakref.ref[Live]:
        source = Subject[Any]()
        live = table(source, key=lambda item: item)
        source.on_next("one")
        await eventually(lambda: "one" in live.html)
        await asyncio.sleep(0.5)
        return weakref.ref(live)

    freed = await cell()
    gc.collect()
    assert freed() is None
    assert caplog.text == ""


async def test_quiet_picture_goes_on(monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]) -> None:
    """The newest picture is stored before a quiet one rests; with the next item it goes on, and ends as others do."""
    monkeypatch.setattr(pictures, "STORE_EVERY", 0.3)
    source, stills = Subject[Any](), Stills()
    live = table(source, key=lambda item: item)
    live._still = stills
    for item in ("one", "two", "three"):
        source.on_next(item)
        await eventually(lambda item=item: item in live.html)
    await eventually(lambda: live._task.done())
    assert "three" in stills.kept[-1]
    source.on_next("four")
    await eventually(lambda: "four" in live.html)
    await eventually(lambda: live._task.done())
    await live.done(timeout=0)
    assert not live.frames.live
    ended = live._task
    live.stop()
    assert live._task is ended


async def test_picture_that_cannot_be_drawn_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """What drawing raises is shown, once, and the picture ends."""
    live = watch(numbers=Subject[int]())
    live.picture.draw = raising(ZeroDivisionError("no picture"))  # type: ignore[method-assign]
    await live.done(timeout=5)
    assert live._task.exception() is None
    assert not live.frames.live
    assert capsys.readouterr().err.count("ZeroDivisionError: no picture") == 1


async def test_dollars_in_a_plot() -> None:
    """Dollars in titles, names of fields and errors are text, not formulas."""
    source = Subject[Any]()
    live = plot(source, x="$_{", y=["$^{"], title="costs $5^{ and $6")
    source.on_next({"$_{": 1, "$^{": 2})
    source.on_error(ValueError("costs $5^{ and $6"))
    await live.done(timeout=20)
    assert live._task.exception() is None
    assert "data:image/png" in live.html
    with pytest.raises(ValueError, match="y must be a field, or several"):
        plot(source, y=[])
