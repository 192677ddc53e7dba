"""Parts of items, whatever items are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from rxws.marbles.layout import is_number, short, text_of

CELL: Final = 60
"""Columns of a cell."""

Field = str | int | Callable[[Any], Any]
"""The name of a field, a place in a tuple, or a function of the item."""


def getter(field: Field) -> Callable[[Any], Any]:
    """Make what gets a field of an item: of a mapping, a sequence, or any object.

    >>> getter("a")({"a": 1}), getter(1)(("x", "y")), getter("real")(2), getter(len)("abc")
    (1, 'y', 2, 3)
    """
    if callable(field):
        return field
    if isinstance(field, int):
        return lambda item: item[field]

    def get(item: Any) -> Any:
        return cast("Any", item)[field] if isinstance(item, Mapping) else getattr(item, field)

    return get


def name_of(field: Field) -> str:
    """Name a field.

    >>> name_of("price"), name_of(len)
    ('price', 'len')
    """
    return getattr(field, "__name__", "value").strip("<>") if callable(field) else str(field)


def fields_of(item: Any) -> dict[str, Any]:
    """Give an item as fields by name; what has none is one itself.

    >>> fields_of({"a": 1}), fields_of(1.5)
    ({'a': 1}, {'value': 1.5})
    """
    if isinstance(item, Mapping):
        return {str(name): value for name, value in cast("Mapping[Any, Any]", item).items()}
    if dataclasses.is_dataclass(item):
        names = [field.name for field in dataclasses.fields(item)]
    else:
        names = list(getattr(item, "__struct_fields__", getattr(item, "_fields", ())))
    return {name: getattr(item, name) for name in names} or {"value": item}


def shown(value: Any) -> str:
    """Show a value in a cell: a number whole, anything else in at most 60 columns."""
    return text_of(value) if is_number(value) else short(value, CELL)
