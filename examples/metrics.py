"""Metrics: what the sockets of an application do, as numbers that Prometheus scrapes, beside the sockets.

    pip install prometheus-client
    python examples/metrics.py
    python -m websockets ws://localhost:8080/shout          # say something, leave, come again
    curl localhost:8080/metrics                             # what Prometheus sees

A dashboard asks, say, for `rxws_server_active_connections`, `rate(rxws_server_messages_total[1m])` and
`rate(rxws_server_closed_connections_total[5m])`. The sockets pay nothing for it: the hub is read when it is scraped.
"""

import logging
import os

from aiohttp import web
from prometheus_client import PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.prometheus import HubCollector

registry = web.AppKey("registry", CollectorRegistry)
routes = web.RouteTableDef()


@routes.get("/shout")
@rxws.websocket(message_rate=100)
def shout(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(str.upper))


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(request.app[registry]), headers={"Content-Type": content_type})


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    app[registry] = CollectorRegistry()
    for collector in (HubCollector(rxws.setup(app, max_connections=1000)), PROCESS_COLLECTOR, PLATFORM_COLLECTOR):
        app[registry].register(collector)
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("rxws.server").setLevel(logging.DEBUG)  # a line for each socket that opens or closes
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
