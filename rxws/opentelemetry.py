"""A hub's numbers for OpenTelemetry, as observable instruments; needs the extra `opentelemetry`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rxws.server.hub import Hub
from rxws.server.instruments import DURATION, DURATION_DESCRIPTION, INSTRUMENTS, Instrument
from rxws.stats import DURATIONS

try:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter
except ImportError as missing:
    raise ImportError('rxws.opentelemetry needs opentelemetry-api: pip install "rxws[opentelemetry]"') from missing

__all__ = ["instrument"]


def instrument(hub: Hub, meter_provider: MeterProvider | None = None) -> None:
    """Measure a hub with the meter `rxws` of a provider, the global one by default; once for each hub and provider.

    All but one are observable instruments, which read the hub when the reader collects: sockets pay nothing for it, and
    a collection costs about ten microseconds for each open one. `rxws.server.connection.duration` is a histogram, which
    OpenTelemetry has no observable kind of: it records each socket that closes from now on.

    Args:
        hub: What `rxws.setup` returned.
        meter_provider: The provider; the global one by default.

    >>> from aiohttp import web
    >>> import rxws
    >>> instrument(rxws.setup(web.Application()))
    """
    meter = get_meter("rxws", meter_provider=meter_provider)
    for each in INSTRUMENTS:
        create = meter.create_observable_counter if each.kind == "counter" else meter.create_observable_up_down_counter
        if each.combine is max:  # what cannot be added up
            create = meter.create_observable_gauge
        create(each.name, [_observe(each, hub)], each.unit, each.description)
    histogram = meter.create_histogram(
        DURATION, "s", DURATION_DESCRIPTION, explicit_bucket_boundaries_advisory=DURATIONS
    )
    hub.closed.subscribe(lambda socket: histogram.record(socket.stats.duration))


def _observe(instrument: Instrument, hub: Hub) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        for value, number in instrument.read(hub, hub.stats).items():
            yield Observation(number, {instrument.attribute: value} if instrument.attribute else None)

    return observe
