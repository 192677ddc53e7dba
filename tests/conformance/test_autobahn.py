"""Autobahn's cases of the protocol itself, as a server and as a client, on the wire that the suite runs on.

All cases of compression take minutes: `make conformance`. Here are a few of them.
"""

import asyncio

import pytest

import rxws
from tests.conformance.autobahn import BASIC, COMPRESSION, FEW, Verdict, verdicts
from tests.conformance.report import COLUMNS, GROUPS, PAGE, Column, count, fails, read, render

COUNTS, VERDICTS = read(PAGE.read_text())


async def test_no_case_fails_and_the_page_of_results_is_true() -> None:
    columns = [column for column in COLUMNS if column.wire == rxws.wire_mode]
    results = await asyncio.gather(*(verdicts(rxws.wire_mode, column.role, BASIC, timeout=120) for column in columns))
    for column, found in zip(columns, results, strict=True):
        assert [verdict for verdict in found if fails(verdict)] == []
        worse = [case for case, verdict in found if verdict not in ("OK", VERDICTS.get((case, column)))]
        assert worse == [], f"not what docs/conformance.md says of the {column}: make conformance"
        for group in BASIC:
            assert sum(verdict.group == group for verdict in found) == cases(group, column)


@pytest.mark.parametrize("role", ["server", "client"])
async def test_no_case_of_compression_fails(role: str) -> None:
    found = await verdicts(rxws.wire_mode, role, FEW, timeout=120)
    column = Column(role, rxws.wire_mode)
    assert [(case, verdict) for case, verdict in found if verdict != VERDICTS.get((case, column), "OK")] == []
    assert len(found) == len(FEW)


def cases(group: int, column: Column) -> int:
    return sum(map(int, COUNTS[group, column].split(" / ")))


def test_page_lists_and_explains_every_case() -> None:
    """The page has every case of every group, and explains each that is not strictly OK."""
    assert list(GROUPS) == [*BASIC, *COMPRESSION]
    for column in COLUMNS:
        assert sum(cases(group, column) for group in BASIC) == 301
        assert sum(cases(group, column) for group in GROUPS) == 517
        for group in GROUPS:
            listed = [Verdict(case, verdict) for (case, where), verdict in VERDICTS.items() if where == column]
            rest = [verdict for verdict in listed if verdict.group == group and verdict.verdict != "OK"]
            assert count(rest).split(" / ")[1:] == COUNTS[group, column].split(" / ")[1:]
    assert not any(line.endswith("|  |") for line in PAGE.read_text().splitlines())


def test_a_failed_case_is_never_written_to_the_page() -> None:
    results = {column: [Verdict("1.1.1", "OK")] for column in COLUMNS}
    results[COLUMNS[2]] = [Verdict("1.1.1", "OK, closing WRONG CODE: ...")]
    with pytest.raises(ValueError, match=r"client.*1\.1\.1.*WRONG CODE"):
        render(results)
