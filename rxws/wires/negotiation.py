"""What the headers of a handshake agree on, or not: origins, subprotocols, extensions, permessage-deflate.

RFC 6455, sections 4, 9.1 and 11.3; RFC 7692, section 7. It knows no transport: headers are the values of their lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from rxws.options import Deflate

DEFLATE: Final = "permessage-deflate"

MAX_PAIRS: Final = 32
"""Pairs of a foreign origin and a host that are told of, for each application."""

TOKEN: Final = r"[\w!#$%&'*+.^`|~-]+"
_TOKEN: Final = re.compile(TOKEN, re.ASCII)
_PARAMETER: Final = re.compile(rf'\s*;\s*({TOKEN})(?:\s*=\s*(?:({TOKEN})|"((?:[^"\\]|\\.)*)"))?\s*', re.ASCII)
_BITS: Final = re.compile(r"[89]|1[0-5]")
_NEXT: Final = re.compile(r"\s*,[\s,]*|\s*$")

_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}

Parameters = Sequence[tuple[str, str | None]]
"""Names and values of an extension, in their order."""


class Half(NamedTuple):
    """What was agreed on for the messages of one side."""

    bits: int
    """Their window, as the power of two."""
    resets: bool
    """Whether each is compressed without those before it."""


class Agreement(NamedTuple):
    """What a handshake agrees on about compression."""

    outgoing: Half
    incoming: Half
    answer: str = ""
    """The value of a server's `Sec-WebSocket-Extensions`."""


def admits(origin: str | None, host: str, allowed: tuple[str, ...] | None, *, secure: bool = False) -> bool:
    """Tell whether a request with this `Origin` header may become a socket of `host`.

    Browsers always send an `Origin`, and other pages can send their users' cookies; programs send none. A page of the
    host has the scheme `https` if the request is `secure`. If it is not, a proxy may have taken the encryption off, so
    that `http` or `https` will do.

    >>> admits("https://example.com", "example.com", ())
    True
    >>> admits("https://evil.example", "example.com", ())
    False
    >>> admits("https://app.example", "example.com", ("https://app.example",))
    True
    >>> admits("http://example.com", "example.com", ()), admits("http://example.com", "example.com", (), secure=True)
    (True, False)
    """
    if origin is None or allowed is None:
        return True
    origin = origin.lower()
    scheme, found, netloc = origin.partition("://")
    port = _DEFAULT_PORTS.get(scheme, "")
    own = ("https",) if secure else ("http", "https")
    same = bool(found) and scheme in own and netloc.removesuffix(port) == host.lower().removesuffix(port)
    return same or origin.removesuffix(port) in {item.removesuffix(port) for item in allowed}


def foreign(origin: str | None, host: str, allowed: tuple[str, ...] | None, *, secure: bool) -> str | None:
    """Say why a page of this origin may not connect to `host`, and what to do; `None` if it may, see `admits`."""
    if admits(origin, host, allowed, secure=secure):
        return None
    if secure and admits(origin, host, ()):
        return (
            f"A page from {origin!r} may not connect to 'https://{host}': it came without encryption, so that"
            " anyone on its way may have changed it. Redirect http to https."
            f" Else allow the page: origins=[{origin!r}]"
        )
    return (
        f"A page from {origin!r} may not connect to {host!r}. If both are the same site, a proxy changes Host:"
        " make it pass the browser's Host (nginx: proxy_set_header Host $http_host)."
        f" Else allow the page: origins=[{origin!r}]"
    )


class Strangers:
    """Pairs of a foreign origin and a host that were told of.

    Memory: `MAX_PAIRS` of them, since a stranger may make up many.
    """

    def __init__(self) -> None:
        self._pairs = set[tuple[str, str]]()

    def is_news(self, origin: str, host: str) -> bool:
        """Return whether this pair is one of the first, and is seen for the first time."""
        pair = (origin, host)
        if pair in self._pairs or len(self._pairs) >= MAX_PAIRS:
            return False
        self._pairs.add(pair)
        return True


def tokens(name: str, lines: Iterable[str]) -> list[str]:
    """Read a list of tokens; several lines of a header are one list. Raises `ValueError` for anything else.

    >>> tokens("Sec-WebSocket-Protocol", ["v2.chat, v1.chat", "json"])
    ['v2.chat', 'v1.chat', 'json']
    """
    whole = ",".join(lines)
    found = [part for part in map(str.strip, whole.split(",")) if part]  # empty elements are none
    if not found or not all(map(_TOKEN.fullmatch, found)):
        raise ValueError(f"{name} must be a list of tokens, not {whole!r}")
    return found


def extensions(lines: Iterable[str]) -> list[tuple[str, Parameters]]:
    """Read the extensions of a `Sec-WebSocket-Extensions` header; raises `ValueError` for what is not a list of them.

    >>> extensions(["foo, bar; baz=2"])
    [('foo', []), ('bar', [('baz', '2')])]
    """
    whole = ",".join(lines).strip(", \t")  # empty elements are none
    found: list[tuple[str, Parameters]] = []
    at, following = 0, None
    while name := _TOKEN.match(whole, at):
        end = name.end()
        parameters: list[tuple[str, str | None]] = []
        while parameter := _PARAMETER.match(whole, end):
            end = parameter.end()
            key, value, quoted = parameter.groups()
            parameters.append((key, value if quoted is None else re.sub(r"\\(.)", r"\1", quoted)))
        following = _NEXT.match(whole, end)
        if following is None or not all(_is_token(value) for _, value in parameters):
            break
        found.append((name[0], parameters))
        at = following.end()
        if at == len(whole):
            return found
    raise ValueError(f"Sec-WebSocket-Extensions must be a list of extensions, not {whole!r}")


def choose_protocol(offered: Iterable[str], known: Sequence[str]) -> str | None:
    """Choose the first subprotocol of the client's that the server knows."""
    return next((name for name in offered if name in known), None)


def accept_deflate(
    offers: Iterable[tuple[str, Parameters]], wanted: Deflate | bool, *, keeps_context: bool = False
) -> Agreement | None:
    """Accept the first offer of permessage-deflate that can be met, as a server; decline all others.

    The answer asks both sides to forget each message, unless `wanted` says otherwise; of a client that `keeps_context`
    whatever it agrees to, it does not. Without options of ours, offers that want a smaller window are declined.

    >>> offers = extensions(["permessage-deflate; client_max_window_bits"])
    >>> accept_deflate(offers, True).answer
    'permessage-deflate; server_no_context_takeover; client_no_context_takeover'
    """
    if wanted is False:
        return None
    options = Deflate() if wanted is True else wanted
    for name, parameters in offers:
        given = dict(parameters)
        if name != DEFLATE or len(given) < len(parameters) or not all(_is_offer(*one) for one in parameters):
            continue
        asked = given.get("server_max_window_bits")
        if wanted is True and asked not in (None, "15"):
            continue
        outgoing = Half(
            min(int(asked or 15), options.outgoing_window_bits),
            "server_no_context_takeover" in given or not options.outgoing_context,
        )
        small = options.incoming_window_bits < 15
        theirs = "client_max_window_bits" in given and small
        incoming = Half(
            min(int(given["client_max_window_bits"] or 15), options.incoming_window_bits) if theirs else 15,
            not keeps_context
            and ("client_no_context_takeover" in given or not options.incoming_context or small > theirs),
        )
        parts = {
            "server_no_context_takeover": outgoing.resets,
            "client_no_context_takeover": incoming.resets,
            f"server_max_window_bits={outgoing.bits}": asked is not None,
            f"client_max_window_bits={incoming.bits}": theirs,
        }
        return Agreement(outgoing, incoming, "; ".join([DEFLATE, *(part for part, said in parts.items() if said)]))
    return None


def offer_deflate(wanted: Deflate | bool) -> str | None:
    """Offer permessage-deflate, as a client, if it is wanted.

    >>> offer_deflate(True)
    'permessage-deflate; client_max_window_bits'
    """
    if wanted is False:
        return None
    options = Deflate() if wanted is True else wanted
    ours, theirs = options.outgoing_window_bits, options.incoming_window_bits
    offer = f"{DEFLATE}; client_max_window_bits" + (f"={ours}" if ours < 15 else "")
    return offer + (f"; server_max_window_bits={theirs}" if theirs < 15 else "")


def check_answer(lines: Iterable[str], wanted: Deflate | bool) -> Agreement | None:
    """Return what a server's answer agrees on; raises `ValueError` for what a client did not offer, or cannot meet."""
    agreed = extensions(lines)
    for name, parameters in agreed:
        if not (wanted and name == DEFLATE):
            raise ValueError(f"the server wants the extension {name!r}, which was not offered")
        if wrong := [key for key, value in parameters if not _is_answer(key, value)]:
            raise ValueError(f"the server wants {DEFLATE} with a wrong or unsupported {wrong[0]!r}")
        if len(dict(parameters)) < len(parameters):
            raise ValueError(f"the server wants {DEFLATE} with a parameter twice")
    if len(agreed) > 1:
        raise ValueError(f"the server wants {DEFLATE} more than once")
    options = wanted if isinstance(wanted, Deflate) else Deflate()
    given = dict(agreed[0][1])
    ours, theirs = (int(given.get(f"{side}_max_window_bits") or 15) for side in ("client", "server"))
    if theirs > (most := options.incoming_window_bits):
        raise ValueError(f"the server wants {DEFLATE} with a window of {theirs} bits, and was offered {most}")
    resets = "client_no_context_takeover" in given or not options.outgoing_context
    outgoing = Half(min(ours, options.outgoing_window_bits), resets)
    return Agreement(outgoing, Half(theirs, "server_no_context_takeover" in given))


def _is_token(value: str | None) -> bool:
    return value is None or _TOKEN.fullmatch(value) is not None


def _is_offer(name: str, value: str | None) -> bool:
    # without a value, the client can, and leaves it to the server
    return _is_answer(name, value) or (name == "client_max_window_bits" and value is None)


def _is_answer(name: str, value: str | None) -> bool:
    match name:
        case "server_no_context_takeover" | "client_no_context_takeover":
            return value is None
        case "server_max_window_bits" | "client_max_window_bits":
            return value is not None and _BITS.fullmatch(value) is not None
        case _:
            return False
