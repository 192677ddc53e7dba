"""What a handler answers within chunks that are cut anywhere: all of it leaves in order, or is told of."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

import rxws
from tests.fuzzing.frames import chunked
from tests.fuzzing.profiles import few
from tests.integration.raw import BINARY, CLOSE, TEXT, frame, raw
from tests.integration.server import serving
from tests.streams import ended, watch

SAME = "same" * 20
ANSWERS: dict[str, list[str | bytes]] = {
    "nothing": [],
    "a text": ["a"],
    "bytes": [b"b"],
    "what is not ASCII": ["é" * 62, "é" * 63],
    "large texts": ["x" * 70_000, "y" * 70_000, "z" * 130_000],
    "several": ["1", b"2", SAME, SAME, "3" * 126],
    "watch": ["watched"],
    "abort": ["the last", "l" * 126],
    "x" * 125: ["of a long frame"],
    "": ["of an empty text"],
}
FALSE = b"\x81\x81\0\0\0\0."
BAD = "a half surrogate"


@st.composite
def said(draw: st.DrawFn) -> tuple[list[str], list[bytes]]:
    """Draw what the handler is told, and the chunks: frames alone and together, pings and fragments, cut anywhere."""
    words, chunks = list[str](), list[bytes]()
    for _ in range(draw(st.integers(1, 6))):
        data = b""
        for word in draw(st.lists(st.sampled_from([*ANSWERS, BAD, *("a text",) * 6]), max_size=3)) or ["a text"]:
            words.append(word)
            at = draw(st.sampled_from([None, None, None, 0, 1, len(word)]))
            if at is None:
                data += frame(TEXT, word.encode())
            else:  # the payload of the ping looks as a text that is alone in its chunk
                chunks += [data + frame(TEXT, word[:at].encode(), fin=False) + b"\x89\x87" + bytes(4), FALSE]
                data = frame(0, word[at:].encode())
        chunks += draw(chunked(data)) if draw(st.booleans()) else [data]
    return words, chunks


async def play(words: list[str], chunks: list[bytes]) -> None:
    """Let a peer say it, and check what comes, what is counted, and what is told of."""
    told, answers, shown, errors = list[str](), list[str | bytes](), list[Any](), list[Exception]()
    sockets, seen_from = list[rxws.WebSocket[Any, Any]](), list[int]()

    def handler(incoming: Any, outgoing: Any, socket: Any) -> None:
        def answer(word: str) -> None:
            told.append(word)
            if word == BAD:
                outgoing.on_next("\ud800")
            elif word == "watch":
                seen_from.append(len(answers))
                outgoing.subscribe(shown.append)
            for message in ANSWERS.get(word, ()):
                answers.append(message)
                outgoing.on_next(message)
            if word == "abort":
                socket._life.connection.wire.abort()

        sockets.append(socket)
        socket.errors.subscribe(errors.append)
        incoming.subscribe(answer)

    came, aborts = list[str | bytes](), "abort" in words
    served = serving(rxws.websocket(handler, heartbeat=None, close_timeout=0.2 if aborts else 10.0))
    async with asyncio.timeout(20), served as server, raw(server.port) as peer:
        for chunk in (*chunks, frame(CLOSE, b"\x03\xe8")):
            if not peer.writer.transport.is_closing():  # uvloop's would raise
                peer.writer.write(chunk)
                await asyncio.sleep(0.001)  # so that it is read as it is
        try:
            while (received := await peer.receive())[0] != CLOSE:
                if received[0] in (TEXT, BINARY):
                    came.append(received[1].decode() if received[0] == TEXT else received[1])
        except (asyncio.IncompleteReadError, ConnectionError):
            assert aborts
        await ended(sockets[0])
    assert told == words[: len(told) if aborts else None]
    sent = sockets[0].stats.sent
    assert came == answers[: len(came)]
    assert len(came) == sent or aborts
    assert watch(undelivered=sockets[0].undelivered)[:-1] == [("undelivered", one) for one in answers[sent:]]
    sizes = [len(one.encode() if isinstance(one, str) else one) for one in answers[:sent]]
    assert sockets[0].stats.sent_bytes == sum(sizes)
    assert sum(isinstance(error, rxws.EncodeError) for error in errors) == told.count(BAD)
    if len(seen_from) == 1:
        assert shown == answers[seen_from[0] :]


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_answers_leave_in_order_or_are_told_of(factory: Any) -> None:
    """Answers of any kind leave in order, are counted once, and are `undelivered` if they were not written."""
    with asyncio.Runner(loop_factory=factory) as runner:

        @few(20)
        @given(script=said())
        def check(script: tuple[list[str], list[bytes]]) -> None:
            runner.run(play(*script))

        check()
