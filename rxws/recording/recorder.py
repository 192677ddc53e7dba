"""Recorders: they watch a socket or Observables, and note what happens."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any, Final, Protocol, cast

from reactivex import Observable, Observer, abc
from reactivex.disposable import CompositeDisposable, Disposable
from reactivex.internal import noop

from rxws import codecs
from rxws.checks import positive_int
from rxws.close import Close
from rxws.core.lifecycle import Lifecycle
from rxws.core.log import log_line
from rxws.core.reports import News
from rxws.core.socket import WebSocket
from rxws.errors import raise_fatal
from rxws.recording.event import SOCKET_LANES, Event, Kind, Recording
from rxws.recording.plain import plainly
from rxws.recording.writer import FileSink
from rxws.rx.foreign import described
from rxws.rx.scheduler import loop_scheduler

logger = logging.getLogger("rxws")

MAX_BYTES: Final = 2**30
"""Bytes of a file at which its recording ends."""

Recordable = WebSocket[Any, Any] | Mapping[str, Observable[Any]]
"""A socket, or Observables with the names of their lanes."""


class EventSink(Protocol):
    """Where events go."""

    def put(self, event: Event) -> bool:
        """Take an event; `False` if no more are taken."""
        ...

    def close(self) -> None:
        """Record that no more events come."""


class Recorder(Disposable):
    """A recording that is being made; it ends with its source, or when it is disposed."""

    def __init__(self, source: Recordable, about: Mapping[str, Any], sink_of: Callable[[Recording], EventSink]) -> None:
        super().__init__(self._stop)
        _check(source)
        socket = source if isinstance(source, WebSocket) else None
        lanes = SOCKET_LANES if socket is not None else tuple(cast("Mapping[str, Any]", source))
        self._recording = Recording((), lanes, datetime.now(UTC), {**(_about(socket) if socket else {}), **about})
        self._sink = sink_of(self._recording)
        self._clock = _clock()
        self._began = self._clock()
        self._noting = RLock()  # what notes an event may log, and a handler of logs may send on what is recorded
        self._left = len(lanes)
        self._subscriptions = CompositeDisposable()
        if socket is not None:
            self._record_socket(socket._life)  # pyright: ignore[reportPrivateUsage]
        else:
            self._record_observables(cast("Mapping[str, Observable[Any]]", source))

    def note(self, lane: str, kind: Kind, data: Any = None) -> None:
        """Note that something happens now; from any thread, ignored after the end.

        Args:
            lane: The name of the lane.
            kind: What happens.
            data: The value, the error or the close that goes with it.
        """
        with self._noting:
            try:
                if self.is_disposed or self._sink.put(Event(round(self._clock() - self._began, 6), lane, kind, data)):
                    return
            except BaseException as error:  # of the item's own methods: no subscriber's, nor the socket's
                raise_fatal(error)
                message = "the recording ends: an event of the lane %s cannot be recorded: %s"
                log_line(logger, logging.ERROR, message, lane, described(error))
        self.dispose()

    def _record_socket(self, life: Lifecycle) -> None:
        def tell(news: News) -> None:
            match news:
                case "error", error:
                    self.note("errors", "next", error)
                case "leave", close:
                    self.note("incoming", "close", close)
                case _:
                    self.note("socket", *news)

        def end(close: Close) -> None:
            self.note("errors", "completed")
            self.note("socket", "close", close)
            self.note("socket", "completed")
            self.dispose()

        if life.connection is not None:
            self.note("socket", "open", life.protocol)
        subscriptions = self._subscriptions
        subscriptions.add(life.incoming.monitor(self._observer("incoming")))
        subscriptions.add(life.outgoing.monitor(self._observer("outgoing")))
        subscriptions.add(life.reports.news.subscribe(Observer(tell)))
        subscriptions.add(life.closed.subscribe(end))

    def _record_observables(self, sources: Mapping[str, Observable[Any]]) -> None:
        for lane, source in sources.items():
            self._subscriptions.add(source.subscribe(self._observer(lane, self._ended), scheduler=loop_scheduler()))

    def _observer(self, lane: str, then: Callable[[], object] = lambda: None) -> abc.ObserverBase[Any]:
        def fail(error: Exception) -> None:
            self.note(lane, "error", error)
            then()

        def complete() -> None:
            self.note(lane, "completed")
            then()

        return Observer(lambda item: self.note(lane, "next", item), fail, complete)

    def _ended(self) -> None:
        with self._noting:
            self._left -= 1
        if not self._left:
            self.dispose()

    def _stop(self) -> None:
        self.action = noop  # this method, which has the recorder
        self._subscriptions.dispose()
        with self._noting:  # wait for an event that another thread notes now; none follows
            pass
        self._sink.close()


class Kept(Recorder):
    """A recording in memory."""

    def __init__(self, source: Recordable, max_events: int) -> None:
        self._events = _Newest(max_events)
        super().__init__(source, {}, lambda recording: self._events)

    @property
    def recording(self) -> Recording:
        """What has happened so far: a copy that does not change."""
        made = self._recording
        return Recording(tuple(self._events), made.lanes, made.start, made.about)


def record(
    source: Recordable, file: str | Path, *, about: Mapping[str, Any] | None = None, max_bytes: int = MAX_BYTES
) -> Recorder:
    """Write what happens on a socket, or on Observables, to a file of JSON lines, until they end or it is disposed.

    `record(socket, "session.jsonl")` writes the messages as they are decoded, or before they are encoded. It changes
    nothing for the socket: it starts no reading, and counts neither as a subscriber nor as an observer of errors.
    `record({"ticks": ticks}, file)` subscribes to the Observables; `share` those that must not run twice.

    Times are the event loop's where one runs, so virtual ones in tests. The file is made at once. A thread writes it,
    so a slow disk never stalls an event loop: the file is complete soon after the end, and `read` waits for that.
    Memory: above 8 MiB of lines that wait, events are dropped; the file counts them, on the lane `recording`. At
    `max_bytes` the recording ends, and says so there too.

    A forked process, such as a worker of `rxws.run`, writes its events to a file of its own: `session.4711.jsonl`
    beside `session.jsonl`, where 4711 is its process id.

    Args:
        source: A socket, or a mapping of names to Observables.
        file: Where to write; it is replaced if it is there.
        about: What goes into the header besides what is known of the socket: a mapping that JSON can say.
        max_bytes: Bytes of the file at which the recording ends.

    Raises `OSError` if the file cannot be made, or while another recording is written there: sockets that are open at
    the same time need a file each. Raises `TypeError` for what is neither a socket nor Observables by name, `TypeError`
    or `ValueError` if `about` is not JSON of less than 1 MiB.
    """
    codec = source._life.outgoing.codec if isinstance(source, WebSocket) else codecs.text  # pyright: ignore
    return Recorder(source, about or {}, lambda recording: FileSink(recording, file, max_bytes, plainly(codec)))


def keep(source: Recordable, *, max_events: int = 10_000) -> Kept:
    """Keep what happens on a socket, or on Observables, in memory, until they end or it is disposed.

    `recording` has the events so far, whenever you ask. Otherwise it is as `record`.

    Args:
        source: A socket, or a mapping of names to Observables.
        max_events: Events that are kept.

    Memory: the newest `max_events` events. Raises `TypeError` for what is neither a socket nor Observables by name.

    >>> import reactivex
    >>> kept = keep({"letters": reactivex.of("a", "b")})
    >>> [(event.kind, event.data) for event in kept.recording]
    [('next', 'a'), ('next', 'b'), ('completed', None)]
    """
    return Kept(source, positive_int("max_events", max_events, "events"))


class _Newest:
    """The newest events."""

    def __init__(self, number: int) -> None:
        self._events = deque[Event](maxlen=number)

    def put(self, event: Event) -> bool:
        self._events.append(event)
        return True

    def close(self) -> None:
        """They stay."""

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events.copy())


def _check(source: Any) -> None:
    """Raise `TypeError` for what cannot be recorded; an Observable alone would be asked for its items without end."""
    if isinstance(source, WebSocket):
        return
    if not isinstance(source, Mapping):
        hint = ": give it a name, {'items': observable}" if isinstance(source, Observable) else ""
        raise TypeError(f"a recording is of a socket, or of Observables by name, not of {source!r}{hint}")
    for lane, observable in cast("Mapping[Any, Any]", source).items():
        if not isinstance(lane, str):
            raise TypeError(f"the name of a lane must be a str, not {lane!r}")
        if not isinstance(observable, Observable):
            raise TypeError(f"{lane} must be an Observable, not {observable!r}")


def _about(socket: WebSocket[Any, Any]) -> dict[str, Any]:
    about = {"remote": socket.remote, "protocol": socket.protocol}
    return {name: value for name, value in about.items() if value is not None}


def _clock() -> Callable[[], float]:
    try:
        return asyncio.get_running_loop().time
    except RuntimeError:
        return time.monotonic
