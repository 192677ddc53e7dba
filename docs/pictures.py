"""Draws the marble pictures of README and docs, from runs of the real thing: `python -m docs.pictures`."""

from __future__ import annotations

import asyncio
from itertools import groupby
from pathlib import Path
from typing import Any

from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws import marbles
from rxws import operators as rxops
from rxws.recording import Event, Recording
from rxws.testing import run, run_virtually

PLACE = Path(__file__).parent / "pictures"


def overview() -> str:
    """The README's server and what its client says."""

    def shout(incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(ops.take_while(lambda m: m != "bye"), ops.map(str.upper))

    recording = run(shout, '-"hello"--"rx"--"bye"').recording
    return marbles.svg(recording, operators={"outgoing": 'ops.take_while(lambda m: m != "bye"), ops.map(str.upper)'})


def back_pressure() -> str:
    """A coroutine that is slower than the peer, and when reading is held."""

    async def slow(message: str) -> str:
        await asyncio.sleep(0.3)
        return message.upper()

    result = run(lambda incoming: incoming.pipe(rxops.map_async(slow)), "-(abc)-----------|")
    events = [event for event in result.recording if event.lane in ("incoming", "outgoing")]
    for time, marks in groupby(result.held.events, lambda event: event.time):
        events.append(Event(time, "reading", "next", "held" if [*marks][-1].data == "[" else "goes on"))
    recording = Recording(sorted(events, key=lambda event: event.time), ("incoming", "outgoing", "reading"))
    return marbles.svg(recording, operators={"outgoing": "rxops.map_async(slow)"})


def reconnect() -> str:
    """A client that loses its connection, is refused once, and comes back."""

    async def client(socket: rxws.ClientWebSocket[str, str]) -> None:
        async for message in socket:
            socket.outgoing.on_next(message.upper())

    backoff = rxws.Backoff(initial=0.4, factor=2, jitter=lambda ceiling: ceiling)
    refusal = rxws.ConnectError("nobody there", "tcp")
    result = run(client, ["--a-(close 1012)", refusal, "--b--|"], reconnect=backoff)
    events = [event for event in result.recording if event.lane != "errors"]
    return marbles.svg(Recording(events, ("incoming", "outgoing", "socket")))


def presence() -> str:
    """Two who join a topic and leave it, and what a third one sees, who came between."""

    async def scene() -> list[Event]:
        events: list[Event] = []
        loop = asyncio.get_running_loop()

        def see(present: rxws.topics.Present) -> None:
            events.append(Event(loop.time(), "presence", "next", ", ".join(present.members) or "nobody"))

        async with rxws.topics("memory://") as topics:
            presence = topics["room.tea"].presence
            there: dict[str, Any] = {}
            for who in ("ada", None, "bob", "ada", "bob"):
                await asyncio.sleep(0.4)
                if who is None:
                    seeing = presence.subscribe(see)
                elif who in there:
                    events.append(Event(loop.time(), who, "completed"))
                    there.pop(who).dispose()
                else:
                    events.append(Event(loop.time(), who, "next", "joins"))
                    there[who] = presence.joining(who).subscribe()
            await asyncio.sleep(0.2)
            seeing.dispose()
        return events

    return marbles.svg(Recording(run_virtually(scene()), ("ada", "bob", "presence")))


PICTURES = {
    "overview.svg": overview,
    "back-pressure.svg": back_pressure,
    "reconnect.svg": reconnect,
    "presence.svg": presence,
}


def main() -> None:
    """Draw them all."""
    for name, draw in PICTURES.items():
        (PLACE / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
