"""Rooms: Subjects for many sockets. No member ends a room for the others, and each has its own errors."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import suppress
from threading import Lock
from typing import Any, Generic, TypeVar

from reactivex import abc

from rxws.core.ahead import weigh
from rxws.core.encoding import sharing
from rxws.core.owned import OwnedSubscriber, OwnedSubscribers, present_socket, tell
from rxws.rx.broadcast import Direct, OwnSubject
from rxws.rx.loop_thread import MAX_HANDED_OVER, RAN_AHEAD, LoopThread

__all__ = ["Room", "Rooms"]

T = TypeVar("T")


class Rooms(Generic[T]):
    """The rooms of one process, by name: `rooms[name]` is a Subject for many sockets.

    Make them once, with `rooms = rxws.Rooms()`. A handler joins one:

    ::

        room = rooms[request.match_info["room"]]
        incoming.subscribe(room)        # what the client says, all members get
        return room                     # what any member says, the client gets

    `len(rooms)` counts the rooms that have members, and iteration gives their names.

    Memory: a room takes memory only while it has subscribers. Names that strangers ask for cost nothing.

    For rooms over several processes, with history or wildcards, use `rxws.topics(url)`, or `rxws.topics("memory://")`
    for one process that may grow. Topics encode what they are given and decode it for their subscribers. A room passes
    on the objects themselves, and keeps nothing.

    >>> rooms = Rooms[str]()
    >>> member = rooms["tea"].subscribe(print)
    >>> rooms["tea"].on_next("hello")
    hello
    >>> rooms["tea"].on_completed()
    >>> rooms["tea"].on_next("again")
    again
    >>> list(rooms)
    ['tea']
    >>> member.dispose()
    >>> len(rooms)
    0
    """

    def __init__(self) -> None:
        self._occupied: dict[Hashable, RoomMembers[T]] = {}
        self._changing = Lock()
        self._thread: LoopThread | None = None

    def __getitem__(self, name: Hashable) -> Room[T]:
        """Name a room; raises `TypeError` for what cannot be a key of a `dict`."""
        hash(name)
        return Room(self, name)

    def __len__(self) -> int:
        return len(self._occupied)

    def __contains__(self, name: object) -> bool:
        return name in self._occupied

    def __iter__(self) -> Iterator[Any]:
        return iter(tuple(self._occupied))

    # What rooms ask for

    def publish(self, name: Hashable, value: T) -> None:
        """Hand a value to the members of a room; from any thread."""
        thread = self._thread
        if thread is None or thread.here() or thread.loop.is_closed():
            members = self._occupied.get(name)
            if members is not None:
                with sharing(value):
                    members.emit(value)
        elif not thread.hand_over(self.publish, name, value, weight=weigh(value)):
            tell(present_socket(), OverflowError(RAN_AHEAD))

    def join(self, name: Hashable, *notify: Any) -> OwnedSubscriber[T]:
        """Add a member to a room."""
        if self._thread is None or self._thread.loop.is_closed():
            with suppress(RuntimeError):
                self._thread = LoopThread(asyncio.get_running_loop())
        with self._changing:
            members = self._occupied.get(name)
            if members is None:
                members = self._occupied[name] = RoomMembers(self, name)
            member = OwnedSubscriber(members, *notify)
            members.add(member)
        return member

    def members_of(self, name: Hashable) -> list[abc.ObserverBase[T]]:
        """List those who are subscribed to a room."""
        members = self._occupied.get(name)
        return [] if members is None else list(members.observers)

    def leave(self, members: RoomMembers[T]) -> None:
        """Forget a room that has no members left."""
        with self._changing:
            if not members.observers and self._occupied.get(members.name) is members:
                del self._occupied[members.name]


class Room(Direct[T], OwnSubject[T]):
    """An Observable and an Observer of values: what any of its sources emits, all its members get.

    Hot: a member, who is subscribed, gets what is emitted from then on. It never completes and never fails. The
    completion of a source is ignored, since others go on; the error of one goes to `errors` of the socket that it
    came from, or to the logger `rxws` if it came from none. What a subscriber raises goes to the socket whose handler
    subscribed it; the others still get the value. A value that a member cannot be sent is an error of the socket that
    it came from, and a member that reads too slowly is dealt with by its own `overflow`.

    Notifications are serialized: what a member emits while it is notified follows when all have had the present value;
    beyond 16,384 that come of one, what waits is dropped, and the log says so. `on_next` may be called from any thread,
    once a member has joined in the event loop; while 16,384 calls from other threads wait, or 4 MiB of values, one more
    is an error.

    A room that a handler returns is left with the socket. A subscription that you make by hand is yours to dispose, or
    to return from the handler: a room does not end for it.

    All members get the same object, and sockets with the same codec the same frame: do not change it. A room takes no
    memory but for its members.
    """

    def __init__(self, rooms: Rooms[T], name: Hashable) -> None:
        super().__init__()
        self.name = name
        self._rooms = rooms

    @property
    def observers(self) -> list[abc.ObserverBase[T]]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The present members, in a list that is the caller's."""
        return self._rooms.members_of(self.name)

    def on_next(self, value: T) -> None:
        """Emit a value to all members; from any thread."""
        self._rooms.publish(self.name, value)

    def on_error(self, error: Exception) -> None:
        """Report an error of a source, to the socket that it came from."""
        tell(present_socket(), error)

    def on_completed(self) -> None:
        """Do nothing: others emit, too."""

    def dispose(self) -> None:
        """Do nothing: others emit, too."""

    def _join(self, *notify: Any) -> abc.DisposableBase:
        return self._rooms.join(self.name, *notify)


class RoomMembers(OwnedSubscribers[T]):
    """Those who are subscribed to one room."""

    __slots__ = ("_rooms", "name")
    max_fed = MAX_HANDED_OVER

    def __init__(self, rooms: Rooms[T], name: Hashable) -> None:
        super().__init__()
        self.name = name
        self._rooms = rooms

    def remove(self, observer: abc.ObserverBase[T]) -> None:
        """Forget a member, and the room with its last one."""
        super().remove(observer)
        self._rooms.leave(self)
