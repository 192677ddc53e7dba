"""The demo's application: one page, one socket."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.cli.demo.controls import control_of
from rxws.cli.demo.pipeline import compose
from rxws.cli.demo.telemetry import machine, samples

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
PAGE = {
    file.name: file for file in (files("rxws.cli.demo") / "page").iterdir() if file.name.rpartition(".")[2] in KINDS
}
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"

routes = web.RouteTableDef()


def taken(message: Any) -> int | None:
    """How many messages the page says that it has taken, if that is what it says."""
    match message:
        case {"type": "taken", "count": int(count)}:
            return count
        case _:
            return None


@routes.get("/telemetry")
@rxws.websocket(codec=rxws.json, heartbeat=2, overflow=rxws.latest_by(lambda message: message["type"]), in_flight=taken)
def telemetry(
    incoming: Observable[Any], errors: Observable[Exception], socket: rxws.WebSocket[Any, Any]
) -> Observable[dict[str, Any]]:
    """Stream this machine's telemetry, as the page controls it."""
    controls = incoming.pipe(ops.map(control_of), ops.share())
    complaints = errors.pipe(ops.map(lambda error: {"type": "error", "message": str(error)}))
    return compose(controls, samples).pipe(
        ops.merge(complaints),
        ops.start_with(machine()),
        ops.map(lambda message: {**message, "rtt": socket.rtt, "in_flight": socket.stats.in_flight}),
    )


@routes.get("/")
@routes.get("/{name}")
async def page(request: web.Request) -> web.Response:
    """Serve a file of the page."""
    found = file_of(request.match_info.get("name", ""))
    if found is None:
        raise web.HTTPNotFound
    text, headers = found
    return web.Response(text=text, headers=headers)


def file_of(name: str) -> tuple[str, dict[str, str]] | None:
    """Give a file of the page and its headers, if there is one of this name; the page itself has none."""
    file = PAGE.get(name or "index.html")
    if file is None:
        return None
    kind = KINDS[(name or "index.html").rpartition(".")[2]]
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return file.read_text("utf-8"), {"Content-Type": f"{kind}; charset=utf-8", **headers}


def make_app() -> web.Application:
    """Make the application."""
    app = web.Application()
    app.add_routes(routes)
    rxws.setup(app)
    return app
