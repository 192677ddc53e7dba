"""What happens to messages that cannot go out now: the peer reads too slowly, or there is no connection."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rxws.checks import called, positive

__all__ = ["Expire", "LatestBy", "expire", "latest_by"]

OverflowName = Literal["close", "drop_oldest", "drop_newest", "latest"]


@dataclass(frozen=True, slots=True)
class LatestBy:
    """The overflow policy that `latest_by` makes."""

    key: Callable[[Any], Hashable]


Overflow = OverflowName | LatestBy


def latest_by(key: Callable[[Any], Hashable]) -> LatestBy:
    """Make an overflow policy: while the peer cannot keep up, keep the newest message of each key.

    A peer that keeps up gets everything. The newest message takes the place in the queue of the one it
    replaces. `key` gets the message as it was given to `outgoing`; at most `max_buffered` bytes wait.

    Args:
        key: A function of a message; messages with the same key replace each other.

    >>> latest_by(lambda tick: tick["symbol"]).key({"symbol": "EURUSD", "bid": 1.07})
    'EURUSD'
    """
    if not callable(key):
        such_as = f", such as lambda message: message[{key!r}]" if isinstance(key, str) else ""
        raise TypeError(f"latest_by takes a function of a message{such_as}, not {key!r}")
    called("the key of latest_by", key)
    return LatestBy(key)


OfflineName = Literal["keep", "latest", "drop"]


@dataclass(frozen=True, slots=True)
class Expire:
    """The policy that `expire` makes."""

    seconds: float


OfflinePolicy = OfflineName | Expire
Offline = OfflinePolicy | Callable[[Any], OfflinePolicy]


def expire(seconds: float) -> Expire:
    """Make an offline policy: keep a message, but drop it if there is no connection within `seconds`.

    Args:
        seconds: How long a message may wait for a connection.

    Raises `TypeError` or `ValueError` if `seconds` is not a positive number.

    >>> expire(5)
    Expire(seconds=5.0)
    """
    return Expire(positive("expire(seconds)", seconds, "seconds"))


def policy_of(offline: Offline, message: Any) -> OfflinePolicy:
    """Find the policy for a message; raises `ValueError` if a function gives something else.

    >>> policy_of("keep", "hello")
    'keep'
    >>> policy_of(lambda message: "drop" if message == "tick" else "keep", "tick")
    'drop'
    """
    policy: object = offline(message) if callable(offline) else offline
    if isinstance(policy, Expire) or policy in get_args(OfflineName):
        return policy
    raise ValueError(
        f"the offline policy of {message!r} is {policy!r}: not 'keep', 'latest', 'drop' or expire(seconds)"
    )
