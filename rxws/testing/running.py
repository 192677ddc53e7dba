"""Run a handler, or a client, against a scripted peer under virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast, overload

from aiohttp import web

from rxws import codecs
from rxws.backoff import Backoff
from rxws.client.connecting import Connect
from rxws.client.greeting import check_greet
from rxws.client.states import State
from rxws.close import Close
from rxws.core.handler import Handler
from rxws.core.lifecycle import Lifecycle
from rxws.core.socket import WebSocket
from rxws.errors import ConnectError
from rxws.options import Settings, check
from rxws.recording import Event, Kept, Recording, keep
from rxws.recording.event import Kind
from rxws.testing.dialing import ScriptedDialer, congest, play
from rxws.testing.marbles import Marbles
from rxws.testing.memory import MemoryWire, serve, undecorated
from rxws.testing.notation import FRAME, RefusedHandshake, Script, parse
from rxws.testing.virtual import run_virtually

MAX_SECONDS: Final = 60.0
"""Seconds of virtual time that a run takes at most if its peer has no script."""

SPANS: Final = {"[": "[", "]": "]"}
"""The marks of a diagram of spans."""

STATES: Final = {"C": "Connecting", "O": "Open", "W": "Waiting"}
"""The letters of a diagram of states; the end is a completion."""

ARGUMENTS: Final = ("incoming", "congested", "frame", "values", "protocol", "request", "reconnect", "greet")
"""The arguments of `run` besides the options."""

Peer = str | Script | Exception


class Run(Marbles):
    """What the peer got and how the socket ended, as a marble diagram; the attributes have the rest."""

    errors: Marbles
    """What went wrong, observed or not: `--(# DecodeError)`."""
    held: Marbles
    """When reading was held, from `[` to `]`: `-[---]`."""
    dropped: Marbles
    """The messages that the overflow policy dropped."""
    states: Marbles
    """The states of a client: `C` connecting, `O` open, `W` waiting, `|` closed."""
    refusal: web.HTTPException | None
    """The HTTP response that the handler raised in place of a socket: `(refused 403)`."""
    recording: Recording
    """The recording of the run: draw it or save it."""
    sent: list[str | bytes]
    """The messages as the peer got them."""
    close: Close | None
    """How the socket ended, if it did."""


@overload
def run(
    handler: Callable[..., Any],
    incoming: Mapping[str, Peer],
    *,
    frame: float = FRAME,
    values: Mapping[str, Any] | None = None,
    protocol: str | None = None,
    request: Any = None,
    **options: Any,
) -> dict[str, Run]: ...
@overload
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
) -> Run: ...
def run(
    handler: Callable[..., Any],
    incoming: Peer | Sequence[Peer] | Mapping[str, Peer] | None = None,
    *,
    congested: str = "",
    frame: float = FRAME,
    values: Mapping[str, Any] | None = None,
    protocol: str | None = None,
    request: Any = None,
    reconnect: Backoff | None = None,
    greet: Any = None,
    **options: Any,
) -> Run | dict[str, Run]:
    """Run a handler in virtual time, and return what its peer got, to compare with a marble diagram.

    With `reconnect` or `greet`, the function is a client's. It runs when the greeting is done; the script contains the
    peer's answers to the greeting. A list for `incoming` says what a client's peer does on each connection, one after
    the other; an exception in it, or "(refused 503)", refuses a connection. A dictionary says what several peers of a
    handler do at the same time, each on its own socket: members of a room, for example. The result is then a
    dictionary, too. Options override those of the handler's decorator.

    If a handler raises a `web.HTTPException` before its socket opens, the result is `(refused 403)`, and `refusal` has
    the exception. So it is for a request with a foreign `Origin`.

    The run ends with the sockets. If one stays open, it ends with the longest diagram, or after 60 s if there is none.
    You may call it from an `async def` too. Raises `ValueError` for a malformed diagram, `TypeError` for a wrong
    option, and for a client without `reconnect` what `connect` raises, such as an error of its greeting.

    Args:
        handler: The handler or the client's function.
        incoming: What the peer does: a diagram or `None`; a list of them for a client, a dictionary for several peers.
            `replay` plays a recording.
        congested: When the peer does not read, from `[` to `]`.
        frame: Seconds per character.
        values: The messages that single characters stand for; the `codec` encodes them.
        protocol: The subprotocol that was negotiated.
        request: The request that the handler gets; a dictionary has one for each of several peers.
        reconnect: How the client reconnects.
        greet: The greeting of the client.
        options: As for `rxws.websocket` or `rxws.connect`.

    >>> from reactivex import operators as ops
    >>> def shout(incoming):
    ...     return incoming.pipe(ops.debounce(0.2), ops.map(str.upper))
    >>> run(shout, "-a-bc---d|") == "------C--(close 1000)"
    True
    """
    handler, options = undecorated(handler, options)
    settings = check(options, also=ARGUMENTS)
    check_greet(greet, settings)
    is_client = reconnect is not None or greet is not None or isinstance(incoming, (list, tuple))
    spans = parse(congested, frame=frame, values=SPANS)
    if is_client and (request is not None or spans.events):
        raise TypeError("request and congested are for handlers; for a client, use a list of what its peers do")
    given = dict(values or {})

    def scene_of(*scripts: Script | Exception) -> _Scene:
        return _Scene(handler, list(scripts), spans, settings, protocol)

    if isinstance(incoming, Mapping):
        if reconnect is not None or greet is not None or spans.events:
            raise TypeError("several peers need a handler; reconnect, greet and congested are for a single peer")
        requests = cast("dict[str, Any]", request) if type(request) is dict else dict.fromkeys(incoming, request)
        if requests.keys() != incoming.keys():
            raise ValueError(f"the requests are for {', '.join(requests)}, and the peers are {', '.join(incoming)}")
        scenes = {name: scene_of(_script(peer, frame, values)) for name, peer in incoming.items()}
        run_virtually(
            _play([(scene, scene.serve(protocol, requests[name], options)) for name, scene in scenes.items()])
        )
        earlier = {name: scene.before(name) for name, scene in scenes.items()}
        return {name: _result(scene, frame, given, earlier[name]) for name, scene in scenes.items()}
    if not is_client:
        scene = scene_of(_script(cast("Peer | None", incoming), frame, values))
        run_virtually(_play([(scene, scene.serve(protocol, request, options))]))
        return _result(scene, frame, given, {} if incoming is None else scene.before("incoming"))
    peers = cast("Sequence[Peer | None]", incoming if isinstance(incoming, (list, tuple)) else [incoming])
    scene = scene_of(*(_attempt(_script(peer, frame, values)) for peer in peers))
    run_virtually(_play([(scene, scene.connect(reconnect, greet, protocol, options))]))
    return _result(scene, frame, given, scene.before(*(f"peer {n}" for n in range(1, len(peers) + 1))))


async def _play(scenes: Sequence[tuple[_Scene, Coroutine[Any, Any, None]]]) -> None:
    """Open the sockets, and run until all have closed, or the peers have nothing more to do."""
    for _, work in scenes:
        await work
    open_ones = [scene for scene, _ in scenes if scene.refusal is None]
    if not open_ones:
        return
    closed = [asyncio.ensure_future(scene.socket.closed) for scene in open_ones]
    all_closed, all_played = asyncio.gather(*closed), asyncio.gather(*(scene.played.wait() for scene in open_ones))
    await asyncio.wait({all_closed, all_played}, return_when=asyncio.FIRST_COMPLETED)
    for scene, close in zip(open_ones, closed, strict=True):
        if scene.life.close_cause is not None:
            await close
    for scene in open_ones:
        scene.look()
    for waiting in (all_closed, all_played):
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
    for scene in open_ones:
        scene.life.abort()
    await asyncio.sleep(0)


class _Scene:
    """A socket and its peers, and what is seen of them."""

    socket: WebSocket[Any, Any]
    kept: Kept

    def __init__(
        self,
        handler: Callable[..., Any],
        scripts: list[Script | Exception],
        spans: Script,
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
        self.played = asyncio.Event()
        self.refusal: web.HTTPException | None = None

    @property
    def life(self) -> Lifecycle:
        """What the socket is made of."""
        return self.socket._life  # pyright: ignore[reportPrivateUsage]

    def before(self, *names: str) -> dict[str, Any]:
        """Give the diagrams of the peers, by their names."""
        return {name: s.events for name, s in zip(names, self._scripts, strict=True) if isinstance(s, Script)}

    def look(self) -> None:
        """See how it is now, at the end."""
        self.recording = self.kept.recording
        self.close = self.life.close_cause
        self.kept.dispose()

    async def serve(self, protocol: str | None, request: Any, options: Mapping[str, Any]) -> None:
        """Run a handler."""
        (script,) = self._scripts
        if isinstance(script, Exception) or any(isinstance(event.data, RefusedHandshake) for event in script.events):
            raise ValueError("a handler's peer cannot refuse: for a client, use a list of what its peers do")
        try:
            _, wire = serve(self._handler, protocol=protocol, request=request, watch=self._watch, **options)
        except web.HTTPException as refusal:
            self.refusal = refusal.with_traceback(None)
            self.look()
            return
        self.wires.append(wire)
        longest = replace(script, duration=max(script.duration, self._spans.duration))
        play(wire, longest, self._make(), self.played.set)
        congest(wire, self._spans.events)

    async def connect(
        self, reconnect: Backoff | None, greet: Any, protocol: str | None, options: Mapping[str, Any]
    ) -> None:
        """Run a client."""
        dialer = ScriptedDialer(self._scripts, self._make, self.played.set)
        dialer.protocol, dialer.wires, dialer.settings = protocol, self.wires, check(options)
        socket = await Connect[Any, Any](dialer, dialer.settings, reconnect, greet)
        self._watch(socket)
        socket.states.subscribe(self._note_state)
        Handler(self._handler).compose(self.life, socket)()

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


def _script(peer: Peer | Recording | None, frame: float, values: Mapping[str, Any] | None) -> Script | Exception:
    match peer:
        case None:
            return Script((), MAX_SECONDS)
        case str(text):
            return parse(text, lane="incoming", frame=frame, values=values)
        case Recording():
            raise TypeError("run takes marble diagrams; rxws.testing.replay plays a recording")
        case _:
            return peer


def _attempt(script: Script | Exception) -> Script | Exception:
    """Make of "(refused 503)" the error that a client meets."""
    match script:
        case Script((Event(data=RefusedHandshake(status=status)),)):
            return ConnectError(f"the server answered {status} in place of 101", "http", status=status)
        case Script(events) if any(isinstance(event.data, RefusedHandshake) for event in events):
            raise ValueError("a peer that refuses does nothing else: '(refused 503)' stands alone")
        case _:
            return script


def _result(scene: _Scene, frame: float, values: dict[str, Any], before: dict[str, Any]) -> Run:
    recording = scene.recording
    log = sorted((entry for wire in scene.wires for entry in wire.log), key=lambda entry: entry[0])
    got = [Event(time, "outgoing", "next", _read(scene.codec, data)) for time, seen, data in log if seen == "message"]
    ends = [event for event in recording if event.lane == "socket" and event.kind == "close"]
    if scene.refusal is not None:
        ends = [Event(0.0, "outgoing", "error", RefusedHandshake(scene.refusal.status))]
        got = []
    has_end = scene.close is not None or scene.refusal is not None
    result = Run(got + ends[-1:] * has_end, frame=frame, values=values, before=before)

    def diagram(events: Sequence[Event], values: Mapping[str, Any] = values) -> Marbles:
        return Marbles(events, frame=frame, values=values)

    result.recording = recording
    result.errors = diagram([event for event in recording.lane("errors") if event.kind != "completed"])
    result.held = diagram(_spans(log), SPANS)
    result.dropped = diagram(scene.events["dropped"])
    result.states = diagram(scene.events["states"], STATES)
    result.sent = [data for _, seen, data in log if seen == "message"]
    result.close = None if scene.refusal is not None else scene.close
    result.refusal = scene.refusal
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
    """Read a message that was sent: as JSON, unless the codec is `text` or it is not JSON."""
    if codec is codecs.text or isinstance(data, bytes):
        return data
    try:
        return json.loads(data)
    except ValueError:
        return data
