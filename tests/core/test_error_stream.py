"""Where errors go: each source of them, observed and unobserved."""

import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import pytest
from reactivex import operators as ops

import rxws
from rxws.rx.loop_thread import MAX_HANDED_OVER
from rxws.testing import serve
from tests.streams import ended, turns, watch


def idle(incoming: Any) -> None:
    """A handler that wants no messages."""


@pytest.mark.parametrize("value", ["text", None, KeyboardInterrupt(), ValueError])
async def test_errors_takes_exceptions(value: Any) -> None:
    """The errors stream takes exceptions only, and says so."""
    socket, peer = serve(lambda incoming: None)
    with pytest.raises(TypeError, match="errors takes exceptions, not"):
        socket.errors.on_next(value)
    assert peer.close_sent is None


# Each source of errors while nobody observes them: logged once, and the socket closes with the error's code


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


async def test_observer_that_left() -> None:
    """An observer that left observes no more."""
    socket, peer = serve(idle, codec=rxws.json)
    seen: list[Exception] = []
    socket.errors.subscribe(seen.append).dispose()
    peer.send("{")
    assert (await ended(socket)).code == 1007
    assert seen == []


async def test_observer_chooses_close() -> None:
    """An observer may choose another close for an error that ends the socket."""
    socket, peer = serve(lambda incoming: incoming.pipe(ops.map(fails)))
    socket.errors.subscribe(lambda _: socket.close(4007, "sorry"))
    peer.send("a")
    assert await ended(socket) == rxws.Close(4007, "sorry") == peer.close_sent


async def test_error_within_error() -> None:
    """An error pushed within an error follows it."""
    socket, peer = serve(idle)
    first, second = ValueError(), KeyError()
    socket.errors.subscribe(lambda error: socket.errors.on_next(second) if error is first else None)
    log = watch(errors=socket.errors)
    socket.errors.on_next(first)
    assert log == [("errors", first), ("errors", second)]
    peer.drop()


async def test_error_after_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """An error pushed after the end is logged, not swallowed."""
    socket, peer = serve(idle)
    await turns()
    peer.close()
    await ended(socket)
    socket.errors.on_next(ValueError("late"))
    assert [record.getMessage() for record in caplog.records] == ["ValueError('late'), which nobody observed (memory)"]


async def test_error_of_a_thread_ahead(caplog: pytest.LogCaptureFixture) -> None:
    """An error of a thread that runs ahead is logged, not swallowed."""
    socket, peer = serve(idle, overflow="drop_newest")
    log = watch(errors=socket.errors)

    def work() -> None:
        for _ in range(MAX_HANDED_OVER):
            socket.outgoing.on_next("x")
        socket.errors.on_next(ValueError("ahead"))

    worker = threading.Thread(target=work)  # the event loop waits for it
    worker.start()
    worker.join()
    await turns()
    assert (log, len(caplog.records)) == ([], 1)
    assert "ValueError('ahead'), which nobody observed" in caplog.text
    peer.drop()
