"""A hub's numbers for Prometheus, read when it scrapes; needs the extra `prometheus`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from rxws.server.all_processes import Numbers, numbers_of_all
from rxws.server.hub import Hub
from rxws.server.instruments import DURATION, DURATION_DESCRIPTION, INSTRUMENTS
from rxws.stats import DURATIONS

try:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as missing:
    raise ImportError('rxws.prometheus needs prometheus-client: pip install "rxws[prometheus]"') from missing

__all__ = ["HubCollector"]

UNITS: Final = {"By": "bytes", "s": "seconds"}


class HubCollector(Collector):
    """Gives a registry what a hub has counted: `registry.register(HubCollector(hub))`, once for each registry.

    The names are those that OpenTelemetry's exporter for Prometheus makes of `rxws.opentelemetry`'s. Sockets pay
    nothing for it; a scrape costs about a microsecond for each open one, in whichever thread it happens.

    With `rxws.run(app, workers=N)`, a scrape of any worker gives the numbers of all together, and those of each under
    `rxws_server_worker_` with the label `worker`, 0 to N-1. Those of the others are up to a second old. A worker that
    is started again in the place of another one goes on from its counters.

    Args:
        hub: What `rxws.setup` returned.

    >>> from aiohttp import web
    >>> from prometheus_client import CollectorRegistry
    >>> import rxws
    >>> registry = CollectorRegistry()
    >>> registry.register(HubCollector(rxws.setup(web.Application())))
    >>> registry.get_sample_value("rxws_server_active_connections")
    0
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterator[Metric]:
        """Read the hub."""
        total, by_worker = numbers_of_all(self._hub)
        yield from _families({"": total}, "rxws.server.")
        if by_worker:
            each = {str(place): numbers for place, numbers in by_worker.items()}
            yield from _families(each, "rxws.server.worker.", ["worker"])


def _families(several: dict[str, Numbers], prefix: str, labels: Sequence[str] = ()) -> Iterator[Metric]:
    """Give the metrics of processes, one sample for each; they may be told apart by a label."""
    for instrument in INSTRUMENTS:
        kind = CounterMetricFamily if instrument.kind == "counter" else GaugeMetricFamily
        attributes = [_name(instrument.attribute)] if instrument.attribute else []
        name, unit = _name(prefix + instrument.name.removeprefix("rxws.server.")), UNITS.get(instrument.unit, "")
        family = kind(name, instrument.description, labels=[*labels, *attributes], unit=unit)
        for place, numbers in several.items():
            for value, number in numbers.values.get(instrument.name, {}).items():
                family.add_metric([place] * len(labels) + [value] * len(attributes), number)
        yield family
    name = _name(prefix + DURATION.removeprefix("rxws.server."))
    histogram = HistogramMetricFamily(name, DURATION_DESCRIPTION, labels=labels, unit="seconds")
    bounds = [*map(str, DURATIONS), "+Inf"]
    for place, numbers in several.items():
        counted = list(zip(bounds, accumulate(numbers.durations), strict=True))
        histogram.add_metric([place] * len(labels), counted, numbers.duration)
    yield histogram


def _name(name: str) -> str:
    return name.replace(".", "_")
