"""The last seconds of some lanes, laid out as events come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock
from typing import Final

from rxws.marbles.layout import Clock, Lane, Marble, label_of, text_of
from rxws.marbles.picture import Sheet
from rxws.marbles.text import Strip
from rxws.marbles.trace import Trace
from rxws.recording.event import Event, Recording

LANES_WIDTH: Final = 840


class Lanes:
    """Where the events of the last `window` seconds are drawn; the sink of a recorder.

    Events of a burst are one marble, and marbles that have left the window are forgotten: memory is what fits in the
    width of the picture, whatever comes.
    """

    def __init__(
        self, recording: Recording, window: float, changed: Callable[[], object], end: Callable[[], object]
    ) -> None:
        self.names: Sequence[str] = recording.lanes
        self.window = window
        self.counts = dict.fromkeys(self.names, 0)
        """The items of each lane so far."""
        self.newest = 0.0
        """The time of the last event."""
        self.ended = False
        self.traces: Sequence[Trace] = ()
        """What is drawn below the lanes."""
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self.clock = Clock(None if recording.start is None else recording.start.astimezone())
        self._sheet = Sheet(self.names, 0.0, window, LANES_WIDTH)
        self._layout = self._sheet.layout()
        self._rows = {name: Lane(name) for name in self.names}
        self._changing = Lock()
        self._changed = changed
        self._end = end

    def put(self, event: Event) -> bool:
        """Take an event; from any thread."""
        with self._changing:
            row = self._rows[event.lane]
            self._layout.add(row, event)
            self.newest = event.time
            if event.kind == "next":
                self.counts[event.lane] += 1
            if len(row.marbles) > LANES_WIDTH:
                del row.marbles[: -LANES_WIDTH // 2]
        self._changed()
        return True

    def close(self) -> None:
        """Record that no more events come."""
        self.ended = True
        self._end()

    def now(self) -> float:
        """Give the time that the picture shows: the present, or that of the end."""
        return self.newest if self.ended else self._clock() - self._began

    def svg(self) -> str:
        """Draw the window."""
        begin, _ = self._span()
        sheet = Sheet(self.names, begin, begin + self.window, LANES_WIDTH, self.clock)
        shift = self._sheet.scale * begin
        return sheet.draw(self._shifted(shift), self.told(), {}, traces=self.traces, ground=True)

    def text(self) -> str:
        """Write the window."""
        begin, _ = self._span()
        strip = Strip(self.names, begin, begin + self.window, clock=self.clock)
        layout = strip.layout()
        rows = [Lane(name) for name in self.names]
        for row, lane in zip(rows, self._shifted(0.0), strict=True):
            for marble in lane.marbles:
                if marble.event.time >= begin:
                    layout.add(row, marble.event, marble.count)
            for _, event in lane.ends:
                layout.add(row, event)
        return strip.write(rows)

    def told(self) -> str:
        """Say it: the text alternative."""
        begin, now = self._span()
        now_told = f"{now:.3g} s" if self.clock.start is None else self.clock.exactly(now)[:8]
        sentences = [f"Marble diagram of the {now - begin:.3g} seconds to {now_told}."]
        for row in self._rows.values():
            last = f", the last {label_of(row.marbles[-1].event)}" if row.marbles else ""
            end = f"; it {'completed' if row.ends[-1][1].kind == 'completed' else 'failed'}" if row.ends else ""
            sentences.append(f"{text_of(row.name)}: {self.counts[row.name]} items so far{last}{end}.")
        return " ".join([*sentences, *(one.told() for one in self.traces)])

    def last(self, lane: str) -> Marble | None:
        """Give the newest marble of a lane."""
        marbles = self._rows[lane].marbles
        return marbles[-1] if marbles else None

    def quiet(self) -> bool:
        """Return whether nothing has come for so long that nothing is in the window."""
        return self.now() - self.newest > 1.2 * self.window

    def _span(self) -> tuple[float, float]:
        now = self.now()
        return max(0.0, now - self.window), now

    def _shifted(self, shift: float) -> list[Lane]:
        """Copy what is in the window, and forget what is not."""
        edge = self._sheet.left + shift
        with self._changing:
            for row in self._rows.values():
                gone = 0
                while gone < len(row.marbles) and row.marbles[gone].right < edge:
                    gone += 1
                del row.marbles[:gone]
                while row.ends and row.ends[0][0] < edge:
                    del row.ends[0]
            return [
                Lane(
                    row.name,
                    [replace(marble, first=marble.first - shift, last=marble.last - shift) for marble in row.marbles],
                    [(x - shift, event) for x, event in row.ends],
                )
                for row in self._rows.values()
            ]
