"""What ASGI servers do, each asked by a client made of frames: the table of docs/asgi.md.

`python -m tests.servers.asgi.ask` runs all servers and writes the table; a test runs them and compares.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.integration.raw import CLOSE, TEXT, Raw, raw
from tests.ports import free_port
from tests.servers.process import serving

ROOT = Path(__file__).parents[3]
BIN = ROOT / ".venv-asgi" / "bin"
PAGE = ROOT / "docs" / "asgi.md"
APP = "tests.servers.asgi.app:app"
PATIENCE = 1.5
"""Seconds after which nothing more is expected, at first; and how long a flood is watched."""

UVICORN = ("-m", "uvicorn", APP, "--port", "{port}", "--log-level", "warning", "--ws")
SERVERS: dict[str, tuple[str, ...]] = {
    "uvicorn, websockets": (*UVICORN, "websockets"),
    "uvicorn, websockets-sansio": (*UVICORN, "websockets-sansio"),
    "uvicorn, wsproto": (*UVICORN, "wsproto"),
    "hypercorn": ("-m", "hypercorn", APP, "--bind", "127.0.0.1:{port}", "--log-level", "warning", "--workers", "0"),
    "granian": ("-m", "granian", APP, "--interface", "asgi", "--port", "{port}", "--log-level", "warning"),
    "daphne": ("-m", "daphne", APP, "--port", "{port}", "--verbosity", "0"),
}

MIB = 1024 * 1024


async def end_of(peer: Raw, patience: float) -> str:
    """Read to the end, and say how it ended."""
    try:
        async with asyncio.timeout(patience):
            while True:
                opcode, data = await peer.receive()
                if opcode == CLOSE:
                    if not data:
                        return "close without a code"
                    reason = data[2:].decode()
                    return f"{struct.unpack('!H', data[:2])[0]}{f' “{reason}”' if reason else ''}"
    except TimeoutError:
        return "nothing"
    except (asyncio.IncompleteReadError, ConnectionError):
        return "TCP dropped"


class Asked:
    """A server that runs: how to connect, and what its application has noted."""

    def __init__(self, port: int, notes: Path) -> None:
        self.port = port
        self.notes = notes
        self.patience = PATIENCE

    def noted(self, key: str) -> list[Any]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [value for name, value in map(json.loads, lines) if name == key]

    async def note(self, key: str, *, deadline: float | None = None) -> Any:
        """Wait for a note, and give it; `None` if there is none."""
        until = time.monotonic() + (deadline or self.patience)
        while not (found := self.noted(key)) and time.monotonic() < until:
            await asyncio.sleep(0.02)
        return found[-1] if found else None

    async def ending(self, path: str) -> str:
        async with raw(self.port, path) as peer:
            return await end_of(peer, self.patience)

    async def told(self, kind: str, how: Callable[[Raw], object]) -> str:
        """Say what the application is told of an end, or what a handler of rxws is."""
        key = {"bare": "", "rxws": "rxws "}[kind] + how.__name__
        async with raw(self.port, f"/{kind}/{how.__name__}") as peer:
            await asyncio.sleep(0.1)
            how(peer)
            await asyncio.sleep(0.2)
        code, reason = await self.note(key) or ("nothing", None)
        return f"{code}{f' “{reason}”' if reason else ''}"

    async def breach(self, how: Callable[[Raw], object]) -> str:
        """Say what a peer sees that breaks the protocol."""
        async with raw(self.port, f"/rxws/{how.__name__}") as peer:
            how(peer)
            return await end_of(peer, self.patience)

    async def errors_and_end(self, how: Callable[[Raw], object]) -> str:
        """Say which errors a handler of rxws gets of that, and its end."""
        end = (await self.told("rxws", how)).partition(" ")[0]
        errors = self.noted(f"errors {how.__name__}")
        return f"{errors[-1]}, {end}" if errors else f"none, {end}"

    async def slow(self) -> str:
        """Say how a handler of rxws ends that sends to a peer that reads too late."""
        async with raw(self.port, "/rxws/slow", receive_buffer=4096) as peer:
            await self.note("flooded", deadline=2 * self.patience)
            return await end_of(peer, 3 * self.patience)

    async def flood(self) -> str:
        """Say how much `send` takes for a peer that does not read."""
        async with raw(self.port, "/bare/flood", receive_buffer=4096):
            await asyncio.sleep(PATIENCE)
            return "never waits" if (await self.note("flood") or 0) >= 24 * MIB else "waits"

    async def deaf(self) -> str:
        """Say how much is taken of a peer whose application does not call `receive`."""
        sent = 0
        async with raw(self.port, "/bare/deaf") as peer:
            with contextlib.suppress(TimeoutError):
                while sent < 24 * MIB:
                    peer.send(TEXT, b"x" * 65536)
                    sent += 65536
                    async with asyncio.timeout(PATIENCE):
                        await peer.writer.drain()
        return "takes all" if sent >= 24 * MIB else "stops reading"

    async def denied(self, kind: str) -> str:
        """Ask for a refusal; a connection that is reset is asked again: a reset may overtake the answer before it."""
        for _ in range(4):
            with contextlib.suppress(ConnectionError):
                return await self._denied(kind)
        return await self._denied(kind)

    async def _denied(self, kind: str) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(
            f"GET /{kind}/deny HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        answer = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.patience):
                answer = await reader.read(65536)
                while b"slow down" not in answer and (more := await reader.read(65536)):
                    answer += more
        writer.close()
        if not answer:
            return "no answer"
        return re.sub(r"HTTP/1.1 (\d+) .*", r"\1", answer.decode().splitlines()[0]) + (
            ", with its body" if b"slow down" in answer else ", no body"
        )

    async def large(self, kind: str, size: int) -> str:
        """Send a large message; a dropped connection is asked again: a reset may overtake the close frame before it."""
        for _ in range(5):
            if (answer := await self._large(kind, size)) != "TCP dropped":
                break
        return answer

    async def _large(self, kind: str, size: int) -> str:
        async with raw(self.port, f"/{kind}/echo") as peer:
            peer.send(TEXT, b"x" * size)
            try:
                async with asyncio.timeout(2 * self.patience):
                    opcode, data = await peer.receive()
            except TimeoutError:
                return "nothing"
            except (asyncio.IncompleteReadError, ConnectionError):
                return "TCP dropped"
            if opcode != CLOSE:
                return "passes"
            return str(struct.unpack("!H", data[:2])[0]) if data else "close without a code"

    async def greeted(self, framework: str) -> str:
        """Say what a handler in a framework answers, which knows a path parameter, and a dependency or the query."""
        async with raw(self.port, f"/{framework}/rooms/7?name=ann") as peer:
            peer.send(TEXT, b"hi")
            async with asyncio.timeout(2 * self.patience):
                _, data = await peer.receive()
        return data.decode()

    async def empty(self) -> str:
        async with raw(self.port, "/bare/empty") as peer:
            _, data = await peer.receive()
            return "not sent" if data else "sent"

    async def after(self) -> str:
        async with raw(self.port, "/bare/after") as peer:
            peer.send_close(1000)
            await asyncio.sleep(0.1)
        said = await self.note("sent after")
        return "silent" if said == "silent" else f"raises {said}"


def tell(peer: Raw) -> None:
    peer.send_close(4007, b"later")


def codeless(peer: Raw) -> None:
    peer.send_close(None)


def vanish(peer: Raw) -> None:
    peer.reset()


def utf8(peer: Raw) -> None:
    peer.send(TEXT, b"\xff\xfe")


def reserved(peer: Raw) -> None:
    peer.send(TEXT, b"a", rsv=0x40)


ROWS: dict[str, Callable[[Asked], Awaitable[str]]] = {
    "the app returns without a close": lambda server: server.ending("/bare/returns"),
    "the app raises": lambda server: server.ending("/bare/raises"),
    "the app is told of a close 4007 “later”": lambda server: server.told("bare", tell),
    "… of a close without a code": lambda server: server.told("bare", codeless),
    "… of a peer that vanishes": lambda server: server.told("bare", vanish),
    "`send` to a peer that does not read": lambda server: server.flood(),
    "an app that does not call `receive`": lambda server: server.deaf(),
    "`send` after the peer has gone": lambda server: server.after(),
    "an empty message": lambda server: server.empty(),
    "denial response, 429 with a body": lambda server: server.denied("bare"),
    "a message of 2 MiB": lambda server: server.large("bare", 2 * MIB),
    "a message of 17 MiB": lambda server: server.large("bare", 17 * MIB),
}
"""What is asked of a server without rxws."""

WITH_RXWS: dict[str, Callable[[Asked], Awaitable[str]]] = {
    "a handler completes": lambda server: server.ending("/rxws/returns"),
    "a handler raises": lambda server: server.ending("/rxws/raises"),
    "`closed` of a close 4007 “later”": lambda server: server.told("rxws", tell),
    "`closed` of a close without a code": lambda server: server.told("rxws", codeless),
    "`errors` and `closed` of a peer that vanishes": lambda server: server.errors_and_end(vanish),
    "a text that is not UTF-8: the peer sees": lambda server: server.breach(utf8),
    "… `errors` and `closed`": lambda server: server.errors_and_end(utf8),
    "a frame with a reserved bit: the peer sees": lambda server: server.breach(reserved),
    "… its `errors` and `closed`": lambda server: server.errors_and_end(reserved),
    'a peer that reads too slowly, `overflow="close"`': lambda server: server.slow(),
    "`HeartbeatTimeout`, with pings sent as messages": lambda server: server.ending("/rxws/mute"),
    "an exception with 429": lambda server: server.denied("rxws"),
    "Starlette: an endpoint raises a 429": lambda server: server.denied("starlette"),
    "FastAPI: a dependency raises a 429": lambda server: server.denied("fastapi"),
    "Litestar: a dependency raises a 429": lambda server: server.denied("litestar"),
    "Litestar: a handler raises": lambda server: server.ending("/litestar/raises"),
    "more than `max_msg_size`, 1 MiB": lambda server: server.large("rxws", MIB + 1),
}
"""What is asked of one with a handler of rxws."""


FRAMEWORKS = ("starlette", "fastapi", "litestar")


async def ask(name: str) -> dict[str, str]:
    """Run a server, and give its answers."""
    with tempfile.TemporaryDirectory() as folder:
        port, notes = free_port(), Path(folder) / "notes"
        env = {"PYTHONPATH": str(ROOT), "ASGI_NOTES": str(notes), "PYTHONWARNINGS": "ignore"}
        command = [part.format(port=port) for part in SERVERS[name]]
        async with serving(Path(folder), BIN / "python", *command, port=port, env=env) as process:
            server = Asked(port, notes)
            questions = {**ROWS, **WITH_RXWS}
            said = await asyncio.gather(*(question(server) for question in questions.values()))
            answers = dict(zip(questions, said, strict=True))
            server.patience *= 2  # what did not come on a busy machine may be late: few questions are asked again
            late = [row for row, answer in answers.items() if answer in ("nothing", "no answer")]
            answers.update(zip(late, await asyncio.gather(*(questions[row](server) for row in late)), strict=True))
            answers.update({framework: await server.greeted(framework) for framework in FRAMEWORKS})
            paths = ("/bare/tell", "/rxws/echo", *(f"/{framework}/rooms/7?name=ann" for framework in FRAMEWORKS))
            async with contextlib.AsyncExitStack() as stack:
                peers = [await stack.enter_async_context(raw(port, path)) for path in paths]
                await asyncio.sleep(0.2)
                process.signal(signal.SIGTERM)
                bare, *ours = await asyncio.gather(*(end_of(peer, 3) for peer in peers))
                answers["SIGTERM, without rxws"], answers["SIGTERM"] = bare, " or ".join(sorted(set(ours)))
        return answers


async def ask_all() -> dict[str, dict[str, str]]:
    """Ask all servers, three at a time."""
    gate = asyncio.Semaphore(3)

    async def one(name: str) -> dict[str, str]:
        async with gate:
            return await ask(name)

    return dict(zip(SERVERS, await asyncio.gather(*map(one, SERVERS)), strict=True))


def table(answers: dict[str, dict[str, str]], rows: list[str]) -> str:
    """Write a table: servers with the same answer in a row are one cell in the head's order."""
    head = f"| | {' | '.join(answers)} |\n|---|{'---|' * len(answers)}\n"
    return head + "".join(f"| {row} | {' | '.join(said[row] for said in answers.values())} |\n" for row in rows)


def tables(answers: dict[str, dict[str, str]]) -> dict[str, str]:
    return {
        "servers": table(answers, [*ROWS, "SIGTERM, without rxws"]),
        "servers with rxws": table(answers, [*WITH_RXWS, "SIGTERM"]),
    }


def written(page: str, made: dict[str, str]) -> str:
    """Put the tables into the page."""
    for name, text in made.items():
        page = re.sub(
            rf"(<!-- made: {name} -->\n).*?(<!-- end -->)", lambda m, t=text: m[1] + t + m[2], page, flags=re.S
        )
    return page


if __name__ == "__main__":
    began = time.monotonic()
    found = asyncio.run(ask_all())
    PAGE.write_text(written(PAGE.read_text(), tables(found)))
    print("\n".join(tables(found).values()), f"{time.monotonic() - began:.1f} s", file=sys.stderr)
    print(os.path.relpath(PAGE))
