"""What docs/architecture.md has from the code itself: `python -m tests.traces` writes it there.

The path of a message, and of a close: a real server on asyncio's event loop talks to a client over loopback, and a
profiler records the functions that are called. Which steps there are, the trace says; what they do, sentences here.
The phases: drawn from the table of their transitions.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.core.phases import TRANSITIONS, ConnectionPhase, Phase, SocketPhase, WirePhase
from tests.integration.raw import TEXT, raw
from tests.integration.server import serving

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rxws"
PAGE = ROOT / "docs" / "architecture.md"
ENTER, END = "Phased.enter", "HotObservable.end"
COMMAND = "env -u RXWS_WIRE python -m tests.traces"


def upper(message: str) -> str:
    """Stand for what an application does with a message."""
    return message.upper()


@rxws.websocket
def shout(incoming: Observable[str]) -> Observable[str]:
    """The handler of the traces."""
    return incoming.pipe(ops.map(upper))


MESSAGE = {
    "FastWire.get_buffer": (
        "The event loop has found bytes to read and asks where to put them. The wire lends a buffer that all "
        "connections of the loop share."
    ),
    "FastWire.buffer_updated": (
        "The bytes are there. The wire looks what they are, in the `Context` of the connection, where `current_source` "
        "names the socket."
    ),
    "text_in": (
        "The bytes are one short text frame, as they often are, so the wire reads that itself, counts it and emits it "
        "(`emit`, which `incoming` has). It gives anything else to aiohttp's parser (`_parse`), which calls "
        "`DirectQueue.feed_data` with each message. That does the same; but what is to be decoded, or may come too "
        "often, goes to `Connection.message_received`."
    ),
    "Broadcast.emit": (
        "Calls `on_next` of each observer of `incoming`, one after the other. What one of them raises goes to "
        "`errors`, and the others still get the message."
    ),
    "upper": (
        "RxPY's `map` calls your function, and gives the result to what subscribed your handler's Observable. Its "
        "`on_next` is that of `outgoing`, until one of the two ends."
    ),
    "Outgoing.on_next": (
        "Offers a text to the wire as it is (`_offer_text`). Any other message is encoded, once for all sockets that "
        "it goes to (`encode_new`), and so is a text that the wire refuses. The frame is then offered (`_offer`). If "
        "that is refused, or others wait, `_let_wait` puts it into the bounded buffer."
    ),
    "FrameWriter.offer_text": (
        "Puts the header before the text. The chunk is still being read, so that is put aside: all answers to one "
        "chunk leave together. It refuses what comes at any other time, which may go to others, too."
    ),
    "FrameWriter.end_chunk": (
        "The chunk is done. If other connections wrote in the last turn of the event loop, the answers wait for the "
        "end of this one; here they do not."
    ),
    "FrameWriter.flush": (
        "Calls `write` of the transport with what was put aside; several answers are joined: one system call. `Turns` "
        "calls this when the turn ends."
    ),
}

CLOSE = {
    "FastWire.buffer_updated": "A chunk has come, with the peer's close frame in it.",
    "DirectQueue.feed_data": (
        "The parser has the frame. Nothing waits, so the wire gets it at once; whatever follows is queued, and dropped."
    ),
    "FastWire._control": "A close frame: nothing that the peer sent after it counts.",
    "FastWire.enter(PEER_CLOSED)": "The wire drops what comes from now on.",
    "FastWire._at_last": (
        "Messages that a hold keeps back are delivered first, within `close_timeout`. Here none waits, and the end is "
        "told when the chunk is done."
    ),
    "close_received": "Makes a `Close` of code and reason. A code that no frame may carry is a violation instead.",
    "Connection.close_received": "The peer ends the connection, and gets its own code as the answer.",
    "Connection.begin_closing": "The first cause wins: a later one finds the connection closing, and changes nothing.",
    "Connection.enter(CLOSING)": "Nothing more is taken from `outgoing`.",
    "Connection.start_deadline": "After `close_timeout` the transport is aborted, whatever the peer does.",
    "Pinger.stop": "No more pings.",
    "FrameWriter.wake": "The wire is told that there is something to write, and asks what.",
    "Connection.take": "The answer is the only frame that is left to send.",
    "FrameWriter._write": "Writes the close frame.",
    "FastWire.leave": "Both close frames have been sent, so the transport is closed.",
    "Lifecycle.connection_ending": (
        "A server's socket ends with its connection. The socket of a reconnecting client would go `OFFLINE` here."
    ),
    "Reports.tell": "Recorders learn that the peer leaves.",
    "Lifecycle.enter(CLOSING)": "`close_cause` is set: why the socket ends is settled.",
    "Readers.end": "`incoming` completes.",
    "Outgoing.stop": "`outgoing` takes nothing more.",
    "Outgoing.discard": (
        "What was queued will not be sent, since the peer has stopped reading: it would go to `undelivered`."
    ),
    "FastWire.resume": "A hold ends, if there is one: reading must go on to see the transport's end.",
    "FastWire.connection_lost": "The event loop has closed the transport.",
    "FastWire.enter(LOST)": "Nothing is read or written from now on.",
    "Connection.connection_lost": "Cancels the deadline. Without a close frame before, this would be the cause: 1006.",
    "Connection.enter(CLOSED)": "The connection is over.",
    "Lifecycle.connection_closed": "It was the last one, so the socket ends. What no pong confirmed is `undelivered`.",
    "Lifecycle.finalize": "Ends all streams and what the socket owns, once, in this order, whatever they raise.",
    "Lifecycle.enter(CLOSED)": "From here on nothing can begin again.",
    "Reports.end_errors": "`errors` completes. Nobody has asked for it, so it is not made: later it will have ended.",
    "Outgoing.end_dropped": "So does `dropped`.",
    "Reports.end_undelivered": "So does `undelivered`.",
    "Streaming.dispose": "The subscription of the pipeline is disposed, and then what else the socket owns.",
    "SocketLog.closed": "One line at DEBUG has the code, the reason and the counts.",
    "Hub.remove": "The hub counts the socket as closed, and its place is free.",
    "Outcome.settle": "`closed` emits the `Close` and completes, and what awaits it goes on.",
    "handle": "aiohttp's handler was awaiting `closed`, and returns the response.",
    "Lifecycle.abort": "A safeguard for a handler that was cancelled: nothing is left to end.",
}
"""The calls of a close that are shown; those that change a phase or end a stream all are."""


class Step(NamedTuple):
    """A function that was called, and the first one that did."""

    name: str
    path: str
    caller: str | None


class Trace:
    """The functions of the package that are called, each once, in the order of their first calls; or those `shown`."""

    def __init__(self, shown: Collection[str] | None = None) -> None:
        self.steps: dict[str, Step] = {}
        self._shown = shown
        self._frames: dict[FrameType, str] = {}  # of the steps
        self._names: dict[CodeType, str | None] = {}

    @contextmanager
    def recording(self) -> Generator[None]:
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call" or (name := self._name(frame)) is None:
            return
        if name in (ENTER, END):
            phase = frame.f_locals["phase"].name if name == ENTER else ""
            name = f"{type(frame.f_locals['self']).__name__}.{frame.f_code.co_name}" + (f"({phase})" if phase else "")
        if name not in self.steps:
            back = frame.f_back
            while back is not None and back not in self._frames:
                back = back.f_back
            self._frames[frame] = name
            file = Path(frame.f_code.co_filename)
            path = file.relative_to(PACKAGE).as_posix() if file.is_relative_to(PACKAGE) else ""
            self.steps[name] = Step(name, path, back and self._frames[back])

    def _name(self, frame: FrameType) -> str | None:
        """Give the name of a function that counts as a step."""
        code = frame.f_code
        if code not in self._names:
            self._names[code] = self._make_name(frame)
        return self._names[code]

    def _make_name(self, frame: FrameType) -> str | None:
        code = frame.f_code
        if code is upper.__code__:
            return upper.__name__
        name = code.co_qualname.rpartition("<locals>.")[2]
        if not Path(code.co_filename).is_relative_to(PACKAGE) or name.startswith("<"):
            return None
        if self._shown is not None and name not in self._shown and name not in (ENTER, END):
            return None
        owner: Any = frame.f_globals.get(name.partition(".")[0])
        return None if isinstance(getattr(owner, code.co_name, None), property) else name


async def trace_message() -> dict[str, Step]:
    """Trace a message that arrives, and its answer; one before it has warmed up what is made once."""
    trace = Trace()
    async with serving(shout) as server, raw(server.port) as peer:
        peer.send(TEXT, b"hello")
        await peer.receive()
        await asyncio.sleep(0.1)
        with trace.recording():
            peer.send(TEXT, b"hello")
            assert await peer.receive() == (TEXT, b"HELLO")
    return trace.steps


async def trace_close() -> dict[str, Step]:
    """Trace the peer's close frame, to the end of the handler."""
    trace, over = Trace(CLOSE), asyncio.Event()

    async def handler(request: Any) -> Any:
        try:
            return await shout(request)
        finally:
            over.set()

    async with serving(handler) as server, raw(server.port) as peer:
        await asyncio.sleep(0.1)
        with trace.recording():
            peer.send_close()
            assert (await peer.receive_close())[0] == 1000
            await over.wait()
    return trace.steps


def table(steps: dict[str, Step], sentences: dict[str, str]) -> str:
    """Give the steps as a table in Markdown."""
    numbers = {name: str(number) for number, name in enumerate(steps, 1)}
    files = {step.path for step in steps.values() if step.path}
    lines = [f"{len(steps)} calls in {len(files)} files:", ""]
    lines += ["| | called by | function | file | what happens |", "|--:|--:|---|---|---|"]
    for name, (_, path, caller) in steps.items():
        place = f"[{'/'.join(path.split('/')[-2:])}](../rxws/{path})" if path else "yours"
        before = numbers[caller] if caller else "event loop"
        lines.append(f"| {numbers[name]} | {before} | `{name}` | {place} | {sentences.get(name, '')} |")
    return "\n".join(lines)


def path_of_message() -> str:
    """Give the table of a message."""
    return follow(trace_message(), MESSAGE)


def path_of_close() -> str:
    """Give the table of a close."""
    return follow(trace_close(), CLOSE)


def follow(trace: Coroutine[Any, Any, dict[str, Step]], sentences: dict[str, str]) -> str:
    """Trace, and give the table; exits with a message if the sentences are not those of the trace."""
    if rxws.wire_mode != "fast":
        sys.exit(f"the traces are those of the fast wire: {COMMAND}")
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        steps = runner.run(trace)
    if unsaid := steps.keys() - sentences:
        sys.exit(f"{__file__} has no sentence for these steps: {', '.join(unsaid)}")
    if unused := sentences.keys() - steps:
        sys.exit(f"{__file__} has a sentence for what is not a step: {', '.join(unused)}")
    return table(steps, sentences)


def phases() -> str:
    """Give the drawings of the phases."""
    return "\n\n".join(map(draw, (SocketPhase, ConnectionPhase, WirePhase)))


def draw(kind: type[Phase]) -> str:
    """Draw what may follow what in Mermaid, with a table of what each phase means."""
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR", f"    [*] --> {next(iter(kind)).name}"]
    for phase in kind:
        lines += [f"    {phase.name} --> {after.name}" for after in TRANSITIONS[phase]]
        if not TRANSITIONS[phase]:
            lines.append(f"    {phase.name} --> [*]")
    lines += ["```", "", f"| `{kind.__name__}` | |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{phase.name}` | {phase.value} |" for phase in kind)])


PARTS: dict[str, Callable[[], str]] = {"message": path_of_message, "close": path_of_close, "phases": phases}
"""The parts of the page that are made here."""


def between(page: str, name: str) -> tuple[str, str, str]:
    """Split a page into what is before a part, the part, and what is after it."""
    before, start, rest = page.partition(f"<!-- made: {name} -->\n")
    there, end, after = rest.partition("\n\n<!-- end -->")
    assert start, f"{PAGE.name} has no place for the {name}"
    assert end, f"{PAGE.name} does not say where the {name} ends"
    return before + start, there, end + after


def main() -> None:
    """Write all parts into the page, or `--print` one of them."""
    if sys.argv[1:2] == ["--print"]:
        print(PARTS[sys.argv[2]]())
        return
    for name, make in PARTS.items():
        before, _, after = between(PAGE.read_text(encoding="utf-8"), name)
        PAGE.write_text(before + make() + after, encoding="utf-8")


if __name__ == "__main__":
    main()
