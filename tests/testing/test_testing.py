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
def test_a_diagram_says_what_happens_and_when(text: str, events: list[Any], duration: float) -> None:
    script = parse(text)
    assert [(event.time, event.kind, event.data) for event in script.events] == [
        (pytest.approx(time), kind, data) for time, kind, data in events
    ]
    assert script.duration == pytest.approx(duration)
    assert parse(write(script.events)).events == script.events


def test_closes_and_errors_have_codes_reasons_and_names() -> None:
    close, lost, error, plain = parse("-(close 4001 see you)(close 1006)(# KeyError)#").events
    assert (close.data, lost.data.code) == (rxws.Close(4001, "see you"), 1006)
    assert (repr(error.data), error.kind, repr(plain.data)) == ("KeyError('')", "error", "('')")
    assert write([close, lost, error, plain]) == "-(close 4001 see you)(close 1006)(# KeyError)#"


def test_what_happened_is_written_whatever_it_was() -> None:
    events = [
        Event(0.0, "", "error"),
        Event(0.5, "", "next", KeyError("no")),
        Event(0.55, "", "next", "a"),
        Event(0.55, "", "completed"),
        Event(0.75, "", "next", "b"),
        Event(0.75, "", "error", ValueError("no")),
    ]
    assert write(events) == "#----(# KeyError 50ms a|)-(b # ValueError)"


def test_frames_may_last_as_long_as_one_likes_and_values_have_names() -> None:
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
def test_what_makes_no_sense_is_an_error_that_points_at_it(text: str, what: str, at: int) -> None:
    with pytest.raises(ValueError, match=r"\^") as error:
        parse(text)
    message, *lines = str(error.value).splitlines()
    assert message.startswith(what)
    assert lines == [text, " " * at + "^"]


def test_frames_and_values_that_make_no_sense_are_errors() -> None:
    with pytest.raises(ValueError, match="a frame must last a positive number of seconds, not 0"):
        parse("-", frame=0)
    for name in ("ab", "", "-", "|"):
        with pytest.raises(ValueError, match="values names messages by one character each"):
            parse("-", values={name: 1})


@pytest.mark.parametrize("data", ["-", "two words", "", True, 1.5, None, b"\x00", {"a": (1, 2)}, [b"x"], "a)"])
def test_every_message_can_be_written_and_most_are_read_as_they_were(data: Any) -> None:
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


def test_timers_of_the_same_time_come_in_the_order_in_which_they_were_asked_for() -> None:
    async def main() -> list[int]:
        loop, order = asyncio.get_running_loop(), list[int]()
        for number in range(300):
            loop.call_later(0.1 + 0.2 if number % 2 else 0.3, order.append, number)
        await asyncio.sleep(1)
        return order

    assert run_virtually(main()) == list(range(300))


def test_time_stands_still_while_threads_work(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_waiting_for_ever_and_running_for_ever_are_errors() -> None:
    async def waits() -> None:
        await asyncio.get_running_loop().create_future()

    async def spins() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="nothing is left that could happen"):
        run_virtually(waits())
    with pytest.raises(RuntimeError, match="time stands still"):
        run_virtually(spins())


async def test_virtual_time_may_be_used_from_an_async_def_and_raises_what_is_raised() -> None:
    assert run(shout, "-a") == "-A"

    async def fails() -> None:
        raise KeyError("no")

    with pytest.raises(KeyError):
        run_virtually(fails())


def test_a_loop_of_virtual_time_can_be_used_as_any_other() -> None:
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
def test_handlers_do_what_their_diagrams_say(handler: Any, incoming: str | None, expected: str) -> None:
    assert run(handler, incoming) == expected


def test_coroutines_and_generators_run_under_virtual_time_too() -> None:
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


def test_heartbeats_and_deadlines_use_virtual_time() -> None:
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


def test_congestion_and_what_it_drops_are_diagrams() -> None:
    def ticks() -> Observable[str]:
        return reactivex.interval(0.1).pipe(ops.map(lambda number: "abcdefgh"[number]), ops.take(8))

    result = run(ticks, congested="--[---]", overflow="latest")
    assert result == "-a----(ef)g(h close 1000)"
    assert result.dropped == "---bcd"
    assert run(ticks, congested="--[", max_buffered=130) == "-a 5.2s (close 1013)"


def test_errors_are_a_diagram_whether_or_not_they_are_observed() -> None:
    def survives(incoming: Observable[Any], errors: Observable[Exception]) -> Observable[Any]:
        errors.subscribe()
        return incoming

    result = run(survives, '-[1]-<0x7b>-{"a": 1}-#', codec=rxws.json)
    assert result == '-[1]---{"a": 1}-(close 1006)'
    assert result.errors == "---(# DecodeError)---(# ConnectionLost)"
    assert run(shout, "-<0x00>").errors == "-(# TypeError)"


def test_messages_go_through_the_codec_of_the_handler_or_the_protocol() -> None:
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


def test_decorated_methods_and_requests_work() -> None:
    assert run(Room().exclaim, "-a", request=make_mocked_request("GET", "/?end=!!")) == '-"a!!!"'


def test_wrong_options_and_diagrams_are_errors() -> None:
    with pytest.raises(TypeError, match="did you mean 'heartbeat'"):
        run(shout, "-a", hartbeat=1)
    with pytest.raises(ValueError, match="means nothing"):
        run(shout, "-a-%")
    with pytest.raises(TypeError, match="may be request, incoming"):
        run(lambda room: None, "-a")


def test_a_loop_of_virtual_time_reads_and_writes_what_is_there() -> None:
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


def test_a_client_whose_peers_are_used_up_waits_and_one_that_gives_up_is_closed() -> None:
    backoff = rxws.Backoff(initial=0.5, jitter=steady)
    assert run(follow, ["-a-#"], reconnect=backoff).states == "(CO)--W----C"
    refused = run(follow, [rxws.ConnectError("no", "http", status=404)], reconnect=backoff)
    assert refused == "(close 1006)"
    assert refused.states == "(C|)"


def test_topics_are_subscribed_on_every_connection() -> None:
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
def test_diagrams_are_the_same_if_they_say_the_same(one: str, other: str, same: bool) -> None:
    marbles = Marbles(parse(one).events)
    assert (marbles == other) is same
    assert (marbles == Marbles(parse(other).events)) is same
    assert (marbles != other) is not same
    assert marbles != 3


def test_a_difference_shows_both_diagrams_one_above_the_other_and_marks_it() -> None:
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


def test_a_missing_message_and_one_too_many_are_marked() -> None:
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


def test_a_recording_is_played_to_a_handler_and_compared(tmp_path: Path) -> None:
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


def test_a_handler_that_does_not_close_any_more_is_noticed() -> None:
    recording = run(lambda incoming: incoming.pipe(ops.take(1)), "-a-").recording
    assert replay(lambda incoming: incoming.pipe(ops.take(1)), recording) == recording
    assert replay(lambda incoming: incoming, recording) != recording


def test_what_is_no_recording_of_a_handler_s_socket_is_an_error() -> None:
    twice = Recording([Event(0.0, "socket", "open"), Event(1.0, "socket", "open"), Event(1.0, "incoming", "next", "a")])
    with pytest.raises(ValueError, match="several connections"):
        replay(shout, twice)
    with pytest.raises(ValueError, match="no lane 'incoming'"):
        replay(shout, Recording([Event(0.0, "a", "next", RecordedError("KeyError", ""))]))


@virtual_time
async def test_the_schedulers_go_by_virtual_time() -> None:
    gaps = reactivex.interval(7).pipe(
        ops.take(3), ops.time_interval(), ops.map(lambda item: item.interval.total_seconds())
    )
    socket, peer = serve(lambda: gaps.pipe(ops.map(str)))
    peer.pongs = True
    await socket.closed
    assert peer.sent == ["7.0", "7.0", "7.0"]
