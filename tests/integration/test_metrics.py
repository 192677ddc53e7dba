"""What monitoring sees of a running application, by Prometheus's own parser and OpenTelemetry's own SDK."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from reactivex import Observable

import rxws
from rxws.opentelemetry import instrument
from rxws.prometheus import HubCollector
from rxws.server.instruments import INSTRUMENTS
from tests.integration.crew import crew
from tests.integration.server import Server, running

Eventually = Callable[..., Any]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
MEASURED = ("_sum", "_created", "_lag_seconds")


@rxws.websocket(codec=rxws.json)
def echo(incoming: Observable[Any]) -> Observable[Any]:
    return incoming


@asynccontextmanager
async def busy(eventually: Eventually, prepare: Callable[[rxws.Hub], None]) -> AsyncIterator[Server]:
    """A server at which all kinds of things have happened."""
    app = web.Application()
    app.router.add_get("/", echo)
    hub = rxws.setup(app, max_connections=2)
    registry = CollectorRegistry()
    registry.register(HubCollector(hub))
    prepare(hub)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry))

    app.router.add_get("/metrics", metrics)
    async with (
        running(app, hub) as server,
        aiohttp.ClientSession() as session,
        websockets.connect(server.url) as stays,
        websockets.connect(server.url) as leaves,
    ):
        for text in ('"é"', "1"):
            await stays.send(text)
            await stays.recv()
        with pytest.raises(websockets.InvalidStatus, match="503"):
            await websockets.connect(server.url)
        await leaves.close(4001)
        await eventually(lambda: len(hub) == 1)
        async with websockets.connect(server.url) as errs:
            await errs.send("{")
            await errs.wait_closed()
        await eventually(lambda: len(hub) == 1)
        for headers, status in (({}, 426), ({"Origin": "https://evil.example", **HANDSHAKE}, 403)):
            async with session.get(server.http, headers=headers) as response:
                assert response.status == status
        yield server


def samples(families: Any) -> Samples:
    """All samples but zeros, and but for how long exactly, when, how late, and through which scope."""
    return {
        (sample.name, frozenset((k, v) for k, v in sample.labels.items() if not k.startswith("otel_"))): sample.value
        for family in families
        for sample in family.samples
        if sample.value and sample.name.startswith("rxws_") and not sample.name.endswith(MEASURED)
    }


EXPECTED = {
    ("rxws_server_active_connections", ""): 1,
    ("rxws_server_opened_connections_total", ""): 3,
    ("rxws_server_closed_connections_total", "rxws_close_code=4001"): 1,
    ("rxws_server_closed_connections_total", "rxws_close_code=1007"): 1,
    ("rxws_server_refused_connections_total", "rxws_refusal_reason=limit"): 1,
    ("rxws_server_refused_connections_total", "rxws_refusal_reason=handshake"): 1,
    ("rxws_server_refused_connections_total", "rxws_refusal_reason=origin"): 1,
    ("rxws_server_messages_total", "network_io_direction=receive"): 3,
    ("rxws_server_messages_total", "network_io_direction=transmit"): 2,
    ("rxws_server_io_bytes_total", "network_io_direction=receive"): 6,
    ("rxws_server_io_bytes_total", "network_io_direction=transmit"): 5,
    ("rxws_server_wire_io_bytes_total", "network_io_direction=receive"): 6,
    ("rxws_server_wire_io_bytes_total", "network_io_direction=transmit"): 5,
    ("rxws_server_errors_total", "error_type=DecodeError"): 1,
    ("rxws_server_connection_duration_seconds_count", ""): 2,
    ("rxws_server_connection_duration_seconds_bucket", "le=+Inf"): 2,
}


def plain(found: Samples) -> dict[tuple[str, str], float]:
    named = {(name, ",".join(f"{k}={v}" for k, v in labels)): value for (name, labels), value in found.items()}
    return {key: value for key, value in named.items() if "_bucket" not in key[0] or key[1] == "le=+Inf"}


async def test_prometheus_scrapes_what_has_happened(eventually: Eventually) -> None:
    async with busy(eventually, lambda _: None) as server, aiohttp.ClientSession() as session:
        async with session.get(f"{server.http}metrics") as response:
            text = await response.text()
        assert plain(samples(parse(text))) == EXPECTED
    families = {family.name: family.type for family in parse(text)}
    assert families["rxws_server_connection_duration_seconds"] == "histogram"
    assert families["rxws_server_buffered_bytes"] == families["rxws_server_age_seconds"] == "gauge"
    assert 'rxws_server_refused_connections_total{rxws_refusal_reason="shutdown"} 0.0' in text


async def test_the_exposition_keeps_to_openmetrics_too(eventually: Eventually) -> None:
    registry = CollectorRegistry()
    async with busy(eventually, lambda hub: registry.register(HubCollector(hub))):
        families = list(parse_openmetrics(generate_openmetrics(registry).decode()))
    assert plain(samples(families)) == EXPECTED
    assert {family.name: family.unit for family in families if family.unit} == {
        "rxws_server_io_bytes": "bytes",
        "rxws_server_wire_io_bytes": "bytes",
        "rxws_server_buffered_bytes": "bytes",
        "rxws_server_in_flight_bytes": "bytes",
        "rxws_server_age_seconds": "seconds",
        "rxws_server_connection_duration_seconds": "seconds",
        "rxws_server_event_loop_lag_seconds": "seconds",
    }


def provider(*readers: MetricReader) -> Callable[[rxws.Hub], None]:
    return lambda hub: instrument(hub, MeterProvider(readers, shutdown_on_exit=False))


async def test_opentelemetry_collects_what_has_happened(eventually: Eventually) -> None:
    reader = InMemoryMetricReader()
    async with busy(eventually, provider(reader)):
        data: Any = reader.get_metrics_data()
    (scope,) = data.resource_metrics[0].scope_metrics
    assert scope.scope.name == "rxws"
    metrics = {metric.name: metric for metric in scope.metrics}
    points = {
        (metric.name.removeprefix("rxws.server."), *dict(point.attributes).items()): point.value
        for metric in scope.metrics
        for point in metric.data.data_points
        if getattr(point, "value", 0) and metric.name != "rxws.server.event_loop.lag"
    }
    assert points == {
        ("active_connections",): 1,
        ("opened_connections",): 3,
        ("closed_connections", ("rxws.close.code", "4001")): 1,
        ("closed_connections", ("rxws.close.code", "1007")): 1,
        ("refused_connections", ("rxws.refusal.reason", "limit")): 1,
        ("refused_connections", ("rxws.refusal.reason", "handshake")): 1,
        ("refused_connections", ("rxws.refusal.reason", "origin")): 1,
        ("messages", ("network.io.direction", "receive")): 3,
        ("messages", ("network.io.direction", "transmit")): 2,
        ("io", ("network.io.direction", "receive")): 6,
        ("io", ("network.io.direction", "transmit")): 5,
        ("wire_io", ("network.io.direction", "receive")): 6,
        ("wire_io", ("network.io.direction", "transmit")): 5,
        ("errors", ("error.type", "DecodeError")): 1,
    }
    (duration,) = metrics["rxws.server.connection.duration"].data.data_points
    assert (duration.count, duration.explicit_bounds) == (2, rxws.stats.DURATIONS)
    assert 0 < duration.sum < 10
    assert {metric.name: metric.unit for metric in scope.metrics} == {
        **{each.name: each.unit for each in INSTRUMENTS},
        "rxws.server.connection.duration": "s",
    }
    assert {name for name, metric in metrics.items() if getattr(metric.data, "is_monotonic", False)} == {
        each.name for each in INSTRUMENTS if each.kind == "counter"
    }


async def test_both_exporters_export_the_same(eventually: Eventually) -> None:
    """A dashboard for one exporter fits the other: both export the same samples."""
    ours = CollectorRegistry()
    reader = PrometheusMetricReader()  # knows the global registry alone

    def both(hub: rxws.Hub) -> None:
        ours.register(HubCollector(hub))
        provider(reader)(hub)

    async with busy(eventually, both):
        assert samples(ours.collect()) == samples(REGISTRY.collect())
    reader.shutdown()


def test_exporters_name_their_extras() -> None:
    """Without the extras rxws works, and each exporter says how to get its own."""
    program = """if True:
        import sys
        sys.modules["prometheus_client"] = sys.modules["opentelemetry"] = None
        import rxws
        for name in ("prometheus", "opentelemetry"):
            try:
                __import__(f"rxws.{name}")
            except ImportError as error:
                print(error)
    """
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert finished.stdout.splitlines() == [
        'rxws.prometheus needs prometheus-client: pip install "rxws[prometheus]"',
        'rxws.opentelemetry needs opentelemetry-api: pip install "rxws[opentelemetry]"',
    ]


WORKERS = """
from prometheus_client import CollectorRegistry, generate_latest
from rxws.prometheus import HubCollector

sys.modules["rxws.server.all_processes"].PERIOD = 0.05

@rxws.websocket
def hello(incoming, outgoing):
    outgoing.on_next(str(os.getpid()))
    return incoming

app = web.Application()
registry = CollectorRegistry()
registry.register(HubCollector(rxws.setup(app, max_connections=2)))

async def metrics(request):
    return web.Response(body=generate_latest(registry), headers={"X-Pid": str(os.getpid())})

async def block(request):
    time.sleep(0.4)
    return web.Response()

app.add_routes([web.get("/", hello), web.get("/metrics", metrics), web.get("/block", block)])
"""


@pytest.mark.fast_wire  # the wire does not matter here
async def test_one_scrape_gives_all_workers(tmp_path: Path) -> None:
    """Whichever worker is asked gives the sum and each one's numbers; the counters survive a worker's death.

    `max_connections` is each worker's own, and the first refusal of each is in its log.
    """
    connector = aiohttp.TCPConnector(force_close=True)
    async with crew(tmp_path, WORKERS) as running, aiohttp.ClientSession(connector=connector) as session:
        asked = set[str]()

        async def scrape() -> dict[str, float]:
            """Give the samples by name, worker and direction, and look whether the workers make the sum."""
            async with session.get(f"http://127.0.0.1:{running.port}/metrics") as answer:
                asked.add(answer.headers["X-Pid"])
                families = parse(await answer.text())
            found: dict[str, float] = {}
            sums: dict[str, float] = defaultdict(float)
            for sample in (sample for family in families for sample in family.samples):
                name = f"{sample.name.removeprefix('rxws_server_')} {sample.labels.get('network_io_direction', '')}"
                if "worker" in sample.labels:
                    sums[name.removeprefix("worker_")] += sample.value
                else:
                    found[name.strip()] = sample.value
            for name in ("opened_connections_total ", "messages_total transmit", "active_connections "):
                assert sums[name] == found[name.strip()]
            return found

        async def sees(**expected: float) -> None:
            async with asyncio.timeout(15):
                while expected.items() - (await scrape()).items():
                    pass

        async with AsyncExitStack() as stack:
            pids: list[str] = []
            refused: list[Any] = []
            for _ in range(40):  # the system spreads them by chance
                try:
                    socket = await stack.enter_async_context(rxws.connect(running.url))
                    pids.append(await socket.receive())
                except rxws.ConnectError as error:
                    refused.append((error.status, error.retry_after))
            count, by_pid = len(pids), Counter(pids)
            assert max(by_pid.values()) == 2
            assert refused == [(503, 1)] * (40 - count)
            await sees(opened_connections_total=count, active_connections=count, **{"messages_total transmit": count})
            while len(asked) < 2:
                await scrape()
            os.kill(int(pids[0]), signal.SIGKILL)
            left = count - by_pid[pids[0]]
            await sees(opened_connections_total=count, active_connections=left, **{"messages_total transmit": count})
            async with session.get(f"http://127.0.0.1:{running.port}/block"):
                pass
            assert (await scrape())["event_loop_lag_seconds"] > 0.2
            _, errors = await running.terminate()
        full = "refused: all places of this process are taken: max_connections=2, in each process"
        assert 1 <= errors.count(full) <= len(by_pid)
