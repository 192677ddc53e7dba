"""What is in flight under the policies that conflate: little enough to be fresh, enough to use what the path has."""

from __future__ import annotations

import asyncio
import statistics
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import rxws
from rxws.close import Close
from rxws.core.connection import PINGS
from rxws.core.lifecycle import Lifecycle
from rxws.core.window import FIRST_SIZE, MAX_MARKS, MUTE_AFTER, ROOMY_SIZE, SendWindow
from rxws.core.wire import MESSAGE_WEIGHT, Frame, Ping, PlainWire, Several, Text
from rxws.options import check
from rxws.stats import Counters
from rxws.testing import MemoryDialer, MemoryWire, connect
from tests.streams import ended, turns, watch

VIRTUAL = True

SIZE = 1000


class Path(MemoryWire):
    """A path, which takes whatever is sent, and a reader at its end, which takes `rate` bytes a second."""

    def __init__(self, rate: float, delay: float = 0.0005) -> None:
        super().__init__()
        self.rate = rate
        self.delay = delay
        self.pongs = True
        self.late = False
        """Whether it answers a ping only when it has read what follows."""
        self.read: list[tuple[float, float]] = []
        """When each message was read, and how old it was then."""
        self.on_path: deque[Frame | Close] = deque()
        self.reading = False
        self.kept: list[bytes] = []

    def _take(self) -> None:
        while self._endpoint is not None and not self.ended and (taken := self._endpoint.take(0)):
            for item in [taken] if isinstance(taken, Close) else taken:
                asyncio.get_running_loop().call_later(self.delay, self._arrive, item)
            if isinstance(taken, Close):
                return

    def _arrive(self, item: Frame | Close) -> None:
        self.on_path.append(item)
        if not self.reading:
            self.reading = True
            self._soon(self._read)

    def _read(self) -> None:
        if self.on_path:
            item = self.on_path.popleft()
            size = 4 if isinstance(item, Close) else len(item.data)
            asyncio.get_running_loop().call_later(size / self.rate, self._have, item)
        else:
            self.reading = False

    def _have(self, item: Frame | Close) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(item, Close):
            self.close_sent = item
            self._lose(None)
            return
        if isinstance(item, Ping):
            self.pings.append(item.data)
            self.kept.append(item.data)
        else:
            self.sent.append(item.message)
            self.read.append((now, now - float(item.message.split()[0])))
        if self.pongs and not (self.late and isinstance(item, Ping)):
            kept, self.kept = self.kept, []
            for data in kept:
                asyncio.get_running_loop().call_later(self.delay, self.pong, data)
        self._read()

    def between(self, begin: float, end: float) -> list[float]:
        """Give the ages of what was read between two times."""
        return [age for at, age in self.read if begin <= at < end]


@asynccontextmanager
async def flooding(path: Path, rate: float, **options: Any) -> AsyncIterator[rxws.WebSocket[Any, Any]]:
    """Send messages that say when they were made, so many bytes a second, on a path."""
    life = Lifecycle(check({"overflow": "latest", "heartbeat": None, **options}))
    life.open(path)
    life.incoming.readers.want()
    socket = rxws.WebSocket[Any, Any](life)
    loop = asyncio.get_running_loop()

    async def flood() -> None:
        while True:
            socket.outgoing.on_next(f"{loop.time():.6f}".ljust(SIZE))
            await asyncio.sleep(SIZE / rate)

    task = asyncio.create_task(flood())
    try:
        yield socket
    finally:
        task.cancel()
        path.drop()
        await ended(socket)


@pytest.mark.parametrize("rate", [5_000, 20_000, 200_000, 2_000_000])
async def test_slow_reader(rate: float) -> None:
    """What a reader gets is fresh, and it reads all the time."""
    path = Path(rate)
    async with flooding(path, 3 * rate) as socket:
        await asyncio.sleep(5)
        first, later = path.between(0, 1), path.between(2, 5)
        assert max(first) < 0.65
        assert statistics.median(later) < max(0.15, 2.5 * SIZE / rate)
        assert len(later) > 0.95 * 3 * rate / SIZE
        stats = socket.stats
        assert stats.in_flight is not None
        assert stats.in_flight < 4 * (SIZE + MESSAGE_WEIGHT) + 0.2 * rate
        assert stats.age == pytest.approx(later[-1], abs=1.2 * SIZE / rate + 0.02)
        assert stats.rtt is None


@pytest.mark.parametrize("trip", [0.05, 0.1, 0.3])
async def test_long_path(trip: float) -> None:
    """A long path is filled, after some round trips."""
    rate = 2_000_000
    path = Path(rate, trip / 2)
    async with flooding(path, 1.5 * rate):
        await asyncio.sleep(10 * trip + 2)
        later = path.between(10 * trip, 10 * trip + 2)
        assert len(later) > 0.95 * 2 * rate / SIZE
        assert statistics.median(later) < trip / 2 + 0.11


async def test_keeps_up() -> None:
    """A reader that keeps up gets everything, the window does not grow, and there are few pings."""
    path = Path(1_000_000)
    async with flooding(path, 20_000) as socket:
        await asyncio.sleep(5)
        assert len(path.read) >= 99
        assert max(age for _, age in path.read) < 0.01
        assert len(path.pings) < 20
        assert socket.stats.in_flight is not None
        assert socket.stats.in_flight < ROOMY_SIZE


@pytest.mark.parametrize(("rate", "pings"), [(2e4, 1.5), (4e5, 25), (2e6, 120)])
async def test_fast_reader(rate: float, pings: float) -> None:
    """For a reader that keeps up the window grows, and pings are few; when it becomes slow, it is fresh again soon."""
    path = Path(500_000_000)
    async with flooding(path, rate) as socket:
        await asyncio.sleep(4)
        connection: Any = socket._life.connection
        assert connection.window.size == ROOMY_SIZE
        assert len(path.pings) / 4 <= pings
        assert len(path.read) > 0.99 * 4 * rate / SIZE
        path.rate = 20_000
        await asyncio.sleep(4)
        assert max(path.between(6, 8)) < 0.5
        assert statistics.median(path.between(7, 8)) < 0.15


async def test_becomes_slow() -> None:
    """A reader that was fast gets what is fresh soon after it has become slow; one that was slow is fast again."""
    path = Path(200_000)
    async with flooding(path, 400_000):
        await asyncio.sleep(3)
        path.rate = 20_000
        await asyncio.sleep(3)
        assert max(path.between(5, 6)) < 0.2
        path.rate = 200_000
        await asyncio.sleep(3)
        assert len(path.between(7, 9)) > 0.95 * 2 * 200


@pytest.mark.parametrize("rate", [20_000, 200_000])
@pytest.mark.parametrize("late", [0.1, 0.2, 0.4, 1.5])
async def test_begins_late(late: float, rate: float) -> None:
    """A reader that begins late answers its first pings late, which is no measure of the path."""
    path = Path(rate)
    path.reading = True
    async with flooding(path, 500_000):
        await asyncio.sleep(late)
        path._read()
        await asyncio.sleep(9)
        assert statistics.median(path.between(late + 4, late + 9)) < 0.2
        assert len(path.between(late + 4, late + 9)) > 0.9 * 5 * rate / SIZE


async def test_becomes_longer() -> None:
    """A path that becomes longer is filled again: the smallest round trip is measured anew."""
    path = Path(200_000)
    async with flooding(path, 400_000):
        await asyncio.sleep(1)
        path.delay = 0.2
        await asyncio.sleep(14)
        assert len(path.between(11, 15)) > 0.9 * 4 * 200
        assert statistics.median(path.between(11, 15)) < 0.35


async def test_heavy_messages() -> None:
    """Two messages are in flight, however heavy they are: a slow reader never stands still."""
    life = Lifecycle(check({"overflow": "latest", "heartbeat": None}))
    path = Path(200_000)
    life.open(path)
    loop = asyncio.get_running_loop()
    for _ in range(100):
        life.outgoing.on_next(f"{loop.time():.6f}".ljust(100_000))
        await asyncio.sleep(0.1)
    assert len(path.read) == 19
    assert statistics.median(path.between(5, 10)) < 1.5
    path.drop()


async def test_silent_peer() -> None:
    """A peer that answers no pings gets everything after one pause."""
    path = Path(100_000)
    path.pongs = False
    async with flooding(path, 50_000) as socket:
        await asyncio.sleep(MUTE_AFTER)
        assert len(path.read) <= FIRST_SIZE / SIZE
        assert socket.stats.in_flight >= FIRST_SIZE
        assert socket.stats.age is None
        assert not path.fresh
        await asyncio.sleep(10)
        assert path.fresh  # as far as the wire can
        assert len(path.between(MUTE_AFTER + 1, 10)) > 0.95 * 50 * (9 - MUTE_AFTER)
        assert (socket.stats.in_flight, socket.stats.age) == (None, None)
        pings = len(path.pings)
        path.pongs = True
        path.pong(path.pings[-1])
        assert socket.stats.in_flight is not None
        assert not path.fresh
        await asyncio.sleep(1)
        assert len(path.pings) > pings


async def test_end_in_the_pause() -> None:
    path = Path(100_000)
    path.pongs = False
    async with flooding(path, 50_000):
        await asyncio.sleep(MUTE_AFTER / 2)


async def test_answers_with_the_next_message() -> None:
    """A peer that answers a ping when it has read the message behind it does not stand still."""
    path = Path(20_000)
    path.late = True
    async with flooding(path, 60_000):
        await asyncio.sleep(5)
        assert len(path.between(2, 5)) > 0.95 * 3 * 20
        assert statistics.median(path.between(2, 5)) < 0.3


async def test_pings_are_swallowed_later() -> None:
    """A peer that has answered, and answers no more, gets one message with each ping of the heartbeat."""
    path = Path(1_000_000)
    async with flooding(path, 50_000, heartbeat=1.0) as socket:
        await asyncio.sleep(1)
        path.pongs = False
        for _ in range(300):
            path.send("alive")
            await asyncio.sleep(0.5)
        assert 0 < len(path.between(10, 151)) < 150
        assert socket.stats.age > 100
        connection: Any = socket._life.connection
        assert len(connection.window._marks) == MAX_MARKS


async def test_blind() -> None:
    """While no pong can be read nothing waits for one, and the time measures nothing."""
    path = Path(100_000)
    async with flooding(path, 200_000) as socket:
        await asyncio.sleep(2)
        path.pongs, path.blind = False, True
        path.wake()
        await asyncio.sleep(3)
        read = len(path.between(2.5, 4))
        assert read > 0.95 * 1.5 * 100
        assert path.fresh
        pings = list(path.kept)
        path.pongs, path.blind, path.kept = True, False, []
        for data in pings:
            path.pong(data)
        await asyncio.sleep(1)
        connection: Any = socket._life.connection
        assert connection.window.size > FIRST_SIZE // 2
        assert not path.fresh


@pytest.mark.parametrize("rate", [20_000, 1_000_000])
async def test_close_with_a_full_window(rate: float) -> None:
    """What waits behind a full window is sent before the close."""
    path = Path(rate)
    life = Lifecycle(check({"overflow": rxws.latest_by(lambda message: message), "heartbeat": None}))
    life.open(path)
    messages = [f"{number}".ljust(SIZE) for number in range(30)]
    for message in messages:
        life.outgoing.on_next(message)
    await turns()
    assert life.outgoing.buffered[0] > 20
    assert life.congested
    life.close(Close(4000))
    assert not life.congested
    await asyncio.sleep(4)
    assert (path.sent, path.close_sent) == (messages, Close(4000))
    assert life.gone


async def test_abort_with_a_full_window() -> None:
    """What waits behind a full window when the connection is lost is undelivered."""
    path = Path(20_000)
    life = Lifecycle(check({"overflow": rxws.latest_by(lambda message: message), "heartbeat": None}))
    life.open(path)
    left: list[Any] = []
    life.reports.undelivered.subscribe(left.append)
    for number in range(30):
        life.outgoing.on_next(f"{number}".ljust(SIZE))
    await turns()
    waits = life.outgoing.buffered[0]
    path.drop()
    await turns()
    assert len(left) == waits > 20


async def test_client_that_returns() -> None:
    """A client's messages are confirmed by the same pings; the next connection has a window of its own."""
    dialer = MemoryDialer()
    async with connect(dialer, rxws.Backoff(initial=0.001, maximum=0.001), overflow="latest", heartbeat=None) as socket:
        await turns()
        for number in range(100):
            socket.outgoing.on_next(f"{number}".ljust(SIZE))
            await asyncio.sleep(0.001)
        peer = dialer.peer
        assert len(peer.sent) == 100
        assert len(peer.pings) < 60
        await asyncio.sleep(5)
        assert socket.stats.in_flight == 0
        peer.pongs = False
        lost: list[Any] = []
        socket.undelivered.subscribe(lost.append)
        socket.outgoing.on_next("lost")
        await turns()
        peer.drop()
        await asyncio.sleep(1)
        assert lost == ["lost"]
        assert socket.stats.in_flight == 0


async def test_pongs_unasked() -> None:
    """Answers to our pings are not counted; a second answer to one, and others, are, and closed with 1008."""
    path = Path(50_000_000, delay=0.0001)
    async with flooding(path, 10_000_000) as socket:
        await asyncio.sleep(0.1)
        connection: Any = socket._life.connection
        for _ in range(2 * int(PINGS)):
            path.pong(connection._ping().data)
        for _ in range(int(PINGS)):
            path.pong(path.pings[0])
        assert socket._life.close_cause is None
        path.pong(b"unasked")
        assert socket._life.close_cause == Close(1008, "Too Many Pings")


class Page(Path):
    """A browser: it answers pings at once, and hands messages to a script that takes `work` seconds for each.

    Every 50 ms the script says how many it has taken.
    """

    def __init__(self, work: float, *, counts: bool = True) -> None:
        super().__init__(10_000_000)
        self.work = work
        self.counts = counts
        self.taken = 0
        self.saying = False
        self.free = 0.0
        self.ages: list[float] = []

    def _have(self, item: Frame | Close) -> None:
        super()._have(item)
        if isinstance(item, Text):
            loop = asyncio.get_running_loop()
            self.free = max(self.free, loop.time()) + self.work
            loop.call_at(self.free, self._take_one, item.message)

    def _take_one(self, message: str) -> None:
        loop = asyncio.get_running_loop()
        self.taken += 1
        self.ages.append(loop.time() - float(message.split()[0]))
        if self.counts and not self.saying:
            self.saying = True
            loop.call_later(0.05, self._say)

    def _say(self) -> None:
        self.saying = False
        if not self.ended:
            self.send(f"taken {self.taken}")


def taken(message: str) -> Any:
    """Read a count, which may be anything."""
    return int(message[6:]) if message.startswith("taken ") else {"half": 0.5, "true": True}.get(message)


async def test_page_that_counts() -> None:
    """What a page's script has is fresh if it says how many it has taken; its counts are no messages."""
    page = Page(0.005)
    async with flooding(page, 1_000_000, in_flight=taken) as socket:
        seen: list[Any] = []
        socket.incoming.subscribe(seen.append)
        await asyncio.sleep(4)
        page.send("hello")
        await turns()
        assert statistics.median(page.ages[300:]) < 0.15
        assert len(page.ages) > 0.92 * 4 / 0.005
        assert (seen, socket.stats.received) == (["hello"], 1)
        assert socket.stats.in_flight < 60 * SIZE


async def test_page_that_loads() -> None:
    """A page whose script begins a second late, with messages before it, is fresh soon after."""
    page = Page(0.005)
    page.free = asyncio.get_running_loop().time() + 1
    async with flooding(page, 1_000_000, in_flight=taken):
        await asyncio.sleep(5)
        assert statistics.median(page.ages[-400:]) < 0.2
        assert len(page.ages) > 0.85 * 4 / 0.005


async def test_page_that_does_not_count() -> None:
    """For a page that does not count after a pause, pongs do, which a browser's other process sends."""
    page = Page(0.005, counts=False)
    async with flooding(page, 1_000_000, in_flight=taken):
        await asyncio.sleep(1)
        assert len(page.read) < 2 * FIRST_SIZE / SIZE
        await asyncio.sleep(MUTE_AFTER)
        assert len(page.read) > 900


async def test_counts_that_cannot_be() -> None:
    """A count that cannot be is an error, closes nothing, and opens the window no further."""
    page = Path(100_000)
    page.pongs = False
    async with flooding(page, 400_000, in_flight=taken) as socket:
        await asyncio.sleep(0.5)
        errors: list[Any] = []
        socket.errors.subscribe(errors.append)
        read = len(page.read)
        page.send("taken 1000", "taken -1", "half", "true", "taken 4", "taken 3", "taken 4")
        await turns()
        assert [type(error) for error in errors] == [ValueError, ValueError, TypeError, TypeError, ValueError]
        assert str(errors[-1]).endswith(f"4 to {read} is possible now, not 3")
        page.pong(page.pings[-1])  # only counts confirm from now on
        await asyncio.sleep(1)
        assert len(page.read) <= 4 + 2 * FIRST_SIZE / SIZE + 1
        assert socket._life.close_cause is None


async def test_absurd_count_that_nobody_observes(caplog: pytest.LogCaptureFixture) -> None:
    page = Path(100_000)
    async with flooding(page, 50_000, in_flight=taken) as socket:
        await asyncio.sleep(0.1)
        page.send("taken 1000")
        await asyncio.sleep(1)
        assert socket._life.close_cause is None
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]


async def test_in_flight_that_raises() -> None:
    """What the function raises is an error, and the message is one."""
    page = Path(100_000)
    async with flooding(page, 50_000, in_flight=lambda message: message["taken"]) as socket:
        seen: list[Any] = []
        socket.incoming.subscribe(seen.append)
        socket.errors.subscribe(seen.append)
        await turns()
        page.send("text")
        await turns()
        assert [type(one) for one in seen] == [TypeError, str]


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"in_flight": 5}, TypeError, "in_flight must be a function of a message, not 5"),
        ({"in_flight": lambda: 1}, TypeError, "in_flight must be a function of a message"),
        ({"in_flight": taken, "overflow": "close"}, ValueError, "in_flight needs overflow='latest' or rxws.latest_by"),
    ],
    ids=["5", "no argument", "another policy"],
)
async def test_in_flight_is_checked(given: dict[str, Any], error: Any, text: str) -> None:
    """What cannot be is told when the handler is decorated."""
    options: Any = {"overflow": "latest", **given}
    with pytest.raises(error, match=text):
        rxws.websocket(**options)
    assert check({"in_flight": None}).in_flight is None


async def test_greeting_has_all_messages() -> None:
    """A greeting gets what looks like a count, too; what it sends is counted."""
    dialer = MemoryDialer()

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        await connection.send("hello")
        dialer.peer.send("taken 7")
        assert await connection.receive() == "taken 7"

    async with connect(dialer, greet=greet, overflow="latest", in_flight=taken) as socket:
        errors: list[Any] = []
        socket.errors.subscribe(errors.append)
        socket.outgoing.on_next("message")
        await turns()
        dialer.peer.send("taken 2", "text")
        assert await socket.receive() == "text"
        assert errors == []


class Offered(PlainWire):
    """A wire that takes what is offered, if there is room and it is not full."""

    blind = full = fresh = False
    gathers = True

    def __init__(self) -> None:
        self.woken = self.looks = 0
        self.taken: list[Frame] = []

    def offer_within(self, room: Callable[[bool], int]) -> bool:
        self.room = room
        return True

    def look_at_room(self) -> None:
        self.looks += 1

    def offer(self, frame: Frame) -> bool:
        if self.full or not (isinstance(frame, Ping) or self.room(self.gathers)):
            return False
        self.taken.append(frame)
        return True

    def wake(self) -> None:
        self.woken += 1

    def keep_fresh(self, wanted: bool) -> None:
        self.fresh = wanted


def offering(wire: Any, counters: Counters) -> Callable[[Frame], bool]:
    """Offer frames, and count those that are taken, as `Outgoing` does."""

    def offer(frame: Frame) -> bool:
        taken = wire.offer(frame)
        counters.sent += taken
        counters.sent_bytes += taken * len(frame.data)
        return taken

    return offer


async def test_offered() -> None:
    """Past `take` go as many messages as fit into the window, with the pings that are due, if the wire gathers them."""
    wire: Any = Offered()
    loop, frame, counters = asyncio.get_running_loop(), Text(b"x" * (1000 - MESSAGE_WEIGHT)), Counters()

    def ping() -> bool:
        if taken := wire.offer(Ping(b"")):
            window.asked(len(wire.taken), 0.0)
        return taken

    window = SendWindow(loop, wire, None, ping)
    window.belong(counters)
    wire.offer_within(window.room_past)
    offer = offering(wire, counters)
    wire.gathers = False
    assert not offer(frame)  # it goes with a ping, in one write
    assert window.due
    wire.gathers, wire.full = True, True
    assert not offer(frame)
    wire.full = False
    assert window.due
    assert [offer(frame) for _ in range(12)] == [True] * 9 + [False] * 3
    assert [type(frame) for frame in wire.taken] == [Ping, *[Text] * 5, Ping, *[Text] * 4]
    assert window.closed
    assert not window.admits()
    assert (window.flight[0], window.messages, wire.looks) == (9000, 9, 0)
    wire.full = True
    assert window.answered(1, 0.01)
    assert not window.answered(1, 0.01)
    assert (window.size, window.closed, wire.looks) == (2 * FIRST_SIZE, False, 0)
    assert not offer(frame)
    assert window.answered(7, 0.02)
    assert window.flight[0] == 4000
    window._give_up()
    wire.full = False
    assert all(offer(frame) for _ in range(100))
    window.asked(200, 1.0)
    assert all(offer(frame) for _ in range(100))
    assert window.answered(200, 2.0)
    assert wire.looks == 1  # there is less room, now that the peer answers
    window.detach()


async def test_offered_and_counted() -> None:
    """What goes past `take` can be counted by the peer's program, and what the counters do not have besides."""
    wire: Any = Offered()
    frame, counters = Text(b"x", "x"), Counters(sent=7, sent_bytes=700)
    window = SendWindow(asyncio.get_running_loop(), wire, None, lambda: True, counted=True)
    window.sent_besides([frame])  # in a greeting, say
    window.belong(counters)
    window.asked(1, 0.0)
    wire.offer_within(window.room_past)
    offer = offering(wire, counters)
    assert [offer(frame) for _ in range(3)] == [True] * 3
    window.asked(2, 0.0)
    assert (window.flight[0], window.messages) == (4 * frame.weight, 4)
    assert window.taken(4, 0.1)
    assert window.flight[0] == 0
    several = Several([Text(b"a"), Text(b"bc")], "abc")  # two messages to the peer, one to the counters
    counters.sent, counters.sent_bytes = counters.sent + 1, counters.sent_bytes + len(several.data)
    window.sent([several])
    assert (window.flight[0], window.messages) == (several.weight, 6) == (3 + 2 * MESSAGE_WEIGHT, 6)


async def test_single_burst() -> None:
    """Of messages that all come at once, the last one follows those that fit into the window."""
    path = Path(20_000)
    life = Lifecycle(check({"overflow": "latest", "heartbeat": None}))
    life.open(path)
    await turns()
    for number in range(100):
        life.outgoing.on_next(f"0 {number}".ljust(SIZE))
    await asyncio.sleep(1)
    assert [int(str(message).split()[1]) for message in path.sent] == [*range(8), 99]
    assert life.outgoing.dropped_count == 91
    path.drop()
    await turns()


class Gathering(Path):
    """A path whose wire writes at the end of a turn what it is offered, and refuses what does not fit."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.offered: list[Frame] = []
        self.room = 10**9
        self.room_for: Callable[[bool], int] = lambda gathers: 1

    def offer_within(self, room: Callable[[bool], int]) -> bool:
        self.room_for = room
        return True

    def offer(self, frame: Frame) -> bool:
        if not (isinstance(frame, Ping) or self.room_for(True)) or frame.weight > self.room:
            return False
        self.room -= frame.weight
        if not self.offered:
            asyncio.get_running_loop().call_soon(self._write)
        self.offered.append(frame)
        return True

    def withdraw(self) -> list[Frame]:
        offered, self.offered = self.offered, []
        return offered

    def _write(self) -> None:
        offered, self.offered, self.room = self.offered, [], 10**9
        for frame in offered:
            asyncio.get_running_loop().call_later(self.delay, self._arrive, frame)


@pytest.mark.parametrize("overflow", ["latest", rxws.latest_by(lambda message: message.split()[-1])])
async def test_pings_past_the_queue(overflow: Any) -> None:
    """A ping that is due goes past the queue, too, or not at all: none is counted that the wire has refused."""
    path = Gathering(10_000_000)
    async with flooding(path, 1, overflow=overflow) as socket:
        loop, made = asyncio.get_running_loop(), 1
        for number in range(100):
            if number == 50:
                path.room = 20 * (SIZE + MESSAGE_WEIGHT) + MESSAGE_WEIGHT  # a ping is due before all that is used
            for _ in range(number):
                socket.outgoing.on_next(f"{loop.time():.6f} {made}".ljust(SIZE))
                made += 1
            await asyncio.sleep(0.1)
        assert [int(data, 16) for data in path.pings] == [*range(1, len(path.pings) + 1)]
        assert len(path.pings) > 50
        assert len(path.sent) == socket.stats.sent > 4500
        assert socket.stats.sent + socket.stats.dropped == made


async def test_ping_that_is_not_written() -> None:
    """At the end, the wire gives back messages that it has not written: a ping before them is none."""
    path = Gathering(10_000_000)
    life = Lifecycle(check({"overflow": "latest", "heartbeat": None}))
    life.open(path)
    socket = rxws.WebSocket[Any, Any](life)
    socket.outgoing.on_next("a")
    assert ([type(frame) for frame in path.offered], socket.stats.sent) == ([Ping, Text], 1)
    path.drop()
    await ended(socket)
    assert watch(undelivered=socket.undelivered) == [("undelivered", "a"), "undelivered|"]
    assert (socket.stats.sent, socket.stats.sent_bytes) == (0, 0)


async def test_ping_that_the_wire_refuses() -> None:
    """A ping that the wire does not take past the queue is not counted: the next one has its number."""
    path = Gathering(10_000_000)
    life = Lifecycle(check({"overflow": "latest", "heartbeat": None}))
    connection = life.open(path)
    path.room = 0
    assert not connection._offer_ping()
    assert connection._ping().data == b"00000001"
    path.drop()
    await turns()


async def test_taken_with_a_ping() -> None:
    """A wire that takes several frames at once gets a ping together with the messages behind it."""
    path = MemoryWire()
    life = Lifecycle(check({"overflow": "latest", "heartbeat": None}))
    connection = life.open(path)
    for _ in range(20):
        life.outgoing.on_next("x" * 500)
    frames: Any = connection.take(2000)
    assert [type(frame) for frame in frames] == [Ping, Text, Text, Text]
    frames = connection.take(100_000)
    assert len(frames) == 4
    outgoing: Any = life.outgoing
    outgoing.next_items = lambda limit: []  # what waited has expired
    window: Any = connection.window
    window._next_ping = window._until = 0
    [ping] = connection.take(100_000)
    assert (type(ping), connection.more) == (Ping, False)
    path.drop()


class Compressing(Path):
    """A path on which messages of the same letters are a twentieth of what they were."""

    def _take(self) -> None:
        while self._endpoint is not None and not self.ended and (taken := self._endpoint.take(0)):
            for item in [taken] if isinstance(taken, Close) else taken:
                if not isinstance(item, Close) and item.data.endswith(b"=="):
                    smaller = Text(item.data[: len(item.data) // 20], item.message)
                    self._endpoint.counters.sent_saved += item.weight - smaller.weight
                    item = smaller
                asyncio.get_running_loop().call_later(self.delay, self._arrive, item)
            if isinstance(taken, Close):
                return


async def test_compressed() -> None:
    """What is in flight is what is on the wire: messages that do not compress are fresh behind others that do."""
    path = Compressing(50_000)
    life = Lifecycle(check({"overflow": "latest", "heartbeat": None}))
    life.open(path)
    loop = asyncio.get_running_loop()
    for number in range(800):
        made = f"{loop.time():.6f} "
        life.outgoing.on_next(made.ljust(20 * SIZE, "=") if number < 400 else made.ljust(SIZE, "-"))
        await asyncio.sleep(0.01)
    assert len(path.between(0, 4)) > 0.9 * 4 * 50
    assert max(path.between(1, 8)) < 0.2
    path.drop()
    await turns()
