"""A recording as an SVG picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from rxws.close import Close
from rxws.marbles.layout import (
    FROM_ZERO,
    Clock,
    Lane,
    Layout,
    Marble,
    columns_of,
    duration_of,
    end_together,
    short,
    shorten,
    text_of,
    time_of,
    title_of,
)
from rxws.marbles.trace import DARK_TRACE, LIGHT_TRACE, Trace
from rxws.recording.event import Event, Recording

ROW: Final = 64
"""Pixels from lane to lane."""
RADIUS: Final = 19
GAP: Final = 4
"""Pixels between marbles; lanes that end nearer to each other end together."""
CHARACTER: Final = 9.03
"""Pixels of a character of the font, which has one width."""
LEAST_TIME: Final = 200
"""Pixels from the beginning to the end at least: a picture that is to be narrower is wider."""
NORMAL_CODES: Final = (1000, 1001, 1005)
"""Codes of closes that are normal."""
EVENTS_TOLD: Final = 8
"""Events of a lane that the text alternative tells one by one, and then of its ends and closes."""

LIGHT: Final = {
    "text": "font:600 15px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1c2330",
    ".name": "font-weight:500;fill:#5b6575;text-anchor:end",
    ".time": "font-weight:500;font-size:12px;fill:#5b6575;text-anchor:middle",
    ".why": "font-size:12px;fill:#c6293f;text-anchor:end",
    ".optext": "text-anchor:middle",
    ".value": "text-anchor:middle;fill:#10151d",
    ".axis": "fill:none;stroke:#8a94a6;stroke-width:2",
    ".tick,.drop": "fill:none;stroke:#8a94a6;stroke-width:1.5",
    ".end": "stroke:#1c2330;stroke-width:3",
    ".cross": "fill:none;stroke:#c6293f;stroke-width:3.5",
    ".op": "fill:#eef2f8;stroke:#c3ccda;stroke-width:1.5",
    ".m rect": "fill:#fff;stroke:#1c233033;stroke-width:1.5",
    ".l0 rect": "fill:#8fd3ff",
    ".l1 rect": "fill:#ffd580",
    ".l2 rect": "fill:#c9b8ff",
    ".l3 rect,.good rect": "fill:#9be3b8",
    ".l4 rect": "fill:#ffc2e2",
    ".bad rect": "fill:#ffa6b5",
    ".burst rect": "stroke:#1c2330;stroke-dasharray:3 3",
}
DARK: Final = {
    "text": "fill:#e6ebf3",
    ".name,.time": "fill:#98a3b5",
    ".why": "fill:#ff7d8f",
    ".value": "fill:#10151d",
    ".end": "stroke:#e6ebf3",
    ".cross": "stroke:#ff7d8f",
    ".op": "fill:#1d2532;stroke:#3a4659",
}


def _css(rules: Mapping[str, str]) -> str:
    """Write rules that stay within the picture when it stands in a page."""
    return "".join(
        f"{','.join(f'.rxws-marbles {selector}' for selector in selectors.split(','))}{{{declarations}}}\n"
        for selectors, declarations in rules.items()
    )


STYLE: Final = f"{_css(LIGHT)}@media(prefers-color-scheme:dark){{\n{_css(DARK)}}}\n"
TRACE_STYLE: Final = f"{_css(LIGHT_TRACE)}@media(prefers-color-scheme:dark){{\n{_css(DARK_TRACE)}}}\n"
GROUND: Final = (
    ".rxws-marbles{border-radius:10px;background:#fff}\n"
    "@media(prefers-color-scheme:dark){.rxws-marbles{background:#10151d}}\n"
)


def svg(recording: Recording, *, operators: Mapping[str, str] | None = None, width: int = 840) -> str:
    """Draw a recording as a marble diagram: a lane each, the time from left to right.

    Values are in the marbles; those that would overlap become a counted pill. A bar is a completion, a cross an error,
    a code a close. `operators` puts a box with a text above a lane: what makes it of the lane before.

    The SVG stands alone, is good in light and dark, says in its `aria-label` what it shows, and shows a marble's whole
    value where the mouse is. Memory: what fits in the width, whatever the length of the recording.

    Args:
        recording: The recording.
        operators: A text for each lane that a box with operators stands above.
        width: Pixels; more if the names of the lanes leave less than 200 for the time.

    >>> svg(Recording([Event(0.1, "a", "next", "hello")]))[:44]
    '<svg xmlns="http://www.w3.org/2000/svg" clas'
    """
    told = _Alternative(recording)
    sheet = Sheet(list(dict.fromkeys([*recording.lanes, *told.lanes])), 0.0, duration_of(recording), width)
    return sheet.draw(sheet.layout().arrange(sheet.names, recording), str(told), operators or {})


class Sheet:
    """The paper of a diagram: the lanes' names on the left, then the time from `begin` to `end`, in seconds."""

    def __init__(self, names: Sequence[str], begin: float, end: float, width: int, clock: Clock = FROM_ZERO) -> None:
        self.names = names
        self.clock = clock
        self.left = max([columns_of(title_of(name)) for name in names], default=0) * CHARACTER + 32
        """Where the lanes begin."""
        self.width = max(width, round(self.left) + 126 + LEAST_TIME)
        self.scale = (self.width - 90 - self.left - 36) / (end - begin)
        """Pixels of a second."""
        self._begin = begin
        self._end = end

    def place(self, time: float) -> float:
        """Give the place of a time."""
        return self.left + 36 + self.scale * (time - self._begin)

    def layout(self) -> Layout:
        """Make what puts events on this sheet."""
        return Layout(
            self.place,
            lambda label: max(RADIUS, columns_of(label) * CHARACTER / 2 + 11),
            gap=GAP,
            slot=56,
            edge=self.left + GAP,
        )

    def draw(
        self,
        lanes: Sequence[Lane],
        told: str,
        operators: Mapping[str, str],
        *,
        traces: Sequence[Trace] = (),
        ground: bool = False,
    ) -> str:
        """Draw lanes that are laid out, with a text alternative, and traces below them.

        On a `ground`, for pages of whatever color.
        """
        parts: list[str] = []
        marbles: list[str] = []
        left, width, y = self.left, self.width, 36.0
        end_together(lanes, lambda one, other: self.scale * abs(one.time - other.time) <= GAP)
        for number, lane in enumerate(lanes):
            if lane.name in operators:
                parts += _operator(lanes[number - 1] if number else None, lane, operators[lane.name], left, width, y)
                y += 86
            parts += _lane(lane, left, width, y)
            into = marbles if ground else parts
            into += [_marble(marble, number, y, self.clock) for marble in lane.marbles]
            into += _ends(lane, width, y)
            y += ROW
        for one in traces:
            parts += one.draw(self.place, left, width - 18, self.place(self._end), y + 14)
            y += ROW
        for time in self.clock.ticks(self._begin, self._end, 8):
            parts.append(_tick(self.place(time), self.clock.written(time), y - 14))
        if ground:  # of a window, whose marbles go out on the left: they must not cover the names
            box = f"{left:.0f} 0 {width - left:.0f} {y + 20:g}"
            x, _, wide, high = box.split()
            parts += [f'<svg x="{x}" width="{wide}" height="{high}" viewBox="{box}">', *marbles, "</svg>"]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="rxws-marbles" '
            f'viewBox="0 0 {width} {y + 20:g}" role="img" aria-label="{escape(told)}">\n'
            f"<style>\n{STYLE}{TRACE_STYLE * bool(traces)}{GROUND * ground}</style>{''.join(parts)}</svg>\n"
        )


def _lane(lane: Lane, left: float, width: int, y: float) -> list[str]:
    right = width - 18
    return [
        f'<text class="name" x="{left - 16:.0f}" y="{y + 5:g}">{escape(title_of(lane.name))}</text>'
        f'<path class="axis" d="M{left:.0f} {y:g}H{right}m-9 -6l9 6l-9 6"/>'
    ]


def _ends(lane: Lane, width: int, y: float) -> list[str]:
    right, parts = width - 18, list[str]()
    for x, event in lane.ends:
        if event.kind == "completed":
            parts.append(f'<path class="end" d="M{x:.1f} {y - 20:g}v40"/>')
        else:
            why = escape(short(event.data, 24))
            parts.append(
                f'<path class="cross" d="M{x:.1f} {y - 9:g}l18 18m0 -18l-18 18"/>'
                f'<text class="why" x="{min(x + 18, right):.1f}" y="{y + 32:g}">{why}</text>'
            )
    return parts


def _marble(marble: Marble, lane: int, y: float, clock: Clock) -> str:
    event = marble.event
    whole = f"{marble.count} items, the last: " if marble.count > 1 else ""
    title = f"{clock.exactly(event.time)}: {whole}{short(event.data, 200)}"
    return (
        f'<g class="m {_kind(marble, lane)}"><title>{escape(title)}</title>'
        f'<rect x="{marble.x - marble.half:.1f}" y="{y - RADIUS:g}" width="{2 * marble.half:.1f}" '
        f'height="{2 * RADIUS}" rx="{RADIUS}"/>'
        f'<text class="value" x="{marble.x:.1f}" y="{y + 5:g}">{escape(marble.label)}</text></g>'
    )


def _kind(marble: Marble, lane: int) -> str:
    match marble.event:
        case Event(kind="open"):
            return f"open{' burst' * (marble.count > 1)}"
        case Event(data=Close(code=code)):
            return f"{'good' if code in NORMAL_CODES else 'bad'}{' burst' * (marble.count > 1)}"
        case Event(data=BaseException()):
            return "bad burst" if marble.count > 1 else "bad"
        case _:
            return f"l{lane % 5} burst" if marble.count > 1 else f"l{lane % 5}"


def _operator(above: Lane | None, below: Lane, text: str, left: float, width: int, y: float) -> list[str]:
    """A box, and arrows: from the marbles above into it, from it to the marbles below."""
    room = width - 50 - left
    top = y - 16
    parts = [
        f'<rect class="op" x="{left:.0f}" y="{top:g}" width="{room:.0f}" height="54" rx="10"/>'
        f'<text class="optext" x="{left + room / 2:.0f}" y="{top + 33:g}">'
        f"{escape(shorten(text, int(room / CHARACTER) - 2))}</text>"
    ]
    arrows = [(marble.x, top - 24) for marble in (above.marbles if above else [])]
    arrows += [(marble.x, top + 56) for marble in below.marbles]
    parts += [f'<path class="drop" d="M{x:.1f} {start:g}v22m-4 -6l4 6l4 -6"/>' for x, start in arrows]
    return parts


def _tick(x: float, time: str, y: float) -> str:
    text = f'<text class="time" x="{x:.1f}" y="{y + 6:g}">{escape(time)}</text>'
    return f'<path class="tick" d="M{x:.1f} {y - 14:g}v6"/>{text}'


class _Alternative:
    """The text alternative: the first events of each lane, and how many more."""

    def __init__(self, recording: Recording) -> None:
        self.lanes: dict[str, list[str]] = {name: [] for name in recording.lanes}
        self._all = dict.fromkeys(self.lanes, 0)
        for event in recording:
            told = self.lanes.setdefault(event.lane, [])
            if len(told) < EVENTS_TOLD or event.kind in ("error", "completed", "close"):
                told.append(_told(event))
            if len(told) == 2 * EVENTS_TOLD:
                del told[EVENTS_TOLD]
            self._all[event.lane] = self._all.get(event.lane, 0) + 1

    def __str__(self) -> str:
        sentences = [
            f"{text_of(name)}: {', '.join(told) or 'nothing'}"
            f"{f', and {more} more' if (more := self._all.get(name, 0) - len(told)) else ''}."
            for name, told in self.lanes.items()
        ]
        return " ".join(["Marble diagram.", *sentences])


def _told(event: Event) -> str:
    at = f"at {time_of(round(event.time, 4))}"
    match event:
        case Event(kind="completed"):
            return f"completes {at}"
        case Event(kind="error", data=error):
            return f"fails with {short(error, 40)} {at}"
        case Event(kind="open"):
            return f"opens {at}"
        case Event(data=Close(code=code, reason=reason)):
            return f"closes with {code}{' ' if reason else ''}{text_of(reason)} {at}"
        case _:
            return f"{short(event.data, 40)} {at}"
