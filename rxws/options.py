"""The options of a socket: the same on the server and on the client, checked as early as possible."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from functools import cached_property
from typing import Any, Final, TypedDict, TypeVar, cast, get_args

from rxws import codecs
from rxws.checks import called, flag, is_async, number, one_of, positive, positive_int, unknown
from rxws.policies import Expire, LatestBy, Offline, OfflineName, Overflow, OverflowName

__all__ = ["ClientOptions", "Deflate", "Heartbeat", "Options", "ServerOptions", "Settings"]

F = TypeVar("F", bound=Callable[..., Any])

_TOKEN: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
"""What a subprotocol may be (RFC 6455, section 4.1; RFC 9110, section 5.6.2)."""


_BY_CONTEXT: Final = cast("int", None)
"""Stands for a default that is another one with a context."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deflate:
    """How messages are compressed (permessage-deflate, RFC 7692): `compress=rxws.Deflate(outgoing_context=True)`.

    By default each message is compressed by itself, once for all sockets with the same options, and inflated by
    itself: a socket keeps nothing between messages. A message that arrives compressed is forwarded as it came if you
    send it within the call that delivers it. With a context, a message may refer to earlier ones. Small messages that
    resemble each other then become five times smaller, but each socket compresses for itself. `docs/compression.md`
    has figures.

    Memory: without contexts, 300 KiB a process for each set of options. With `outgoing_context`, each socket takes
    2^(`outgoing_window_bits` + 2) + 2^(`memory_level` + 9) bytes and 8 KiB, 40 KiB by default, from its first
    compressed message on. With `incoming_context` it takes 2^`incoming_window_bits` bytes and 10 KiB, 42 KiB by
    default.

    Raises `TypeError` or `ValueError` for a wrong option.
    """

    outgoing_context: bool = False
    """Whether our messages may refer to earlier ones, unless the peer forbids it."""

    incoming_context: bool = False
    """On a server, whether a client's messages may refer to earlier ones. On a client, the server decides."""

    outgoing_window_bits: int = _BY_CONTEXT
    """How many bytes back we refer, as a power of two: 8 to 15; by default 15, with a context 12.

    Peers may ask for less.
    """

    incoming_window_bits: int = 15
    """How many bytes back the peer may refer, as a power of two: 8 to 15.

    A client that accepts no limit (`client_max_window_bits`) must compress each message by itself."""

    memory_level: int = _BY_CONTEXT
    """Memory of the compressor, 1 to 9; by default 8, with a context 5."""

    level: int = _BY_CONTEXT
    """Effort of the compressor: 1 (fast) to 9 (small); by default 6, with a context 5. From 7 on, messages that arrived
    compressed are compressed again when they are forwarded."""

    threshold: int = _BY_CONTEXT
    """Messages of fewer bytes are not compressed; by default 128, with a context 16."""

    def __post_init__(self) -> None:
        for name in ("outgoing_context", "incoming_context"):
            flag(name, getattr(self, name))
        for name, alone, in_context in (
            ("outgoing_window_bits", 15, 12),
            ("memory_level", 8, 5),
            ("level", 6, 5),
            ("threshold", 128, 16),
        ):
            if getattr(self, name) is _BY_CONTEXT:
                object.__setattr__(self, name, in_context if self.outgoing_context else alone)
        for name, least, most in (
            ("outgoing_window_bits", 8, 15),
            ("incoming_window_bits", 8, 15),
            ("memory_level", 1, 9),
            ("level", 1, 9),
        ):
            fits = range(least, most + 1).__contains__
            number(name, getattr(self, name), f"a whole number from {least} to {most}", fits, int)
        number("threshold", self.threshold, "a whole number of bytes", lambda given: given >= 0, int)


class CommonOptions(TypedDict, total=False):
    """The keyword options of every socket that do not change the types of its messages."""

    heartbeat: float | Heartbeat | None
    max_msg_size: int | None
    compress: bool | Deflate
    high_water: int
    max_buffered: int
    overflow: Overflow
    in_flight: Callable[[Any], int | None] | None
    message_rate: float | None
    message_timeout: float | None
    close_timeout: float


class Options(CommonOptions, total=False):
    """The keyword options of every socket; `Settings` has their meanings, units and defaults."""

    protocols: Iterable[str] | Mapping[str, codecs.AnyCodec[Any, Any]]


class ServerOptions(Options, total=False):
    """The keyword options of `websocket` and `accept`."""

    origins: str | Iterable[str]


class ClientOptions(Options, total=False):
    """The keyword options of `connect`, but for those of its handshake."""

    offline: Offline


@dataclass(frozen=True)
class Heartbeat:
    """A heartbeat in the application's own words, for peers that know pings as messages: exchanges, GraphQL, Socket.IO.

    Pings and answers go out on the present connection only, ahead of waiting messages; pings wait until a greeting is
    done. `outgoing`, `incoming`, recordings and the message counts in `stats` do not include them, and
    `Backoff(stale_after=)` does not see them. Those of the peer count for `message_rate`. While reading is held, the
    peer's pings and pongs wait with the messages, and are answered and measured when they are read.

    An exception in one of the functions, or a ping that does not encode, is an error of the socket; the incoming
    message is then emitted. Memory: 16 answers waiting to be sent; beyond that, the oldest is dropped.

    >>> Heartbeat(15, ping={"op": "ping"}, pong=lambda message: message.get("op") == "pong").seconds
    15.0
    >>> Heartbeat(20, answer=lambda packet: "3" if packet == "2" else None).ping  # of engine.io
    """

    seconds: float
    """Seconds between pings, and seconds to wait for a sign of life after one; then the socket ends, 1006."""
    _: KW_ONLY
    ping: Any = None
    """The message, or a function that makes one for each ping; `None` for the pings of RFC 6455."""
    pong: Callable[[Any], object] | None = None
    """Returns whether a message answers a ping; `socket.rtt` is measured with it. `None`: any message is a sign of
    life, and is emitted as usual."""
    answer: Callable[[Any], Any] | None = None
    """Returns the answer to a ping of the peer; `None` for a message that is not a ping."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", positive("seconds", self.seconds, "seconds"))
        if callable(self.ping):
            _takes("ping", self.ping)
        for name in ("pong", "answer"):
            function: Any = getattr(self, name)
            if function is not None:
                if not callable(function):
                    raise TypeError(f"{name} must be a function of a message, not {function!r}")
                _takes(name, function, "a message")
        if self.pong is not None and self.ping is None:
            raise TypeError("pong recognizes the answer to your own ping: pass ping too")


class CodecFactory:
    """Makes the codec of each connection; its `name` is that of the option."""

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self._name = name
        self._make = make

    def make(self) -> codecs.Codec[Any, Any]:
        """Make one; raises what the factory does, or `TypeError` for what is not a codec."""
        made = self._make()
        codec = _usable(made)
        if codec is None:
            raise TypeError(f"{self._name}: {self._make!r} must make {_CODEC}, not {made!r}")
        return codec


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Checked options. `None` means off; a wrong type is a `TypeError`, a wrong value a `ValueError`."""

    codec: codecs.Codec[Any, Any] | CodecFactory = codecs.text
    """Decodes and encodes messages: text and bytes unchanged (default), `rxws.json`, `rxws.codecs.msgspec(Type)`,
    yours.

    All sockets share one codec. A class, or another function without arguments, makes one for each connection.
    """

    protocols: tuple[str, ...] = ()
    """Subprotocols (RFC 6455, section 1.9). A server chooses the first one in the client's list that is also here."""

    protocol_codecs: Mapping[str, codecs.Codec[Any, Any] | CodecFactory] | None = None
    """The codecs of the subprotocols, when `protocols` was a mapping."""

    origins: tuple[str, ...] | None = ()
    """Foreign origins that browsers may connect from, besides the server's own host. `"*"` lets all in; here it is
    `None`.

    If a request came over TLS, its page must have, too. aiohttp knows about TLS on its own connection. If a proxy takes
    TLS off, make that known with `request.clone(scheme="https")` in a middleware.
    """

    heartbeat: float | Heartbeat | None = 20.0
    """Seconds between pings, and seconds to wait for a sign of life after one; then the socket ends, 1006.

    A `Heartbeat` pings, and answers pings, with messages of the application.
    """

    max_msg_size: int | None = 1024 * 1024
    """Bytes in one incoming message; a larger one closes the socket with 1009."""

    compress: bool | Deflate = False
    """Whether to compress messages if the peer supports it (permessage-deflate, RFC 7692). A `rxws.Deflate` says how.
    `rxws.codecs.uncompressed` marks messages to leave as they are."""

    high_water: int = 64 * 1024
    """Bytes waiting in `outgoing` above which their sources are held; they go on below a quarter of it. By default at
    most half of `max_buffered`."""

    max_buffered: int = 1024 * 1024
    """Bytes waiting in `outgoing` at which `overflow` applies; each message counts 64 bytes more than its size. While
    no more than `high_water` waits, a message is taken however large it is."""

    overflow: Overflow = "close"
    """What happens when a peer reads too slowly: `"close"` (1013, which arrives if the peer reads within
    `close_timeout`), `"drop_oldest"`, `"drop_newest"`, `"latest"`, or `rxws.latest_by(key)`."""

    in_flight: Callable[[Any], int | None] | None = None
    """Reads from an incoming message how many messages the peer's program, such as a page's script, has taken so far;
    returns `None` for any other message. Such counts are not emitted. With `"latest"` and `latest_by`, messages are
    then fresh when the program takes them, not only when they arrive."""

    message_rate: float | None = None
    """Incoming messages per second, with bursts of the same number; beyond that, the socket closes with 1008."""

    message_timeout: float | None = 60.0
    """Seconds that an incoming message may take, from its first byte to its last; then the socket closes with 1008."""

    close_timeout: float = 5.0
    """Seconds for flushing, the closing handshake and the handler's clean-up; then the connection is aborted."""

    offline: Offline = "keep"
    """What happens to a client's messages while it is offline: `"keep"`, `"latest"` (only the newest), `"drop"`,
    `rxws.expire(seconds)`, or a function of the message that returns one of these."""

    @cached_property
    def conflates(self) -> bool:
        """Whether newer messages replace waiting ones, so that the peer gets fresh ones."""
        return self.overflow == "latest" or isinstance(self.overflow, LatestBy)

    def codec_for(self, protocol: str | None) -> codecs.Codec[Any, Any] | CodecFactory:
        """Choose the codec, or its factory, by the negotiated subprotocol."""
        return self.codec if self.protocol_codecs is None else self.protocol_codecs.get(protocol or "", self.codec)

    def make_codec(self, protocol: str | None) -> codecs.Codec[Any, Any]:
        """Give the codec of a connection; raises as `CodecFactory.make`."""
        codec = self.codec_for(protocol)
        return codec.make() if isinstance(codec, CodecFactory) else codec

    @cached_property
    def words(self) -> Heartbeat | None:
        """The heartbeat, if it is in the application's words."""
        return self.heartbeat if isinstance(self.heartbeat, Heartbeat) else None

    @cached_property
    def makes_codecs(self) -> bool:
        """Whether any codec is made for each connection."""
        return any(isinstance(codec, CodecFactory) for codec in (self.codec, *(self.protocol_codecs or {}).values()))


_CLIENTS: Final = "an option of clients, of connect and feed"
_SETUP: Final = "an option of rxws.setup(app, ...), for all sockets together"

_ELSEWHERE: Final = {
    "origins": "an option of servers, of websocket and accept: only browsers send an origin",
    "offline": "an option of clients that reconnect: connect(url, reconnect=rxws.Backoff(), offline=...)",
    **dict.fromkeys(("reconnect", "session", "headers", "ssl", "proxy", "open_timeout", "greet"), _CLIENTS),
    **dict.fromkeys(("max_connections", "shutdown_code", "shutdown_timeout"), _SETUP),
    "workers": "an option of rxws.run(app, ...)",
}
"""Options of other functions, and which."""


def check(options: Mapping[str, Any], *, without: Iterable[str] = (), also: Iterable[str] = ()) -> Settings:
    """Check options, and fill in the defaults; options in `without` are not allowed.

    `also` are the caller's other arguments: an unknown option may be one of them, misspelled.

    >>> check({"heartbeat": 5}).heartbeat
    5.0
    >>> check({"hartbeat": 5})
    Traceback (most recent call last):
        ...
    TypeError: unknown option 'hartbeat': did you mean 'heartbeat'?
    """
    known = {field.name for field in fields(Settings)} - {"protocol_codecs", *without}
    for name in options:
        if name not in known:
            if name in _ELSEWHERE:
                raise TypeError(f"unknown option {name!r} here: it is {_ELSEWHERE[name]}")
            if name in without:
                raise TypeError(f"unknown option {name!r} here: the handshake is done and has decided it")
            raise TypeError(unknown(name, {*known, *also}))
    checked: dict[str, Any] = {name: _CHECKS[name](name, value) for name, value in options.items()}
    if isinstance(options.get("protocols"), Mapping):
        checked["protocol_codecs"] = {
            name: _codec(f"protocols[{name!r}]", codec) for name, codec in options["protocols"].items()
        }
    if "max_buffered" in checked:  # a source is held while there is room for what is on its way
        checked.setdefault("high_water", max(1, min(Settings.high_water, checked["max_buffered"] // 2)))
    settings = Settings(**checked)
    if "high_water" in options and settings.high_water > settings.max_buffered:
        raise ValueError(
            f"high_water, {settings.high_water} bytes, must not be above max_buffered, {settings.max_buffered}: "
            "overflow would apply before any source is held. Lower high_water, or raise max_buffered"
        )
    if settings.in_flight is not None and not settings.conflates:
        raise ValueError(f"in_flight needs overflow='latest' or rxws.latest_by(key), not {settings.overflow!r}")
    _check_ping(settings)
    return settings


def tell_options(without: Iterable[str], **defaults: Any) -> Callable[[F], F]:
    """Let `inspect.signature` of a function, and so Shift-Tab in a notebook, list what its `**options` may be.

    `defaults` are those of this function, where they are others.

    >>> @tell_options(without=("offline",))
    ... def serve(**options): ...
    >>> list(inspect.signature(serve).parameters)[:3]
    ['codec', 'protocols', 'origins']
    """
    hidden = {"protocol_codecs", *without}

    def tell(function: F) -> F:
        told = inspect.signature(function)
        own = [one for one in told.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        options = [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(field.name, field.default)
            )
            for field in fields(Settings)
            if field.name not in hidden
        ]
        setattr(function, "__signature__", told.replace(parameters=[*own, *options]))  # noqa: B010
        return function

    return tell


def check_codec(name: str, value: Any) -> codecs.Codec[Any, Any]:
    """Return a codec that makes one frame for each message; raises `TypeError` for anything else."""
    if not _has(value, "decode", "encode"):
        raise TypeError(f"{name} must be an object with decode() and encode(), such as rxws.json, not {value!r}")
    return value


_CODEC: Final = "an object with decode() and encode(), such as rxws.json, or with messages() and frames()"


def _codec(name: str, value: Any) -> codecs.Codec[Any, Any] | CodecFactory:
    codec = _usable(value)
    if codec is not None:
        return codec
    if not callable(value):
        raise TypeError(f"{name} must be {_CODEC}, or a function that makes one for each connection, not {value!r}")
    _takes(name, value)
    return CodecFactory(name, value)


def _takes(name: str, function: Callable[..., Any], *arguments: str) -> None:
    """Raise `TypeError` for a function that cannot be called with these arguments, or returns a coroutine."""
    expected = f"{name} must be a function of {' and '.join(arguments) or 'no arguments'}"
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise TypeError(f"{expected}; {function!r} is not: {error}") from None
    except ValueError:  # it is built in, and does not say
        pass
    if is_async(function):
        raise TypeError(f"{expected} that returns at once; {function!r} is a coroutine function")


def _check_ping(settings: Settings) -> None:
    """Raise `TypeError` for a ping that the codec refuses, as far as a codec may be asked now."""
    codec: Any = settings.codec
    ping = settings.heartbeat.ping if isinstance(settings.heartbeat, Heartbeat) else None
    if ping is None or callable(ping) or settings.protocol_codecs or getattr(codec, "pure", False) is not True:
        return
    try:
        for part in parts if isinstance(parts := codec.encode(ping), codecs.Parts) else (parts,):
            part.encode() if isinstance(part, str) else memoryview(part)
    except Exception as error:
        raise TypeError(f"the codec cannot encode the ping of the heartbeat, {ping!r}: {error}") from error


def _heartbeat(name: str, value: Any) -> float | Heartbeat | None:
    return value if isinstance(value, Heartbeat) else _SECONDS_OR_OFF(name, value)


def _usable(value: Any) -> codecs.Codec[Any, Any] | None:
    """Return what can be asked to `encode`, made of a codec; `None` for what is not a codec."""
    if _has(value, "decode", "encode"):
        return value
    return cast("codecs.Codec[Any, Any]", codecs.Streamed(value)) if _has(value, "messages", "frames") else None


def _has(value: Any, *methods: str) -> bool:
    return not isinstance(value, type) and all(callable(getattr(value, method, None)) for method in methods)


def _names(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, str) and isinstance(value, Iterable):
        names = tuple(cast("Iterable[object]", value))
        if all(isinstance(item, str) and item for item in names):
            return cast("tuple[str, ...]", names)
    raise TypeError(f"{name} must be a list of strings, not {value!r}")


def _protocols(name: str, value: Any) -> tuple[str, ...]:
    protocols = _names(name, value)
    for protocol in protocols:
        if not _TOKEN.fullmatch(protocol):
            raise ValueError(f"{name} holds {protocol!r}: expected letters, digits and any of !#$%&'*+-.^_`|~")
        if protocols.count(protocol) > 1:
            raise ValueError(f"{name} holds {protocol!r} more than once")
    return protocols


def _origins(name: str, value: Any) -> tuple[str, ...] | None:
    if value == "*":
        return None
    origins = _names(name, value)
    for origin in origins:
        scheme, found, host = origin.partition("://")
        if origin != "null" and (not found or not scheme or not host or set(host) & set("/?#@* ")):
            raise ValueError(
                f'{name} holds {origin!r}: expected "scheme://host" or "scheme://host:port", or "*" alone to admit all'
            )
    return tuple(origin.lower() for origin in origins)


def _positive(check: Callable[..., float], unit: str, none: str = "") -> Callable[[str, Any], float | None]:
    return lambda name, value: None if none and value is None else check(name, value, unit, none=none)


def _compress(name: str, value: Any) -> bool | Deflate:
    if isinstance(value, (bool, Deflate)):
        return value
    raise TypeError(f"{name} must be True, False or rxws.Deflate(...), not {value!r}")


def _overflow(name: str, value: Any) -> Overflow:
    if isinstance(value, LatestBy):
        return value
    return one_of(name, value, get_args(OverflowName), "rxws.latest_by(key)")


def _offline(name: str, value: Any) -> Offline:
    if isinstance(value, Expire):
        return value
    if callable(value):
        called(name, value, "a function of a message returns 'keep', 'latest', 'drop' or rxws.expire(seconds)")
        return cast("Offline", value)
    return one_of(name, value, get_args(OfflineName), "rxws.expire(seconds), a function")


def _in_flight(name: str, value: Any) -> Callable[[Any], int | None] | None:
    if value is None:
        return None
    if not callable(value):
        raise TypeError(f"{name} must be a function of a message, not {value!r}")
    _takes(name, value, "a message")
    return cast("Callable[[Any], int | None]", value)


_SECONDS_OR_OFF: Final = _positive(positive, "seconds", none="off")

_CHECKS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "codec": _codec,
    "protocols": _protocols,
    "origins": _origins,
    "heartbeat": _heartbeat,
    "max_msg_size": _positive(positive_int, "bytes", none="off"),
    "compress": _compress,
    "high_water": _positive(positive_int, "bytes"),
    "max_buffered": _positive(positive_int, "bytes"),
    "overflow": _overflow,
    "in_flight": _in_flight,
    "message_rate": _positive(positive, "messages a second", none="off"),
    "message_timeout": _SECONDS_OR_OFF,
    "close_timeout": _positive(positive, "seconds"),
    "offline": _offline,
}
