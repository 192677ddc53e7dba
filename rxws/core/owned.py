"""Subscribers of a stream that many sockets share. Each remembers the socket whose handler subscribed it."""

from __future__ import annotations

import logging
from typing import Any, TypeVar, cast

from reactivex import abc

from rxws.core.log import log_line
from rxws.rx.broadcast import Broadcast, Subscriber
from rxws.rx.foreign import described
from rxws.rx.holds import Source, current_socket, current_source, socket_of

logger = logging.getLogger("rxws")
T = TypeVar("T")


def present_socket() -> Source | None:
    """Return the socket whose item is being handed on."""
    return socket_of(current_source.get())


def tell(socket: Any, error: Exception) -> None:
    """Report an error to a socket, or log it if there is none; from any thread."""
    if socket is not None and socket.thread.here():
        socket.report(error)
    elif socket is None or not socket.thread.hand_over(socket.report, error):
        log_line(logger, logging.ERROR, "%s, which nobody observed", described(error), error=error)


class OwnedSubscribers(Broadcast[T]):
    """Subscribers of many sockets: what one of them raises goes to its own socket; the others still get the value."""

    __slots__ = ()
    is_for_many = True

    def __init__(self) -> None:
        super().__init__(lambda error: tell(None, error))

    def raised(self, observer: abc.ObserverBase[T], error: Exception) -> None:
        """Tell the socket whose handler subscribed."""
        tell(cast("OwnedSubscriber[T]", observer).owner, error)


class OwnedSubscriber(Subscriber[T]):
    """A subscriber, and the socket whose handler subscribed it."""

    __slots__ = ("owner",)

    def __init__(self, members: OwnedSubscribers[T], *notify: Any) -> None:
        super().__init__(members, *notify)
        self.owner = current_socket.get() or present_socket()
