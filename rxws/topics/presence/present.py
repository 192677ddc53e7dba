"""Who is in a topic, as an Observable; you join a topic by subscribing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from reactivex import Observable, abc

from rxws.codecs import json
from rxws.rx.broadcast import Unlocked
from rxws.topics.message import TopicsError

MAX_MEMBERS: Final = 1000
"""Members of one topic, as far as a process knows."""

MAX_MEMBER: Final = 512
"""Bytes of JSON that one member may take: its name and metadata."""


@dataclass(frozen=True, slots=True)
class Present:
    """Who is in a topic, ordered by name, and what has changed since the previous emission.

    The first emission shows no change: its `members` were there before. If only a member's metadata has changed,
    `joined` and `left` are empty.
    """

    members: Mapping[str, Any]
    """Each member's name, and the metadata it joined with. All subscribers get the same object: do not change it."""
    joined: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Those that are new, and their metadata."""
    left: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Those that have left, and the metadata that they had."""


class TooManyMembers(TopicsError):
    """The error of `joining` if the topic is full. It closes a socket with 1013."""

    close_code = 1013
    close_reason = "Too Many Members"

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic!r} has {MAX_MEMBERS} members, which is the limit")
        self.topic = topic


class Member(NamedTuple):
    """A member that joins."""

    who: str
    metadata: Any


Attend = Callable[[str, Member | None, abc.ObserverBase[Present]], abc.DisposableBase]
"""Emits to an observer who is in a topic; until that is disposed, the member is in it. It is `Topics.attend`."""


class Presence(Unlocked[Present]):
    """Who is in a topic: emits a `Present` as soon as the members are known, then one for every change.

    It never fails, and completes when its `topics` are closed. Memory: a topic with subscribers in this process holds
    the members of all processes, for each process at most 1,000 of 512 bytes.
    """

    def __init__(self, attend: Attend, name: str) -> None:
        super().__init__()
        self._attend = attend
        self._name = name

    def joining(self, who: str, metadata: Any = None) -> Observable[Present]:
        """Make an Observable that emits the same, and whose subscriber is a member of the topic while it is subscribed.

        If a handler returns it, the member leaves when the socket closes. `presence.joining(who).subscribe()` is a
        Disposable: disposing it leaves. A name that joins several times, also in other tabs or processes, is one member
        until the last of them has left. Its metadata is that of the latest to join: to change it, join again, then
        dispose the first subscription. When a process dies, its members leave 10 s later.

        Args:
            who: The name of the member.
            metadata: Any JSON value; with the name at most 512 bytes.

        Raises `TypeError` or `ValueError` for a wrong name or metadata. The Observable fails with `TooManyMembers` if
        this process knows 1,000 members already.

        >>> import asyncio, rxws
        >>> async def main():
        ...     async with rxws.topics("memory://") as topics:
        ...         presence = topics["room.tea"].presence
        ...         presence.subscribe(print)
        ...         presence.joining("ada", {"color": "red"}).subscribe().dispose()
        >>> asyncio.run(main())
        Present(members={}, joined={}, left={})
        Present(members={'ada': {'color': 'red'}}, joined={'ada': {'color': 'red'}}, left={})
        Present(members={}, joined={}, left={'ada': {'color': 'red'}})
        """
        if not isinstance(who, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a member's name is a str, not {who!r}")
        if not who:
            raise ValueError("a member's name needs at least one character")
        try:
            encoded = json.encode([who, metadata])
            weight = len(encoded.encode())
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"a member's name and metadata must be JSON: {error}") from error
        if weight > MAX_MEMBER:
            raise ValueError(f"a member may take {MAX_MEMBER} bytes of JSON, but {who[:40]!r} takes {weight}")
        member = Member(who, json.decode(encoded)[1])
        return Observable(lambda observer, scheduler=None: self._attend(self._name, member, observer))

    def _subscribe_core(self, observer: abc.ObserverBase[Present], scheduler: object = None) -> abc.DisposableBase:
        return self._attend(self._name, None, observer)
