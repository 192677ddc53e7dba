"""Handlers and clients under virtual time."""

import asyncio
import functools
from collections.abc import AsyncIterator
from typing import Any

import pytest
import reactivex
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
import rxws.asgi
from rxws import operators as rxops
from rxws.recording import Event, Recording
from rxws.testing import run, serve, virtual_time


def shout(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(str.upper))


async def follow(socket: rxws.ClientWebSocket[Any, Any]) -> None:
    socket.outgoing.on_next("s")
    async for message in socket:
        socket.outgoing.on_next(message.upper())


def steady(ceiling: float) -> float:
    return ceiling


# Handlers


@pytest.mark.parametrize(
    ("handler", "incoming", "expected"),
    [
        (shout, "-a-b-|", "-A-B-(close 1000)"),
        (shout, "-a-b-", "-A-B"),
        (shout, "-a-#", "-A-(close 1006)"),
        (shout, "-a-(close 4001 bye)", "-A-(close 4001 bye)"),
        (shout, "-(close 1005)", "-(close 1005)"),
        (shout, "-(close 1006)", "-(close 1006)"),
        (lambda incoming: incoming.pipe(ops.take(2)), "-a-b-c", "-a-(b close 1000)"),
        (lambda incoming: incoming.pipe(ops.map(int), ops.map(str)), "-1-x", "-1-(close 1011)"),
        (lambda incoming: incoming.pipe(ops.debounce(0.2)), "-a-bc---d|", "------c--(close 1000)"),
        (lambda incoming: incoming.pipe(ops.delay(20)), "-a 30s ", "20.1s a"),
        (lambda incoming: incoming.pipe(ops.throttle_first(0.25)), "-abcdef", "-a--d--"),
        (lambda: reactivex.timer(3600).pipe(ops.map(str)), None, ""),
        (lambda: reactivex.interval(1).pipe(ops.map(str), ops.take(2)), None, "1s 0 900ms (1|)"),
    ],
)
def test_handlers(handler: Any, incoming: str | None, expected: str) -> None:
    """Handlers do what their diagrams say."""
    assert run(handler, incoming) == expected


def test_coroutines_and_generators() -> None:
    """Coroutines and generators run under virtual time too."""

    async def greet(incoming: Observable[str], outgoing: Subject[str]) -> None:
        name = await incoming.pipe(ops.first())
        await asyncio.sleep(0.2)
        outgoing.on_next(f"hello {name}")

    async def count() -> AsyncIterator[str]:
        for number in range(3):
            yield str(number)
            await asyncio.sleep(0.1)
        raise rxws.Close(4001, "done")

    assert run(greet, "-x") == ""
    assert run(greet, "-x---") == '---("hello x"|)'
    assert run(count) == "012(close 4001 done)"


def test_heartbeats_and_deadlines() -> None:
    """Heartbeats and deadlines use virtual time."""
    seen: list[Any] = []

    def handler(socket: rxws.WebSocket[Any, Any]) -> None:
        seen.append(socket)

    assert run(handler, " 100s ").close is None
    assert seen[0].rtt == 0
    stuck = run(lambda outgoing: outgoing.on_next("x"), "-|", congested="[")
    assert stuck == " 5.1s |"
    assert stuck.sent == []
    assert run(lambda socket: socket.close(4001), "", congested="[", close_timeout=2) == " 2s (close 4001)"


def test_back_pressure_is_a_diagram() -> None:
    async def slow(message: str) -> str:
        await asyncio.sleep(0.3)
        return message.upper()

    result = run(lambda incoming: incoming.pipe(rxops.map_async(slow)), "-(abc)-----------|")
    assert result == "----A--B--C--|"
    assert result.held == "-[--(][)--(][)--]"
    assert run(shout, "-a").held == ""


def test_errors() -> None:
    """Errors are a diagram, whether or not they are observed."""

    def survives(incoming: Observable[Any], errors: Observable[Exception]) -> Observable[Any]:
        errors.subscribe()
        return incoming

    result = run(survives, '-[1]-<0x7b>-{"a": 1}-#', codec=rxws.json)
    assert result == '-[1]---{"a": 1}-(close 1006)'
    assert result.errors == "---(# DecodeError)---(# ConnectionLost)"
    assert run(shout, "-<0x00>").errors == "-(# TypeError)"


def test_codecs() -> None:
    """Messages go through the codec of the handler or the protocol."""
    ticks = {"a": {"price": 1}, "b": {"price": 2}}

    @rxws.websocket(codec=rxws.json, origins="*")
    def doubled(incoming: Observable[Any]) -> Observable[Any]:
        return incoming.pipe(ops.map(lambda tick: {"price": tick["price"] * 2}))

    result = run(doubled, "-a-|", values=ticks)
    assert result == "-b-(close 1000)"
    assert result.sent == ['{"price":2}']
    assert run(lambda incoming: incoming, "-<1>", protocols={"v1": rxws.json}, protocol="v1") == "-<1>"
    assert run(lambda incoming: incoming, '-{"a": 1}').sent == ['{"a":1}']
    assert run(lambda incoming: incoming, "-<0x00ff>") == "-<0x00ff>"
    assert run(lambda: reactivex.of("no json"), "", codec=Plain()) == '("no json"|)'


class Plain:
    def decode(self, data: Any) -> Any:
        return data

    def encode(self, message: Any) -> Any:
        return message


class Room:
    suffix = "!"

    @rxws.websocket
    def exclaim(self, request: Any, incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(ops.map(lambda message: message + self.suffix + request.query["end"]))


def test_decorated_methods() -> None:
    """Decorated methods and requests work."""
    assert run(Room().exclaim, "-a", request=make_mocked_request("GET", "/?end=!!")) == '-"a!!!"'


@rxws.asgi.websocket(codec=rxws.json)
def join(room: str, incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(lambda message: f"{room} {message}"))


def test_what_a_framework_gives() -> None:
    """What a framework gives a handler, its path parameters for example, a partial gives it here."""
    assert run(functools.partial(join, "tea"), "-a") == '-"tea a"'
    assert run(functools.partial(join, room="tea"), "-a") == '-"tea a"'
    with pytest.raises(TypeError, match=r"join asks for 'room'.*functools\.partial"):
        run(join, "-a")


@pytest.mark.parametrize("function", [shout, follow], ids=["handler", "client"])
def test_message_that_is_too_large(function: Any) -> None:
    """It ends the socket as on a real wire, behind what came before it."""
    given = '-a-("abc"b)-c'
    result = run(function, given if function is shout else [given], max_msg_size=2)
    assert result == ("-A-(close 1009)" if function is shout else "sA-(close 1009)")
    assert result.errors == "---(# ProtocolError)"
    assert run(shout, '-"é"-"éa"-', max_msg_size=2) == '-"É"-(close 1009)'


def test_times_are_exact() -> None:
    """However late it is, what came equals the diagram that is shown."""

    async def late(incoming: Any, outgoing: Any) -> None:
        await asyncio.sleep(12345.678)
        outgoing.on_next("a")
        await asyncio.sleep(2_000_000.5)
        outgoing.on_next("b")

    result = run(late, " 2100000s ")
    assert str(result) == "12345.678s a 2000000.4s (b close 1000)"
    assert result == str(result)


def test_bad_options() -> None:
    """Wrong options and diagrams are errors."""
    with pytest.raises(TypeError, match="did you mean 'heartbeat'"):
        run(shout, "-a", hartbeat=1)
    with pytest.raises(ValueError, match="means nothing"):
        run(shout, "-a-%")
    with pytest.raises(TypeError, match="may be request, incoming"):
        run(lambda room: None, "-a")
    recording: Any = Recording([Event(0.1, "incoming", "next", "a")])
    with pytest.raises(TypeError, match=r"rxws\.testing\.replay plays a recording"):
        run(shout, recording)


# Clients


def test_a_client_of_one_connection() -> None:
    result = run(follow, ["-a-b-|"])
    assert result == "sA-B-|"
    assert result.states == "O----|"


def test_a_client_that_comes_back() -> None:
    refusal = rxws.ConnectError("nobody there", "tcp")
    backoff = rxws.Backoff(initial=0.5, factor=2, jitter=steady)
    result = run(follow, ["-a-(close 1012)", refusal, "-b-|"], reconnect=backoff)
    assert result == "sA-----------------B-(close 1000)"
    assert result.states == "(CO)--W----(CW)---------(CO)--|"


def test_topics() -> None:
    """Topics are subscribed on every connection."""

    def client(socket: rxws.ClientWebSocket[Any, Any]) -> None:
        topic = socket.multiplex(subscribe="s", unsubscribe="u", matches=str.isdigit)
        topic.pipe(ops.take(2)).subscribe(lambda message: socket.outgoing.on_next(f"got {message}"))

    result = run(client, ["-1x(close 1012)", "-2-"], reconnect=rxws.Backoff(initial=0.2, jitter=steady))
    assert result == 's"got 1"---s("got 2"u)'


def test_greeting() -> None:
    """A client greets first, and its pipeline has what the greeting does not receive."""

    async def login(connection: rxws.Greeting[Any, Any]) -> None:
        await connection.send("login")
        answer = await connection.receive()
        if answer != "w":
            raise rxws.Close(4401, answer)

    result = run(shout, "--wa-b-|", greet=login)
    assert result.sent == ["login", "A", "B"]
    assert (result.close, result.states) == (rxws.Close(), "--O----|")
    backoff = rxws.Backoff(initial=0.1, maximum=0.1, jitter=lambda ceiling: ceiling)
    result = run(shout, ["-w-a-(# ConnectionLost)", "-wb-|"], greet="hello", reconnect=backoff)
    assert result.sent == ["hello", "W", "A", "hello", "W", "B"]
    with pytest.raises(rxws.Close, match="4401"):
        run(shout, "-n-|", greet=login)
    with pytest.raises(TypeError, match="greet must be"):
        run(shout, "-|", greet=lambda: None)


# Refusals


def guarded(request: Any, incoming: Observable[str]) -> Observable[str]:
    if request.query.get("token") != "secret":
        raise web.HTTPForbidden(text="Who are you?")
    return incoming


def test_refusals() -> None:
    """A handler that raises an HTTP response refuses the peer; `refusal` is that response."""
    result = run(guarded, "-a-", request=make_mocked_request("GET", "/"))
    assert result == "(refused 403)"
    assert result != "(refused 404)"
    assert result != "(close 1011)"
    assert str(result) == "(refused 403)"
    assert (result.sent, result.close) == ([], None)
    assert result.refusal is not None
    assert result.refusal.text == "Who are you?"
    let_in = run(guarded, "-a-|", request=make_mocked_request("GET", "/?token=secret"))
    assert let_in == "-a-(close 1000)"
    assert let_in.refusal is None
    assert result.difference("-a-").splitlines()[2].strip() == "got  (refused 403)"


def test_foreign_origin() -> None:
    """A request whose page is a stranger's is refused as on a server."""
    headers = {"Origin": "https://evil.example", "Host": "example.com"}
    request = make_mocked_request("GET", "/", headers=headers)
    assert run(shout, "-a-|", request=request) == "(refused 403)"
    assert run(shout, "-a-|", request=request, origins="*") == "-A-(close 1000)"


def test_clients_that_are_refused() -> None:
    """In a client's list, a refusal is an attempt that the server answers with that status."""

    async def follow(socket: rxws.ClientWebSocket[str, str]) -> None:
        async for message in socket:
            socket.outgoing.on_next(message.upper())

    backoff = rxws.Backoff(initial=0.5, jitter=steady)
    assert run(follow, ["(refused 503)", "-a-|"], reconnect=backoff) == "------A-(close 1000)"
    with pytest.raises(rxws.ConnectError, match="the server answered 403 in place of 101") as error:
        run(follow, ["(refused 403)"])
    assert (error.value.stage, error.value.status) == ("http", 403)
    with pytest.raises(ValueError, match="a peer that refuses does nothing else"):
        run(follow, ["-a-(refused 403)"])
    with pytest.raises(ValueError, match="a handler's peer cannot refuse"):
        run(shout, "(refused 403)")


# Several peers


def test_several_peers() -> None:
    """Each has a socket of the same handler, and what it got; members of a room get what all say."""
    rooms: rxws.Rooms[str] = rxws.Rooms()

    def chat(incoming: Observable[str]) -> Observable[str]:
        incoming.subscribe(rooms["tea"])
        return rooms["tea"]

    got = run(chat, {"first": "-a-|", "second": "--b-----"})
    assert got == {"first": "-ab(close 1000)", "second": "-ab"}
    assert got["first"].difference("-a-").splitlines()[0] == "   first  -a-|"
    assert len(rooms) == 0


def test_several_requests() -> None:
    """Each of several peers may have a request of its own; one that is refused does not end the others."""
    requests = {name: make_mocked_request("GET", f"/?token={name}") for name in ("secret", "guess")}
    got = run(guarded, dict.fromkeys(requests, "-a-|"), request=requests)
    assert got == {"secret": "-a-(close 1000)", "guess": "(refused 403)"}
    assert run(guarded, {"a": "-a-", "b": "-b-"}, request=make_mocked_request("GET", "/")) == {
        "a": "(refused 403)",
        "b": "(refused 403)",
    }
    with pytest.raises(ValueError, match="the requests are for secret, guess, and the peers are secret"):
        run(guarded, {"secret": "-a-"}, request=requests)


@pytest.mark.parametrize("given", [{"congested": "-[-]"}, {"greet": "hello"}, {"reconnect": rxws.Backoff()}])
def test_what_is_for_one(given: dict[str, Any]) -> None:
    """Several peers have no such argument, nor have clients those of handlers."""
    with pytest.raises(TypeError, match="several peers need a handler"):
        run(shout, {"a": "-a-"}, **given)
    with pytest.raises(TypeError, match="request and congested are for handlers"):
        run(shout, ["-a-"], **{"congested": "-[-]", **given})


def test_the_peer_answers_pings() -> None:
    """An idle socket outlives its heartbeat, and knows the round trip; unless its peer is told not to answer."""

    async def idle(socket: rxws.WebSocket[str, str]) -> None:
        await asyncio.sleep(3600)
        socket.outgoing.on_next(f"{socket.stats.rtt} {socket.stats.duration:g}")

    assert run(idle, " 3601s ").sent == ["0.0 3600"]

    @virtual_time
    async def served() -> None:
        for pongs, code in ((True, 1000), (False, 1006)):
            socket, peer = serve(idle)
            peer.pongs = pongs
            assert (await socket.closed).code == code

    served()


def test_duration_is_virtual() -> None:
    """So it is while the socket is open, at its end, and in the line of the log."""
    durations: list[float] = []

    async def waits(socket: rxws.WebSocket[str, str]) -> None:
        for _ in range(3):
            durations.append(socket.stats.duration)
            await asyncio.sleep(10)
        socket.closed.subscribe(lambda close: durations.append(socket.stats.duration))

    assert run(waits, " 60s ") == " 30s (close 1000)"
    assert durations == [0, 10, 20, 30]
