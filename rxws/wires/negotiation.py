"""What the headers of a handshake agree on: subprotocols, extensions, permessage-deflate.

RFC 6455, sections 4, 9.1 and 11.3; RFC 7692, section 7. It knows no transport: headers are the values of their lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

DEFLATE: Final = "permessage-deflate"

TOKEN: Final = r"[\w!#$%&'*+.^`|~-]+"
_TOKEN: Final = re.compile(TOKEN, re.ASCII)
_PARAMETER: Final = re.compile(rf'\s*;\s*({TOKEN})(?:\s*=\s*(?:({TOKEN})|"((?:[^"\\]|\\.)*)"))?\s*', re.ASCII)
_BITS: Final = re.compile(r"[89]|1[0-5]")
_NEXT: Final = re.compile(r"\s*,[\s,]*|\s*$")

Parameters = Sequence[tuple[str, str | None]]
"""Names and values of an extension, in their order."""


class Deflate(NamedTuple):
    """What was agreed on for the messages of a server."""

    answer: str
    """The value of `Sec-WebSocket-Extensions`."""
    bits: int
    """The window that messages are compressed with, as the power of two."""
    resets: bool
    """Whether each message is compressed without those before it."""


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
    """Read the extensions of a `Sec-WebSocket-Extensions` header; raises `ValueError` for what is no list of them.

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


def accept_deflate(offers: Iterable[tuple[str, Parameters]]) -> Deflate | None:
    """Accept the first offer of permessage-deflate that can be met, as a server; decline all others.

    >>> accept_deflate(extensions(["permessage-deflate; server_max_window_bits=10"]))
    Deflate(answer='permessage-deflate; server_max_window_bits=10', bits=10, resets=False)
    """
    for name, parameters in offers:
        given = dict(parameters)
        if name != DEFLATE or len(given) < len(parameters) or not all(_is_offer(*one) for one in parameters):
            continue
        bits = given.get("server_max_window_bits")
        if bits == "8":  # zlib has no such window
            continue
        resets = "server_no_context_takeover" in given
        answer = [DEFLATE, *([f"server_max_window_bits={bits}"] if bits else [])]
        return Deflate("; ".join(answer + ["server_no_context_takeover"] * resets), int(bits or 15), resets)
    return None


def check_answer(lines: Iterable[str], *, deflate: bool) -> None:
    """Raise `ValueError` for extensions that a client did not ask for, or cannot meet; `deflate` is all it asks for."""
    agreed = extensions(lines)
    for name, parameters in agreed:
        if not (deflate and name == DEFLATE):
            raise ValueError(f"the server wants the extension {name!r}, which was not offered")
        if wrong := [key for key, value in parameters if not _is_answer(key, value)]:
            raise ValueError(f"the server wants {DEFLATE} with a {wrong[0]!r} that is wrong, or not supported here")
        if len(dict(parameters)) < len(parameters):
            raise ValueError(f"the server wants {DEFLATE} with a parameter twice")
    if len(agreed) > 1:
        raise ValueError(f"the server wants {DEFLATE} more than once")


def _is_token(value: str | None) -> bool:
    return value is None or _TOKEN.fullmatch(value) is not None


def _is_offer(name: str, value: str | None) -> bool:
    if name == "client_max_window_bits" and value is None:  # the client can, and leaves it to the server
        return True
    return _is_answer(name, value) or (name, value) == ("client_max_window_bits", "8")


def _is_answer(name: str, value: str | None) -> bool:
    match name:
        case "server_no_context_takeover" | "client_no_context_takeover":
            return value is None
        case "server_max_window_bits":
            return value is not None and _BITS.fullmatch(value) is not None
        case "client_max_window_bits":
            return value is not None and _BITS.fullmatch(value) is not None and value != "8"  # zlib has no such window
        case _:
            return False
