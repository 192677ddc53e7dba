"""What becomes of messages that are sent while there is no connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

OfflineName = Literal["keep", "latest", "drop"]


@dataclass(frozen=True, slots=True)
class Expire:
    """The policy that `expire` makes."""

    seconds: float


OfflinePolicy = OfflineName | Expire
Offline = OfflinePolicy | Callable[[Any], OfflinePolicy]


def expire(seconds: float) -> Expire:
    """Make an offline policy: keep a message, but drop it if there is no connection within so many seconds.

    Raises `ValueError` if `seconds` is not positive.

    >>> expire(5)
    Expire(seconds=5.0)
    """
    if not 0 < seconds < float("inf"):
        raise ValueError(f"a message expires after a positive number of seconds, not {seconds!r}")
    return Expire(float(seconds))


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
