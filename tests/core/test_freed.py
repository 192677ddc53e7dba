"""What has ended lets go of all that it had, is freed without Python's collector, and says what it did before."""

import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.core.outgoing import Outgoing
from rxws.rx.foreign import without_frames
from rxws.rx.holds import current_source
from rxws.testing import MemoryWire, serve
from tests.streams import turns

VIRTUAL = True
Ends = Callable[[Any, MemoryWire], object]

ENDS: dict[str, Ends] = {
    "close": lambda socket, peer: socket.close(4001),
    "subscription": lambda socket, peer: socket.subscription.dispose(),
    "fails": lambda socket, peer: socket.outgoing.on_error(ValueError("no")),
    "peer closes": lambda socket, peer: peer.close(),
    "peer drops": lambda socket, peer: peer.drop(ConnectionResetError()),
    "peer violates": lambda socket, peer: peer.violate(),
    "within its context": lambda socket, peer: socket._life.connection.context.run(peer.drop),
    "mute": lambda socket, peer: (setattr(peer, "mute", True), socket.close()),
    "undecodable": lambda socket, peer: (peer.send("{"), peer.drop()),
    "fails in the pipeline": lambda socket, peer: peer.send("0"),
}


def divides(incoming: Observable[int]) -> Observable[float]:
    return incoming.pipe(ops.map(lambda number: 1 / number))


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Do without the collector, and without log records, which keep the frames of errors."""
    logging.disable()
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.usefixtures("no_collector")
async def test_socket_is_freed(end: str) -> None:
    """A socket is freed when it ends and nobody has it, with its streams and its connection."""

    async def live() -> list[weakref.ref[Any]]:
        socket, peer = serve(divides, codec=rxws.json)
        peer.send("1")
        await turns()
        life = socket._life
        refs = [weakref.ref(thing) for thing in (socket, life.outgoing, life.incoming, life.reports.errors)]
        ENDS[end](socket, peer)
        await socket.closed
        return refs

    refs = await live()
    await turns()
    assert [ref() for ref in refs] == [None] * len(refs)


PIPELINES: dict[str, Callable[[Observable[Any]], Observable[Any]]] = {
    "flat_map": lambda incoming: incoming.pipe(ops.flat_map(lambda item: reactivex.of(item, item))),
    "merge": lambda incoming: incoming.pipe(ops.merge(reactivex.never(), reactivex.of(2))),
    "combine_latest": lambda incoming: incoming.pipe(ops.combine_latest(reactivex.of(2))),
    "timer": lambda incoming: reactivex.merge(incoming, reactivex.timer(9)),
    "disposed": lambda incoming: incoming.pipe(ops.flat_map(lambda item: reactivex.of(item, item)), ops.take(1)),
}


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.usefixtures("no_collector")
async def test_socket_of_a_pipeline_is_freed(pipeline: str) -> None:
    """What runs at once on the scheduler of a pipeline keeps nothing of its socket for the collector."""

    async def live() -> list[weakref.ref[Any]]:
        socket, peer = serve(PIPELINES[pipeline], codec=rxws.json)
        peer.send("1")
        await turns()
        assert peer.sent
        life = socket._life
        refs = [weakref.ref(thing) for thing in (socket, life.outgoing, life.incoming, life.reports.errors)]
        peer.drop()
        await socket.closed
        return refs

    refs = await live()
    await turns()
    assert [ref() for ref in refs] == [None] * len(refs)


async def test_what_is_read_after_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """A socket that has ended and is kept says what it did before, and takes calls that do nothing."""
    socket, peer = serve(divides, codec=rxws.json)
    peer.send("1")
    await turns()
    outgoing, errors = socket.outgoing, socket.errors
    socket.close(4001, "bye")
    assert await socket.closed == rxws.Close(4001, "bye")
    assert (socket.stats.received, socket.stats.sent, socket.remote, socket.rtt) == (1, 1, "memory", None)
    assert repr(socket) == "<WebSocket memory Close(code=4001, reason='bye')>"
    assert (socket.outgoing, socket.errors) == (outgoing, errors)
    for call in (
        lambda: outgoing.on_next(1.0),
        lambda: outgoing.on_next(rxws.Close(4002)),
        outgoing.on_completed,
        lambda: outgoing.on_error(ValueError("late")),
        outgoing.dispose,
        lambda: errors.on_next(rxws.Close(4002)),
        socket.close,
        socket.dispose,
    ):
        call()
    assert caplog.records == []
    errors.on_next(ValueError("late"))
    assert [record.getMessage() for record in caplog.records] == ["ValueError('late'), which nobody observed (memory)"]
    ends: list[str] = []
    for stream in (*socket, socket.closed, socket.dropped, socket.undelivered):
        stream.subscribe(on_completed=lambda: ends.append("completed"))
    assert ends == ["completed"] * 6
    with pytest.raises(rxws.Close):
        await socket.receive()


async def test_late_subscriber_of_what_failed() -> None:
    """Who subscribes to `outgoing` after its failure gets that; once the socket has ended, without its frames."""
    socket, peer = serve(divides, codec=rxws.json)
    seen: list[Exception] = []
    socket.errors.subscribe(seen.append)
    peer.send("0")
    socket.outgoing.subscribe(on_error=seen.append)
    await socket.closed
    socket.outgoing.subscribe(on_error=seen.append)
    assert [repr(error) for error in seen] == ["ZeroDivisionError('division by zero')"] * 3
    assert [error.__traceback__ is None for error in seen] == [False, False, True]


async def test_nobody_is_the_source_after_the_end() -> None:
    """What goes on in the context of a connection after its end is in nobody's name."""
    socket, peer = serve(divides, codec=rxws.json)
    connection = socket._life.connection
    assert connection is not None
    assert connection.context.run(current_source.get) is socket._life
    peer.drop()
    await socket.closed
    assert connection.context.run(current_source.get) is None


async def test_overflow_of_a_thread_at_the_end() -> None:
    """A thread that has run ahead of the event loop by too much for a socket which then ends closes nothing more."""
    socket, peer = serve(divides, codec=rxws.json)
    outgoing: Any = socket.outgoing
    assert isinstance(outgoing, Outgoing)
    flooding = Thread(target=lambda: [outgoing.on_next(0) for _ in range(17_000)])
    flooding.start()
    flooding.join()
    socket.close(4001)
    assert await socket.closed == rxws.Close(4001)


def test_error_that_cannot_be_copied() -> None:
    """An error whose class takes other arguments, or whose copy is another one, is kept as it is."""

    class Needy(Exception):
        def __init__(self, one: int, *, two: int) -> None:
            super().__init__(one)

    class Other(rxws.Close):
        pass

    def raised(error: Exception) -> Exception:
        try:
            raise error
        except Exception as caught:
            return caught

    needy, other, plain = raised(Needy(1, two=2)), raised(Other(4001)), raised(ValueError("no"))
    assert without_frames(needy) is needy
    assert without_frames(other) is other
    assert repr(without_frames(plain)) == repr(plain)
    assert without_frames(plain).__traceback__ is None
