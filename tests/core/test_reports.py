"""Where errors go: each source of them, observed and unobserved."""

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.errors import FeedbackLoop
from rxws.testing import serve
from tests.streams import ended, turns, watch

VIRTUAL = True


def idle() -> None:
    """A handler that wants no messages."""


def fails(_: Any) -> Any:
    raise ValueError("no")


async def fails_in_a_coroutine(incoming: Any) -> None:
    fails(await incoming.pipe(ops.first()))


async def fails_in_a_generator(incoming: Any) -> AsyncIterator[str]:
    yield fails(await incoming.pipe(ops.first()))


class Source(NamedTuple):
    handler: Callable[..., Any]
    message: str
    kind: type[Exception]
    code: int = 1011
    level: int = logging.ERROR
    survives: bool = False


SOURCES = {
    "a message that does not decode": Source(idle, "{", rxws.DecodeError, 1007, logging.WARNING, survives=True),
    "a value that cannot be sent": Source(
        lambda incoming: incoming.pipe(ops.map(lambda _: {1})), "1", rxws.EncodeError, survives=True
    ),
    "a subscriber that raises": Source(lambda incoming: incoming.subscribe(fails), "1", ValueError, survives=True),
    "a returned Observable that fails": Source(lambda incoming: incoming.pipe(ops.map(fails)), "1", ValueError),
    "a coroutine that fails": Source(fails_in_a_coroutine, "1", ValueError),
    "a generator that fails": Source(fails_in_a_generator, "1", ValueError),
}


@pytest.mark.parametrize("name", SOURCES)
async def test_unobserved_error(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """An unobserved error closes with its code and is logged once, with its traceback."""
    source = SOURCES[name]
    socket, peer = serve(source.handler, codec=rxws.json)
    await turns()
    peer.send(source.message)
    assert (await ended(socket)).code == source.code
    assert peer.close_sent == rxws.Close(source.code, "Invalid Message" if source.code == 1007 else "Unexpected Error")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("rxws.server", source.level)
    assert record.exc_info is not None
    assert record.exc_info[0] is source.kind
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("name", SOURCES)
async def test_observed_error(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """An observed error is emitted once and not logged, and the socket survives where it can."""
    source = SOURCES[name]
    socket, peer = serve(source.handler, codec=rxws.json)
    errors: list[Exception] = []
    socket.errors.subscribe(errors.append)
    await turns()
    peer.send(source.message)
    await turns()
    assert [type(error) for error in errors] == [source.kind]
    assert caplog.records == []
    assert peer.close_sent == (None if source.survives else rxws.Close(1011, "Unexpected Error"))
    peer.drop()


async def test_observer_chooses_close() -> None:
    """An observer may choose another close for an error that ends the socket."""
    socket, peer = serve(lambda incoming: incoming.pipe(ops.map(fails)))
    socket.errors.subscribe(lambda _: socket.close(4007, "sorry"))
    peer.send("a")
    assert await ended(socket) == rxws.Close(4007, "sorry") == peer.close_sent


Socket = rxws.WebSocket[Any, Any]


def hold_open(incoming: Observable[Any]) -> Any:
    """A handler that wants messages and does nothing with them."""
    return incoming.subscribe(lambda _: None)


def doomed(kind: str) -> tuple[Socket, Any, list[Any]]:
    """Make a socket with observed errors, and let one happen."""
    log: list[Any] = []
    seen: list[Any] = []

    def handler(incoming: Observable[Any], outgoing: Subject[Any], errors: Observable[Exception]) -> Any:
        errors.subscribe(log.append)
        if kind == "subscriber":
            incoming.subscribe(lambda item: 1 / 0)
        incoming.subscribe(seen.append)
        return incoming.pipe(ops.map(lambda item: 1 / item)) if kind == "pipeline" else None

    socket, peer = serve(handler, codec=rxws.json)
    match kind:
        case "decode":
            peer.send("{", "2")
        case "encode":
            socket.outgoing.on_next({1})
            socket.outgoing.on_next("\ud800")
            socket.outgoing.on_next(2)
        case "subscriber":
            peer.send("1", "2")
        case "pipeline":
            peer.send("0")
        case "violation":
            peer.violate(1007)
        case _:
            peer.drop(ConnectionResetError("reset"))
    return socket, peer, [log, seen]


# What a socket survives when its errors are observed


async def test_undecodable_observed() -> None:
    """A message that does not decode is skipped, and the socket stays open."""
    socket, peer, (log, seen) = doomed("decode")
    await turns()
    assert [type(error) for error in log] == [rxws.DecodeError]
    assert log[0].message == "{"
    assert isinstance(log[0].__cause__, ValueError)
    assert (seen, peer.close_sent) == ([2], None)
    peer.drop()


async def test_unsendable_observed() -> None:
    """A value that cannot be sent is skipped, and the socket stays open."""
    socket, peer, (log, _) = doomed("encode")
    await turns()
    assert [type(error) for error in log] == [rxws.EncodeError] * 2
    assert [error.value for error in log] == [{1}, "\ud800"]
    assert (peer.sent, peer.close_sent) == (["2"], None)
    peer.drop()


async def test_subscriber_raises() -> None:
    """A subscriber that raises harms neither its siblings nor the socket."""
    socket, peer, (log, seen) = doomed("subscriber")
    await turns()
    assert [type(error) for error in log] == [ZeroDivisionError] * 2
    assert (seen, peer.close_sent) == ([1, 2], None)
    peer.drop()


async def test_observable_fails() -> None:
    """A returned Observable that fails closes 1011, even if the errors are observed."""
    socket, peer, (log, _) = doomed("pipeline")
    assert await ended(socket) == rxws.Close(1011, "Unexpected Error") == peer.close_sent
    assert [type(error) for error in log] == [ZeroDivisionError]


async def test_violation_observed() -> None:
    """A violation is a ProtocolError on the stream."""
    socket, peer, (log, _) = doomed("violation")
    assert (await ended(socket)).code == 1007
    assert [type(error) for error in log] == [rxws.ProtocolError]
    assert (log[0].close_code, str(log[0])) == (1007, "broken frame")


async def test_loss_observed() -> None:
    """A lost connection is an error on the stream, with its cause."""
    socket, peer, (log, _) = doomed("loss")
    assert (await ended(socket)).code == 1006
    assert [type(error) for error in log] == [rxws.ConnectionLost]
    assert isinstance(log[0].__cause__, ConnectionResetError)


async def test_own_errors() -> None:
    """Handlers may push their own errors."""
    log: list[Any] = []
    socket, peer = serve(hold_open)
    socket.errors.subscribe(log.append)
    mine = ValueError("mine")
    socket.errors.on_next(mine)
    reactivex.throw(mine).subscribe(socket.errors)
    reactivex.of(mine).subscribe(socket.errors)
    await turns()
    assert (log, peer.close_sent) == ([mine] * 3, None)
    socket.errors.dispose()
    assert not socket.errors.is_stopped
    peer.drop()


@pytest.mark.parametrize("leave", ["close", "drop"])
async def test_leaving_is_quiet(leave: str, caplog: pytest.LogCaptureFixture) -> None:
    """Peers that leave log nothing above debug."""
    caplog.set_level(logging.DEBUG)
    socket, peer = serve(hold_open)
    await turns()
    getattr(peer, leave)()
    await ended(socket)
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


async def test_observer_raises(caplog: pytest.LogCaptureFixture) -> None:
    """An observer of errors or closed that raises is logged."""

    def fail(_: Any) -> None:
        raise ValueError("observer")

    socket, peer = serve(hold_open)
    socket.errors.subscribe(fail)
    socket.closed.subscribe(fail)
    log = watch(closed=socket.closed)
    socket.errors.on_next(KeyError())
    peer.close(rxws.Close())
    await ended(socket)
    assert log == [("closed", rxws.Close()), "closed|"]
    assert len([record for record in caplog.records if "observer" in record.getMessage()]) == 2


# Streams that feed themselves


class Endless(BaseException):
    """What would go on forever."""


class Feeding:
    """A subscriber that feeds a stream with what it emits; it gives up where it would go on forever."""

    def __init__(self, feed: Callable[[Any], object]) -> None:
        self.items = 0
        self._feed = feed

    def __call__(self, item: Any) -> None:
        self.items += 1
        if self.items > 10_000:
            raise Endless
        self._feed(item)


def errors_are_sent(socket: Any) -> Feeding:
    feeding = Feeding(lambda error: socket.outgoing.on_next({"error": error}))
    socket.errors.subscribe(feeding)
    return feeding


def errors_are_errors(socket: Any) -> Feeding:
    feeding = Feeding(socket.errors.on_next)
    socket.errors.subscribe(feeding)
    return feeding


def errors_fail_a_pipeline(socket: Any) -> Feeding:
    feeding = Feeding(fails)
    socket.errors.pipe(ops.map(feeding), rxops.skip_errors(into=socket.errors)).subscribe()
    return feeding


def errors_are_logged_to_the_socket(socket: Any) -> Feeding:
    feeding = Feeding(lambda error: socket.outgoing.on_next(logging.makeLogRecord({"msg": "%r", "args": (error,)})))
    socket.errors.pipe(rxops.buffered(10)).subscribe(feeding)
    return feeding


def what_is_dropped_is_sent_again(socket: Any) -> Feeding:
    feeding = Feeding(socket.outgoing.on_next)
    socket.dropped.subscribe(feeding)
    return feeding


def what_is_sent_is_sent_again(socket: Any) -> Feeding:
    feeding = Feeding(lambda item: socket.outgoing.on_next(item))
    socket.outgoing.subscribe(feeding)
    return feeding


FEEDINGS = [
    (errors_are_sent, "close"),
    (errors_are_errors, "close"),
    (errors_fail_a_pipeline, "close"),
    (errors_are_logged_to_the_socket, "close"),
    *((what_is_dropped_is_sent_again, policy) for policy in ("drop_oldest", "drop_newest", "latest")),
    *((what_is_sent_is_sent_again, policy) for policy in ("drop_oldest", "latest")),
]


@pytest.mark.parametrize("observed", [False, True])
@pytest.mark.parametrize(("feed", "overflow"), FEEDINGS, ids=lambda value: getattr(value, "__name__", value))
async def test_stream_that_feeds_itself_closes_its_socket(
    feed: Callable[[Any], Feeding], overflow: Any, observed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is cut, told once, on `errors` or in the log, and the socket closes with 1011."""
    told: list[Exception] = []

    def handler(incoming: Any, outgoing: Any) -> None:
        incoming.subscribe(lambda number: [outgoing.on_next(number) for _ in range(3)])

    socket, peer = serve(handler, codec=rxws.json, max_buffered=150, high_water=1, overflow=overflow)
    if observed:
        socket.errors.subscribe(lambda error: told.append(error) if isinstance(error, FeedbackLoop) else None)
    feeding = feed(socket)
    await turns()
    peer.congested = True
    peer.send("{" if feed.__name__.startswith("errors") else "1")
    peer.congested = False
    assert await ended(socket) == rxws.Close(1011, "Unexpected Error")
    told += [record.exc_info[1] for record in caplog.records if record.exc_info and record.exc_info[1]]  # type: ignore[misc]
    assert [type(error) for error in told if not isinstance(error, ValueError)] == [FeedbackLoop]
    assert 0 < feeding.items <= 1003


async def test_log_that_is_sent_to_its_socket_ends(caplog: pytest.LogCaptureFixture) -> None:
    """A handler of logs that sends them to the very socket that they are about does not feed itself."""
    socket, _ = serve(idle, codec=rxws.json)
    feeding = Feeding(lambda record: socket.outgoing.on_next({"log": record}))
    handler = logging.Handler()
    handler.emit = feeding  # type: ignore[method-assign]
    logger = logging.getLogger("rxws")
    logger.addHandler(handler)
    try:
        socket.outgoing.on_next({1})
        assert await ended(socket) == rxws.Close(1011, "Unexpected Error")
    finally:
        logger.removeHandler(handler)
    assert (len(caplog.records), feeding.items) == (1, 1)
