"""What other threads call: bounded, in order, and sent or told of, whatever the event loop does meanwhile."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import rxws
from rxws.rx import loop_thread
from rxws.testing import MemoryDialer, MemoryWire, connect, serve
from tests.streams import ended, opened, raising, turns, watch
from tests.threads import in_a_thread, send_in_a_thread

VIRTUAL = True

MAX_HANDED_OVER, MAX_HANDED_OVER_BYTES = loop_thread.MAX_HANDED_OVER, loop_thread.MAX_HANDED_OVER_BYTES


def idle() -> None:
    """A handler that does nothing."""


class Signed:
    """A codec that is not pure, and does not read what it writes."""

    def encode(self, message: Any) -> str:
        return f"signed {message}"

    def decode(self, data: str | bytes) -> Any:
        raise ValueError(data)


class Named(Signed):
    pure = True


async def test_four_threads() -> None:
    """Four threads on one sink lose nothing, and each keeps its order."""
    socket, peer = serve(idle, max_buffered=10_000_000)

    def work(name: str) -> None:
        for number in range(1000):
            socket.outgoing.on_next(f"{name}{number}")

    await asyncio.gather(*(asyncio.to_thread(work, name) for name in "abcd"))
    await turns()
    assert len(peer.sent) == 4000
    for name in "abcd":
        assert [m for m in peer.sent if str(m).startswith(name)] == [f"{name}{number}" for number in range(1000)]
    peer.drop()


async def test_straight_to_the_wire() -> None:
    """What a thread sends goes past the buffer if the wire takes it at once, and is counted."""
    socket, peer = serve(idle)
    await turns()
    taken: list[bytes] = []
    socket.outgoing._offer = lambda frame: taken.append(frame.data) or True  # as the fast wire does
    in_a_thread(lambda: socket.outgoing.on_next("a"))
    await turns()
    assert (taken, peer.sent) == ([b"a"], [])
    assert (socket.stats.sent, socket.stats.sent_bytes, socket.stats.buffered) == (1, 1, 0)
    peer.drop()


async def test_calls_from_threads() -> None:
    """Every call may come from another thread."""

    async def off(function: Callable[[], Any]) -> None:
        await asyncio.get_running_loop().run_in_executor(None, function)

    socket, _ = serve(idle)
    log = watch(errors=socket.errors)
    await off(lambda: socket.errors.on_next(ValueError()))
    await turns()
    assert len(log) == 1
    for act, code in (
        (lambda s: s.close(4001), 4001),
        (lambda s: s.dispose(), 1000),
        (lambda s: s.outgoing.on_completed(), 1000),
        (lambda s: s.outgoing.on_error(ValueError()), 1011),
    ):
        socket, _ = serve(idle)
        await off(lambda act=act, socket=socket: act(socket))
        assert (await ended(socket)).code == code


# Ahead of the event loop


@pytest.mark.parametrize(("policy", "code"), [("close", 1013), ("drop_newest", 1000)])
@pytest.mark.parametrize("observed", [True, False])
async def test_thread_runs_ahead(policy: Any, code: int, observed: bool) -> None:
    """A thread that runs ahead of the event loop is bounded by the policy; the newest are dropped."""
    socket, peer = serve(idle, overflow=policy, max_buffered=10_000_000)
    undelivered: list[Any] = []
    socket.undelivered.subscribe(undelivered.append)
    log = watch(dropped=socket.dropped) if observed else []
    numbers = [f"{number}" for number in range(MAX_HANDED_OVER + 100)]
    send_in_a_thread(socket, numbers)
    assert socket.stats.handed_over == MAX_HANDED_OVER + 100 * observed
    await turns()
    assert (socket.stats.dropped, socket.stats.handed_over, socket.stats.handed_over_bytes) == (100, 0, 0)
    assert log[:100] == [("dropped", number) for number in numbers[-100:]] * observed
    assert (peer.sent, undelivered) == ((numbers[:-100], []) if code == 1000 else ([], numbers[:-100]))
    socket.outgoing.on_completed()
    assert (await ended(socket)).code == code
    assert log[100:] == ["dropped|"] * observed


async def test_thread_ahead_in_bytes() -> None:
    """What waits of threads is bounded in bytes; of what is dropped as much is told of, and all is counted."""
    socket, peer = serve(idle, overflow="drop_newest", max_buffered=5_000_000)
    log = watch(dropped=socket.dropped)
    messages = [f"{number:0500000}" for number in range(50)]
    send_in_a_thread(socket, messages)
    assert (socket.stats.handed_over, socket.stats.handed_over_bytes) == (9 + 10, (9 + 10) * (64 + 500_000))
    await turns()
    assert peer.sent == messages[:9]
    assert (log, socket.stats.dropped) == ([("dropped", message) for message in messages[9:19]], 41)
    heavy = "x" * 5_000_000
    send_in_a_thread(socket, [heavy, "after"])
    await turns()
    assert peer.sent == [*messages[:9], heavy], "one that is heavier alone passes"
    peer.drop()


async def test_thread_ahead_with_a_codec_of_the_loop() -> None:
    """The messages of a codec that only the event loop may call are bounded in bytes, too."""
    socket, peer = serve(idle, overflow="drop_newest", codec=Signed(), max_buffered=10_000_000)
    send_in_a_thread(socket, [{"a": [{number: "x" * 500_000}]} for number in range(50)])
    assert socket.stats.handed_over == 19
    assert 19 * 500_000 < socket.stats.handed_over_bytes < 10_000_000
    await turns()
    assert (len(peer.sent), socket.stats.dropped) == (19, 31)
    peer.drop()


async def test_thread_ahead_of_an_offline_client() -> None:
    """While a client is offline, a thread that runs ahead loses the newest messages, and not the socket."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, rxws.Backoff(), max_buffered=10_000_000) as socket:
        log = watch(dropped=socket.dropped)
        numbers = [f"{number}" for number in range(17_000)]
        send_in_a_thread(socket, numbers)
        await turns()
        assert socket.stats.dropped == 17_000 - MAX_HANDED_OVER
        assert log == [("dropped", number) for number in numbers[MAX_HANDED_OVER:]]
        dialer.answering.set()
        await opened(socket)
        await asyncio.sleep(60)
        assert dialer.peer.sent == numbers[:MAX_HANDED_OVER]


async def test_thread_ahead_of_a_lost_connection() -> None:
    """What ran ahead on a connection that is gone, when the event loop comes to it, does not end the client."""
    dialer = MemoryDialer()
    async with connect(dialer, rxws.Backoff(jitter=lambda ceiling: ceiling)) as socket:
        await opened(socket)
        log = watch(undelivered=socket.undelivered, dropped=socket.dropped)
        one, other = "x" * 3_000_000, "y" * 3_000_000
        send_in_a_thread(socket, [one, other])
        dialer.peer.drop()
        await asyncio.sleep(30)
        assert dialer.peer.sent == [one]
        assert log == [("dropped", other)]


# Closing


ENDS: dict[str, tuple[Callable[[Any, MemoryWire], object], int]] = {
    "close": (lambda socket, peer: socket.close(4000), 4000),
    "dispose": (lambda socket, peer: socket.dispose(), 1000),
    "on_completed": (lambda socket, peer: socket.outgoing.on_completed(), 1000),
    "on_error": (lambda socket, peer: socket.outgoing.on_error(rxws.Close(4002)), 4002),
    "on_next": (lambda socket, peer: socket.outgoing.on_next(rxws.Close(4003)), 4003),
    "in a thread": (lambda socket, peer: in_a_thread(lambda: socket.close(4004)), 4004),
    "reset": (lambda socket, peer: peer.drop(ConnectionResetError()), 1006),
    "peer closes": (lambda socket, peer: peer.close(rxws.Close(4005)), 4005),
    "abort": (lambda socket, peer: socket._life.abort(), 1006),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("overflow", ["close", "drop_oldest", "latest"])
async def test_end_behind_a_thread(end: str, overflow: Any) -> None:
    """What a thread sent before a close is sent before it, or told of; what it sends after it is ignored."""
    socket, peer = serve(idle, overflow=overflow, max_buffered=1000 * (64 + 10) + 900, high_water=10_000)
    act, code = ENDS[end]
    await turns()
    log = watch(undelivered=socket.undelivered, dropped=socket.dropped)
    shown = watch(outgoing=socket.outgoing)
    messages = [f"{number:010}" for number in range(1000)]
    send_in_a_thread(socket, messages)
    act(socket, peer)
    if end != "abort":  # where the connection ends soon
        send_in_a_thread(socket, ["late"])
    assert (await ended(socket)).code == code
    assert [entry[1] for entry in shown[:-1]] == messages
    told = [entry for entry in log if isinstance(entry, tuple)]
    if code in (1006, 4005):
        assert (told, peer.sent) == ([("undelivered", message) for message in messages], [])
    else:
        assert (told, peer.sent) == ([], messages)
    assert (socket.stats.handed_over, socket.stats.handed_over_bytes, socket.stats.buffered) == (0, 0, 0)


async def test_end_behind_more_than_fits() -> None:
    """What waits of threads, and does not fit into the buffer at a close, is dropped, counted and told of."""
    socket, peer = serve(idle, max_buffered=10 * 65)
    await turns()
    peer.congested = True
    log = watch(dropped=socket.dropped, undelivered=socket.undelivered)
    for message in "abcd":
        socket.outgoing.on_next(message)
    send_in_a_thread(socket, "0123456789")
    socket.close(4000)
    peer.congested = False
    assert (await ended(socket)).code == 4000
    assert peer.sent == list("abcd012345")
    assert log == [*(("dropped", message) for message in "6789"), "dropped|", "undelivered|"]
    assert socket.stats.dropped == 4


async def test_offline_end_behind_a_thread() -> None:
    """What a thread sent before a close of a client that is offline goes out with the connection on its way."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, rxws.Backoff()) as socket:
        await turns()
        send_in_a_thread(socket, "abc")
        socket.close(4000)
        await turns()
        dialer.answering.set()
        assert (await ended(socket)).code == 4000
    assert dialer.peer.sent == list("abc")


async def test_many_closes_of_threads() -> None:
    """However often threads close, one call waits for the event loop, and the first one counts."""
    socket, _ = serve(idle)

    def work() -> None:
        for code in range(4000, 4999):
            socket.close(code)
            socket.dispose()
            socket.outgoing.on_completed()
            socket.outgoing.on_error(ValueError())
            socket.outgoing.on_next(rxws.Close(3000))

    in_a_thread(work)
    assert len(socket._life.thread._calls or ()) == 1
    assert (await ended(socket)).code == 4000


async def test_many_rotations_of_threads() -> None:
    """However often threads rotate, one call waits for the event loop."""
    dialer = MemoryDialer()
    async with connect(dialer, rxws.Backoff()) as socket:
        await opened(socket)
        for count in (2, 3):
            in_a_thread(lambda: [socket.rotate() for _ in range(1000)])
            assert len(socket._life.thread._calls or ()) == 1
            await asyncio.sleep(30)
            assert len(dialer.wires) == count


async def test_topic_of_a_thread() -> None:
    """A thread may subscribe to a topic of a socket that carries many: its messages are sent once."""
    dialer = MemoryDialer()
    async with connect(dialer, rxws.Backoff()) as socket:
        await opened(socket)
        topic = socket.multiplex(subscribe="subscribe", unsubscribe="leave", matches=lambda _: True)
        in_a_thread(lambda: topic.subscribe().dispose())
        await turns()
        assert dialer.peer.sent == ["subscribe", "leave"]


# What a message is when the event loop comes to it


async def test_changed_by_the_thread() -> None:
    """A message of a thread goes out as it was at `on_next`."""
    socket, peer = serve(idle, codec=rxws.json)
    message = {"bid": 1}

    def work() -> None:
        socket.outgoing.on_next(message)
        message["bid"] = 2

    in_a_thread(work)
    await turns()
    assert peer.sent == ['{"bid":1}']
    peer.drop()


class LateDialer(MemoryDialer):
    """Does something when a connection is there, and the socket does not know yet."""

    def __init__(self, late: Callable[[], object]) -> None:
        super().__init__()
        self._late = late

    async def dial(self) -> Any:
        dialed = await super().dial()
        self._late()
        return dialed


@pytest.mark.parametrize(
    ("before", "sent"), [(rxws.json, ['{"bid":1}']), (Signed(), ['{"bid":2}']), (Named(), [])], ids=type
)
async def test_other_codec_behind_a_thread(before: Any, sent: list[str]) -> None:
    """A message of a thread that meets another codec in the event loop is encoded for that.

    It is sent as it was, or dropped, if a thread may call the codec; else it is what it is now.
    """

    def send() -> None:
        send_in_a_thread(socket, [message])
        message["bid"] = 2

    message = {"bid": 1}
    dialer = LateDialer(send)
    dialer.protocol = "now"
    async with connect(dialer, rxws.Backoff(), protocols={"before": before, "now": rxws.json}) as socket:
        log = watch(dropped=socket.dropped)
        await opened(socket)
        assert dialer.peer.sent == sent
        assert log == ([] if sent else [("dropped", message)])


async def test_bad_value_of_a_thread() -> None:
    """A value of a thread that cannot be sent is an error of the socket, in its turn."""
    socket, peer = serve(idle, codec=rxws.json)
    log = watch(errors=socket.errors)
    send_in_a_thread(socket, [1, {2}, 3])
    await turns()
    assert peer.sent == ["1", "3"]
    assert [error.value for _, error in log] == [{2}]
    peer.drop()


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit()], ids=repr)
async def test_codec_ends_the_program_in_a_thread(raised: BaseException) -> None:
    """What ends the program is raised on, in the thread in which a codec raised it: that message was not sent."""

    class Fatal(Named):
        encode = staticmethod(raising(raised))

    socket, peer = serve(idle, codec=Fatal())
    caught: list[BaseException] = []

    def work() -> None:
        try:
            socket.outgoing.on_next("a")
        except (KeyboardInterrupt, SystemExit) as error:
            caught.append(error)

    in_a_thread(work)
    await turns()
    assert (caught, socket.stats.handed_over, peer.sent) == ([raised], 0, [])
    peer.drop()
