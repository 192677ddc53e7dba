"""The path of a message, and of a close, through the package: `python -m tests.traces` writes both into the docs.

A real server on asyncio's event loop talks to a client over loopback, and a profiler records the functions that are
called meanwhile. What a step does is said here, in sentences; which steps there are, the trace says.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from reactivex import Observable
from reactivex import operators as ops

import rxws
from tests.integration.raw import TEXT, raw
from tests.integration.server import serving

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rxws"
PAGE = ROOT / "docs" / "architecture.md"
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
        "The bytes are there. The wire calls aiohttp's parser (`_parse`) in the `Context` of the connection (`_run`), "
        "where `current_source` names the socket."
    ),
    "DirectQueue.feed_data": (
        "The parser has a whole message and puts it into its queue, which is ours. While nothing waits the queue "
        "keeps nothing: it calls `receive`, which is the `_receive` of the wire."
    ),
    "Connection.message_received": (
        "Counts the message, checks `message_rate`, decodes (`_decode`; text needs no decoding) and emits it "
        "(`_emit`, the `emit` of `incoming`)."
    ),
    "Broadcast.emit": (
        "Calls `on_next` of each observer of `incoming`, one after the other. What one of them raises goes to "
        "`errors`, and the others still get the message."
    ),
    "upper": (
        "RxPY's `map` calls your function. `outgoing` is subscribed to the Observable that your handler returned, so "
        "RxPY gives the result to it."
    ),
    "Outgoing.on_next": (
        "Encodes the message and offers it to the wire (`_offer`). If the wire refuses, or others wait, it goes into "
        "the bounded buffer instead (`_let_wait`)."
    ),
    "encode": (
        "Makes the frame. An immutable message that goes to many sockets is encoded once: the last frame is kept."
    ),
    "Frame.__init__": "The payload, the message it was made of, and its weight in the buffer.",
    "FrameWriter.offer": (
        "Takes the frame. The chunk is still being read, so the frame is put aside: all answers to one chunk leave "
        "together."
    ),
    "FrameWriter.flush": (
        "The chunk is done, and `buffer_updated` writes what was put aside. If other connections wrote in the last "
        "turn of the event loop, `Turns` calls this when the present turn ends."
    ),
    "FrameWriter._write_taken": "Takes the frames that were put aside.",
    "FrameWriter._write": "Joins them, and calls `write` of the transport: one system call.",
    "_packed": "Puts the header before the payload, and keeps the bytes for the next socket that sends the same frame.",
}


class Step(NamedTuple):
    """A function that was called, and the first one that did."""

    name: str
    path: str
    caller: str | None


class Trace:
    """The functions of the package that are called, each once, in the order of their first calls."""

    def __init__(self, *folded: str) -> None:
        self.steps: dict[str, Step] = {}
        self._folded = folded
        self._names: dict[CodeType, str | None] = {}

    @contextmanager
    def recording(self) -> Generator[None]:
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and (name := self._name(frame)) is not None and name not in self.steps:
            back = frame.f_back
            while back is not None and self._name(back) is None:
                back = back.f_back
            file = Path(frame.f_code.co_filename)
            path = file.relative_to(PACKAGE).as_posix() if file.is_relative_to(PACKAGE) else ""
            self.steps[name] = Step(name, path, back and self._name(back))

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
        if not Path(code.co_filename).is_relative_to(PACKAGE) or name.startswith("<") or name in self._folded:
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


TRACES: dict[str, tuple[Callable[[], Coroutine[Any, Any, dict[str, Step]]], dict[str, str]]] = {
    "message": (trace_message, MESSAGE),
}


def make(name: str) -> str:
    """Trace, and give the table; exits with a message if the sentences are not those of the trace."""
    trace, sentences = TRACES[name]
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        steps = runner.run(trace())
    if unsaid := steps.keys() - sentences:
        sys.exit(f"{__file__}: the {name} has steps without a sentence: {', '.join(unsaid)}")
    if unused := sentences.keys() - steps:
        sys.exit(f"{__file__}: the {name} has sentences without a step: {', '.join(unused)}")
    return table(steps, sentences)


def between(page: str, name: str) -> tuple[str, str, str]:
    """Split a page into what is before a table, the table, and what is after it."""
    before, start, rest = page.partition(f"<!-- trace: {name} -->\n")
    there, end, after = rest.partition("\n\n<!-- end -->")
    assert start, f"{PAGE.name} has no place for the trace of the {name}"
    assert end, f"{PAGE.name} has no end of the trace of the {name}"
    return before + start, there, end + after


def main() -> None:
    """Write the tables into the page, or `--print` one of them."""
    if rxws.wire_mode != "fast":
        sys.exit(f"the traces are those of the fast wire: {COMMAND}")
    if sys.argv[1:2] == ["--print"]:
        print(make(sys.argv[2]))
        return
    for name in TRACES:
        before, _, after = between(PAGE.read_text(encoding="utf-8"), name)
        PAGE.write_text(before + make(name) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
