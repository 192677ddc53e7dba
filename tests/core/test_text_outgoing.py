"""The sink of a wire that sends text as it is: it does what `outgoing` does."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from reactivex import operators as ops

import rxws
from rxws.wires.asgi import wire
from tests.asgi.peer import Peer
from tests.streams import turns, watch
from tests.threads import send_in_a_thread

VIRTUAL = True


def answered(message: Any) -> list[Any]:
    return [message, message.encode(), f"{message}é", f"{message}!"]


@pytest.mark.parametrize("codec", [rxws.codecs.text, lambda: rxws.codecs.text])
@pytest.mark.parametrize("shows", [True, False])
async def test_answers_of_all_kinds_in_order(shows: bool, codec: Any) -> None:
    """Text that needs no frame, other text, and bytes keep their order, may be shown, and are counted.

    A codec that is made for each socket may be that of text, too.
    """
    peer = Peer()
    peer.serve(lambda incoming: incoming.pipe(ops.flat_map(answered)), codec=codec)
    await turns()
    socket = peer.sockets[0]
    log = watch(outgoing=socket.outgoing) if shows else []
    peer.text("a")
    await turns()
    sent = [event.get("text", event.get("bytes")) for event in peer.sent[1:]]
    assert sent == ["a", b"a", "aé", "a!"]
    assert log == [("outgoing", message) for message in sent if shows]
    assert (socket.stats.sent, socket.stats.sent_bytes) == (4, 7)
    peer.leave()
    await peer.task


async def test_text_of_another_thread() -> None:
    """Text of another thread is sent by the event loop."""
    peer = Peer()
    peer.serve(lambda incoming: incoming.subscribe())
    await turns()
    await asyncio.to_thread(peer.sockets[0].outgoing.on_next, "a")
    await turns()
    assert peer.texts == ["a"]
    peer.leave()
    await peer.task


async def test_text_of_another_thread_within_an_answer() -> None:
    """Text that another thread sends while a handler answers goes out behind the answer."""
    peer = Peer()

    def answer(message: str) -> str:
        send_in_a_thread(peer.sockets[0], ["b", "c"])
        return message

    peer.serve(lambda incoming: incoming.pipe(ops.map(answer)))
    await turns()
    peer.text("a")
    await turns()
    assert peer.texts == ["a", "b", "c"]
    peer.leave()
    await peer.task


@pytest.mark.parametrize("looks", [True, False])
def test_text_of_a_loop_that_moves(looks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the event loop runs is where an answer belongs, though it ran in another thread before."""
    monkeypatch.setattr(wire, "MOVES", looks or wire.MOVES)
    loop = asyncio.new_event_loop()
    peers = list[Peer]()

    def answer(message: str) -> str:
        if message == "b":  # the thread that ran the loop is as any other now
            first.submit(peers[0].sockets[0].outgoing.on_next, "not an answer").result()
        return message

    async def begin() -> None:
        peers.append(Peer())
        peers[0].serve(lambda incoming: incoming.pipe(ops.map(answer)))
        peers[0].text("a")
        await turns()

    async def go_on() -> None:
        peers[0].text("b", "c")
        await turns()
        peers[0].leave()
        await peers[0].task

    with ThreadPoolExecutor(1) as first:
        first.submit(loop.run_until_complete, begin()).result()
        loop.run_until_complete(go_on())
    loop.close()
    assert peers[0].texts == ["a", "b", "c", "not an answer"]


async def test_text_behind_the_end() -> None:
    """Nothing follows a `Close`, within an answer, either; nor does anything reach a socket that has ended."""
    peer = Peer()
    closing = ["a", rxws.Close(4000), "b"]
    peer.serve(lambda incoming: incoming.pipe(ops.flat_map(lambda _: closing)))
    await turns()
    peer.text("go")
    await peer.task
    peer.sockets[0].outgoing.on_next("c")
    assert (peer.texts, peer.sent[-1]["code"]) == (["a"], 4000)


async def test_text_while_the_server_waits() -> None:
    """What comes while the server does not take an answer waits in the buffer, and follows it."""
    peer = Peer()
    peer.serve(lambda incoming: incoming)
    await turns()
    socket = peer.sockets[0]
    peer.stalled = True
    peer.text("a")
    await turns()
    socket.outgoing.on_next("b")
    assert (peer.texts, socket.stats.buffered) == ([], 1)
    peer.release()
    await turns()
    assert peer.texts == ["a", "b"]
    peer.leave()
    await peer.task
