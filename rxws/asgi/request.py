"""Who calls a handler, and how: a framework with an object of its own, or a server with `scope, receive, send`."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Final, cast, get_origin
from urllib.parse import parse_qsl

from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy

from rxws.core.handler import Handler, is_method
from rxws.wires.asgi import Receive, Scope, Send

SOCKET: Final = "socket"
"""The parameter by which frameworks that bind by name give their own WebSocket; Litestar knows it by this name."""

HUB_KEY: Final = "rxws_hub"
"""Where the hub is, in a scope, in its state, or in an application's."""

PLAIN_REQUESTS: Final = ("web.Request", "aiohttp.web.Request", "rxws.asgi.Request")
"""Annotations as they are written, of a handler that wants a `Request` whatever calls it."""


class Request:
    """The request of a handshake, with names as aiohttp has them: the `scope`, and properties read from it.

    A handler gets one as `request` without a framework. In a framework, it gets one if it says so by its annotation,
    `request: rxws.asgi.Request`, or aiohttp's `web.Request`; else the framework's WebSocket. `Request(websocket.scope)`
    makes one anywhere.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        """What the server says about the connection (ASGI, WebSocket connection scope)."""

    @property
    def path(self) -> str:
        """The path, decoded."""
        return self.scope["path"]

    @cached_property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers by name, in any case; the lines of one name are joined by commas (RFC 9110, section 5.3)."""
        lines: dict[str, str] = {}
        for name, value in _lines(self.scope):
            lines[name] = f"{lines[name]}, {value}" if name in lines else value
        return CIMultiDictProxy(CIMultiDict(lines))

    @cached_property
    def query(self) -> MultiDictProxy[str]:
        """The parameters of the query; if a name occurs more than once, its first value. `getall` gives all of them."""
        query: bytes = self.scope.get("query_string", b"")
        return MultiDictProxy(MultiDict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)))

    @property
    def match_info(self) -> Mapping[str, Any]:
        """The parameters of the path, if a router has found them."""
        return _path_params(self.scope)

    @property
    def remote(self) -> str | None:
        """The peer's address. For a client of a UNIX socket, this is `unix:` and the path of the socket."""
        return client_of(self.scope)


class Calling:
    """One call of a handler: what the server gives, the framework's object or a `Request`, and other arguments."""

    def __init__(self, given: tuple[Any, ...], named: dict[str, Any], *, plain: bool = False) -> None:
        self.first: tuple[Any, ...] = ()
        """Arguments before those of ASGI: `self` of a method."""
        self.named = named
        """Arguments that a framework has found by their names."""
        self.request: Any
        """What the handler gets: the framework's object; a `Request` without one, and where a `plain` one is wanted."""
        self._connection: Any
        self.receive: Receive
        self.send: Send
        connection = named.get(SOCKET)
        if _is_connection(connection):
            del named[SOCKET]
            self.first = given
        elif given and _is_connection(given[-1]):
            *first, connection = given
            self.first = tuple(first)
        else:
            connection = next(filter(_is_connection, named.values()), None)  # in a parameter of the handler's own
            self.first = given
        if connection is not None:
            self.scope: Scope = connection.scope
            self._connection = connection
            self.request = Request(self.scope) if plain else connection
            # Starlette's own, past its checks of the order of events
            self.receive = getattr(connection, "_receive", connection.receive)
            self.send = getattr(connection, "_send", connection.send)
            self.framework = type(connection).__module__.partition(".")[0]
            """The package of the framework's object; empty without a framework."""
        else:
            *first, scope, receive, send = given if len(given) >= 3 else (None, None, None)
            if not isinstance(scope, Mapping):
                raise TypeError(
                    "a handler of rxws.asgi is called with the WebSocket of Starlette, FastAPI or Litestar, or with "
                    f"scope, receive and send of ASGI, not with {given!r}; on aiohttp use rxws.websocket"
                )
            self.scope, self.receive, self.send = cast("Scope", scope), cast("Receive", receive), cast("Send", send)
            self.request = self._connection = Request(self.scope)
            self.first = tuple(first)
            self.framework = ""

    @property
    def expects_connect(self) -> bool:
        """Whether the event `websocket.connect` is still to be received; raises `RuntimeError` after an answer."""
        if self.framework == "litestar":
            return self._connection.connection_state == "init"
        answer = getattr(self._connection, "application_state", None)  # Starlette's
        if answer is None:
            return True
        if answer.name != "CONNECTING":
            raise RuntimeError("this WebSocket was answered already: leave accept() and close() to rxws")
        return self._connection.client_state.name == "CONNECTING"

    def arguments(self, guests: Iterable[inspect.Parameter]) -> dict[str, Any]:
        """Give the arguments that are a framework's; path parameters, where the framework gives none.

        Raises `TypeError` for one that is missing.
        """
        found = self.named or _path_params(self.scope)
        arguments = {guest.name: found[guest.name] for guest in guests if guest.name in found}
        for guest in guests:
            if guest.name not in arguments and guest.default is guest.empty:
                raise TypeError(
                    f"the handler asks for {guest.name!r}: FastAPI and Litestar find dependencies by name; "
                    f"elsewhere it must be a path parameter, and here are: {', '.join(found) or 'none'}"
                )
        return arguments


def wants_plain(function: Any) -> bool:
    """Return whether a handler asks for a `Request` of ours, or of aiohttp's, by the annotation of `request`."""
    parameter = inspect.signature(function).parameters.get("request")
    annotation: Any = None if parameter is None else resolved(parameter.annotation, function)
    if isinstance(annotation, str):  # imported for type checkers alone
        return annotation in PLAIN_REQUESTS
    return isinstance(annotation, type) and annotation.__module__ in (__name__, "aiohttp.web_request")


def resolved(annotation: Any, function: Any) -> Any:
    """Give what an annotation says that is a string, as with `from __future__ import annotations`, if that is known."""

    def noted() -> None: ...

    noted.__annotations__ = {"one": annotation}
    while isinstance(function, functools.partial):
        function = function.func
    try:
        return inspect.get_annotations(noted, globals=getattr(function, "__globals__", None), eval_str=True)["one"]
    except Exception:
        return annotation


class Visible(inspect.Signature):
    """The parameters that a framework is to see: its own, and one for its WebSocket, whose class is known late."""

    __slots__ = ()

    @property
    def parameters(self) -> MappingProxyType[str, inspect.Parameter]:
        """What is shown; the class is Starlette's, which FastAPI looks for."""
        shown = dict(super().parameters)
        starlette: Any = sys.modules.get("starlette.websockets")
        ours = shown.pop(SOCKET, None)
        kind: Any = None if starlette is None else starlette.WebSocket
        if ours is not None and (kind is None or not any(_is_of(one.annotation, kind) for one in shown.values())):
            shown[SOCKET] = ours if kind is None else ours.replace(annotation=kind)  # which FastAPI gives but once
        return MappingProxyType(shown)


def show_frameworks(handle: Any, function: Any, handler: Handler) -> None:
    """Show frameworks what `handle` takes: what is rxws's is hidden.

    Some releases of FastAPI look for the names of annotations in the module that has `handle`, which is ours.
    """
    parameters = [guest.replace(annotation=resolved(guest.annotation, function)) for guest in handler.guests]
    if is_method(function):
        parameters.insert(0, next(iter(inspect.signature(function).parameters.values())))
    names = {parameter.name for parameter in parameters}
    annotations = {name: note for name, note in getattr(function, "__annotations__", {}).items() if name in names}
    parameters.append(inspect.Parameter(SOCKET, inspect.Parameter.KEYWORD_ONLY, annotation=Any))
    handle.__signature__ = Visible(parameters, return_annotation=None)
    handle.__annotations__ = {**annotations, SOCKET: Any, "return": None}


def _is_of(annotation: Any, kind: type) -> bool:
    """Return whether an annotation, which may be a string, an alias or an `Annotated`, is a class of this kind."""
    annotation = getattr(annotation, "__value__", annotation)  # of `type Name = ...`, from Python 3.12 on
    if get_origin(annotation) is Annotated:
        annotation = annotation.__origin__
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] == kind.__name__
    return isinstance(annotation, type) and issubclass(annotation, kind)


def _is_connection(given: Any) -> bool:
    return isinstance(getattr(given, "scope", None), Mapping) and callable(getattr(given, "send", None))


def _path_params(scope: Scope) -> Mapping[str, Any]:
    """Give what a router has found in the path: Starlette's, or that of Django Channels."""
    return scope.get("path_params") or scope.get("url_route", {}).get("kwargs") or {}


def _lines(scope: Scope) -> Iterable[tuple[str, str]]:
    return ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope.get("headers", ()))


def headers_of(scope: Scope, name: str) -> list[str]:
    """Give the lines of a header."""
    return [value for one, value in _lines(scope) if one == name]


def client_of(scope: Scope) -> str | None:
    """Give the peer's address: of a UNIX socket, whose clients have none, `unix:` and the path of the server."""
    client: Any = scope.get("client")
    if client:
        return client[0]
    path, port = scope.get("server") or (None, 0)
    return f"unix:{path}" if port is None else None
