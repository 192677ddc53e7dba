import re
from typing import Any

import pytest

import rxws
from rxws.options import ClientOptions, Deflate, ServerOptions, check
from tests.ids import named


class Pairs:
    """A pure codec whose messages are two frames."""

    pure = True

    def messages(self, data: str | bytes) -> list[Any]:
        return [data]

    def frames(self, message: tuple[str, str]) -> tuple[str, str]:
        first, second = message
        return first, second


async def late() -> Any:
    return rxws.json


BAD = [
    ({"codec": "json"}, TypeError, r"codec must be an object with decode\(\) and encode\(\), such as rxws.json"),
    ({"codec": rxws.codecs.MsgspecCodec}, TypeError, "codec must be a function of no arguments; .*MsgspecCodec"),
    ({"codec": lambda message: rxws.json}, TypeError, "is not: missing a required argument: 'message'"),
    ({"codec": late}, TypeError, "codec must be .* that returns at once; .* is a coroutine"),
    ({"protocols": "v1"}, TypeError, "protocols must be a list of strings"),
    ({"protocols": [1]}, TypeError, "protocols must be a list of strings"),
    ({"protocols": 1}, TypeError, "protocols must be a list of strings"),
    ({"protocols": ["v1, v2"]}, ValueError, "protocols holds 'v1, v2': expected letters, digits"),
    ({"protocols": ["v\u00e9"]}, ValueError, "protocols holds"),
    ({"protocols": {"v1": "json"}}, TypeError, r"protocols\['v1'\] must be an object with decode"),
    ({"origins": "https://example.com"}, TypeError, "origins must be a list of strings"),
    ({"origins": ["example.com"]}, ValueError, 'expected "scheme://host"'),
    ({"origins": ["https://example.com/path"]}, ValueError, 'expected "scheme://host"'),
    ({"origins": ["https://*.example.com"]}, ValueError, 'expected "scheme://host"'),
    ({"heartbeat": 0}, ValueError, "heartbeat must be a positive number of seconds, or None for off, not 0"),
    ({"heartbeat": -1}, ValueError, "heartbeat must be a positive number"),
    ({"heartbeat": "20"}, TypeError, "heartbeat must be a positive number"),
    ({"heartbeat": True}, TypeError, "heartbeat must be a positive number"),
    (
        {"heartbeat": rxws.Heartbeat(5, ping={"op": "ping"})},
        TypeError,
        r"the codec cannot encode the ping of the heartbeat, \{'op': 'ping'\}: expected str or bytes, got dict",
    ),
    ({"heartbeat": rxws.Heartbeat(5, ping="\ud800")}, TypeError, "the codec cannot encode the ping of the heartbeat"),
    ({"heartbeat": rxws.Heartbeat(5, ping=1), "codec": Pairs()}, TypeError, "the codec cannot encode the ping"),
    ({"heartbeat": float("inf")}, ValueError, "heartbeat must be a positive number"),
    ({"max_msg_size": 0}, ValueError, "max_msg_size must be a positive whole number of bytes, or None for off"),
    ({"max_msg_size": 1.5}, TypeError, "max_msg_size must be a positive whole number"),
    ({"compress": 15}, TypeError, r"compress must be True, False or rxws.Deflate\(...\), not 15"),
    ({"high_water": 0}, ValueError, "high_water must be a positive whole number of bytes, not 0"),
    ({"max_buffered": None}, TypeError, "max_buffered must be a positive whole number of bytes, not None"),
    ({"overflow": "newest"}, ValueError, "overflow must be one of 'close', .*, rxws.latest_by"),
    ({"overflow": None}, ValueError, "overflow must be one of"),
    ({"message_rate": 0}, ValueError, "message_rate must be a positive number of messages a second, or None for off"),
    ({"close_timeout": None}, TypeError, "close_timeout must be a positive number of seconds, not None"),
    ({"close_timeout": float("nan")}, ValueError, "close_timeout must be a positive number of seconds, not nan"),
    ({"hartbeat": 5}, TypeError, "unknown option 'hartbeat': did you mean 'heartbeat'"),
    ({"xyz": 5}, TypeError, "unknown option 'xyz': the options are close_timeout, codec,"),
    ({"protocol_codecs": {}}, TypeError, "unknown option 'protocol_codecs'"),
]


@pytest.mark.parametrize(("options", "kind", "message"), BAD, ids=lambda value: named(value)[:40])
def test_bad_option(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    """A bad option is a clear error at decoration."""
    with pytest.raises(kind, match=message):
        rxws.websocket(**options)


def test_defaults() -> None:
    """The defaults are those of the README."""
    settings = check({})
    assert settings.codec is rxws.codecs.text
    assert (settings.protocols, settings.origins, settings.compress) == ((), (), False)
    assert (settings.heartbeat, settings.close_timeout, settings.message_rate) == (20.0, 5.0, None)
    assert (settings.max_msg_size, settings.high_water, settings.max_buffered) == (2**20, 2**16, 2**20)
    assert settings.overflow == "close"


@pytest.mark.parametrize(("max_buffered", "high_water"), [(2**20, 2**16), (2**17, 2**16), (30_000, 15_000), (1, 1)])
def test_default_high_water_leaves_room(max_buffered: int, high_water: int) -> None:
    """Sources are held before overflow applies, however small `max_buffered` is."""
    assert check({"max_buffered": max_buffered}).high_water == high_water


def test_compress_can_be_turned_on() -> None:
    assert check({"compress": True}).compress is True
    options = Deflate(outgoing_context=True)
    assert check({"compress": options}).compress is options


def test_deflate_defaults() -> None:
    """A context of a socket takes less memory than a compressor for all."""
    alone, context = Deflate(), Deflate(outgoing_context=True, level=1)
    assert (alone.outgoing_window_bits, alone.memory_level, alone.level, alone.threshold) == (15, 8, 6, 128)
    assert (context.outgoing_window_bits, context.memory_level, context.level, context.threshold) == (12, 5, 1, 16)
    assert alone == Deflate(outgoing_window_bits=15)


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"outgoing_context": 1}, TypeError, "outgoing_context must be True or False, not 1"),
        ({"incoming_context": None}, TypeError, "incoming_context must be True or False, not None"),
        ({"outgoing_window_bits": 7}, ValueError, "outgoing_window_bits must be a whole number from 8 to 15, not 7"),
        ({"incoming_window_bits": 16}, ValueError, "incoming_window_bits must be a whole number from 8 to 15, not 16"),
        ({"memory_level": 0}, ValueError, "memory_level must be a whole number from 1 to 9, not 0"),
        ({"level": "best"}, TypeError, "level must be a whole number from 1 to 9, not 'best'"),
        ({"threshold": -1}, ValueError, "threshold must be a whole number of bytes, not -1"),
    ],
)
def test_deflate_options(given: dict[str, Any], error: type[Exception], says: str) -> None:
    """Options of compression are checked where they are made."""
    with pytest.raises(error, match=f"^{re.escape(says)}$"):
        Deflate(**given)


def test_none_means_off() -> None:
    settings = check({"heartbeat": None, "max_msg_size": None, "message_rate": None})
    assert (settings.heartbeat, settings.max_msg_size, settings.message_rate) == (None, None, None)


def test_origins() -> None:
    """Origins are compared in lower case, and a star lets all in."""
    assert check({"origins": ["https://Example.com", "null"]}).origins == ("https://example.com", "null")
    assert check({"origins": "*"}).origins is None


def test_protocols_choose_codec() -> None:
    """A mapping of protocols chooses the codec."""
    settings = check({"protocols": {"v1.json": rxws.json, "v1.text": rxws.codecs.text}})
    assert settings.protocols == ("v1.json", "v1.text")
    assert settings.codec_for("v1.json") is rxws.json
    assert settings.codec_for(None) is rxws.codecs.text
    assert check({"protocols": ["a"], "codec": rxws.json}).codec_for("a") is rxws.json


def test_protocols_come_once() -> None:
    """A subprotocol that is there twice is an error."""
    with pytest.raises(ValueError, match="protocols holds 'a' more than once"):
        check({"protocols": ["a", "b", "a"]})


def test_typed_options() -> None:
    """The typed options are the checked ones."""
    allowed = {"codec", *ServerOptions.__annotations__, *ClientOptions.__annotations__}
    with pytest.raises(TypeError) as error:
        check({"xyz": 1})
    assert str(error.value).partition("options are ")[2] == ", ".join(sorted(allowed))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"seconds": 0}, ValueError, "seconds must be a positive number of seconds, not 0"),
        ({"seconds": "5"}, TypeError, "seconds must be a positive number of seconds"),
        ({"ping": lambda number: number}, TypeError, "ping must be a function of no arguments; .* is not"),
        ({"ping": late}, TypeError, "ping must be a function of no arguments that returns at once; .* is a coroutine"),
        ({"ping": "?", "pong": "!"}, TypeError, "pong must be a function of a message, not '!'"),
        ({"ping": "?", "pong": lambda: True}, TypeError, "pong must be a function of a message; .* is not"),
        ({"answer": 1}, TypeError, "answer must be a function of a message, not 1"),
        ({"pong": bool}, TypeError, "pong recognizes the answer to your own ping: pass ping too"),
    ],
    ids=named,
)
def test_bad_heartbeat(arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    """What a heartbeat cannot be made of is told where it is made."""
    with pytest.raises(kind, match=message):
        rxws.Heartbeat(**{"seconds": 5, **arguments})


@pytest.mark.parametrize(
    "options",
    [
        {"heartbeat": rxws.Heartbeat(5, ping="?")},
        {"heartbeat": rxws.Heartbeat(5, ping=b"?", pong=bool)},
        {"heartbeat": rxws.Heartbeat(5, ping={"op": "ping"}), "codec": rxws.json},
        {"heartbeat": rxws.Heartbeat(5, ping=("a", "b")), "codec": Pairs()},
        {"heartbeat": rxws.Heartbeat(5, ping={1}), "codec": lambda: rxws.json},
        {"heartbeat": rxws.Heartbeat(5, ping={1}), "protocols": {"json": rxws.json}},
        {"heartbeat": rxws.Heartbeat(5, ping=dict)},
        {"heartbeat": rxws.Heartbeat(5)},
    ],
    ids=named,
)
def test_good_heartbeat(options: dict[str, Any]) -> None:
    """A ping is tried where there is a codec that may be asked."""
    assert check(options).heartbeat is options["heartbeat"]
