"""Recordings as data frames of pandas and polars; the steps are those of docs/notebooks.md."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from reactivex.subject import Subject

from rxws.cli.options import values
from rxws.recording import Event, Recording, keep, read, write

START = datetime(2026, 3, 1, 14, 3, 18, tzinfo=UTC)


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """Two seconds of prices, as `rxws record --json` writes them: read from a file."""
    texts = [json.dumps({"symbol": "AB"[n % 2], "price": 100.5 + n}) for n in range(20)]
    events = [Event(n / 10, "incoming", "next", values(text)) for n, text in enumerate(texts)]
    made = [Event(0.0, "socket", "open"), *events, Event(2.0, "incoming", "completed")]
    write(Recording(made, ("incoming", "socket"), START), tmp_path / "feed.jsonl")
    return read(tmp_path / "feed.jsonl")


def rows(recording: Recording) -> list[dict[str, Any]]:
    assert recording.start is not None
    return [
        {"at": recording.start + timedelta(seconds=event.time), **event.data}
        for event in recording.lane("incoming")
        if event.kind == "next"
    ]


def test_pandas(recording: Recording) -> None:
    """Events are rows; messages that are values are columns, which can be resampled by the clock."""
    events = pd.DataFrame(recording)
    assert list(events) == ["time", "lane", "kind", "data"]
    assert (len(events), events["data"][1]["price"], events["time"].iloc[-1]) == (22, 100.5, 2.0)
    prices = pd.DataFrame(rows(recording)).set_index("at")
    bars = prices.groupby("symbol")["price"].resample("1s").ohlc()
    assert bars.loc["A"].index[0] == pd.Timestamp(START)
    assert bars.loc["A"].to_numpy().tolist() == [[100.5, 108.5, 100.5, 108.5], [110.5, 118.5, 110.5, 118.5]]


def test_polars(recording: Recording) -> None:
    prices = pl.DataFrame(rows(recording))
    assert prices.columns == ["at", "symbol", "price"]
    means = (
        prices.group_by_dynamic("at", every="1s", group_by="symbol").agg(pl.col("price").mean()).sort("symbol", "at")
    )
    assert means["price"].to_list() == [104.5, 114.5, 105.5, 115.5]
    assert means["at"][0] == START


async def test_a_live_window() -> None:
    """What is kept of a stream is a data frame now, and another one later."""
    trades = Subject[dict[str, Any]]()
    window = keep({"trades": trades}, max_events=3)
    for n in range(5):
        trades.on_next({"n": n})
    assert [data["n"] for data in pd.DataFrame(window.recording)["data"]] == [2, 3, 4]
    trades.on_next({"n": 5})
    assert [data["n"] for data in pd.DataFrame(window.recording)["data"]] == [3, 4, 5]
    window.dispose()
