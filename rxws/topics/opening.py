"""From a URL to topics."""

from __future__ import annotations

from typing import Any, Final

from rxws.codecs import Codec, json
from rxws.topics.engine import Engine, Limits
from rxws.topics.exchange import Topics
from rxws.topics.memory import MemoryEngine

EXAMPLES: Final = "'memory://' or 'nats://localhost:4222'"


def open_topics(
    url: str,
    *,
    codec: Codec[Any, Any] = json,
    max_messages: int = 1000,
    max_bytes: int = 64 * 1024 * 1024,
    max_age: float | None = None,
) -> Topics[Any]:
    """Make topics: `topics[name]` is a Subject that spans all processes with the same URL.

    `memory://` is this process alone, and topics of its own for each call. `nats://host:4222` is a NATS server with
    JetStream, for which the extra `nats` is needed.

    `codec` makes bytes of values; sockets with the same one send those very bytes. For `latest` and `history` the last
    `max_messages` of each topic are kept, `max_bytes` of all of them together, and none for longer than `max_age`
    seconds; beyond a limit the oldest go.

    Raises `TypeError` or `ValueError` for a wrong URL or option.

    >>> import asyncio
    >>> async def main():
    ...     async with open_topics("memory://") as topics:
    ...         topics["room.*"].subscribe(print)
    ...         topics["room.tea"].on_next("hello")
    >>> asyncio.run(main())
    hello
    """
    return Topics(_engine(url, _limits(max_messages, max_bytes, max_age)), _codec(codec))


def _engine(url: object, limits: Limits) -> Engine:
    if not isinstance(url, str):
        raise TypeError(f"topics have a URL, such as {EXAMPLES}, not {url!r}")
    if url == "memory://":
        return MemoryEngine(limits)
    raise ValueError(f"topics have a URL such as {EXAMPLES}, not {url!r}")


def _codec(codec: Codec[Any, Any]) -> Codec[Any, Any]:
    for method in ("encode", "decode"):
        if not callable(getattr(codec, method, None)):
            raise TypeError(f"codec must have encode and decode, as rxws.json has, but {codec!r} has no {method}")
    return codec


def _limits(count: object, size: object, age: object) -> Limits:
    for name, value in (("max_messages", count), ("max_bytes", size)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be an int, not {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be positive, not {value}")
    if age is not None:
        if isinstance(age, bool) or not isinstance(age, (int, float)):
            raise TypeError(f"max_age must be a number of seconds, or None for no limit, not {age!r}")
        if not 0 < age < float("inf"):
            raise ValueError(f"max_age must be positive, or None for no limit, not {age!r}")
    assert isinstance(count, int)
    assert isinstance(size, int)
    return Limits(count, size, age)
