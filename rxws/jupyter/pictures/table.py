"""`table`: the latest item of each key."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Hashable
from html import escape
from typing import Any, Final

from reactivex import Observable

from rxws.checks import positive_int
from rxws.jupyter.pictures.fields import Field, fields_of, getter, shown
from rxws.jupyter.pictures.live import Live, scrolling
from rxws.jupyter.pictures.subscribed import Subscribed

COLUMNS: Final = 30


def table(observable: Observable[Any], *, key: Field, limit: int = 100) -> Live:
    """Show the latest item of each key as a row: `table(trades, key="symbol")`.

    Items are mappings, dataclasses, structs, or anything else. The rows are in the order in which their keys came
    first. Above `limit` rows, the row that has not changed for longest is removed. Subscribes at once; items may come
    from any thread. Memory: `limit` items, 30 fields of each.

    What `key` raises ends it, and is shown. Raises `TypeError` for what is not an Observable, `ValueError` for a limit
    that is not positive, `RuntimeError` where no event loop runs.

    Args:
        observable: The Observable.
        key: A field's name, or a function of an item.
        limit: Rows.
    """
    return Live(Table(observable, key, positive_int("limit", limit, "rows")))


class Table(Subscribed):
    """Rows by key."""

    def __init__(self, observable: Observable[Any], key: Field, limit: int) -> None:
        super().__init__(observable)
        self._key = getter(key)
        self._limit = limit
        self._rows = dict[Hashable, dict[str, Any]]()
        self._recent = OrderedDict[Hashable, None]()  # the keys, that of the newest item last

    async def draw(self) -> str:
        """Draw it."""
        self._drawn = self.items
        return self.still()

    def still(self) -> str:
        """Make a plain HTML table, which notebooks show as they show data frames."""
        rows, names = self._shown_rows()
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(f"<tr>{self._cells(row, names)}</tr>" for row in rows)
        scrolled = scrolling(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        return f"{scrolled}<p>{escape(self._caption())}</p>"

    def text(self) -> str:
        """Write it."""
        rows, names = self._shown_rows()
        lines = [names, *([shown(row.get(name, "")) for name in names] for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
        texts = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([*texts, self._caption()])

    def _take(self, item: Any) -> None:
        key = self._key(item)
        self._rows[key] = dict(itertools.islice(fields_of(item).items(), COLUMNS))
        self._recent[key] = None
        self._recent.move_to_end(key)
        if len(self._rows) > self._limit:
            oldest, _ = self._recent.popitem(last=False)
            del self._rows[oldest]

    def _shown_rows(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Give the rows as they are now, since another thread may change them, and the names of their columns."""
        rows = list(self._rows.values())
        names = dict.fromkeys(name for row in rows for name in row)
        return rows, list(itertools.islice(names, COLUMNS))

    def _cells(self, row: dict[str, Any], names: list[str]) -> str:
        return "".join(f"<td>{escape(shown(row[name])) if name in row else ''}</td>" for name in names)

    def _caption(self) -> str:
        rows, items = len(self._rows), self.items
        return f"{rows} key{'s' * (rows != 1)}, {items} item{'s' * (items != 1)}{self.ending()}"
