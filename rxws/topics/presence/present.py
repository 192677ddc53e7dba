"""Who is in a topic, as an Observable; and to be there, as a subscription."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from reactivex import Observable, abc

from rxws.codecs import json
from rxws.topics.message import TopicsError

MAX_MEMBERS: Final = 1000
"""Members of one topic."""
MAX_MEMBER: Final = 512
"""Bytes of JSON that one member may take: the name and what is said of it."""


@dataclass(frozen=True, slots=True)
class Present:
    """Who is in a topic, in the order of their names, and what has changed since the emission before.

    In the first one that a subscriber gets, nothing has: its `members` were there already. `metadata` of a member that
    changed is an emission in which nobody joined or left.
    """

    members: Mapping[str, Any]
    """Each member's name, and the metadata it joined with. All subscribers get the same object: do not change it."""
    joined: Mapping[str, Any] = field(default_factory=dict[str, Any])
    left: Mapping[str, Any] = field(default_factory=dict[str, Any])


class TooManyMembers(TopicsError):
    """What `joining` fails with in a topic that has as many members as it may; a socket closes with 1013."""

    close_code = 1013
    close_reason = "Too Many Members"

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic!r} has {MAX_MEMBERS} members, which is the limit")
        self.topic = topic


class Member(NamedTuple):
    """One who joins."""

    who: str
    metadata: Any


Attend = Callable[[str, Member | None, abc.ObserverBase[Present]], abc.DisposableBase]
"""Tells an observer who is in a topic; until that is disposed, a member is there. It is `Topics.attend`."""


class Presence(Observable[Present]):
    """Who is in a topic: emits the present set, as soon as it is known, then a `Present` for every change.

    It never fails, and completes when its `topics` are closed. Memory: a topic that has subscribers here holds the
    members of all processes, at most 1,000 of 512 bytes each a process.
    """

    def __init__(self, attend: Attend, name: str) -> None:
        super().__init__(lambda observer, scheduler=None: attend(name, None, observer))
        self._attend = attend
        self._name = name

    def joining(self, who: str, metadata: Any = None) -> Observable[Present]:
        """Make an Observable of the same, whose subscriber is in the topic as long as it is subscribed.

        So who is in what a handler returns leaves when the socket closes; `presence.joining(who).subscribe()` is a
        Disposable. A name that joined several times, in other tabs or processes too, is one member until the last one
        has left; its metadata, any JSON value, are those of the one that came last: to change them, join again, then
        leave for the first time. The members of a process that died have left 10 s later.

        Args:
            who: The name of the member.
            metadata: Any JSON value, of 512 bytes with the name.

        Raises `TypeError` or `ValueError` for a name or metadata that will not do; the Observable fails with
        `TooManyMembers` beyond 1,000, of those that this process knows.

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
