"""The page of results, docs/conformance.md: written from a run, and read again to compare another run with."""

from __future__ import annotations

import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from tests.conformance.autobahn import ACCEPTED, Verdict
from tests.conformance.musts import MUSTS

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


class Column(NamedTuple):
    """What was run: a role of rxws, on one of its wires."""

    role: str
    wire: str


COLUMNS = [Column(role, wire) for role in ("server", "client") for wire in ("fast", "public")]
Results = Mapping[Column, Sequence[Verdict]]

GROUPS = {
    1: "frames of text and binary messages, of every form of length",
    2: "pings and pongs",
    3: "reserved bits",
    4: "reserved opcodes",
    5: "fragmented messages",
    6: "UTF-8, good and bad, cut anywhere",
    7: "the closing handshake, its codes and reasons",
    9: "messages of up to 16 MiB, in small pieces too; round trips",
    10: "a message sent in fragments of a fixed size",
    12: "permessage-deflate: payloads",
    13: "permessage-deflate: parameters",
}

WHY = {
    ("3.", "4.", "5.15"): "after a violation rxws drops its queue: messages that came just before get no answer",
    ("6.4.",): "a text is checked when its last frame has come, not frame by frame",
    ("7.1.6",): "a close frame follows a message at once; RFC 6455 leaves open whether the message is answered",
    ("7.13.",): "RFC 6455 does not define these codes; rxws answers 1002",
    ("13.",): "the server tests only clients that offer `client_no_context_takeover`, which is optional (7.1.1.2)",
}

PAGE_TEXT = """# Conformance

This page shows in two ways how rxws keeps to the RFCs. The first is the result of Autobahn, a test suite by which
WebSocket libraries are often compared. The second is [a table of each requirement](#what-must-be), with what rxws
does and the tests that show it.

## Autobahn

[kosoku](https://github.com/curioswitch/kosoku) runs the cases of
[Autobahn](https://github.com/crossbario/autobahn-testsuite) for RFC 6455 and RFC 7692 against an echo on rxws, as
a server and as a client, on [both of its wires](fast-wire.md). No case fails. `make conformance` runs all {total}
and writes this page. The test suite runs groups 1 to 10, and a few cases of the others, on one wire, and compares
the results with this page (`tests/conformance/test_autobahn.py`).

{versions}, {date}. Groups 1 to 10 are the same with aiohttp 3.11.0.

Each cell counts cases: OK / non-strict / informational / unimplemented. A case is OK only if both its messages and its
closing handshake are. Groups 12 and 13 are run with contexts and without a threshold (`rxws.Deflate`), since their
cases require that every message is compressed.

{counts}

### What is not strictly OK

{rest}

## What must be

{musts}
"""


def render(results: Results) -> str:
    """Write the page; raises `ValueError` if a case failed."""
    failed = [(*column, *verdict) for column, found in results.items() for verdict in found if fails(verdict)]
    if failed:
        raise ValueError("\n".join(map(str, failed)))
    packages = ", ".join(f"{name} {version(name)}" for name in ("rxws", "aiohttp", "kosoku"))
    return PAGE_TEXT.format(
        total=len(results[COLUMNS[0]]),
        versions=f"{packages}, Python {platform.python_version()}",
        date=date.today(),
        counts=_table(["group", "what it checks", "cases", *_headings()], _counts(results)),
        rest=_table(["cases", *_headings(), "why"], _rest(results)),
        musts=musts(),
    )


def musts() -> str:
    """Write what must be: a table for each part, after what holds for all."""
    text = """The tables list each MUST of sections 4, 5 and 7 of [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455), of
[RFC 7692](https://www.rfc-editor.org/rfc/rfc7692) (`7692:`), and of the sections that these refer to, in short form.
The column *must* continues "the client must" or "the server must". The column *rxws* says what rxws does. A code
there of four digits is the close code that the peer gets, and `errors` then emits a `ProtocolError`. One of three
digits is an HTTP status. The tests are below `tests/`. They run on both wires and both event loops, with the
oldest and the newest release of aiohttp. If the application opened the WebSocket and `attach` took it over, only
aiohttp's parser checks it. That parser checks neither the masks nor the reserved bit of compressed control
frames."""
    for title, rows in MUSTS.items():
        cells = [[row.who, row.section, row.must, row.rxws, _tests(row.tests)] for row in rows]
        text += f"\n\n### {title}\n\n" + _table(["who", "section", "must", "rxws", "tests"], cells)
    return text


def _tests(tests: str) -> str:
    return "<br>".join(f"`{test.partition('::')[2]}`" for test in tests.split()) or "–"


def fails(verdict: Verdict) -> bool:
    return verdict.verdict not in ACCEPTED


def count(verdicts: Sequence[Verdict]) -> str:
    """Count the verdicts of a group, as a cell does."""
    found = Counter(verdict for _, verdict in verdicts)
    return " / ".join(str(found[verdict]) for verdict in ACCEPTED)


def read(page: str) -> tuple[dict[tuple[int, Column], str], dict[tuple[str, Column], str]]:
    """Read the page: the cell of a group and a column, and the verdict of a case that is not strictly OK."""
    counts: dict[tuple[int, Column], str] = {}
    verdicts: dict[tuple[str, Column], str] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and re.fullmatch(r"\d+", cells[0]):
            counts |= {(int(cells[0]), column): cell for column, cell in zip(COLUMNS, cells[3:7], strict=True)}
        elif line.startswith("|") and re.match(r"\d", cells[0]):
            for case in _cases(cells[0]):
                verdicts |= {(case, column): cell for column, cell in zip(COLUMNS, cells[1:5], strict=True)}
    return counts, verdicts


def _counts(results: Results) -> list[list[str]]:
    rows: list[list[str]] = []
    for group, what in GROUPS.items():
        found = [[verdict for verdict in results[column] if verdict.group == group] for column in COLUMNS]
        rows.append([str(group), what, str(len(found[0])), *map(count, found)])
    return rows


def _rest(results: Results) -> list[list[str]]:
    of = {column: dict(found) for column, found in results.items()}
    lines = [([of[column][case] for column in COLUMNS], _why(case), case) for case in of[COLUMNS[0]]]
    lines = [line for line in lines if set(line[0]) != {"OK"}]
    return [
        [_spans(case for *_, case in same), *verdicts, why]
        for (verdicts, why), same in groupby(lines, key=lambda line: line[:2])
    ]


def _spans(cases: Iterable[str]) -> str:
    """Write cases that follow one another as a span: `13.2.1-18`."""
    spans: list[tuple[str, int, int]] = []
    for case in cases:
        group, _, number = case.rpartition(".")
        first = int(number)
        if spans and spans[-1][::2] == (group, first - 1):
            _, first, _ = spans.pop()
        spans.append((group, first, int(number)))
    return ", ".join(f"{group}.{first}" + (f"-{last}" if last > first else "") for group, first, last in spans)


def _cases(spans: str) -> list[str]:
    found: list[str] = []
    for span in spans.split(", "):
        group, _, numbers = span.rpartition(".")
        first, _, last = numbers.partition("-")
        found += [f"{group}.{number}" for number in range(int(first), int(last or first) + 1)]
    return found


def _why(case: str) -> str:
    return next((why for beginnings, why in WHY.items() if case.startswith(beginnings)), "")


def _headings() -> list[str]:
    return [f"{role}, {wire}" for role, wire in COLUMNS]


def _table(headings: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [headings, ["---"] * len(headings), *rows])
