"""From controls and samples to what the page receives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import reactivex
from reactivex import Observable
from reactivex import operators as ops

from rxws.cli.demo.controls import Control, End, Problem, Rate, Threshold, Window
from rxws.cli.demo.telemetry import Sample
from rxws.operators import of_type

T = TypeVar("T")


def compose(controls: Observable[Control], samples: Callable[[int], Observable[Sample]]) -> Observable[dict[str, Any]]:
    """Emit settings, samples with a moving summary, and alerts; every control switches its part live.

    ::

        controls  --rate 2---------------window 5-----threshold 9----close 4001--|
                        switch_latest          switch_latest     switch_latest
        result    --S---s----s----s----s-S--s----s----S-s---A-s-----#
    """
    rates = _setting(controls, Rate())
    windows = _setting(controls, Window())
    thresholds = _setting(controls, Threshold())

    live = rates.pipe(ops.map(lambda rate: samples(rate.hz)), ops.switch_latest(), ops.share())
    summaries = windows.pipe(ops.map(lambda window: live.pipe(_moving(window.seconds))), ops.switch_latest())
    alerts = thresholds.pipe(ops.map(lambda threshold: live.pipe(_crossing(threshold))), ops.switch_latest())
    settings = reactivex.combine_latest(rates, windows, thresholds).pipe(ops.starmap(_settings))
    ends = controls.pipe(of_type(End), ops.flat_map(lambda end: reactivex.throw(end.error)))
    problems = controls.pipe(of_type(Problem), ops.map(lambda problem: {"type": "error", "message": problem.message}))
    return reactivex.merge(settings, alerts, summaries, problems, ends)


def _setting(controls: Observable[Control], first: T) -> Observable[T]:
    return controls.pipe(of_type(type(first)), ops.start_with(first), ops.distinct_until_changed())


def _moving(seconds: int) -> Callable[[Observable[Sample]], Observable[dict[str, Any]]]:
    def keep(window: list[Sample], sample: Sample) -> list[Sample]:
        return [*(old for old in window if old.at > sample.at - seconds), sample]

    return lambda live: live.pipe(ops.scan(keep, list[Sample]()), ops.map(_summary))


def _crossing(threshold: Threshold) -> Callable[[Observable[Sample]], Observable[dict[str, Any]]]:
    def above(sample: Sample) -> bool:
        return sample.mean >= threshold.percent

    def alert(sample: Sample) -> dict[str, Any]:
        return {"type": "alert", "on": above(sample), "cpu": round(sample.mean, 1), "percent": threshold.percent}

    return lambda live: live.pipe(ops.distinct_until_changed(above), ops.map(alert))


def _summary(window: list[Sample]) -> dict[str, Any]:
    sample = window[-1]
    means = [old.mean for old in window]
    return {
        "type": "sample",
        "at": sample.at,
        "cpu": sample.cpu,
        "mean": round(sample.mean, 1),
        "memory": sample.memory,
        "net_in": sample.net_in,
        "net_out": sample.net_out,
        "load": sample.load,
        "window": {"min": round(min(means), 1), "mean": round(sum(means) / len(means), 1), "max": round(max(means), 1)},
    }


def _settings(rate: Rate, window: Window, threshold: Threshold) -> dict[str, Any]:
    return {"type": "settings", "hz": rate.hz, "seconds": window.seconds, "percent": threshold.percent}
