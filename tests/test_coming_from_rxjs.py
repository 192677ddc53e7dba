"""The rows of docs/coming-from-rxjs.md, one test each, in its order; rxjs's own behavior is of version 7.8.

What its operators do is asked of rxjs itself, once, by `tests/npm/operators.mjs`.
"""

import asyncio
import datetime
import json
import math
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.scheduler import VirtualTimeScheduler
from reactivex.subject import BehaviorSubject, Subject

import rxws
from rxws.testing import MemoryDialer, connect
from tests.integration.server import serving
from tests.streams import ended, opened, reopened, turns, watch

QUICK = rxws.Backoff(initial=0.001, maximum=0.001)
DOCUMENT = Path(__file__).parent.parent / "docs" / "coming-from-rxjs.md"


NPM = Path(__file__).parent / "npm"


@pytest.fixture(scope="module")
def rxjs() -> dict[str, Any]:
    """Give what rxjs does, for each row of operators."""
    node = shutil.which("node")
    assert node, "Node is not on PATH"
    assert (NPM / "node_modules").exists(), "rxjs is not installed: npm ci --prefix tests/npm"
    ran = subprocess.run([node, "operators.mjs"], cwd=NPM, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(ran.stdout)


def is_open(state: Any) -> bool:
    return isinstance(state, rxws.Open)


def test_every_row_names_a_test() -> None:
    """Every row names a test, and every test has a row."""
    rows = re.findall(r"\| `(\w+)` \|$", DOCUMENT.read_text(), re.MULTILINE)
    own = [name.removeprefix("test_") for name in globals() if name.startswith("test_") and "every_row" not in name]
    assert rows == own


async def test_url() -> None:
    @rxws.websocket
    def echo(incoming: Any) -> Any:
        return incoming

    async with serving(echo) as server:
        for url in (server.url, lambda: server.url):
            async with rxws.connect(url) as socket:
                assert await socket.request("hello", matches=lambda _: True) == "hello"


async def test_protocol() -> None:
    dialer = MemoryDialer()
    dialer.protocol = "v2"
    async with connect(dialer, protocols={"v1": rxws.codecs.text, "v2": rxws.json}) as socket:
        assert socket.protocol == "v2"
        socket.outgoing.on_next([1])
        await turns()
        assert dialer.peer.sent == ["[1]"]


async def test_serializer() -> None:
    class Reversed:
        def encode(self, message: str) -> str:
            return message[::-1]

        def decode(self, data: str | bytes) -> Any:
            return data[::-1]

    for codec, value, sent in ((rxws.json, {"a": 1}, '{"a":1}'), (Reversed(), "abc", "cba")):
        dialer = MemoryDialer()
        async with connect(dialer, codec=codec) as socket:
            socket.outgoing.on_next(value)
        assert dialer.peer.sent == [sent]


async def test_deserializer() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        log = watch(i=socket.incoming)
        dialer.peer.send('{"a":1}')
        await turns()
        assert log == [("i", {"a": 1})]


async def test_binary_type() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log = watch(i=socket.incoming)
        dialer.peer.send("text", b"binary")
        await turns()
        assert log == [("i", "text"), ("i", b"binary")]


async def test_open_observer() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        opens = watch(s=socket.states.pipe(ops.filter(is_open)))
        await opened(socket)
        dialer.peer.drop()
        await reopened(socket)
    assert opens == [("s", rxws.Open(None, 1)), ("s", rxws.Open(None, 2)), "s|"]


async def test_close_observer() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        log = watch(s=socket.states.pipe(ops.filter(lambda state: isinstance(state, rxws.Waiting))), c=socket.closed)
        await opened(socket)
        dialer.peer.close(rxws.Close(1012))
        await reopened(socket)
        assert [state.because for _, state in log] == [rxws.Close(1012)]
        dialer.peer.close(rxws.Close(4001, "bye"))
        await ended(socket)
    assert log[1:] == ["s|", ("c", rxws.Close(4001, "bye")), "c|"]


async def test_closing_observer() -> None:
    dialer = MemoryDialer()
    socket = await connect(dialer)
    await turns()
    dialer.peer.mute = True
    log = watch(i=socket.incoming, c=socket.closed)
    socket.close()
    await turns()
    assert log == ["i|"]
    dialer.peer.close(rxws.Close())
    await ended(socket)
    assert log == ["i|", ("c", rxws.Close()), "c|"]


async def test_web_socket_ctor() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        assert isinstance(socket, rxws.ClientWebSocket)
        assert dialer.attempts == 1


async def test_connecting() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        dialer.peer.send("early")
        await turns()
        log = watch(i=socket.incoming)
        await turns()
        assert log == [("i", "early")]


async def test_buffering_before_open() -> None:
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK, max_buffered=200) as socket:
        dropped = watch(d=socket.dropped)
        for number in range(3):
            socket.outgoing.on_next(f"{number:036}")
        assert [int(message) for _, message in dropped] == [2]
        dialer.answering.set()
        await opened(socket)
        assert [int(message) for message in dialer.peer.sent] == [0, 1]


async def test_order() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        for number in range(300):
            socket.outgoing.on_next(str(number))
            if number % 100 == 50:
                await opened(socket)
                dialer.peer.congested = True
            if number % 100 == 99:
                dialer.peer.drop()
        await opened(socket)
        await turns()
        assert [int(message) for wire in dialer.wires for message in wire.sent] == list(range(300))


async def test_complete() -> None:
    dialer = MemoryDialer()
    socket = await connect(dialer)
    socket.outgoing.on_next("last words")
    socket.outgoing.on_completed()
    assert await ended(socket) == rxws.Close()
    assert (dialer.peer.sent, dialer.peer.close_sent) == (["last words"], rxws.Close(1000))


@pytest.mark.parametrize("way", ["close", "on_next", "on_error"])
async def test_error_with_a_code(way: str) -> None:
    dialer = MemoryDialer()
    socket = await connect(dialer)
    match way:
        case "close":
            socket.close(4001, "bye")
        case "on_next":
            socket.outgoing.on_next(rxws.Close(4001, "bye"))
        case _:
            socket.outgoing.on_error(rxws.Close(4001, "bye"))
    assert await ended(socket) == dialer.peer.close_sent == rxws.Close(4001, "bye")


async def test_error_without_a_code() -> None:
    dialer = MemoryDialer()
    socket = await connect(dialer)
    log = watch(e=socket.errors)
    error = LookupError()
    socket.outgoing.on_error(error)
    assert await ended(socket) == dialer.peer.close_sent == rxws.Close(1011, "Unexpected Error")
    assert log == [("e", error), "e|"]
    with pytest.raises(TypeError):
        socket.close("bye")


async def test_unsubscribe() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        socket.incoming.subscribe().dispose()
        await turns()
        assert dialer.peer.close_sent is None
    assert dialer.peer.close_sent == rxws.Close()


async def test_clean_close() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log = watch(i=socket.incoming)
        await turns()
        dialer.peer.close(rxws.Close(4001, "bye"))
        assert await ended(socket) == rxws.Close(4001, "bye")
        assert log == ["i|"]


async def test_lost_connection() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log = watch(i=socket.incoming, e=socket.errors)
        await turns()
        dialer.peer.drop()
        assert await ended(socket) == rxws.Close.received(1006)
        assert isinstance(log[0][1], rxws.ConnectionLost)
        assert log[1:] == ["i|", "e|"]


async def test_resubscribe_after_close() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        log = watch(i=socket.incoming)
        for message in ("one", "two"):
            await opened(socket)
            dialer.peer.send(message)
            await turns()
            dialer.peer.close(rxws.Close(1001))
            await turns()
        assert log == [("i", "one"), ("i", "two")]


async def test_retry() -> None:
    dialer = MemoryDialer()
    dialer.refusals.extend(OSError() for _ in range(10))
    backoff = rxws.Backoff(initial=0.001, factor=2, maximum=0.003, jitter=lambda ceiling: ceiling, max_attempts=4)
    async with connect(dialer, backoff) as socket:
        log = watch(s=socket.states)
        socket.errors.subscribe()
        await ended(socket)
    assert [state.delay for _, state in log[:-1] if isinstance(state, rxws.Waiting)] == [0.001, 0.002, 0.003]


async def test_deserializer_error() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        log = watch(i=socket.incoming, e=socket.errors)
        dialer.peer.send("{", "1")
        await turns()
        assert isinstance(log[0][1], rxws.DecodeError)
        assert log[1:] == [("i", 1)]
    socket = await connect(dialer, codec=rxws.json)
    socket.incoming.subscribe()
    dialer.peer.send("{")
    assert (await ended(socket)).code == 1007


async def test_serializer_error() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        log = watch(e=socket.errors)
        socket.outgoing.on_next(object())
        socket.outgoing.on_next(1)
        await turns()
        assert isinstance(log[0][1], rxws.EncodeError)
        assert dialer.peer.sent == ["1"]
    socket = await connect(dialer, codec=rxws.json)
    socket.outgoing.on_next(object())
    assert (await ended(socket)).code == 1011


def topic(socket: rxws.ClientWebSocket[Any, Any]) -> Any:
    return socket.multiplex(subscribe="sub", unsubscribe=lambda: "unsub", matches=lambda message: message != "other")


async def test_multiplex() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log: list[Any] = []
        subscription = topic(socket).subscribe(log.append)
        dialer.peer.send("mine", "other")
        await turns()
        subscription.dispose()
        await turns()
        assert (log, dialer.peer.sent) == (["mine"], ["sub", "unsub"])


async def test_multiplex_is_shared() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        shared = topic(socket)
        both = shared.subscribe(), shared.subscribe()
        for one in both:
            one.dispose()
        await turns()
        assert dialer.peer.sent == ["sub", "unsub"]


async def test_multiplex_after_a_lost_connection() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        log = watch(t=topic(socket))
        for _ in range(2):
            await opened(socket)
            dialer.peer.send("mine")
            await turns()
            dialer.peer.drop()
            await turns()
        assert log == [("t", "mine"), ("t", "mine")]
        assert [wire.sent for wire in dialer.wires[:2]] == [["sub"], ["sub"]]


async def test_multiplex_with_retry() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        picky = socket.multiplex(subscribe="sub", unsubscribe="unsub", matches=lambda message: message["ok"])
        log = watch(t=picky.pipe(ops.retry(2)))
        dialer.peer.send("{}", '{"ok":1}')
        await turns()
        assert log == [("t", {"ok": 1})]
        assert dialer.peer.sent == ['"sub"', '"unsub"', '"sub"']


async def test_multiplex_with_repeat() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log = watch(t=topic(socket).pipe(ops.take(1), ops.repeat(2)))
        dialer.peer.send("a", "b", "c")
        await turns()
        assert log == [("t", "a"), ("t", "b"), "t|"]
        assert dialer.peer.sent == ["sub", "unsub", "sub", "unsub"]


async def test_multiplex_unsubscribes_from_open_sockets_only() -> None:
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        subscription = topic(socket).subscribe()
        await opened(socket)
        dialer.answering.clear()
        dialer.peer.drop()
        await turns()
        subscription.dispose()
        dialer.answering.set()
        await opened(socket)
        assert [wire.sent for wire in dialer.wires] == [["sub"], []]


# Operators: what a plain pipeline of RxPY does beside one of rxjs


def seen_by(source: Observable[Any], seen: list[str], name: str = "") -> abc.DisposableBase:
    """Note what an Observable emits, as `tests/npm/operators.mjs` does."""
    return source.subscribe(
        lambda value: seen.append(f"{name}{value}"),
        lambda _: seen.append(f"{name}#"),
        lambda: seen.append(f"{name}|"),
    )


def fail(source: Subject[int], _: abc.DisposableBase) -> None:
    source.on_error(ValueError())


def complete(source: Subject[int], _: abc.DisposableBase) -> None:
    source.on_completed()


def unsubscribe(_: Subject[int], subscription: abc.DisposableBase) -> None:
    subscription.dispose()


def shared(share: Callable[[Observable[int]], Observable[int]], leave: Callable[..., None]) -> list[Any]:
    """Share a source that is opened anew for each subscription, by two subscribers, one after the other."""
    opened: list[Subject[int]] = []
    seen: list[str] = []

    def open_one(_: Any) -> Subject[int]:
        opened.append(Subject())
        return opened[-1]

    source = share(reactivex.defer(open_one))
    subscription = seen_by(source, seen, "a")
    opened[0].on_next(1)
    leave(opened[0], subscription)
    seen_by(source, seen, "b")
    opened[-1].on_next(2)
    return [len(opened), seen]


def failing(failures: int) -> tuple[Observable[int], list[int]]:
    """Make a source that fails some times, each time behind the number of the attempt, and the list of these."""
    attempts: list[int] = []

    def subscribe(observer: abc.ObserverBase[int], scheduler: Any = None) -> None:
        attempts.append(len(attempts) + 1)
        observer.on_next(len(attempts))
        observer.on_completed() if len(attempts) > failures else observer.on_error(ValueError())

    return reactivex.create(subscribe), attempts


def tried(operator: Callable[[Observable[int]], Observable[int]], failures: int = 9) -> list[Any]:
    source, attempts = failing(failures)
    seen: list[str] = []
    seen_by(operator(source), seen)
    return [len(attempts), seen]


async def test_share_after_an_error(rxjs: dict[str, Any]) -> None:
    assert rxjs["share_after_an_error"] == [2, ["a1", "a#", "b2"]]
    assert shared(ops.share(), fail) == [2, ["a1", "a#", "b#"]]
    source, attempts = failing(1)
    seen: list[str] = []
    seen_by(source.pipe(ops.retry(2), ops.share()), seen)
    assert (attempts, seen) == ([1, 2], ["1", "2", "|"])


async def test_share_after_completion(rxjs: dict[str, Any]) -> None:
    assert rxjs["share_after_completion"] == [2, ["a1", "a|", "b2"]]
    assert shared(ops.share(), complete) == [2, ["a1", "a|", "b|"]]


async def test_share_kept_open(rxjs: dict[str, Any]) -> None:
    kept = [1, ["a1", "b2"]]
    assert rxjs["share_kept_open"] == kept
    assert shared(lambda source: source.pipe(ops.publish()).auto_connect(1), unsubscribe) == kept


async def test_share_replay(rxjs: dict[str, Any]) -> None:
    assert rxjs["share_replay"] == [[1, ["a1", "a|", "b1", "b|"]], [2, ["a1", "a#", "b2"]]]

    def replayed(source: Observable[int]) -> Observable[int]:
        return source.pipe(ops.replay(buffer_size=1), ops.ref_count())

    assert shared(replayed, complete) == [2, ["a1", "a|", "b1", "b|"]]
    assert shared(replayed, fail) == [2, ["a1", "a#", "b1", "b#"]]


async def test_operators_used_twice(rxjs: dict[str, Any]) -> None:
    def twice(make: Callable[[], tuple[Any, ...]]) -> list[list[str]]:
        first: list[str] = []
        second: list[str] = []
        seen_by(reactivex.of(1).pipe(*make()), first)
        seen_by(reactivex.of(2).pipe(*make()), second)
        return [first, second]

    one = ops.replay(buffer_size=1), ops.ref_count()
    assert rxjs["operators_used_twice"] == [["1", "|"], ["2", "|"]]
    assert twice(lambda: one) == [["1", "|"], ["1", "|"]]
    assert twice(lambda: (ops.replay(buffer_size=1), ops.ref_count())) == rxjs["operators_used_twice"]


async def test_caught(rxjs: dict[str, Any]) -> None:
    assert rxjs["caught"] == [4, ["1", "2", "3", "4", "|"]]
    assert tried(ops.catch(lambda _, source: source), 3) == [2, ["1", "2", "#"]]
    assert tried(ops.retry(), 3) == rxjs["caught"]


async def test_retry_counts(rxjs: dict[str, Any]) -> None:
    assert rxjs["retry_counts"] == [[1, ["1", "#"]], [2, ["1", "2", "#"]], [3, ["1", "2", "3", "#"]]]
    assert tried(ops.retry(0)) == [0, ["|"]]
    assert [tried(ops.retry(count + 1)) for count in (0, 1, 2)] == rxjs["retry_counts"]


async def test_repeat_counts(rxjs: dict[str, Any]) -> None:
    assert rxjs["repeat_counts"] == [tried(ops.repeat(count), 0) for count in (0, 1, 2)]


async def to_its_end(source: Observable[Any]) -> list[str]:
    seen: list[str] = []
    seen_by(source, seen)
    async with asyncio.timeout(15):
        while seen[-1:] != ["|"]:
            await asyncio.sleep(0.005)
    return seen


async def test_retry_with_a_delay(rxjs: dict[str, Any]) -> None:
    def later(error: Exception, _: Any) -> Observable[Any]:
        return reactivex.timer(0.02).pipe(ops.flat_map(lambda _: reactivex.throw(error)))

    started = time.monotonic()
    source, attempts = failing(2)
    assert await to_its_end(source.pipe(ops.catch(later), ops.retry(4))) == rxjs["retry_with_a_delay"]
    assert attempts == [1, 2, 3]
    assert time.monotonic() - started > 0.04


async def test_repeat_with_a_delay(rxjs: dict[str, Any]) -> None:
    pause = reactivex.timer(0.02).pipe(ops.ignore_elements())
    assert rxjs["repeat_with_a_delay"] == ["1", "1", "1", "|"]
    assert await to_its_end(reactivex.of(1).pipe(ops.concat(pause), ops.repeat(3))) == rxjs["repeat_with_a_delay"]


async def test_expand_order(rxjs: dict[str, Any]) -> None:
    seen: list[str] = []
    grow = ops.expand(lambda x: reactivex.of(x + 1) if x % 10 < 3 else reactivex.empty())
    seen_by(reactivex.of(1, 10).pipe(grow), seen)
    assert rxjs["expand_order"] == ["1", "2", "3", "10", "11", "12", "13", "|"]
    assert seen == ["1", "10", "2", "11", "3", "12", "13", "|"]


async def test_recursion(rxjs: dict[str, Any]) -> None:
    async def pages() -> AsyncIterator[int]:
        for page in range(20_000):
            yield page

    seen: list[str] = []
    seen_by(reactivex.of(1).pipe(ops.expand(lambda x: reactivex.of(x + 1) if x < 20_000 else reactivex.empty())), seen)
    assert "20000" not in seen
    assert rxjs["recursion"][0] is False
    assert await rxws.operators.from_async_iterable(pages()).pipe(ops.count()) == 20_000


async def test_subjects_that_call_themselves(rxjs: dict[str, Any]) -> None:
    def fed(subject: Any) -> list[list[int]]:
        inner: list[int] = []
        outer: list[int] = []

        def feed(value: int) -> None:
            inner.append(value)
            if value < 3:
                subject.on_next(value + 1)

        subject.subscribe(feed)
        subject.subscribe(outer.append)
        subject.on_next(1)
        return [inner, outer]

    assert rxjs["subjects_that_call_themselves"] == fed(Subject()) == [[1, 2, 3], [3, 2, 1]]
    async with connect(MemoryDialer(), codec=rxws.json) as socket:
        assert fed(socket.outgoing) == [[1, 2, 3], [1, 2, 3]]


async def test_raising_subscriber(rxjs: dict[str, Any]) -> None:
    def fail(_: Any) -> None:
        raise ValueError("mine")

    assert rxjs["raising_subscriber"] == [[1, 2], ["RangeError", "RangeError"]]
    plain: Subject[int] = Subject()
    others: list[int] = []
    plain.subscribe(fail)
    plain.subscribe(others.append)
    with pytest.raises(ValueError, match="mine"):
        plain.on_next(1)
    assert others == []
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        errors = watch(e=socket.errors)
        socket.incoming.subscribe(fail)
        socket.incoming.subscribe(others.append)
        dialer.peer.send("1", "2")
        await turns()
        assert (others, [str(error) for _, error in errors]) == (["1", "2"], ["mine", "mine"])


async def test_items_that_are_the_end(rxjs: dict[str, Any]) -> None:
    def cut(operator: Callable[[Observable[Any]], Any], *items: str) -> list[str]:
        source: Subject[str] = Subject()
        seen: list[str] = []
        seen_by(source.pipe(operator(source.pipe(ops.filter(lambda item: item == "mark")))), seen)
        for item in items:
            source.on_next(item)
        return seen

    assert rxjs["items_that_are_the_end"] == [["a", "|"], ["mark", "b"]]
    assert cut(ops.take_until, "a", "mark", "b") == ["a", "mark", "|"]
    assert cut(ops.skip_until, "a", "mark", "b") == ["b"]
    assert cut(lambda _: ops.take_while(lambda item: item != "mark"), "a", "mark", "b") == ["a", "|"]


async def test_halves(rxjs: dict[str, Any]) -> None:
    def is_even(item: int) -> bool:
        return item % 2 == 0

    def halves(*operators: Any) -> list[list[str]]:
        state = BehaviorSubject(1)
        seen: list[list[str]] = [[], []]
        for half, log in zip(operators or state.pipe(ops.partition(is_even)), seen, strict=True):
            seen_by(state.pipe(half) if operators else half, log)
        state.on_next(2)
        state.on_next(3)
        return seen

    assert rxjs["halves"] == [["2"], ["1", "3"]]
    assert halves() == [["2"], ["3"]]
    assert halves(ops.filter(is_even), ops.filter(lambda item: not is_even(item))) == rxjs["halves"]


async def test_times(rxjs: dict[str, Any]) -> None:
    assert rxjs["times"] == [True, True]
    began = time.monotonic()
    await reactivex.timer(0.03)
    assert 0.025 < time.monotonic() - began < 5


async def test_throttle_and_debounce(rxjs: dict[str, Any]) -> None:
    def paced(operator: Any) -> list[str]:
        scheduler = VirtualTimeScheduler()
        source: Subject[int] = Subject()
        seen: list[str] = []
        seen_by(source.pipe(operator(0.03, scheduler=scheduler)), seen)
        source.on_next(1)
        source.on_next(2)
        scheduler.advance_by(0.25)
        source.on_next(3)
        scheduler.advance_by(0.25)
        return seen

    first, last = [paced(one) for one in (ops.throttle_first, ops.throttle_with_timeout)]
    assert rxjs["throttle_and_debounce"] == [first, last] == [["1", "3"], ["2", "3"]]
    assert paced(ops.debounce) == last


async def test_first_and_last_value(rxjs: dict[str, Any]) -> None:
    source = reactivex.of(1, 2, 3)
    assert rxjs["first_and_last_value"] == [await source.pipe(ops.first()), await source]
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        dialer.peer.send("1", "2", "3")
        assert await socket.receive() == "1"


async def test_values_without_json(rxjs: dict[str, Any]) -> None:
    assert rxjs["values_without_json"] == ["null", '"1970-01-01T00:00:00.000Z"', ""]
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        errors = watch(e=socket.errors)
        for value in (math.nan, datetime.datetime.now(), None):
            socket.outgoing.on_next(value)
        await turns()
        assert [type(error) for _, error in errors] == [rxws.EncodeError] * 2
        assert dialer.peer.sent == ["null"]
