"""Answers to a handshake that does not become a socket."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Mapping
from http.cookies import BaseCookie
from typing import Any, Final, cast

from multidict import CIMultiDict

from rxws.asgi.request import Calling
from rxws.wires.asgi import AsgiEvent, Scope, Send

EXTENSION: Final = "websocket.http.response"
"""The extension of servers that can answer a handshake with an HTTP response (ASGI, WebSocket denial response)."""

ANSWERING: Final = (
    ("starlette.exceptions", "HTTPException"),
    ("starlette.exceptions", "WebSocketException"),
    ("litestar.exceptions", "HTTPException"),
    ("litestar.exceptions", "WebSocketException"),
    ("aiohttp.web", "HTTPException"),
)
"""Exceptions that are an answer, in the modules that have them."""


class Denied(Exception):
    """A refused handshake: the `status` and `text` of the answer. Raised if no framework has such an exception."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        """The HTTP status."""
        self.text = text
        """The response's body."""
        self.headers = headers or {}
        """The response's headers."""


def answers() -> tuple[type[Exception], ...]:
    """Give the kinds of exceptions that are an answer to a handshake: those of modules that are imported."""
    modules = sys.modules
    return tuple(getattr(modules[module], name) for module, name in ANSWERING if module in modules)


def is_for_framework(error: Exception, call: Calling) -> bool:
    """Return whether the framework that has called turns an exception into the response that its users expect."""
    ours = call.framework in ("starlette", "fastapi") and can_respond(call.scope)
    return ours and any(kind.__module__.startswith("starlette.") for kind in type(error).__mro__)


def can_respond(scope: Scope) -> bool:
    """Return whether the server can answer with a status and a body of ours."""
    return EXTENSION in (scope.get("extensions") or {})


def answering(scope: Scope, send: Send) -> Send:
    """Make a close of a framework's denial response where the server would drop it, and leave its client waiting."""
    if can_respond(scope):
        return send

    async def answer(event: AsgiEvent) -> None:
        if event["type"] == f"{EXTENSION}.start":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        elif event["type"] != f"{EXTENSION}.body":
            await send(event)

    return answer


def refusal_of(error: Exception) -> Denied:
    """Make the answer of an exception that is one."""
    said = cast("Any", error)
    if not hasattr(said, "status_code"):  # a WebSocketException
        return Denied(403, getattr(said, "reason", "") or getattr(said, "detail", ""))
    text: str | None = getattr(said, "text", None) or getattr(said, "detail", None)
    headers = CIMultiDict(getattr(said, "headers", None) or {})
    cookies = getattr(said, "cookies", None)
    if isinstance(cookies, BaseCookie):  # aiohttp's, which makes headers of them when it sends
        for cookie in cast("BaseCookie[str]", cookies).values():
            headers.add("Set-Cookie", cookie.OutputString())
    return Denied(said.status_code, text or "", headers)


async def deny(call: Calling, refusal: Denied, within: float) -> None:
    """Answer the handshake with an HTTP response; with a close where the server cannot, which it makes a 403 of.

    Nobody is told of a client that has left by then, or has not taken its answer `within` these seconds.
    """
    events = tuple(_events_of(call, refusal))
    with contextlib.suppress(OSError, RuntimeError):  # with which servers refuse to answer one that has left
        async with asyncio.timeout(within):
            for event in events:
                await call.send(event)
    await asyncio.sleep(0)  # by then uvicorn has closed the connection; else it logs an error that nothing was answered


def _events_of(call: Calling, refusal: Denied) -> Iterator[AsgiEvent]:
    if not can_respond(call.scope):
        yield {"type": "websocket.close", "code": 1008, "reason": ""}
        return
    body = refusal.text.encode()
    headers = CIMultiDict(refusal.headers)
    headers.setdefault("content-type", "text/plain; charset=utf-8")
    headers["content-length"] = str(len(body))
    lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    yield {"type": f"{EXTENSION}.start", "status": refusal.status, "headers": lines}
    yield {"type": f"{EXTENSION}.body", "body": body, "more_body": False}


def raised(call: Calling, refusal: Denied) -> Exception:
    """Make the exception to raise for a refusal in a function of the user's that the framework has called."""
    if call.framework in ("starlette", "fastapi"):
        exceptions: Any = sys.modules["starlette.exceptions"]
        if can_respond(call.scope):
            return exceptions.HTTPException(refusal.status, refusal.text, refusal.headers)
        return exceptions.WebSocketException(1008)
    if call.framework == "litestar":
        litestar: Any = sys.modules["litestar.exceptions"]
        return litestar.HTTPException(refusal.text, status_code=refusal.status)
    return refusal
