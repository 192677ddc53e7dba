"""`watch`: Observables as a live marble diagram."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reactivex import Observable

from rxws.checks import positive
from rxws.jupyter.pictures.lanes import Lanes
from rxws.jupyter.pictures.live import Live, image
from rxws.recording import Recording
from rxws.recording.recorder import Recordable, Recorder


def watch(*, window: float = 20.0, **lanes: Observable[Any]) -> Live:
    """Show Observables as a live marble diagram, a lane each: `watch(trades=trades, spikes=spikes)`.

    Values are in the marbles; a burst is one pill with its count. A bar is a completion, a cross an error. The picture
    shows the last `window` seconds. You can pause it, and point at a marble to see its whole value.

    Subscribes at once; `share` Observables that must not run twice. `await watch(...).done(timeout=...)` waits for
    their ends. Memory: what fits in the width of the picture, whatever comes.

    Args:
        window: Seconds that the picture shows.
        lanes: The Observables, by the names of their lanes.

    Raises `TypeError` for what is not an Observable, `ValueError` for no lanes or a window that is not positive,
    `RuntimeError` where no event loop runs.
    """
    if not lanes:
        raise ValueError("watch needs Observables by name: watch(trades=trades)")
    positive("window", window, "seconds")
    for name, lane in lanes.items():
        if not isinstance(lane, Observable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{name} must be an Observable, not {lane!r}")
    return Live(LiveMarbles(lanes, window))


class LiveMarbles:
    """A marble diagram of the last seconds."""

    interval = 0.05
    _lanes: Lanes
    _recorder: Recorder

    def __init__(self, source: Recordable, window: float) -> None:
        self._source = source
        self._window = window

    def start(self, changed: Callable[[], object], end: Callable[[], object]) -> None:
        """Begin to watch."""

        def lanes(recording: Recording) -> Lanes:
            self._lanes = Lanes(recording, self._window, changed, end)
            return self._lanes

        self._recorder = Recorder(self._source, {}, lanes)
        del self._source  # a picture keeps no socket

    def stop(self) -> None:
        """Stop watching."""
        self._recorder.dispose()

    async def draw(self) -> str:
        """Draw it."""
        return self._lanes.svg()

    def still(self) -> str:
        """Draw it as an image."""
        return image(self._lanes.svg(), self._lanes.told())

    def text(self) -> str:
        """Write it."""
        return self._lanes.text()

    def settled(self) -> bool:
        """Return whether nothing moves."""
        return self._lanes.quiet()
