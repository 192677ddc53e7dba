"""A hub's numbers for Prometheus, read when it scrapes; needs the extra `prometheus`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from rxws.server.hub import Hub
from rxws.server.instruments import DURATION, DURATION_DESCRIPTION, INSTRUMENTS, Instrument
from rxws.stats import DURATIONS, HubStats

try:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as missing:
    raise ImportError('rxws.prometheus needs prometheus-client: pip install "rxws[prometheus]"') from missing

__all__ = ["HubCollector"]


class HubCollector(Collector):
    """Gives a registry what a hub has counted: `registry.register(HubCollector(hub))`, once for each registry.

    The names are those that OpenTelemetry's exporter for Prometheus makes of `rxws.opentelemetry`'s. Sockets pay
    nothing for it; a scrape costs about a microsecond for each open one, in whichever thread it happens.

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
        stats = self._hub.stats
        for instrument in INSTRUMENTS:
            yield _family(instrument, self._hub, stats)
        histogram = HistogramMetricFamily(_name(DURATION), DURATION_DESCRIPTION, unit="seconds")
        bounds = [*map(str, DURATIONS), "+Inf"]
        histogram.add_metric([], list(zip(bounds, accumulate(stats.durations), strict=True)), stats.duration)
        yield histogram


def _family(instrument: Instrument, hub: Hub, stats: HubStats) -> Metric:
    kind = CounterMetricFamily if instrument.kind == "counter" else GaugeMetricFamily
    labels = [_name(instrument.attribute)] if instrument.attribute else []
    unit = "bytes" if instrument.unit == "By" else ""
    family = kind(_name(instrument.name), instrument.description, labels=labels, unit=unit)
    for value, number in instrument.read(hub, stats).items():
        family.add_metric([value] if labels else [], number)
    return family


def _name(name: str) -> str:
    return name.replace(".", "_")
