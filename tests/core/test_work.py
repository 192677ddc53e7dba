"""Work in hand is finished when the socket ends, within limits."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.core.handler import Handler
from rxws.core.lifecycle import Lifecycle
from rxws.core.phases import SocketPhase
from rxws.options import check
from rxws.recording import keep
from rxws.server.hub import Hub
from rxws.testing import MemoryWire, serve
from tests.streams import ended, turns, watch

VIRTUAL = True

Socket = rxws.WebSocket[Any, Any]


class Shop:
    """Books orders, a second each."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.booked: list[str] = []
        self.log: list[str] = []

    async def book(self, order: str) -> str:
        await asyncio.sleep(self.seconds)
        self.booked.append(order)
        return order


def loops(shop: Shop) -> Any:
    async def handler(socket: Socket) -> None:
        try:
            async for order in socket:
                await shop.book(order)
            shop.log.append("after the loop")
        finally:
            await asyncio.sleep(0.5)
            shop.log.append("cleaned up")

    return handler


def generates(shop: Shop) -> Any:
    async def handler(socket: Socket) -> AsyncIterator[str]:
        try:
            async for order in socket:
                yield await shop.book(order)
            shop.log.append("after the loop")
        finally:
            await asyncio.sleep(0.5)
            shop.log.append("cleaned up")

    return handler


def maps(shop: Shop) -> Any:
    def handler(incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(
            rxops.map_async(shop.book),
            ops.do_action(on_completed=lambda: shop.log.append("after the loop")),
            ops.finally_action(lambda: shop.log.append("cleaned up")),
        )

    return handler


def buffers(shop: Shop) -> Any:
    def handler(incoming: Observable[str]) -> list[Any]:
        return [
            incoming.pipe(
                rxops.buffered(10),
                rxops.map_async(shop.book),
                ops.finally_action(lambda: shop.log.append("cleaned up")),
            ).subscribe(on_completed=lambda: shop.log.append("after the loop"))
        ]

    return handler


def closes(peer: MemoryWire) -> None:
    peer.close(rxws.Close(1001))


def leaves(peer: MemoryWire) -> None:
    peer.drop()


@pytest.mark.parametrize("end", [closes, leaves])
@pytest.mark.parametrize("form", [loops, generates, maps, buffers])
async def test_orders_are_finished(form: Any, end: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A peer sends three orders and leaves at once: all are booked, and the clean-up is done."""
    caplog.set_level(logging.INFO, "rxws")
    shop = Shop()
    socket, peer = serve(form(shop))
    kept = keep(socket)
    await turns()
    peer.send("a", "b", "c")
    end(peer)
    await asyncio.sleep(4)
    assert (shop.booked, shop.log) == (["a", "b", "c"], ["after the loop", "cleaned up"])
    assert [event.kind for event in kept.recording.lane("incoming")].count("completed") == 1
    assert (await ended(socket)).code == (1001 if end is closes else 1006)
    assert "cut off" not in caplog.text


@pytest.mark.parametrize("form", [loops, generates, maps, buffers])
async def test_work_is_cut_at_the_deadline(form: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What is still at work `close_timeout` after the end began is cut, and the log says what.

    The end begins when the peer's close frame is read, behind what it sent before: that waits as long at most.
    """
    caplog.set_level(logging.INFO, "rxws")
    shop = Shop(seconds=10)
    socket, peer = serve(form(shop), close_timeout=2)
    await turns()
    peer.send("a", "b")
    peer.close()
    await asyncio.sleep(1.9)
    assert shop.log == []
    await asyncio.sleep(3)
    assert (shop.booked, shop.log) == ([], ["cleaned up"])
    (record,) = [record for record in caplog.records if getattr(record, "ws_event", "") == "cut"]
    assert record.levelno == logging.INFO
    await ended(socket)


async def test_abort_cuts_at_once() -> None:
    """An abort waits for nothing: connections, items in hand and the handler end at once."""
    for form in (loops, generates, maps, buffers):
        shop = Shop(seconds=10)
        socket, peer = serve(form(shop))
        await turns()
        peer.send("a")
        peer.close()
        await asyncio.sleep(0.5)
        socket._life.abort()
        await asyncio.sleep(0.6)
        assert (shop.booked, shop.log) == ([], ["cleaned up"])


async def test_room_is_left_at_once() -> None:
    """A pipeline without an item in hand does not wait: a member leaves its room when the peer does."""
    room = Subject[str]()
    socket, peer = serve(lambda incoming: incoming.pipe(rxops.map_async(Shop().book), ops.merge(room)))
    await turns()
    peer.drop()
    await turns()
    assert room.observers == []
    assert (await ended(socket)).code == 1006


async def test_errors_in_hand_are_told() -> None:
    """What fails while the end waits for it is on `errors`, which completes after it."""

    async def fail(order: str) -> str:
        await asyncio.sleep(1)
        raise ValueError(order)

    def handler(incoming: Observable[str], errors: Observable[Exception]) -> Observable[str]:
        return incoming.pipe(rxops.map_async(fail), rxops.skip_errors(into=errors))

    socket, peer = serve(handler)
    log = watch(errors=socket.errors, closed=socket.closed)
    peer.send("a")
    await turns()
    peer.close()
    await asyncio.sleep(2)
    assert [str(entry) for entry in log[:1]] == ["('errors', ValueError('a'))"]
    assert log[1:] == ["errors|", ("closed", rxws.Close.received(1005)), "closed|"]


async def test_handler_that_cannot_read_is_cancelled_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that does not ask for messages has none in hand: it is cancelled when the socket ends, silently."""
    caplog.set_level(logging.INFO, "rxws")
    log: list[str] = []

    async def ticks(outgoing: Subject[int]) -> None:
        try:
            while True:
                outgoing.on_next("tick")
                await asyncio.sleep(1)
        finally:
            log.append("cleaned up")

    socket, peer = serve(ticks)
    await asyncio.sleep(2.5)
    peer.drop()
    await ended(socket)
    await turns()
    assert (log, caplog.records) == (["cleaned up"], [])


async def test_generator_without_end_is_left() -> None:
    """A generator that goes on and on after the peer's end is left after some values, not spun until the deadline."""
    values: list[int] = []

    async def numbers(socket: Socket) -> AsyncIterator[str]:
        for number in range(100_000):
            values.append(number)
            yield "x"
            if number > 100:
                await asyncio.sleep(0)

    socket, peer = serve(numbers, high_water=1000)
    peer.congested = True
    await turns()
    peer.drop()
    await ended(socket)
    await turns(100)
    assert len(values) < 200


async def test_shared_task_that_is_cancelled_is_an_error() -> None:
    """Three handlers await one task, which is cancelled: their peers see 1011, and each error is told."""
    shared = asyncio.get_running_loop().create_future()

    async def handler(socket: Socket) -> None:
        await shared

    sockets = [serve(handler) for _ in range(3)]
    logs = [watch(errors=socket.errors) for socket, _ in sockets]
    await turns()
    shared.cancel()
    for (socket, peer), log in zip(sockets, logs, strict=True):
        assert (await ended(socket)).code == 1011 == peer.close_sent.code  # type: ignore[union-attr]
        assert "CancelledError" in str(log[0])


async def test_handler_of_a_socket_that_is_gone() -> None:
    """A handler whose socket ends before it begins never does."""
    begun: list[str] = []

    async def handler(socket: Socket) -> None:
        begun.append("begun")

    life = Lifecycle(check({}))
    start = Handler(handler).compose(life, rxws.WebSocket(life))
    life.abort()
    start()
    await turns()
    assert (begun, life.work) == ([], None)


async def test_item_let_go_by_a_thread_too_late() -> None:
    """A thread that lets go of an item may come after the end."""
    socket, peer = serve(lambda incoming: [incoming.subscribe()])
    life = socket._life
    life.take_in_hand()
    peer.drop()
    await turns()
    assert life.phase is SocketPhase.FINISHING
    thread = threading.Thread(target=life.let_go)
    thread.start()
    thread.join()
    life.abort()
    await turns()
    assert life.gone


async def test_stubborn_handler_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that ignores its cancellation is told of once, and nobody waits for it longer."""
    stubborn = asyncio.Event()

    async def handler(socket: Socket) -> None:
        while not stubborn.is_set():
            try:
                await stubborn.wait()
            except asyncio.CancelledError:
                continue

    socket, peer = serve(handler, close_timeout=1)
    await turns()
    peer.drop()
    await ended(socket)
    began = asyncio.get_running_loop().time()
    await socket._life.worked()
    assert asyncio.get_running_loop().time() - began == pytest.approx(2)
    assert "ignores its cancellation" in caplog.text
    stubborn.set()
    await turns()
    await socket._life.worked()


@pytest.mark.parametrize("stubborn", [False, True])
async def test_hub_waits_for_work(stubborn: bool) -> None:
    """A hub that shuts down waits for handlers whose sockets have ended already, not longer than twice its timeout."""
    hub = Hub(None, 1001, 2.0)
    go_on = asyncio.Event()
    log: list[str] = []

    async def handler(socket: Socket) -> None:
        while stubborn and not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                log.append("ignored")
        await asyncio.sleep(1)
        log.append("worked")

    socket, peer = serve(handler)
    hub.add(socket, socket._life)
    await turns()
    peer.drop()
    await ended(socket)
    began = asyncio.get_running_loop().time()
    await hub.shut_down()
    took = asyncio.get_running_loop().time() - began
    assert (log, took) == ((["ignored"], pytest.approx(4)) if stubborn else (["worked"], pytest.approx(1)))
    go_on.set()
    await asyncio.sleep(2)


@pytest.mark.parametrize(("seconds", "booked"), [(1.0, ["a"]), (9.0, [])])
@pytest.mark.parametrize("left_before", [False, True])
async def test_hub_waits_for_what_was_subscribed_by_hand(
    left_before: bool, seconds: float, booked: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A hub that shuts down waits for items in hand of pipelines that no socket owns, and says what it leaves."""
    caplog.set_level(logging.INFO)
    hub = Hub(None, 1001, 2.0)
    done: list[str] = []

    async def book(order: str) -> str:
        await asyncio.sleep(seconds)
        return order

    def handler(incoming: Observable[str]) -> None:
        incoming.pipe(rxops.map_async(book)).subscribe(done.append)

    socket, peer = serve(handler)
    hub.add(socket, socket._life)
    await turns()
    peer.send("a")
    await turns()
    if left_before:
        peer.drop()
        await ended(socket)
    began = asyncio.get_running_loop().time()
    await hub.shut_down()
    assert done == booked
    assert asyncio.get_running_loop().time() - began == pytest.approx(1 if booked else 4)
    assert ("1 items in hand" in caplog.text) is (not booked)
    assert (hub._working == set()) is bool(booked)
    await asyncio.sleep(9)
    assert hub._working == set()


async def test_work_that_nobody_owns_is_not_waited_for_beyond_its_time() -> None:
    """Items in hand of a pipeline that no socket owns are waited for twice `close_timeout`."""

    def handler(incoming: Observable[str]) -> None:
        incoming.pipe(rxops.map_async(lambda _: asyncio.sleep(5))).subscribe()

    socket, peer = serve(handler, close_timeout=1)
    await turns()
    peer.send("a")
    await turns()
    peer.drop()
    await ended(socket)
    began = asyncio.get_running_loop().time()
    await socket._life.worked()
    assert asyncio.get_running_loop().time() - began == pytest.approx(2)
    await asyncio.sleep(5)
