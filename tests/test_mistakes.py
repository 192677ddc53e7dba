"""Mistakes that people make: what each of them is told, at the earliest moment."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from fastapi import FastAPI
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.core.handler import Handler
from rxws.core.lifecycle import Lifecycle
from rxws.options import check
from rxws.testing import MemoryWire, run, serve
from tests.streams import turns

URL = "ws://localhost"


def shout(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(str.upper))


async def save(item: Any) -> None:
    raise AssertionError("nobody awaits it")


async def parts(item: Any) -> AsyncIterator[Any]:
    yield item


def pair(item: Any) -> Iterator[Any]:
    yield item


class Saver:
    async def __call__(self, item: Any) -> None:
        raise AssertionError("nobody awaits it")

    async def on_next(self, item: Any) -> None:
        raise AssertionError("nobody awaits it")


NEVER_RUNS = "is called, not awaited, so the coroutine function save would never run"
TOLD: list[tuple[Callable[[], object], type[Exception], str]] = [
    # options that there are not, or not here
    (lambda: rxws.connect(URL, header={}), TypeError, "unknown option 'header': did you mean 'headers'?"),
    (lambda: rxws.feed(URL, opentimeout=1), TypeError, "unknown option 'opentimeout': did you mean 'open_timeout'?"),
    (lambda: rxws.connect(URL, xyz=1), TypeError, "greet, headers, heartbeat"),
    (lambda: rxws.connect(URL, origins="*"), TypeError, "'origins' here: it is an option of servers, of websocket and"),
    (lambda: rxws.websocket(headers={}), TypeError, "'headers' here: it is an option of clients, of connect and feed"),
    (lambda: rxws.websocket(offline="keep"), TypeError, "'offline' here: it is an option of clients that reconnect"),
    (lambda: rxws.websocket(max_connections=1), TypeError, "here: it is an option of rxws.setup(app, ...)"),
    (lambda: rxws.websocket(workers=2), TypeError, "here: it is an option of rxws.run(app, ...)"),
    (lambda: rxws.attach(None, compress=True), TypeError, "'compress' here: the handshake is done and has decided"),
    (lambda: run(shout, contested=""), TypeError, "unknown option 'contested': did you mean 'congested'?"),
    (lambda: rxws.run(web.Application(), worker=4), TypeError, "unknown option 'worker': did you mean 'workers'?"),
    (lambda: rxws.run(web.Application(), prot=80), TypeError, "unknown option 'prot': did you mean 'port'?"),
    (lambda: rxws.run(web.Application(), loop=1), TypeError, "run makes the event loop"),
    # options that do not go together
    (
        lambda: rxws.websocket(high_water=2**21),
        ValueError,
        "high_water, 2097152 bytes, must not be above max_buffered, 1048576: overflow would apply before any "
        "source is held. Lower high_water, or raise max_buffered",
    ),
    (lambda: rxws.connect(URL, high_water=200, max_buffered=100), ValueError, "high_water, 200 bytes, must not be"),
    # one thing in place of another
    (lambda: rxws.websocket(rxws.websocket(shout)), TypeError, "shout is decorated with @rxws.websocket already"),
    (lambda: rxws.websocket()(partial(rxws.websocket(shout))), TypeError, "once is enough, with all the options"),
    (
        lambda: rxws.run(rxws.websocket(shout)),
        TypeError,
        "run serves an aiohttp.web.Application, not shout: a handler goes into one, app.router.add_get('/', shout); if "
        "it makes one, call it, run(shout())",
    ),
    (lambda: rxws.run(FastAPI()), TypeError, ">: an ASGI application runs on an ASGI server, such as uvicorn"),
    (lambda: rxws.websocket(FastAPI()), TypeError, "an ASGI application is not a handler, and runs on an ASGI server"),
    (lambda: rxws.setup(FastAPI()), TypeError, ">: on ASGI, use rxws.asgi.setup(app)"),
    (lambda: rxws.accept(None), TypeError, "aiohttp.web.Request, not None: on ASGI, use rxws.asgi.accept(websocket)"),
    (lambda: rxws.run("app"), TypeError, "run serves an aiohttp.web.Application, not 'app'"),
    (
        lambda: rxws.expire("3"),
        TypeError,
        "expire(seconds) must be a positive number of seconds, not '3', a string: write 3, or convert it",
    ),
    (lambda: rxws.expire("soon"), TypeError, "expire(seconds) must be a positive number of seconds, not 'soon'"),
    (lambda: rxops.from_async_iterable(rxws.Rooms[Any]()["tea"]), TypeError, "not an Observable: use that as it is"),
    (lambda: list(rxws.Rooms[Any]()["tea"]), TypeError, "is not iterable"),
    (lambda: aiter(rxws.Rooms[Any]()["tea"]), TypeError, "here Room: write 'async for message in socket', or"),
    (lambda: list(rxws.feed(URL)), TypeError, "is not iterable"),
    (lambda: aiter(rxws.feed(URL)), TypeError, "here SharedFeed: write 'async for message in socket', or"),
    (lambda: list(rxws.topics("memory://")["tea"].presence), TypeError, "is not iterable"),
    (lambda: aiter(rxws.topics("memory://")["tea"].messages), TypeError, "here Messages: write"),
    (lambda: aiter(rxops.map_async(save)(Observable())), TypeError, "here MapAsync: write"),
    (lambda: rxws.Rooms[Any]()["tea"].subscribe(Observable()), TypeError, "write source.subscribe(sink), as in"),
    (lambda: rxws.connect(URL).outgoing, AttributeError, "write 'async with connect(...) as socket', or 'socket ="),
    (lambda: rxws.latest_by("a"), TypeError, "of a message, such as lambda message: message['a'], not 'a'"),
    (lambda: rxws.latest_by(3), TypeError, "latest_by takes a function of a message, not 3"),
    # what is awaited, and is not a coroutine function
    (
        lambda: rxops.map_async(str.upper),
        TypeError,
        "map_async takes a coroutine function, not str.upper, which returns at once: use ops.map for that",
    ),
    (lambda: rxops.map_async(len), TypeError, "not len, which returns at once"),
    (lambda: rxops.map_async(int), TypeError, "not int, which returns at once"),
    (lambda: rxops.map_async("save"), TypeError, "written with 'async def', not 'save'"),
    (lambda: rxops.map_async(parts), TypeError, "not parts, which yields: for several results of an item"),
    (lambda: rxops.map_async(pair), TypeError, "not pair, which yields"),
    (lambda: rxops.filter_async(str.isupper), TypeError, "not str.isupper, which returns at once: use ops.filter"),
    (lambda: rxops.from_async_iterable([1]), TypeError, "not list: use reactivex.from_iterable for that"),
    (lambda: rxops.from_async_iterable(parts), TypeError, "from_async_iterable takes what parts returns: call it"),
    (lambda: rxops.to_async_iterable([1]), TypeError, "takes an Observable, such as socket.incoming, not [1]"),
    (lambda: rxops.of_type("str"), TypeError, "of_type takes a class, or several, not 'str'"),
    (lambda: rxops.skip_errors(into=print), TypeError, "into must be a Subject or another Observer"),
    # what is called, and is not a function, or a coroutine function
    (lambda: rxops.buffered(5, dropped=Subject[Any]()), TypeError, "dropped must be a function of an item, not <"),
    (lambda: rxws.latest_by(save), TypeError, f"the key of latest_by {NEVER_RUNS}"),
    (lambda: rxops.buffered(5, dropped=save), TypeError, f"dropped {NEVER_RUNS}"),
    (lambda: rxws.connect(URL, offline=save, reconnect=rxws.Backoff()), TypeError, f"offline {NEVER_RUNS}"),
    (lambda: rxws.Rooms[Any]()["tea"].subscribe(partial(save)), TypeError, f"on_next {NEVER_RUNS}"),
    (lambda: rxws.Rooms[Any]()["tea"].subscribe(print, save), TypeError, f"on_error {NEVER_RUNS}"),
    (lambda: rxws.Rooms[Any]()["tea"].subscribe(print, print, save), TypeError, f"on_completed {NEVER_RUNS}"),
    (lambda: rxws.Rooms[Any]()["tea"].subscribe(Saver()), TypeError, "function Saver.on_next would never run"),
    (lambda: rxws.Rooms[Any]()["tea"].subscribe(Saver().__call__), TypeError, "Saver.__call__ would never run"),
]


@pytest.mark.parametrize(("mistake", "kind", "told"), TOLD, ids=[told[:40] for *_, told in TOLD])
def test_told_at_the_call(mistake: Callable[[], object], kind: type[Exception], told: str) -> None:
    """What is wrong is said where it is written."""
    with pytest.raises(kind, match=re.escape(told)):
        mistake()


@pytest.mark.parametrize("awaits", [rxops.map_async, rxops.filter_async])
def test_a_function_that_returns_at_once(awaits: Any) -> None:
    """A `def` may return a coroutine; one that does not is an error of the first item, in words."""
    told: list[Exception] = []

    def handler(incoming: Observable[str], errors: Subject[Exception]) -> Observable[Any]:
        errors.subscribe(told.append)
        return incoming.pipe(awaits(lambda text: text.isupper()))

    assert run(handler, "-a-|") == "-(close 1011)"
    assert re.search(r"_async takes a coroutine function, but .*<lambda> returned a bool at once: write", str(told[0]))


IN_A_PIPELINE: list[Callable[..., Any]] = [
    lambda incoming: incoming.subscribe(save),
    lambda incoming: incoming.pipe(ops.map(str.upper), ops.filter(bool), ops.distinct_until_changed()).subscribe(save),
    lambda incoming: incoming.pipe(rxops.map_async(save)).subscribe(save),
    lambda incoming: incoming.pipe(rxops.buffered(4)).subscribe(save),
    lambda incoming: incoming.pipe(rxops.skip_errors(into=Subject()), rxops.when_full("hold")).subscribe(save),
    lambda errors: errors.subscribe(save),
    lambda outgoing: outgoing.subscribe(save),
    lambda socket: socket.closed.subscribe(save),
]


@pytest.mark.parametrize("handler", IN_A_PIPELINE)
def test_a_coroutine_function_as_subscriber(handler: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """It would never run, whatever operators are between."""
    assert run(handler, "-a-|") == "(close 1011)"
    (record,) = caplog.records
    assert f"on_next {NEVER_RUNS}: await it in the pipeline, .pipe(rxws.operators.map_async" in record.getMessage()


def test_a_coroutine_that_is_sent() -> None:
    """`ops.map` with a coroutine function gives coroutines, which no codec knows."""
    result = run(lambda incoming: incoming.pipe(ops.map(save)), "-a-", codec=rxws.json)
    assert result == "-(close 1011)"
    (error,) = (event.data for event in result.recording.lane("errors") if event.kind == "next")
    assert "it is a coroutine that nobody awaited: rxws.operators.map_async(f) in place of ops.map(f)" in str(error)


def nothing_returned(incoming: Observable[str]) -> None:
    incoming.pipe(ops.map(str.upper))


async def ended_at_once(incoming: Observable[str], outgoing: Subject[str]) -> None:
    incoming.subscribe(outgoing)


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (nothing_returned, "nothing_returned asks for `incoming`, has not subscribed to it and returned nothing"),
        (ended_at_once, "ended_at_once is an 'async def' that subscribed to `incoming` and ended without waiting"),
    ],
)
async def test_a_handler_that_does_nothing(
    handler: Callable[..., Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once for a handler, however many sockets it has."""
    decorated = rxws.websocket(handler)
    assert run(decorated, "-a-|").close is not None
    assert run(decorated, "-a-|").close is not None
    assert [record.getMessage() for record in caplog.records if told in record.getMessage()]


async def test_handlers_that_do_something(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is said of one that subscribes, closes, waits, or did not ask for what comes."""

    async def waits(incoming: Observable[str], outgoing: Subject[str]) -> None:
        incoming.subscribe(outgoing)
        await asyncio.sleep(0.05)

    async def closes(socket: rxws.WebSocket[str, str]) -> None:
        socket.incoming.subscribe(socket.outgoing)
        socket.close(4001)

    def refuses(incoming: Observable[str], socket: rxws.WebSocket[str, str]) -> None:
        socket.close(4001)

    def pushes(outgoing: Subject[str]) -> None:
        outgoing.on_next("hello")

    def listens(incoming: Observable[str]) -> None:
        incoming.subscribe()

    for handler in (waits, closes, refuses, pushes, listens):
        run(handler, "-a-|")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_why_a_message_does_not_decode() -> None:
    """The text of the error says why, in bounds."""
    result = run(lambda errors: errors.pipe(ops.map(str)), "-<0x7b>-", codec=rxws.json)
    (text,) = result.sent
    assert "cannot decode b'{': Expecting property name enclosed in double quotes: line 1" in str(text)
    assert len(str(rxws.DecodeError("{", "x" * 10_000))) < 250


@pytest.mark.parametrize(("level", "lines"), [(logging.INFO, 1), (logging.DEBUG, 3)])
async def test_a_refused_connection_is_one_line(level: int, lines: int, caplog: pytest.LogCaptureFixture) -> None:
    """The traceback, of libraries for the most part, is there where DEBUG is on."""

    async def relay() -> Observable[str]:
        try:
            raise ConnectionRefusedError(111, "Connect call failed")
        except OSError as error:
            raise rxws.ConnectError("Cannot connect to host example.com", "tcp") from error

    caplog.set_level(level, "rxws.server")
    _, peer = serve(relay)
    await turns()
    assert peer.close_sent == rxws.Close(1011, "Unexpected Error")
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert "Cannot connect to host example.com" in record.getMessage()
    assert len(logging.Formatter().format(record).splitlines()) >= lines
    assert (record.exc_info is None) is (level == logging.INFO)


async def test_an_http_answer_that_comes_too_late() -> None:
    """In an `async def`, the handshake is answered: a note of the error says where to raise it."""

    async def handler() -> None:
        raise web.HTTPForbidden

    errors: list[Any] = []
    life = Lifecycle(check({}))
    life.reports.errors.subscribe(errors.append)
    start = Handler(handler).compose(life, rxws.WebSocket[Any, Any](life), (), (web.HTTPException,))
    life.open(MemoryWire(), None)
    start()
    await turns()
    (error,) = errors
    assert "Raise it in a 'def' handler, which runs before, or before `rxws.accept`." in error.__notes__[0]
