"""No exception stops an end: whatever is raised, wherever foreign code is called, the socket is over, and says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.close import Close
from rxws.core.log import log_line
from rxws.core.socket import closing_on_exit
from rxws.server.hub import Hub
from rxws.testing import MemoryDialer, MemoryWire, VirtualLoop, connect, serve
from tests.streams import ended, raising, turns

VIRTUAL = True

Socket = rxws.WebSocket[Any, Any]
Place = Callable[[BaseException], tuple[Socket, MemoryWire]]


class ShyError(Exception):
    """Tells nothing of itself."""

    @property
    def close_code(self) -> int:
        raise RuntimeError("no code")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __str__(self) -> str:
        raise asyncio.CancelledError("no text")


ODD = [
    ValueError("plain"),
    ShyError(),
    asyncio.CancelledError(),
    GeneratorExit(),
    BaseExceptionGroup("several", [asyncio.CancelledError(), ValueError()]),
]


class Codec:
    """Raises when it is asked to."""

    def __init__(self, error: BaseException) -> None:
        self._raise = raising(error)

    def encode(self, message: Any) -> str:
        if message == "odd":
            self._raise()
        return message

    def decode(self, data: Any) -> Any:
        if data == "odd":
            self._raise()
        return data


def disposable(error: BaseException) -> tuple[Socket, MemoryWire]:
    return serve(lambda incoming: [Disposable(raising(error)), incoming.subscribe()])


def completion(error: BaseException) -> tuple[Socket, MemoryWire]:
    def handler(incoming: Observable[Any]) -> None:
        incoming.subscribe(on_completed=raising(error))
        incoming.subscribe()

    return serve(handler)


def subscriber(error: BaseException) -> tuple[Socket, MemoryWire]:
    def handler(incoming: Observable[Any]) -> None:
        incoming.subscribe(raising(error))

    socket, peer = serve(handler)
    peer.send("odd")
    return socket, peer


def observer_of_the_end(error: BaseException) -> tuple[Socket, MemoryWire]:
    socket, peer = serve(lambda incoming: incoming)
    for stream in (socket.closed, socket.errors, socket.dropped, socket.undelivered):
        stream.subscribe(raising(error), on_completed=raising(error))
    return socket, peer


def decoding(error: BaseException) -> tuple[Socket, MemoryWire]:
    socket, peer = serve(lambda incoming: incoming, codec=Codec(error))
    peer.send("odd")
    return socket, peer


def encoding(error: BaseException) -> tuple[Socket, MemoryWire]:
    socket, peer = serve(lambda incoming: incoming, codec=Codec(error))
    socket.outgoing.on_next("odd")
    return socket, peer


def key(error: BaseException) -> tuple[Socket, MemoryWire]:
    socket, peer = serve(lambda incoming: incoming, overflow=rxws.latest_by(raising(error)))
    socket.outgoing.on_next("odd")
    return socket, peer


def subscription_message(error: BaseException) -> tuple[Socket, MemoryWire]:
    socket, peer = serve(lambda incoming: incoming, codec=Codec(error))
    socket._life.outgoing.send_on(socket._life.connection, "odd")
    return socket, peer


def handler_of_def(error: BaseException) -> tuple[Socket, MemoryWire]:
    def handler(incoming: Observable[Any]) -> None:
        raise error

    return serve(handler)


def handler_s_observable(error: BaseException) -> tuple[Socket, MemoryWire]:
    return serve(lambda incoming: reactivex.create(raising(error)))


def timed_action(error: BaseException) -> tuple[Socket, MemoryWire]:
    return serve(lambda incoming: reactivex.timer(0.01).pipe(ops.map(raising(error))))


def action_of_a_later_turn(error: BaseException) -> tuple[Socket, MemoryWire]:
    refuse = raising(error)
    return serve(
        lambda incoming: reactivex.repeat_value(1).pipe(
            ops.scan(lambda n, _: n + 1, 0),
            ops.do_action(lambda n: refuse() if n > 1500 else None),
            ops.ignore_elements(),
        )
    )


def handler_of_async_def(error: BaseException) -> tuple[Socket, MemoryWire]:
    async def handler(incoming: Observable[Any]) -> None:
        raise error

    return serve(handler)


def asynchronous_function(error: BaseException) -> tuple[Socket, MemoryWire]:
    async def refuse(message: Any) -> None:
        raise error

    socket, peer = serve(lambda incoming: incoming.pipe(rxops.map_async(refuse)))
    peer.send("odd")
    return socket, peer


def iterable(error: BaseException) -> tuple[Socket, MemoryWire]:
    async def refuse() -> Any:
        yield "a"
        raise error

    return serve(lambda incoming: rxops.from_async_iterable(refuse()))


def keeper_of_a_list(error: BaseException) -> tuple[Socket, MemoryWire]:
    socket, peer = serve(lambda incoming: incoming)
    socket._life.on_closed = raising(error)
    return socket, peer


PLACES: list[Place] = [
    disposable, completion, subscriber, observer_of_the_end, decoding, encoding, key, subscription_message,
    handler_of_def, handler_s_observable, timed_action, action_of_a_later_turn, handler_of_async_def,
    asynchronous_function, iterable, keeper_of_a_list,
]  # fmt: skip
AT_THE_END = (disposable, completion, observer_of_the_end, keeper_of_a_list)
BY_THE_LOOP = (
    *(handler_s_observable, timed_action, action_of_a_later_turn, handler_of_async_def, asynchronous_function),
    *(iterable, *AT_THE_END),
)
"""Where the event loop makes the call, not the test."""


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
async def test_end_goes_on(place: Place, error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """The socket ends, by 1011 or by its peer; what it owns besides is disposed; the error is logged."""
    socket, peer = place(error)
    others: list[str] = []
    socket._life.at_end(lambda: others.append("disposed"))
    socket.closed.subscribe(lambda _: others.append("closed"))
    await turns()
    if place in AT_THE_END:
        peer.close(Close(4000))
    close = await ended(socket, 6)
    assert close.code == (4000 if place in AT_THE_END else 1007 if place is decoding else 1011)
    assert others == ["disposed", "closed"]
    assert type(error).__name__ in caplog.text


def failing(error: Exception) -> tuple[Socket, MemoryWire]:
    socket, peer = serve(lambda incoming: incoming)
    socket.outgoing.on_error(error)
    return socket, peer


def telling(error: Exception) -> tuple[Socket, MemoryWire]:
    socket, peer = serve(lambda incoming: incoming)
    socket.errors.on_next(error)
    return socket, peer


def observer_of_errors(error: Exception) -> tuple[Socket, MemoryWire]:
    socket, peer = serve(lambda incoming: incoming)
    socket.errors.subscribe(raising(error))
    socket.errors.on_next(KeyError())
    return socket, peer


def generator(error: Exception) -> tuple[Socket, MemoryWire]:
    async def handler(incoming: Observable[Any]) -> Any:
        yield "a"
        raise error

    return serve(handler)


def block(error: Exception) -> tuple[Socket, MemoryWire]:
    async def handler(socket: Socket) -> None:
        async with closing_on_exit(socket._life):
            raise error

    return serve(handler)


def in_groups(error: BaseException) -> ExceptionGroup[Any]:
    """What two task groups, one in the other, make of an error, and of another one before it."""
    return ExceptionGroup("outer", [ValueError("other"), ExceptionGroup("inner", [error])])


def in_base_groups(error: BaseException) -> BaseExceptionGroup[Any]:
    return BaseExceptionGroup("outer", [asyncio.CancelledError("other"), BaseExceptionGroup("inner", [error])])


class Teapot(Exception):
    close_code = 4018


OF_OTHERS = (encoding, decoding, subscription_message, observer_of_errors)
"""What is raised there is an `EncodeError`, a `DecodeError`, or nothing that closes."""

GROUPS = [
    *[(place, in_groups) for place in (*PLACES, failing, telling, observer_of_errors, generator, block)],
    *[(place, in_base_groups) for place in PLACES],
]
IN_GROUPS = [
    pytest.param(place, group(error), code, id=f"{place.__name__}-{group.__name__}-{code}")
    for place, group in GROUPS
    for error, code in ((Close(4001), 4001), (Teapot(), 4018))
    if place not in (*AT_THE_END, *(() if code == 4001 else OF_OTHERS))
]


@pytest.mark.parametrize(("place", "group", "code"), IN_GROUPS)
async def test_code_in_a_group(place: Any, group: Any, code: int, caplog: pytest.LogCaptureFixture) -> None:
    """A `Close`, or an error with a code, is found in groups of any depth; what else is in them is logged."""
    socket, _ = place(group)
    await turns()
    assert (await ended(socket, 6)).code == code
    assert "other" in caplog.text


@pytest.mark.parametrize("group", [BaseException, in_base_groups])
def test_end_of_the_program_is_raised_on(group: Any) -> None:
    """What ends the program passes through, and its socket closes 1011; nothing is left stuck."""
    for place in PLACES:
        loop = VirtualLoop()
        sockets: list[Socket] = []

        async def play(place: Place = place, sockets: list[Socket] = sockets) -> None:
            raising_now = KeyboardInterrupt("now")
            raising_now = in_base_groups(raising_now) if group is in_base_groups else raising_now
            if place in BY_THE_LOOP:
                socket, peer = place(raising_now)
                sockets.append(socket)
                await asyncio.sleep(0.1)
                peer.close(Close(4000))
                await asyncio.sleep(6)
            else:
                place(raising_now)

        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(play())
        loop.run_until_complete(asyncio.sleep(6))
        for socket in sockets:
            assert socket._life.gone
        loop.run_until_complete(loop.shutdown_asyncgens())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("rule", ["final", "jitter"])
async def test_back_off_that_raises(rule: str, error: BaseException) -> None:
    """A rule or a jitter that raises ends a client that comes back, as any error of its own would."""
    dialer = MemoryDialer()
    rules: Any = {rule: raising(error)}
    async with asyncio.timeout(20), connect(dialer, reconnect=rxws.Backoff(**rules)) as socket:
        await turns()
        dialer.peer.drop()
        close = await socket.closed
    assert close.code == 1006


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("rule", ["dial", "jitter"])
async def test_attempt_that_raises(rule: str, error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """What an attempt raises, or the wait after it, is told on `errors`, and ends a client that comes back."""
    dialer = MemoryDialer()
    dialer.refusals.append(error if rule == "dial" else OSError())
    rules: Any = {"jitter": raising(error)} if rule == "jitter" else {}
    async with asyncio.timeout(20), connect(dialer, reconnect=rxws.Backoff(**rules)) as socket:
        assert await socket.closed == Close.received(1006)
    assert type(error).__name__ in caplog.text


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
async def test_successor_that_raises(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """What the attempt to rotate raises is told on `errors`, and the connection stays."""
    dialer = MemoryDialer()
    async with asyncio.timeout(20), connect(dialer, reconnect=rxws.Backoff()) as socket:
        failed: list[Exception] = []
        socket.errors.subscribe(failed.append)
        await turns()
        dialer.refusals.append(error)
        socket.rotate()
        await turns()
        assert [one is error or one.__cause__ is error for one in failed] == [True]
        dialer.peer.send("a")
        assert await socket.receive() == "a"
        socket.close()
    assert len(dialer.wires) == 1


async def test_message_over_a_hold_is_not_left_stuck() -> None:
    """A subscriber that ends the program over a message that was held back leaves its socket able to end."""
    socket, peer = serve(lambda: None)
    room = Subject[str]()
    socket.incoming.subscribe(room)
    room.subscribe(raising(KeyboardInterrupt()))
    socket._life.hold()
    peer.send("held")
    await turns()
    peer._held = False
    with pytest.raises(KeyboardInterrupt):
        peer._deliver()
    assert (await ended(socket, 6)).code == 1011


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
async def test_matches_that_raises(error: BaseException) -> None:
    """What `matches` raises fails the topic or the request alone."""
    dialer = MemoryDialer()
    async with connect(dialer, reconnect=rxws.Backoff()) as socket:
        topic = socket.multiplex(subscribe="on", unsubscribe=raising(error), matches=raising(error))
        failed: list[Exception] = []
        topic.subscribe(on_error=failed.append)
        socket.request("question", matches=raising(error)).subscribe(on_error=failed.append)
        socket.errors.subscribe(failed.append)
        await turns()
        dialer.peer.send("a")
        await turns()
        assert len(failed) == 3
        socket.multiplex(subscribe=raising(error), matches=bool).subscribe(on_error=failed.append)
        assert len(failed) == 4
        assert all(one is error or one.__cause__ is error for one in failed)
        seen: list[str] = []
        socket.incoming.subscribe(seen.append)
        dialer.peer.send("b")
        assert seen == ["b"]


async def test_matches_that_ends_the_program() -> None:
    """What ends the program passes through `matches` and `subscribe`, and the topic has failed."""
    dialer = MemoryDialer()
    async with connect(dialer, reconnect=rxws.Backoff()) as socket:
        failed: list[Exception] = []
        socket.multiplex(subscribe="on", matches=raising(KeyboardInterrupt())).subscribe(on_error=failed.append)
        socket.request("question", matches=raising(KeyboardInterrupt())).subscribe(on_error=failed.append)
        socket.errors.subscribe(failed.append)
        await turns()
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                dialer.peer.send("a")
        with pytest.raises(KeyboardInterrupt):
            socket.multiplex(subscribe=raising(KeyboardInterrupt()), matches=bool).subscribe(on_error=failed.append)
        assert len(failed) >= 3


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
async def test_shutdown_passes_a_socket_that_raises(error: BaseException) -> None:
    """At shutdown each socket sees 1001, whatever another one's Disposables raise."""
    hub = Hub(None, 1001, 1.0)
    served = [serve(lambda incoming: [Disposable(raising(error)), incoming.subscribe()]) for _ in range(3)]
    for socket, _ in served:
        hub.add(socket, socket._life)
    await turns()
    await hub.shut_down()
    assert [peer.close_sent for _, peer in served] == [Close(1001)] * 3
    assert len(hub) == 0


class Refusal(logging.Filter):
    """A filter that raises over each line."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.filter = raising(error)


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
async def test_end_goes_on_without_a_log(
    place: Place, error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a filter of the log raises stops no end; it is on standard error, with what was to be logged."""
    hub = Hub(None, 1001, 1.0)
    refusal = Refusal(error)
    logging.getLogger("rxws.server").addFilter(refusal)
    try:
        socket, peer = place(ValueError("plain"))
        if place is not keeper_of_a_list:
            hub.add(socket, socket._life)
        await turns()
        if place in AT_THE_END:
            peer.close(Close(4000))
        close = await ended(socket, 6)
    finally:
        logging.getLogger("rxws.server").removeFilter(refusal)
    assert close.code == (4000 if place in AT_THE_END else 1007 if place is decoding else 1011)
    assert len(hub) == 0
    told = capsys.readouterr().err
    assert type(error).__name__ in told
    assert "rxws could not log: " in told


def test_end_of_the_program_passes_the_log() -> None:
    """What ends the program is raised on, whoever raises it."""
    refusal = Refusal(KeyboardInterrupt())
    logging.getLogger("rxws.server").addFilter(refusal)
    try:
        with pytest.raises(KeyboardInterrupt):
            log_line(logging.getLogger("rxws.server"), logging.ERROR, "anything")
    finally:
        logging.getLogger("rxws.server").removeFilter(refusal)
