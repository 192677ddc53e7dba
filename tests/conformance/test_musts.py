"""The table of MUSTs in docs/conformance.md is that of `musts.py`, and each test that it names is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.conformance.musts import MUSTS, Must
from tests.conformance.report import PAGE, musts

ROWS = [row for rows in MUSTS.values() for row in rows]
HERE = Path(__file__).parents[1]


@cache
def functions(file: str) -> set[str]:
    nodes = ast.walk(ast.parse((HERE / file).read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_page() -> None:
    """The page has the tables as they are made from the rows."""
    assert musts() in PAGE.read_text(), "make conformance writes them, or tests.conformance.report.musts()"


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.section}-{number}" for number, row in enumerate(ROWS)])
def test_row(row: Must) -> None:
    """A row names tests that exist, or says why there is none."""
    for test in row.tests.split():
        file, _, name = test.partition("::")
        assert name in functions(file), test
    assert row.tests or row.rxws.startswith(("does not apply", "not met"))
    assert row.who in ("client", "server", "both", "intermediary")


def test_each_test_is_named() -> None:
    """Every test of these files shows one of the rows, but for a few that show what is not a MUST."""
    named = {test for row in ROWS for test in row.tests.split()}
    files = sorted({test.partition("::")[0] for test in named if test.startswith("conformance/")})
    written = {f"{file}::{name}" for file in files for name in functions(file) if name.startswith("test_")}
    assert {test.partition("::")[2] for test in written - named} == {
        "test_another_status",
        "test_frames_before_the_answer",
        "test_garbage_in_place_of_compressed_data",
        "test_reconnecting_is_slowed_down",
        "test_redirect",
        "test_redirect_to_no_url",
        "test_refused_connection_is_of_use",
        "test_subprotocol",
        "test_subprotocol_of_several_lines_has_its_codec",
        "test_unfinished_message_behind_whole_ones",
    }
