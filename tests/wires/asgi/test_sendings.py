"""Readers that wait for a server's `send`, on ASGI servers that a test plays."""

import asyncio

from reactivex import Observable
from reactivex import operators as ops

import rxws
import rxws.asgi
from rxws.wires.asgi.sendings import STALL
from tests.asgi.peer import Peer
from tests.streams import turns

VIRTUAL = True


async def test_reads_on_while_an_answer_waits() -> None:
    """An answer that the server does not take keeps nobody from reading for long: messages come, and the end."""
    peer, seen = Peer(), list[str]()

    @rxws.asgi.websocket
    def handler(incoming: Observable[str]) -> Observable[str]:
        incoming.subscribe(seen.append)
        return incoming

    peer.run(handler)
    await turns()
    peer.stalled = True
    peer.text("a", "b")
    await asyncio.sleep(STALL)
    peer.text("c")
    await turns()
    assert (seen, peer.texts) == (["a", "b", "c"], [])
    peer.release()
    await turns()
    peer.text("d")
    await turns()
    assert (seen, peer.texts) == (list("abcd"), list("abcd"))
    peer.stalled = True
    peer.text("e")
    await turns()
    peer.leave(4001)
    await peer.task
    assert peer.texts == list("abcd")


async def test_reads_on_while_several_wait() -> None:
    """So it is on each of many sockets whose servers wait, and their answers keep their order."""
    peers, seen = [Peer() for _ in range(3)], list[str]()
    for peer in peers:
        peer.serve(lambda incoming: incoming.pipe(ops.do_action(seen.append)))
    await turns()
    for peer in peers:
        peer.stalled = True
        peer.text("a", "b")
    await turns()
    assert seen == ["a"] * 3
    await asyncio.sleep(STALL)
    await turns()
    assert seen == ["a"] * 3 + ["b"] * 3
    peers[0].leave()
    await peers[0].task
    for peer in peers[1:]:
        peer.release()
    await turns()
    for peer in peers[1:]:
        peer.text("c")
        peer.leave()
        await peer.task
        assert peer.texts == ["a", "b", "c"]


async def test_waits_that_are_short() -> None:
    """A server that takes each answer in a later turn makes nobody else read: the same task goes on."""
    peers = [Peer() for _ in range(3)]
    tasks = list[int]()
    for peer in peers:
        peer.takes_a_turn = True
        peer.serve(lambda incoming: incoming)
    await turns()
    for number in range(10):
        for peer in peers:
            peer.text(str(number))
        await asyncio.sleep(STALL)
        tasks.append(len(asyncio.all_tasks()))
    assert len(set(tasks)) == 1
    for peer in peers:
        assert peer.texts == list(map(str, range(10)))
        peer.leave()
        await peer.task
