"""`table`: the latest item of each key."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Hashable
from html import escape
from typing import Any, Final

from reactivex import Observable

from rxws.checks import positive_int
from rxws.jupyter.pictures.fields import Field, fields_of, getter, shown
from rxws.jupyter.pictures.live import Live
from rxws.jupyter.pictures.subscribed import Subscribed

COLUMNS: Final = 30


def table(observable: Observable[Any], *, key: Field, limit: int = 100) -> Live:
    """Show the latest item of each key as a row: `table(trades, key="symbol")`.

    Items are mappings, dataclasses, structs, or anything else; `key` is a field's name or a function. The rows are in
    the order in which their keys came first; above `limit` rows, those that have not changed for longest go. Subscribes
    at once. Memory: `limit` items, 30 fields of each.

    What `key` raises ends it, and is shown. Raises `TypeError` for what is no Observable, `ValueError` for a limit that
    is not positive, `RuntimeError` where no event loop runs.
    """
    return Live(Table(observable, key, positive_int("limit", limit, "rows")))


class Table:
    """Rows by key."""

    interval = 0.1

    def __init__(self, observable: Observable[Any], key: Field, limit: int) -> None:
        self._key = getter(key)
        self._limit = limit
        self._rows = dict[Hashable, dict[str, Any]]()
        self._recent = OrderedDict[Hashable, None]()  # the keys, that of the newest item last
        self._source = Subscribed(observable, self._put)
        self._drawn = -1

    def start(self, changed: Callable[[], object], end: Callable[[], object]) -> None:
        """Subscribe."""
        self._source.start(changed, end)

    def stop(self) -> None:
        """Dispose."""
        self._source.stop()

    async def draw(self) -> str:
        """Draw it."""
        self._drawn = self._source.items
        return self.still()

    def still(self) -> str:
        """Make a plain HTML table, which notebooks show as they show data frames."""
        names = self._names()
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(f"<tr>{self._cells(row, names)}</tr>" for row in self._rows.values())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{escape(self._caption())}</p>"

    def text(self) -> str:
        """Write it."""
        names = self._names()
        lines = [names, *([shown(row.get(name, "")) for name in names] for row in self._rows.values())]
        widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
        rows = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([*rows, self._caption()])

    def settled(self) -> bool:
        """Tell whether the newest item is drawn."""
        return self._drawn == self._source.items

    def _put(self, item: Any) -> None:
        key = self._key(item)
        self._rows[key] = dict(itertools.islice(fields_of(item).items(), COLUMNS))
        self._recent[key] = None
        self._recent.move_to_end(key)
        if len(self._rows) > self._limit:
            oldest, _ = self._recent.popitem(last=False)
            del self._rows[oldest]

    def _names(self) -> list[str]:
        names = dict.fromkeys(name for row in self._rows.values() for name in row)
        return list(itertools.islice(names, COLUMNS))

    def _cells(self, row: dict[str, Any], names: list[str]) -> str:
        return "".join(f"<td>{escape(shown(row[name])) if name in row else ''}</td>" for name in names)

    def _caption(self) -> str:
        rows, items = len(self._rows), self._source.items
        return f"{rows} key{'s' * (rows != 1)}, {items} item{'s' * (items != 1)}{self._source.ending()}"
