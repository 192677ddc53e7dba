"""Every operator of RxPY does the same on each of its versions that rxws allows, in virtual time."""

import asyncio
from types import FunctionType, ModuleType
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops

from rxws.testing import run
from tests.conftest import release_of
from tests.rx.pipelines import CREATION, OPERATORS, SOURCE, Here, Pipeline, numbers

SINCE = {"tap": (5, 1), "concat_all": (6, 0), "zip_latest": (6, 1)}
"""The version of RxPY that brought what the lowest one lacks."""


def there(rows: list[Pipeline], module: ModuleType) -> list[Pipeline]:
    """Give the rows of what this version has."""
    return [row for row in rows if hasattr(module, name_of(row))]


def name_of(row: Pipeline) -> str:
    return row.name.partition(",")[0]


ROWS = sorted([*there(OPERATORS, ops), *there(CREATION, reactivex)], key=lambda row: "date" in row.name)
"""Those with dates come last: the wall clock is set when all have begun."""
ONE_BY_ONE = [
    *(pytest.param(row, id=f"ops.{row.name}") for row in there(OPERATORS, ops)),
    *(pytest.param(row, id=row.name) for row in there(CREATION, reactivex)),
]


@pytest.mark.parametrize(("rows", "module"), [(OPERATORS, ops), (CREATION, reactivex)], ids=["operators", "creation"])
def test_each_has_a_row(rows: list[Pipeline], module: ModuleType) -> None:
    """What RxPY has, has a row; what it lacks, it has in a later version."""
    functions = {name: value for name, value in vars(module).items() if isinstance(value, FunctionType)}
    theirs = {name for name, value in functions.items() if name[0] != "_" and value.__module__ == module.__name__}
    named = {name_of(row) for row in rows}
    assert theirs - named == set()
    assert named - theirs == {name for name in named if release_of("reactivex") < SINCE.get(name, ())}


@pytest.mark.parametrize("row", ONE_BY_ONE)
def test_virtual_time(row: Pipeline) -> None:
    """Each pipeline emits what its diagram says, when it says."""

    def handler(incoming: Any) -> Any:
        virtual: Any = asyncio.get_running_loop()
        return row.make(numbers(incoming), Here(virtual.now)).pipe(ops.map(str))

    assert run(handler, SOURCE) == row.expected
