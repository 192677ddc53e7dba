"""Telemetry: one interval for all clients, and for each client its own alert.

    pip install psutil
    python examples/telemetry.py
    python -m websockets ws://localhost:8080/telemetry      # type a number: alert above so much CPU

`share` makes one timer of many subscribers: it starts with the first client and stops with the last. Each
client joins its own limit to the samples. A client that cannot keep up gets the newest sample when it can
take one. A larger telemetry, with a page, is `rxws demo`.
"""

import os
from typing import Any

import psutil
import reactivex
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops

import rxws

PERIOD = 0.5  # seconds
Sample = dict[str, float]
NOTHING: Sample = {}
routes = web.RouteTableDef()


def measure() -> Sample:
    return {"cpu": psutil.cpu_percent(), "memory": psutil.virtual_memory().percent}


def smooth(before: Sample, now: Sample) -> Sample:
    return {**now, "trend": round(0.8 * before.get("trend", now["cpu"]) + 0.2 * now["cpu"], 1)}


def with_alert(sample: Sample, limit: float) -> Sample:
    return {**sample, "limit": limit, "alert": sample["cpu"] > limit}


samples = reactivex.interval(PERIOD).pipe(
    ops.map(lambda _: measure()),
    ops.scan(smooth, NOTHING),
    ops.share(),
)


@routes.get("/telemetry")
@rxws.websocket(codec=rxws.json, overflow="latest")
def telemetry(incoming: Observable[Any]) -> Observable[Sample]:
    limits = incoming.pipe(
        ops.filter(lambda limit: isinstance(limit, (int, float)) and 0 <= limit <= 100),
        ops.start_with(90),
    )
    return samples.pipe(
        ops.with_latest_from(limits),
        ops.starmap(with_alert),
    )


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    rxws.setup(app)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
