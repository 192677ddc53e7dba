"""Marble tests under virtual time: the notation, the loop, runs of handlers and clients, what failures show."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from socket import socketpair
from typing import Any

import pytest
import reactivex
from aiohttp.test_utils import make_mocked_request
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.recording import Event, RecordedError, Recording, keep, read, record
from rxws.testing import Marbles, VirtualLoop, parse, replay, run, run_virtually, serve, virtual_time, write
from rxws.testing.virtual import WORK


def shout(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(str.upper))


def steady(ceiling: float) -> float:
    return ceiling


# The notation


@pytest.mark.parametrize(
    ("text", "events", "duration"),
    [
        ("", [], 0),
        ("---", [], 0.3),
        ("-a-b", [(0.1, "next", "a"), (0.3, "next", "b")], 0.4),
        ("a7é", [(0, "next", "a"), (0.1, "next", "7"), (0.2, "next", "é")], 0.3),
        (' - "a b" - ', [(0.1, "next", "a b")], 0.3),
        ('{"a": [1]}[2]', [(0, "next", {"a": [1]}), (0.1, "next", [2])], 0.2),
        ("<42><null><0x6869>", [(0, "next", 42), (0.1, "next", None), (0.2, "next", b"hi")], 0.3),
        ("-(ab|)-", [(0.1, "next", "a"), (0.1, "next", "b"), (0.1, "completed", None)], 0.3),
        ("a 20s b", [(0, "next", "a"), (20.1, "next", "b")], 20.2),
        ("250ms a 1.5m |", [(0.25, "next", "a"), (90.35, "completed", None)], 90.45),
        ("(a 50ms b)c", [(0, "next", "a"), (0.05, "next", "b"), (0.15, "next", "c")], 0.25),
        ("5s", [], 5),
        ("-5s", [(0.1, "next", "5"), (0.2, "next", "s")], 0.3),
    ],
)
def test_parse(text: str, events: list[Any], duration: float) -> None:
    """A diagram says what happens and when."""
    script = parse(text)
    assert [(event.time, event.kind, event.data) for event in script.events] == [
        (pytest.approx(time), kind, data) for time, kind, data in events
    ]
    assert script.duration == pytest.approx(duration)
    assert parse(write(script.events)).events == script.events


def test_closes_and_errors() -> None:
    """Closes and errors have codes, reasons and names."""
    close, lost, error, plain = parse("-(close 4001 see you)(close 1006)(# KeyError)#").events
    assert (close.data, lost.data.code) == (rxws.Close(4001, "see you"), 1006)
    assert (repr(error.data), error.kind, repr(plain.data)) == ("KeyError('')", "error", "('')")
    assert write([close, lost, error, plain]) == "-(close 4001 see you)(close 1006)(# KeyError)#"


def test_write() -> None:
    """What happened is written, whatever it was."""
    events = [
        Event(0.0, "", "error"),
        Event(0.5, "", "next", KeyError("no")),
        Event(0.55, "", "next", "a"),
        Event(0.55, "", "completed"),
        Event(0.75, "", "next", "b"),
        Event(0.75, "", "error", ValueError("no")),
    ]
    assert write(events) == "#----(# KeyError 50ms a|)-(b # ValueError)"


def test_frames_and_values() -> None:
    """Frames may last as long as one likes, and values have names."""
    script = parse("-x-[", frame=2, values={"x": {"price": 1}, "[": "begin"})
    assert [(event.time, event.data) for event in script.events] == [(2, {"price": 1}), (6, "begin")]
    assert write(script.events, frame=2, values={"x": {"price": 1}}) == '-x-"begin"'


@pytest.mark.parametrize(
    ("text", "what", "at"),
    [
        ("-a-?", "'?' means nothing", 3),
        ("-(ab", "this parenthesis is not closed", 1),
        ("-a)", "no parenthesis is open here", 2),
        ("((a))", "parentheses within parentheses", 1),
        ("(a-b)", "within parentheses time passes as in ' 50ms '", 2),
        ('-"a', "this is no JSON", 1),
        ("-<x>", "this is no JSON", 1),
        ("-<0xz>", "this is no JSON", 1),
        ("-(close 4001", "this parenthesis is not closed", 1),
        ("-(close 5000)", "close code 5000 may not be sent", 2),
    ],
)
def test_bad_diagram(text: str, what: str, at: int) -> None:
    """What makes no sense is an error that points at it."""
    with pytest.raises(ValueError, match=r"\^") as error:
        parse(text)
    message, *lines = str(error.value).splitlines()
    assert message.startswith(what)
    assert lines == [text, " " * at + "^"]


def test_bad_frames_and_values() -> None:
    """Frames and values that make no sense are errors."""
    with pytest.raises(ValueError, match="frame must be a positive number of seconds, not 0"):
        parse("-", frame=0)
    for name in ("ab", "", "-", "|"):
        with pytest.raises(ValueError, match="values names messages by one character each"):
            parse("-", values={name: 1})


@pytest.mark.parametrize("data", ["-", "two words", "", True, 1.5, None, b"\x00", {"a": (1, 2)}, [b"x"], "a)"])
def test_any_message(data: Any) -> None:
    """Every message can be written, and most are read as they were."""
    text = write([Event(0.0, "", "next", data)])
    if not isinstance(data, (dict, list)):
        assert parse(text).events[0].data == data


# Virtual time


def test_waiting_takes_no_time() -> None:
    began = time.monotonic()

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        times = [loop.time()]
        await asyncio.sleep(3600)
        times.append(loop.time())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.sleep(61)
        return [*times, loop.time()]

    assert run_virtually(main()) == [0, 3600, 3660]
    assert time.monotonic() - began < 5


def test_timers_keep_their_order() -> None:
    """Timers of the same time come in the order in which they were asked for."""

    async def main() -> list[int]:
        loop, order = asyncio.get_running_loop(), list[int]()
        for number in range(300):
            loop.call_later(0.1 + 0.2 if number % 2 else 0.3, order.append, number)
        await asyncio.sleep(1)
        return order

    assert run_virtually(main()) == list(range(300))


def test_threads_hold_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still while threads work."""

    async def main() -> float:
        timer = asyncio.create_task(asyncio.sleep(10))
        await asyncio.to_thread(time.sleep, 0.05)
        now = asyncio.get_running_loop().time()
        await timer
        return now

    assert run_virtually(main()) == 0
    monkeypatch.setattr("rxws.testing.virtual.WORK", 0.05)
    with pytest.raises(RuntimeError, match=r"a call in a thread is not done after 0\.05 s"):
        run_virtually(asyncio.to_thread(time.sleep, 0.2))
    assert WORK == 5


def test_endless_waiting_and_running() -> None:
    """Waiting forever and running forever are errors."""

    async def waits() -> None:
        await asyncio.get_running_loop().create_future()

    async def spins() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="nothing is left that could happen"):
        run_virtually(waits())
    with pytest.raises(RuntimeError, match="time stands still"):
        run_virtually(spins())


async def test_from_an_async_def() -> None:
    """Virtual time may be used from an async def, and raises what is raised."""
    assert run(shout, "-a") == "-A"

    async def fails() -> None:
        raise KeyError("no")

    with pytest.raises(KeyError):
        run_virtually(fails())


def test_loop_factory() -> None:
    """A loop of virtual time can be used as any other."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(asyncio.sleep(5))
        assert runner.get_loop().time() == 5


# Handlers


@pytest.mark.parametrize(
    ("handler", "incoming", "expected"),
    [
        (shout, "-a-b-|", "-A-B-(close 1000)"),
        (shout, "-a-b-", "-A-B"),
        (shout, "-a-#", "-A-(close 1006)"),
        (shout, "-a-(close 4001 bye)", "-A-(close 4001 bye)"),
        (shout, "-(close 1005)", "-(close 1005)"),
        (shout, "-(close 1006)", "-(close 1006)"),
        (lambda incoming: incoming.pipe(ops.take(2)), "-a-b-c", "-a-(b close 1000)"),
        (lambda incoming: incoming.pipe(ops.map(int), ops.map(str)), "-1-x", "-1-(close 1011)"),
        (lambda incoming: incoming.pipe(ops.debounce(0.2)), "-a-bc---d|", "------c--(close 1000)"),
        (lambda incoming: incoming.pipe(ops.delay(20)), "-a 30s ", "20.1s a"),
        (lambda incoming: incoming.pipe(ops.throttle_first(0.25)), "-abcdef", "-a--d--"),
        (lambda: reactivex.timer(3600).pipe(ops.map(str)), None, ""),
        (lambda: reactivex.interval(1).pipe(ops.map(str), ops.take(2)), None, "1s 0 900ms (1|)"),
    ],
)
def test_handlers(handler: Any, incoming: str | None, expected: str) -> None:
    """Handlers do what their diagrams say."""
    assert run(handler, incoming) == expected


def test_coroutines_and_generators() -> None:
    """Coroutines and generators run under virtual time too."""

    async def greet(incoming: Observable[str], outgoing: Subject[str]) -> None:
        name = await incoming.pipe(ops.first())
        await asyncio.sleep(0.2)
        outgoing.on_next(f"hello {name}")

    async def count() -> AsyncIterator[str]:
        for number in range(3):
            yield str(number)
            await asyncio.sleep(0.1)
        raise rxws.Close(4001, "done")

    assert run(greet, "-x") == ""
    assert run(greet, "-x---") == '---("hello x"|)'
    assert run(count) == "012(close 4001 done)"


def test_heartbeats_and_deadlines() -> None:
    """Heartbeats and deadlines use virtual time."""
    seen: list[Any] = []

    def handler(socket: rxws.WebSocket[Any, Any]) -> None:
        seen.append(socket)

    assert run(handler, " 100s ").close is None
    assert seen[0].rtt == 0
    stuck = run(lambda outgoing: outgoing.on_next("x"), "-|", congested="[")
    assert stuck == " 5.1s |"
    assert stuck.sent == []
    assert run(lambda socket: socket.close(4001), "", congested="[", close_timeout=2) == " 2s (close 4001)"


def test_back_pressure_is_a_diagram() -> None:
    async def slow(message: str) -> str:
        await asyncio.sleep(0.3)
        return message.upper()

    result = run(lambda incoming: incoming.pipe(rxops.map_async(slow)), "-(abc)-----------|")
    assert result == "----A--B--C--|"
    assert result.held == "-[--(][)--(][)--]"
    assert run(shout, "-a").held == ""


def test_congestion() -> None:
    """Congestion and what it drops are diagrams."""

    def ticks() -> Observable[str]:
        return reactivex.interval(0.1).pipe(ops.map(lambda number: "abcdefgh"[number]), ops.take(8))

    result = run(ticks, congested="--[---]", overflow="latest")
    assert result == "-a----(ef)g(h close 1000)"
    assert result.dropped == "---bcd"
    assert run(ticks, congested="--[", max_buffered=130) == "-a 5.2s (close 1013)"


def test_errors() -> None:
    """Errors are a diagram, whether or not they are observed."""

    def survives(incoming: Observable[Any], errors: Observable[Exception]) -> Observable[Any]:
        errors.subscribe()
        return incoming

    result = run(survives, '-[1]-<0x7b>-{"a": 1}-#', codec=rxws.json)
    assert result == '-[1]---{"a": 1}-(close 1006)'
    assert result.errors == "---(# DecodeError)---(# ConnectionLost)"
    assert run(shout, "-<0x00>").errors == "-(# TypeError)"


def test_codecs() -> None:
    """Messages go through the codec of the handler or the protocol."""
    ticks = {"a": {"price": 1}, "b": {"price": 2}}

    @rxws.websocket(codec=rxws.json, origins="*")
    def doubled(incoming: Observable[Any]) -> Observable[Any]:
        return incoming.pipe(ops.map(lambda tick: {"price": tick["price"] * 2}))

    result = run(doubled, "-a-|", values=ticks)
    assert result == "-b-(close 1000)"
    assert result.sent == ['{"price":2}']
    assert run(lambda incoming: incoming, "-<1>", protocols={"v1": rxws.json}, protocol="v1") == "-<1>"
    assert run(lambda incoming: incoming, '-{"a": 1}').sent == ['{"a":1}']
    assert run(lambda incoming: incoming, "-<0x00ff>") == "-<0x00ff>"
    assert run(lambda: reactivex.of("no json"), "", codec=Plain()) == '("no json"|)'


class Plain:
    def decode(self, data: Any) -> Any:
        return data

    def encode(self, message: Any) -> Any:
        return message


class Room:
    suffix = "!"

    @rxws.websocket
    def exclaim(self, request: Any, incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(ops.map(lambda message: message + self.suffix + request.query["end"]))


def test_decorated_methods() -> None:
    """Decorated methods and requests work."""
    assert run(Room().exclaim, "-a", request=make_mocked_request("GET", "/?end=!!")) == '-"a!!!"'


def test_bad_options() -> None:
    """Wrong options and diagrams are errors."""
    with pytest.raises(TypeError, match="did you mean 'heartbeat'"):
        run(shout, "-a", hartbeat=1)
    with pytest.raises(ValueError, match="means nothing"):
        run(shout, "-a-%")
    with pytest.raises(TypeError, match="may be request, incoming"):
        run(lambda room: None, "-a")


def test_sockets() -> None:
    """A loop of virtual time reads and writes what is there."""

    async def main() -> bytes:
        reader, writer = await asyncio.open_connection(sock=ours)
        theirs.sendall(b"hello")
        answer = await reader.readexactly(5)
        writer.write(b"x" * 5_000_000)
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(lambda: [theirs.recv(1_000_000) for _ in range(3)])
        writer.transport.abort()
        assert loop.time() == 0
        return answer

    ours, theirs = socketpair()
    with theirs:
        assert run_virtually(main()) == b"hello"


# Clients


async def follow(socket: rxws.ClientWebSocket[Any, Any]) -> None:
    socket.outgoing.on_next("s")
    async for message in socket:
        socket.outgoing.on_next(message.upper())


def test_a_client_of_one_connection() -> None:
    result = run(follow, ["-a-b-|"])
    assert result == "sA-B-|"
    assert result.states == "O----|"


def test_a_client_that_comes_back() -> None:
    refusal = rxws.ConnectError("nobody there", "tcp")
    backoff = rxws.Backoff(initial=0.5, factor=2, jitter=steady)
    result = run(follow, ["-a-(close 1012)", refusal, "-b-|"], reconnect=backoff)
    assert result == "sA-----------------B-(close 1000)"
    assert result.states == "(CO)--W----(CW)---------(CO)--|"


def test_used_up_peers() -> None:
    """A client whose peers are used up waits, and one that gives up is closed."""
    backoff = rxws.Backoff(initial=0.5, jitter=steady)
    assert run(follow, ["-a-#"], reconnect=backoff).states == "(CO)--W----C"
    refused = run(follow, [rxws.ConnectError("no", "http", status=404)], reconnect=backoff)
    assert refused == "(close 1006)"
    assert refused.states == "(C|)"


def test_topics() -> None:
    """Topics are subscribed on every connection."""

    def client(socket: rxws.ClientWebSocket[Any, Any]) -> None:
        topic = socket.multiplex(subscribe="s", unsubscribe="u", matches=str.isdigit)
        topic.pipe(ops.take(2)).subscribe(lambda message: socket.outgoing.on_next(f"got {message}"))

    result = run(client, ["-1x(close 1012)", "-2-"], reconnect=rxws.Backoff(initial=0.2, jitter=steady))
    assert result == 's"got 1"---s("got 2"u)'


# What is shown


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("-a-b", "-a-b--", True),
        ("-a-b", "-a--b", False),
        ("-a", "-a-b", False),
        ("-a-b", "-a", False),
        ("-|", "-(close 1000)", True),
        ("-(close 4001 bye)", "-(close 4001)", True),
        ("-(close 4001)", "-(close 4001 bye)", False),
        ("-(close 4001)", "-a", False),
        ("-a", "-|", False),
        ("-(# KeyError)", "-#", True),
        ("-(# KeyError)", "-(# ValueError)", False),
        ("-(close 1006)", "-#", True),
        ("-<1>", "-<true>", False),
        ('-"ab"', "-(ab)", False),
    ],
)
def test_equal_diagrams(one: str, other: str, same: bool) -> None:
    """Diagrams are the same if they say the same."""
    marbles = Marbles(parse(one).events)
    assert (marbles == other) is same
    assert (marbles == Marbles(parse(other).events)) is same
    assert (marbles != other) is not same
    assert marbles != 3


def test_difference() -> None:
    """A difference shows both diagrams one above the other, and marks it."""
    result = run(shout, "-a-b--c|")
    assert result.difference('-A--"longer"-C|').splitlines() == [
        "incoming  -a-b-       -c|",
        'expected  -A--"longer"-C|',
        "     got  -A-B-       -C(close 1000)",
        "             ^^^^^^^^^",
    ]
    lines = run(shout, "-a-b-|").difference("-A-C-(close 1001)").splitlines()
    assert lines == [
        "incoming  -a-b-|",
        "expected  -A-C-(close 1001)",
        "     got  -A-B-(close 1000)",
        "             ^ ^^^^^^^^^^^^",
    ]


def test_missing_and_surplus() -> None:
    """A missing message and one too many are marked."""
    marbles = Marbles(parse("-a---c").events)
    assert marbles.difference("-a-b").splitlines() == ["expected  -a-b", "     got  -a---c", "             ^ ^"]
    assert repr(marbles) == "<-a---c>"
    assert marbles.difference(Marbles(parse("-a").events)).splitlines()[0] == "expected  -a"


# Recordings as tests


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


@virtual_time
async def test_schedulers() -> None:
    """The schedulers go by virtual time."""
    gaps = reactivex.interval(7).pipe(
        ops.take(3), ops.time_interval(), ops.map(lambda item: item.interval.total_seconds())
    )
    socket, peer = serve(lambda: gaps.pipe(ops.map(str)))
    peer.pongs = True
    await socket.closed
    assert peer.sent == ["7.0", "7.0", "7.0"]
