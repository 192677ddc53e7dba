"""Connections that ended in every way leave no task, no descriptor and no memory behind."""

import asyncio
import gc
import logging
import os
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from tests.integration.raw import TEXT, Raw, raw
from tests.integration.server import Server, serving

BOTH_LOOPS = True
Eventually = Callable[..., Any]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def push() -> Any:
    """A handler that is never read from."""
    while True:
        yield "tick"
        await asyncio.sleep(0.01)


def fails(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(lambda _: 1 / 0), ops.map(str))


def echo(incoming: Observable[str]) -> Observable[str]:
    return reactivex.merge(incoming, reactivex.interval(1).pipe(ops.map(str)))


def peer_closes(server: Server, peer: Raw) -> None:
    peer.send_close(1000)


def peer_resets(server: Server, peer: Raw) -> None:
    peer.reset()


def peer_ends(server: Server, peer: Raw) -> None:
    peer.writer.close()


def peer_resets_within_a_message(server: Server, peer: Raw) -> None:
    peer.writer.write(b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff1234abc")
    peer.reset()


def peer_sends(server: Server, peer: Raw) -> None:
    peer.send(TEXT, b"a")


def we_close(server: Server, peer: Raw) -> None:
    server.sockets[-1].close(4001, "bye")


WAYS: list[tuple[Any, Callable[[Server, Raw], None]]] = [
    (echo, peer_closes),
    (echo, peer_resets),
    (echo, peer_ends),
    (echo, peer_resets_within_a_message),
    (echo, we_close),
    (fails, peer_sends),
    (push, peer_closes),
    (push, peer_resets),
    (push, peer_ends),
]


@pytest.mark.parametrize(("handler", "end"), WAYS, ids=lambda value: value.__name__)
async def test_nothing_is_left(handler: Any, end: Callable[[Server, Raw], None], eventually: Eventually) -> None:
    logging.getLogger("rxws").setLevel(logging.CRITICAL)

    async def one() -> None:
        async with raw(server.port) as peer:
            await eventually(lambda: len(server.sockets) == 1)
            end(server, peer)
            await eventually(lambda: server.hub is not None and not len(server.hub), 2)
            server.sockets.clear()

    try:
        async with serving(rxws.websocket(close_timeout=0.1)(handler)) as server:
            for _ in range(5):
                await one()
            gc.collect()
            tasks, files = len(asyncio.all_tasks()), descriptors()
            tracemalloc.start()
            for _ in range(5):
                await one()
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(30):
                await one()
            await asyncio.sleep(0.05)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            await eventually(lambda: len(asyncio.all_tasks()) <= tasks and descriptors() <= files)
            assert after - before < 30 * 1000
    finally:
        logging.getLogger("rxws").setLevel(logging.NOTSET)


async def test_a_push_only_handler_whose_peer_leaves_is_disposed_within_a_second(eventually: Eventually) -> None:
    room = Subject[str]()
    async with serving(rxws.websocket(lambda: room)) as server:
        for _ in range(20):
            async with raw(server.port) as peer:
                await eventually(lambda: room.observers)
                peer.send(TEXT, b"never wanted")
        await eventually(lambda: room.observers == [], 1)
