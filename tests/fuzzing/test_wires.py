"""The real wires, fed with whatever a peer may send, cut anywhere: each socket ends once, and both wires agree.

What is sent on an ASGI server, whenever, keeps its order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

import rxws
import rxws.asgi
from tests.asgi.peer import Peer
from tests.fuzzing.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Sequence,
    chunked,
    frame,
    sequences,
    spoilt,
    violations,
)
from tests.fuzzing.peers import Outcome, Stage, stage
from tests.fuzzing.profiles import few
from tests.fuzzing.virtual import VirtualLoop
from tests.streams import turns

ROLES = ("server", "client")
WIRES = ("fast", "public")
WITHIN = ("nothing", "a", "é", "bytes", "long", "many", "watch", "come back", "come back later", "raise", "later")
"""What comes of a message while it is handed on."""
BETWEEN = ("stall", "release", "turn", "time", "between")
"""What the server does, or the application, while nothing is handed on."""
ENDS = st.sampled_from(["end", "abort", "end", "abort", "we close, the peer is mute"])


def weighed(messages: list[Any]) -> tuple[int, int]:
    """Give the number of messages, and their bytes."""
    return len(messages), sum(len(one if isinstance(one, bytes) else one.encode()) for one in messages)


class Theatre:
    """A stage that is set up once for all examples."""

    def __init__(self, runner: asyncio.Runner, stage: Stage) -> None:
        self._runner = runner
        self._stage = stage

    def play(self, role: str, chunks: list[bytes], end: str, last: int = 0) -> Outcome:
        """Play on both wires, and check what holds of every ending."""
        fast, public = (self._runner.run(self._stage.play(wire, role, chunks, end, last)) for wire in WIRES)
        for outcome in (fast, public):
            ends = [entry for entry in outcome.notifications if isinstance(entry, str)]
            assert ends == ["incoming|", "errors|", "closed|"], outcome
            assert outcome.notifications.index("incoming|") >= len(outcome.messages)
            assert (outcome.stats.received, outcome.stats.received_bytes) == weighed(outcome.messages)
            assert outcome.stats.received_wire_bytes == outcome.stats.received_bytes
        assert (fast.messages, fast.close, fast.errors) == (public.messages, public.close, public.errors)
        return fast


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def theatre(request: Any, tmp_path: Path) -> Iterator[Theatre]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        context = stage(tmp_path)
        yield Theatre(runner, runner.run(context.__aenter__()))
        runner.run(context.__aexit__(None, None, None))


@pytest.mark.parametrize("role", ROLES)
def test_valid_sequence_delivers_its_messages(theatre: Theatre, role: str) -> None:
    """A valid sequence delivers exactly its messages, wherever it is cut."""

    @few(25)
    @given(data=st.data(), said=sequences(masked=role == "server"), end=ENDS)
    def check(data: st.DataObject, said: Sequence, end: str) -> None:
        outcome = theatre.play(role, data.draw(chunked(said.data)), end)
        assert outcome.messages == said.messages
        if said.close is not None:
            assert outcome.close == rxws.Close.received(*said.close)
            assert outcome.errors == []
        if said.close is not None and end == "end":
            code = 1000 if said.close[0] == 1005 else said.close[0]
            assert outcome.answers[-1] == (CLOSE, code.to_bytes(2, "big") + said.close[1].encode())
        if said.close is None and end == "we close, the peer is mute":
            assert [data for opcode, data in outcome.answers if opcode == PONG] == said.pings
            echoed = [data.decode() if opcode == 1 else data for opcode, data in outcome.answers if opcode in (1, 2)]
            assert echoed == said.messages

    check()


@pytest.mark.parametrize("role", ROLES)
def test_violation_in_a_header(theatre: Theatre, role: str) -> None:
    """A frame that its header alone forbids ends the socket with 1002 at once, and all before it is delivered."""

    @few(60)
    @given(data=st.data(), said=violations(masked=role == "server"))
    def check(data: st.DataObject, said: Sequence) -> None:
        outcome = theatre.play(role, data.draw(chunked(said.data)), "end")
        assert outcome.messages == said.messages
        assert (outcome.close.code, outcome.errors) == (1002, [rxws.ProtocolError])
        assert outcome.answers[-1] == (CLOSE, (1002).to_bytes(2, "big"))

    check()


@pytest.mark.parametrize("role", ROLES)
def test_spoiled_sequence_ends_alike_on_both_wires(theatre: Theatre, role: str) -> None:
    """A spoiled sequence ends the socket once, and alike on both wires."""

    @few(40)
    @given(data=st.data(), said=spoilt(masked=role == "server"), end=ENDS)
    def check(data: st.DataObject, said: bytes, end: str) -> None:
        theatre.play(role, data.draw(chunked(said)), end)

    check()


@pytest.mark.parametrize("role", ROLES)
def test_any_bytes_end_alike_on_both_wires(theatre: Theatre, role: str) -> None:
    """Any bytes end the socket once, and alike on both wires."""

    @few(25)
    @given(data=st.data(), said=st.binary(max_size=300), end=ENDS)
    def check(data: st.DataObject, said: bytes, end: str) -> None:
        theatre.play(role, data.draw(chunked(said)), end)

    check()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("cut", [1, 3, 100, 207, 208])
def test_chunk_begins_within_a_message(theatre: Theatre, role: str, cut: int) -> None:
    """A chunk may begin within a message, whole or wrong; what is behind it counts, or a violation there."""
    mask = b"\1\2\3\4" if role == "server" else None
    whole, reserved = frame(TEXT, b"." * 204, mask=mask), frame(TEXT, b"", rsv=0x40, mask=mask)
    for middle, behind, messages, code in (
        (whole, whole, 4, 1006),
        (frame(PING, b"." * 100, mask=mask), whole, 3, 1006),
        (whole, reserved, 3, 1002),
        (frame(TEXT, b"\xff" * 204, mask=mask), reserved, 2, 1007),
    ):
        outcome = theatre.play(role, [whole, whole, middle[:cut], middle[cut:] + behind], "end")
        assert (len(outcome.messages), outcome.close.code) == (messages, code)


@pytest.mark.parametrize("role", ROLES)
def test_chunk_within_a_frame_is_not_a_message(theatre: Theatre, role: str) -> None:
    """A chunk that would be a whole text frame is none within another frame, and is wrong within a message."""
    mask = bytes(4) if role == "server" else None
    header, text = 6 if mask else 2, frame(TEXT, b"a", mask=mask)
    for opcode, messages in ((PING, ["a"]), (PONG, ["a"]), (BINARY, [text, "a"])):
        around = frame(opcode, text, mask=mask)
        outcome = theatre.play(role, [around[:header], around[header:], text], "end")
        assert (outcome.messages, outcome.close.code) == (messages, 1006)
    begun = [frame(TEXT, b"", fin=False, mask=mask), frame(PING, b"", mask=mask)]
    for said in (begun[:1], begun):
        outcome = theatre.play(role, [*said, text], "end")
        assert (outcome.messages, outcome.close.code) == ([], 1002)


@pytest.mark.parametrize("role", ROLES)
def test_close_within_a_notification(theatre: Theatre, role: str) -> None:
    """What comes behind the message that closes the socket is neither handed on nor counted, in the same chunk, too."""
    mask = b"\1\2\3\4" if role == "server" else None
    messages = ["a", "é" * 100, "", "b"]
    said = [frame(TEXT, one.encode(), mask=mask) for one in messages]
    for last in range(1, 5):
        outcome = theatre.play(role, [b"".join(said)], "end", last)
        assert (outcome.messages, outcome.close) == (messages[:last], rxws.Close(4000))


@given(acts=st.lists(st.sampled_from(WITHIN) | st.sampled_from(BETWEEN), max_size=40), takes_a_turn=st.booleans())
@few(150)
def test_order_on_an_asgi_server(acts: list[str], takes_a_turn: bool) -> None:
    """What is sent leaves in its order, is shown once, and counts, whatever a server makes wait, and for how long."""
    sent: list[Any] = []
    heard: list[str] = []
    shown: list[tuple[int, list[Any]]] = []
    sockets: list[rxws.WebSocket[Any, Any]] = []
    listener: list[Any] = []
    peer = Peer()
    peer.takes_a_turn = takes_a_turn

    def say(kind: str) -> None:
        message = f"{len(sent)}{'.' * 30_000 if kind == 'long' else 'é' if kind == 'é' else ''}"
        sent.append(message.encode() if kind == "bytes" else message)
        sockets[0].outgoing.on_next(sent[-1])

    def listen() -> Any:
        return sockets[0].incoming.subscribe(on_next)

    def on_next(act: str) -> None:
        loop = asyncio.get_running_loop()
        heard.append(act)
        if act == "raise":
            raise ValueError(act)
        if act == "watch":
            shown.append((len(sent), []))
            sockets[0].outgoing.subscribe(shown[-1][1].append)
        elif act.startswith("come back"):
            listener[0].dispose()
            if act == "come back":
                listener[0] = listen()
            else:
                loop.call_later(0.01, lambda: listener.__setitem__(0, listen()))
        elif act == "later":
            loop.call_soon(say, "a")
        elif act != "nothing":
            for _ in range(20 if act == "many" else 1):
                say(act)
                say(act)

    @rxws.asgi.websocket(max_buffered=2**22)
    async def handler(socket: rxws.WebSocket[Any, Any]) -> None:
        sockets.append(socket)
        socket.errors.subscribe()
        listener.append(listen())
        await socket.closed

    async def talk() -> None:
        peer.run(handler)
        await turns()
        for act in acts:
            match act:
                case "stall":
                    peer.stalled = True
                case "release":
                    peer.release()
                case "turn":
                    await turns(3)
                case "time":
                    await asyncio.sleep(0.06)
                case "between":
                    say("a")
                case _:
                    peer.text(act)
        peer.release()
        await asyncio.sleep(1)
        assert heard == [act for act in acts if act in WITHIN]
        assert [event["bytes"] if "bytes" in event else event["text"] for event in peer.sent[1:]] == sent
        stats = sockets[0].stats
        assert (stats.received, stats.received_bytes) == weighed(heard)
        assert (stats.sent, stats.sent_bytes) == weighed(sent)
        for start, messages in shown:
            assert messages == sent[start:]
        peer.leave()
        await peer.task

    loop = VirtualLoop()
    try:
        loop.run_until_complete(talk())
        assert loop.exceptions == []
    finally:
        loop.close()
