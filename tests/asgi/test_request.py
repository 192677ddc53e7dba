"""Who calls a handler, and what frameworks see of it."""

import functools
import inspect
import sys
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

import pytest
from aiohttp import web
from aiohttp.web import Request as AiohttpRequest  # noqa: F401 - for annotations that are strings
from reactivex import Observable
from typing_extensions import TypeAliasType

import rxws
import rxws.asgi
from rxws.asgi.request import Calling, Request, wants_plain
from tests.asgi.peer import Peer


class WebSocket:
    """As Starlette's, for the signature."""


def handler(room: str, incoming: Observable[str], errors: Any, user: int = 3, *, socket: Any, request: Any) -> Any:
    """Say hello."""
    return incoming


def test_streams_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frameworks see their own parameters, and one for their WebSocket, whose class is looked for when they ask."""
    monkeypatch.delitem(sys.modules, "starlette.websockets", raising=False)
    shown = rxws.asgi.websocket(handler)
    assert str(inspect.signature(shown)) == "(room: str, user: int = 3, *, socket: Any) -> None"
    starlette = ModuleType("starlette.websockets")
    starlette.WebSocket = WebSocket
    monkeypatch.setitem(sys.modules, "starlette.websockets", starlette)
    assert inspect.signature(shown).parameters["socket"].annotation is WebSocket
    assert list(inspect.signature(shown).parameters) == ["room", "user", "socket"]
    assert (shown.__name__, shown.__doc__) == ("handler", "Say hello.")
    assert shown.__annotations__ == {"room": str, "user": int, "socket": Any, "return": None}


@pytest.mark.parametrize(
    "annotation",
    [
        *(WebSocket, "WebSocket", "fastapi.WebSocket", Annotated[WebSocket, "of ours"]),
        *(TypeAliasType("Alias", WebSocket), TypeAliasType("Alias", Annotated[WebSocket, "of ours"])),
    ],
)
def test_own_parameter_for_the_websocket(annotation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that asks for the framework's WebSocket itself is shown with that parameter alone."""
    starlette = ModuleType("starlette.websockets")
    starlette.WebSocket = WebSocket
    monkeypatch.setitem(sys.modules, "starlette.websockets", starlette)

    def own(ws: Any, incoming: Any) -> None: ...

    own.__annotations__["ws"] = annotation
    assert list(inspect.signature(rxws.asgi.websocket(own)).parameters) == ["ws"]


def test_method() -> None:
    """A method has its `self`, and loses it when it is bound."""

    class Rooms:
        @rxws.asgi.websocket
        def join(self, room: str, incoming: Observable[str]) -> None: ...

    assert list(inspect.signature(Rooms.join).parameters) == ["self", "room", "socket"]
    assert list(inspect.signature(Rooms().join).parameters) == ["room", "socket"]


def test_annotations_that_are_strings() -> None:
    """They are resolved where the handler stands: some releases of FastAPI would look in our module."""

    def written(
        room: "Observable[str]",
        later: "NotYet" = 0,  # noqa: F821 - a name that is not there
        *,
        user: "dict[str, int]",
        incoming: Any,
    ) -> None: ...

    for function in (written, functools.partial(written, later=1)):
        shown = inspect.signature(rxws.asgi.websocket(function)).parameters
        assert (shown["room"].annotation, shown["user"].annotation) == (Observable[str], dict[str, int])
    assert inspect.signature(rxws.asgi.websocket(written)).parameters["later"].annotation == "NotYet"


def connection(peer: Peer, **more: Any) -> Any:
    return SimpleNamespace(scope=peer.scope, receive=peer.receive, send=peer.send, **more)


@pytest.mark.parametrize("how", ["bare", "method", "positional", "by name", "own parameter"])
def test_how_it_is_called(how: str) -> None:
    peer, itself = Peer(), object()
    asgi, framework = (peer.scope, peer.receive, peer.send), connection(peer)
    match how:
        case "bare":
            calling = Calling(asgi, {})
        case "method":
            calling = Calling((itself, *asgi), {})
        case "positional":
            calling = Calling((itself, framework), {})
        case "by name":
            calling = Calling((itself,), {"socket": framework, "room": "a"})
        case _:
            calling = Calling((itself,), {"ws": framework, "room": "a"})
    assert (calling.scope, calling.receive, calling.send) == asgi
    assert calling.first == (() if how == "bare" else (itself,))
    assert "socket" not in calling.named
    assert (calling.request is framework) is (how not in ("bare", "method"))
    assert calling.expects_connect


@pytest.mark.parametrize("given", [(), (object(),), (1, 2, 3)])
def test_called_by_something_else(given: tuple[Any, ...]) -> None:
    """A request of aiohttp's, say, is a clear error."""
    with pytest.raises(TypeError, match=r"on aiohttp use rxws\.websocket"):
        Calling(given, {})


def test_accepted_before() -> None:
    """A WebSocket that is accepted is refused; one whose first event was received is not."""
    states = {name: SimpleNamespace(name=name) for name in ("CONNECTING", "CONNECTED")}
    peer = Peer()
    waiting = connection(peer, client_state=states["CONNECTED"], application_state=states["CONNECTING"])
    assert not Calling((waiting,), {}).expects_connect
    accepted = connection(peer, client_state=states["CONNECTED"], application_state=states["CONNECTED"])
    with pytest.raises(RuntimeError, match="was answered already"):
        _ = Calling((accepted,), {}).expects_connect


def test_arguments() -> None:
    """They are what the framework has found, or path parameters; a missing one is named."""
    guests = rxws.asgi.routes.Handler(handler, guests=True).guests
    peer = Peer(path_params={"room": "a", "other": 1})
    assert Calling((connection(peer),), {}).arguments(guests) == {"room": "a"}
    assert Calling((), {"socket": connection(peer), "room": "b", "user": 4}).arguments(guests) == {
        "room": "b",
        "user": 4,
    }
    for scope in ({}, {"url_route": {"args": (), "kwargs": {}}}):
        with pytest.raises(TypeError, match=r"asks for 'room': .* here are: none"):
            Calling((connection(Peer(**scope)),), {}).arguments(guests)


def test_path_parameters_of_django_channels() -> None:
    """Its router gives them to a plain ASGI application; what is routed below it finds its own."""
    guests = rxws.asgi.routes.Handler(handler, guests=True).guests
    route = {"args": (), "kwargs": {"room": "a", "other": 1}}
    peer = Peer(url_route=route, path_remaining="")
    calling = Calling((peer.scope, peer.receive, peer.send), {})
    assert calling.arguments(guests) == {"room": "a"}
    assert calling.request.match_info == {"room": "a", "other": 1}
    assert Request(Peer(url_route=route, path_params={"room": "b"}).scope).match_info == {"room": "b"}


def test_request() -> None:
    """Without a framework `request` has what most handlers read, by the names that aiohttp has for it."""
    headers = [(b"Host", b"a"), (b"cookie", b"a=1"), (b"x", b"1"), (b"X", b"2")]
    request = Request(Peer(headers=headers, query_string=b"a=1&b=&a=2", path="/r\u00e9").scope)
    assert dict(request.headers) == {"host": "a", "cookie": "a=1", "x": "1, 2"}
    assert (request.headers["Host"], request.headers.get("COOKIE")) == ("a", "a=1")
    assert [request.query["a"], request.query.getall("a"), request.query["b"]] == ["1", ["1", "2"], ""]
    assert (request.path, request.remote) == ("/ré", "192.0.2.1")
    assert Request(Peer(client=None).scope).remote is None
    assert Request(Peer(client=None, server=("127.0.0.1", 80)).scope).remote is None
    assert Request(Peer(client=None, server=("/run/a", None)).scope).remote == "unix:/run/a"
    assert request.match_info == {}
    assert Request(Peer(path_params={"room": "a"}).scope).match_info == {"room": "a"}


@pytest.mark.parametrize("function", [lambda *args: None, lambda **options: None, lambda room, /: None])
def test_parameters_that_nobody_can_give(function: Any) -> None:
    with pytest.raises(TypeError, match="bound by name"):
        rxws.asgi.websocket(function)


def as_aiohttp(request: web.Request) -> None: ...


def as_ours(request: Request, incoming: Any) -> None: ...


def as_theirs(request: WebSocket, incoming: Any) -> None: ...


def as_nobody_s(incoming: Any) -> None: ...


@pytest.mark.parametrize("function", [as_aiohttp, as_ours, as_theirs, as_nobody_s, handler])
@pytest.mark.parametrize("written", ["object", "name", "dotted"])
async def test_annotation_of_the_request(function: Any, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that says so gets a `Request` from every caller: one for aiohttp moves without a change."""
    names = {as_aiohttp: "web.Request", as_ours: "Request", as_theirs: "WebSocket"}
    if written != "object" and function in names:
        spelled = {as_ours: "rxws.asgi.Request", as_aiohttp: "AiohttpRequest"}
        first, other = names[function], spelled.get(function, "fastapi.WebSocket")
        monkeypatch.setitem(function.__annotations__, "request", first if written == "name" else other)
    peer = Peer(query_string=b"room=a")
    framework = connection(peer, client_state=SimpleNamespace(name="CONNECTING"), application_state=None)
    plain = wants_plain(function)
    assert plain is (function in (as_aiohttp, as_ours))
    calling = Calling((framework,), {}, plain=plain)
    assert calling.expects_connect
    assert isinstance(calling.request, Request) is plain
    assert (calling.request is framework) is not plain
    if plain:
        assert calling.request.query["room"] == "a"
