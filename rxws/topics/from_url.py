"""Make topics from a URL."""

from __future__ import annotations

import re
from typing import Any, Final, get_args
from urllib.parse import urlsplit

from rxws.checks import number, one_of
from rxws.codecs import Codec, json
from rxws.options import check_codec
from rxws.topics.engines.engine import Engine, Limits, PublishOverflow
from rxws.topics.engines.memory import MemoryEngine
from rxws.topics.presence.register import TTL, Register
from rxws.topics.topic import Topics

EXAMPLES: Final = "'memory://' or 'nats://localhost:4222'"
PRESENCE_BYTES: Final = 16 * 1024 * 1024
"""Bytes that NATS keeps at most of the presence of all topics and processes."""

MAX_INT: Final = 2**63 - 1
MIN_AGE: Final = 0.1
MAX_AGE: Final = 9e9
"""The limits of JetStream; ages in seconds. They apply to every engine, so that a program can change its URL."""


def open_topics(
    url: str,
    *,
    codec: Codec[Any, Any] = json,
    max_messages: int = 1000,
    max_bytes: int = 64 * 1024 * 1024,
    max_age: float | None = None,
    max_buffered: int = 4 * 1024 * 1024,
    overflow: PublishOverflow = "drop_newest",
) -> Topics[Any]:
    """Make topics: `topics[name]` is a Subject that spans all processes with the same URL.

    `memory://` is for this process alone; each call makes separate topics. `nats://host:4222/name` is a NATS server
    with JetStream. `nats://one:4222,nats://two:4222/name` is the first of several that answers, and `tls://` is the
    same over TLS. NATS needs the extra `nats`. `name` is the stream that keeps the messages, `rxws` by default; the
    first process creates it.

    Sockets with the same `codec` send the encoded bytes as they are. Messages are kept for `latest` and `history`; when
    a limit is reached, the oldest are deleted. Messages published to NATS wait here until the server confirms them;
    `topics.errors` emits an `Unpublished` for each message that is dropped.

    Args:
        url: `memory://`, or the URL of a NATS server.
        codec: Encodes values and decodes them; JSON by default.
        max_messages: Messages that are kept of each topic.
        max_bytes: Bytes that are kept of all topics together. With `memory://`, each message counts 64 bytes more, and
            each topic that keeps any message 1,024.
        max_age: Seconds that a message is kept, at least 0.1; `None`: no limit.
        max_buffered: Bytes that may wait for the broker's confirmation, counting 64 more for each message.
        overflow: Which messages are dropped beyond that: `"drop_newest"` or `"drop_oldest"`.

    Raises `TypeError` or `ValueError` for a wrong URL or option, `ImportError` without the extra.

    >>> import asyncio
    >>> async def main():
    ...     async with open_topics("memory://") as topics:
    ...         topics["room.*"].subscribe(print)
    ...         topics["room.tea"].on_next("hello")
    >>> asyncio.run(main())
    hello
    """
    if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"expected a URL of topics, such as {EXAMPLES}, not {type(url).__name__}")
    for name, limit in (("max_messages", max_messages), ("max_bytes", max_bytes), ("max_buffered", max_buffered)):
        number(name, limit, f"a whole number from 1 to {MAX_INT}", lambda limit: 1 <= limit <= MAX_INT, int)
    if max_age is not None:
        expected = f"{MIN_AGE} to {MAX_AGE:.0f} seconds, or None for no limit"
        number("max_age", max_age, expected, lambda age: MIN_AGE <= age <= MAX_AGE)
    one_of("overflow", overflow, get_args(PublishOverflow))
    check_codec("codec", codec)
    limits = Limits(max_messages, max_bytes, max_age)
    if url == "memory://":
        return Topics(MemoryEngine(limits), Register(None), codec, max_buffered)
    return Topics(*_nats(url, limits, max_buffered, overflow), codec, max_buffered)


def _nats(url: str, limits: Limits, max_buffered: int, overflow: PublishOverflow) -> tuple[Engine, Register]:
    shown = re.sub(r"^([\w+.-]*:)?.*@", r"\1//...@", url, flags=re.DOTALL)  # errors must not show passwords
    wrong = ValueError(f"expected a URL of topics such as {EXAMPLES}, not {shown!r}")
    scheme, _, _ = url.partition("://")
    try:
        parts = urlsplit(url.replace(f",{scheme}://", ","))
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("nats", "tls") or not parts.netloc or parts.query or parts.fragment:
        raise wrong
    name = parts.path.strip("/") or "rxws"
    if not re.fullmatch(r"[\w-]{1,64}", name, re.ASCII):
        raise ValueError(f"the path of {shown!r} names a stream: 1 to 64 letters, digits, '-' and '_'")
    for server in parts.netloc.split(","):
        _, at, place = server.rpartition("@")
        _check_place(place, repr(place) if at or "@" not in url else f"{shown!r}; in a password, write a comma as %2C")
    try:
        from rxws.topics.engines.nats import NatsEngine
    except ImportError as error:
        raise ImportError('topics over NATS need nats-py: pip install "rxws[nats]"') from error
    servers = [f"{parts.scheme}://{server}" for server in parts.netloc.split(",")]
    presence = Limits(1, min(limits.size, PRESENCE_BYTES), TTL)
    return (
        NatsEngine(servers, name, limits, max_buffered, overflow),
        Register(NatsEngine(servers, f"{name}-presence", presence, max_buffered, overflow)),
    )


def _check_place(place: str, shown: str) -> None:
    """Raise `ValueError` if a place is not `host` or `host:port`; the error shows `shown` instead of it."""
    found = re.fullmatch(r"(?:[\w.-]+|\[[\w.:%]+\])(?::([0-9]{1,5}))?", place)
    if found is None or not 0 < int(found[1] or 4222) < 65_536:
        raise ValueError(f"a NATS server is 'host' or 'host:port', with a port of 1 to 65535, not {shown}")
