"""Run a handler, or a client, against a scripted peer under virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from rxws import codecs
from rxws.backoff import Backoff
from rxws.client.connecting import Connect
from rxws.client.greeting import check_greet
from rxws.client.states import State
from rxws.close import Close
from rxws.core.handler import Handler
from rxws.core.socket import WebSocket
from rxws.options import Settings, check
from rxws.recording import Event, Kept, Recording, keep
from rxws.recording.event import Kind
from rxws.testing.dialing import ScriptedDialer, congest, play
from rxws.testing.marbles import Marbles
from rxws.testing.memory import MemoryWire, serve, undecorated
from rxws.testing.notation import FRAME, Script, parse
from rxws.testing.virtual import run_virtually

MAX_SECONDS: Final = 60.0
"""Seconds, virtual ones, that a run takes at most if its peer has no script."""

SPANS: Final = {"[": "[", "]": "]"}
"""The marks of a diagram of spans."""

STATES: Final = {"C": "Connecting", "O": "Open", "W": "Waiting"}
"""The letters of a diagram of states; the end is a completion."""

ARGUMENTS: Final = ("incoming", "congested", "frame", "values", "protocol", "request", "reconnect", "greet")
"""Of `run`, besides the options."""

Peer = str | Script | Exception


class Run(Marbles):
    """What the peer got, and the end of the socket, as a marble diagram; and what else there was to see."""

    errors: Marbles
    """What went wrong, observed or not: `--(# DecodeError)`."""
    held: Marbles
    """When reading was held, from `[` to `]`: `-[---]`."""
    dropped: Marbles
    """The messages that the overflow policy dropped."""
    states: Marbles
    """The states of a client: `C` connecting, `O` open, `W` waiting, `|` closed."""
    recording: Recording
    """All of it: to draw it, to keep it."""
    sent: list[str | bytes]
    """The messages as the peer got them."""
    close: Close | None
    """How the socket ended, if it did."""


def run(
    handler: Callable[..., Any],
    incoming: Peer | Sequence[Peer] | None = None,
    *,
    congested: str = "",
    frame: float = FRAME,
    values: Mapping[str, Any] | None = None,
    protocol: str | None = None,
    request: Any = None,
    reconnect: Backoff | None = None,
    greet: Any = None,
    **options: Any,
) -> Run:
    """Run a handler under virtual time, and return what its peer got, to compare with a marble diagram.

    With `reconnect` or `greet` the function is a client's. It runs when the greeting is done; the peer's answers to
    that are in its script. A list for `incoming` is what the peers of a client do, one connection after the other; an
    exception in it refuses a connection. Options are in place of those that the handler was decorated with.

    It ends with the socket; if that stays open, at the end of the diagram, or after 60 s if there is none. May be
    called from an `async def` too. Raises `ValueError` for a diagram that makes no sense, `TypeError` for a wrong
    option, and what `connect` does of a client without `reconnect`: what its greeting raises, say.

    Args:
        handler: The handler or the client's function.
        incoming: What the peer does: a diagram, a recording or `None`; a list of them for a client with `reconnect`.
        congested: When the peer does not read, from `[` to `]`.
        frame: Seconds of a character.
        values: The messages that single characters stand for; the `codec` writes them.
        protocol: The subprotocol that was negotiated.
        request: What the handler gets by that name.
        reconnect: How the client comes back.
        greet: The greeting of the client.
        options: As of `rxws.websocket` or `rxws.connect`.

    >>> from reactivex import operators as ops
    >>> def shout(incoming):
    ...     return incoming.pipe(ops.debounce(0.2), ops.map(str.upper))
    >>> run(shout, "-a-bc---d|") == "------C--(close 1000)"
    True
    """
    handler, options = undecorated(handler, options)
    settings = check(options, also=ARGUMENTS)
    check_greet(greet, settings)
    several = reconnect is not None or greet is not None or isinstance(incoming, (list, tuple))
    peers: Sequence[Any] = incoming if isinstance(incoming, (list, tuple)) else [incoming]
    scripts = [_script(peer, frame, values) for peer in peers]
    spans = parse(congested, frame=frame, values=SPANS).events
    scene = _Scene(handler, scripts, spans, settings, protocol)
    work = scene.connect(reconnect, greet, protocol, options) if several else scene.serve(protocol, request, options)
    run_virtually(scene.run(work))
    before: dict[str, Any] = {f"peer {n}": s.events for n, s in enumerate(scripts, 1) if isinstance(s, Script)}
    if not several:
        before = {"incoming": before["peer 1"]} if incoming is not None else {}
    return _result(scene, frame, dict(values or {}), before)


class _Scene:
    """A socket and its peers, and what is seen of them."""

    socket: WebSocket[Any, Any]
    kept: Kept

    def __init__(
        self,
        handler: Callable[..., Any],
        scripts: list[Script | Exception],
        spans: tuple[Event, ...],
        settings: Settings,
        protocol: str | None,
    ) -> None:
        self.codec = settings.codec_for(protocol)
        self._make = partial(settings.make_codec, protocol)  # the codec of a peer
        self.wires: list[MemoryWire] = []
        self.events: dict[str, list[Event]] = {"dropped": [], "states": []}
        self._handler = handler
        self._scripts = scripts
        self._spans = spans
        self._played = asyncio.Event()

    async def run(self, work: Any) -> None:
        """Run until the socket has closed, or the peer has nothing more to do."""
        await work
        life = self.socket._life  # pyright: ignore[reportPrivateUsage]
        closed = asyncio.ensure_future(self.socket.closed)
        played = asyncio.create_task(self._played.wait())
        await asyncio.wait({closed, played}, return_when=asyncio.FIRST_COMPLETED)
        if life.close_cause is not None:
            await closed
        self.recording = self.kept.recording
        closed.cancel()
        self.close = life.close_cause
        self.kept.dispose()
        life.abort()
        await asyncio.sleep(0)

    async def serve(self, protocol: str | None, request: Any, options: Mapping[str, Any]) -> None:
        """Run a handler."""
        _, wire = serve(self._handler, protocol=protocol, request=request, watch=self._watch, **options)
        wire.pongs = True
        self.wires.append(wire)
        script = self._scripts[0]
        assert isinstance(script, Script)
        play(wire, script, self._make(), self._played.set)
        congest(wire, self._spans)

    async def connect(
        self, reconnect: Backoff | None, greet: Any, protocol: str | None, options: Mapping[str, Any]
    ) -> None:
        """Run a client."""
        dialer = ScriptedDialer(self._scripts, self._make, self._played.set)
        dialer.protocol, dialer.wires = protocol, self.wires
        socket = await Connect[Any, Any](dialer, check(options), reconnect, greet)
        self._watch(socket)
        socket.states.subscribe(self._note_state)
        life = socket._life  # pyright: ignore[reportPrivateUsage]
        Handler(self._handler).compose(life, socket)()

    def _watch(self, socket: WebSocket[Any, Any]) -> None:
        self.socket = socket
        self.kept = keep(socket, max_events=1_000_000)
        socket.dropped.subscribe(lambda item: self._note("dropped", "next", item))

    def _note_state(self, state: State) -> None:
        name = type(state).__name__
        self._note("states", "completed" if name == "Closed" else "next", name)

    def _note(self, lane: str, kind: Kind, data: Any) -> None:
        now = asyncio.get_running_loop().time()
        if not self.kept.is_disposed:
            self.events[lane].append(Event(now, lane, kind, None if kind == "completed" else data))


def _script(peer: Peer | None, frame: float, values: Mapping[str, Any] | None) -> Script | Exception:
    match peer:
        case None:
            return Script((), MAX_SECONDS)
        case str(text):
            return parse(text, lane="incoming", frame=frame, values=values)
        case _:
            return peer


def _result(scene: _Scene, frame: float, values: dict[str, Any], before: dict[str, Any]) -> Run:
    recording = scene.recording
    log = sorted((entry for wire in scene.wires for entry in wire.log), key=lambda entry: entry[0])
    got = [Event(time, "outgoing", "next", _read(scene.codec, data)) for time, seen, data in log if seen == "message"]
    ends = [event for event in recording if event.lane == "socket" and event.kind == "close"]
    result = Run(got + ends[-1:] * (scene.close is not None), frame=frame, values=values, before=before)

    def diagram(events: Sequence[Event], values: Mapping[str, Any] = values) -> Marbles:
        return Marbles(events, frame=frame, values=values)

    result.recording = recording
    result.errors = diagram([event for event in recording.lane("errors") if event.kind != "completed"])
    result.held = diagram(_spans(log), SPANS)
    result.dropped = diagram(scene.events["dropped"])
    result.states = diagram(scene.events["states"], STATES)
    result.sent = [data for _, seen, data in log if seen == "message"]
    result.close = scene.close
    return result


def _spans(log: list[tuple[float, Any, Any]]) -> list[Event]:
    """Make a diagram of when reading was held; what took no time is not in it."""
    events: list[Event] = []
    for time, seen, _ in log:
        if seen == "hold":
            events.append(Event(time, "held", "next", "["))
        elif seen == "resume":
            if events[-1].time == time:
                events.pop()
            else:
                events.append(Event(time, "held", "next", "]"))
    return events


def _read(codec: object, data: str | bytes) -> Any:
    """Read a message that was sent: JSON if there is a codec and it is that."""
    if codec is codecs.text or isinstance(data, bytes):
        return data
    try:
        return json.loads(data)
    except ValueError:
        return data
