"""Subscribers of what many sockets share."""

from typing import Any

import pytest

import rxws
from rxws.core.owned import OwnedSubscriber, OwnedSubscribers
from rxws.testing import serve
from tests.streams import raising, turns
from tests.threads import in_a_thread

VIRTUAL = True


async def test_owner_has_the_error() -> None:
    """What a subscriber raises goes to the socket whose handler subscribed it, from a thread, too."""
    shared: OwnedSubscribers[Any] = OwnedSubscribers()
    errors: list[Exception] = []

    def handler(socket: Any) -> None:
        socket.errors.subscribe(errors.append)
        shared.subscribe(OwnedSubscriber(shared, raising(KeyError("mine")), None, None))

    socket, _ = serve(handler)
    shared.emit(1)
    assert [repr(error) for error in errors] == ["KeyError('mine')"]
    in_a_thread(shared.emit, 2)
    await turns()
    assert len(errors) == 2
    socket.close()
    await turns()


async def test_nobodys_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What a subscriber raises that no handler subscribed is logged, and others get the item."""
    shared: OwnedSubscribers[Any] = OwnedSubscribers()
    got: list[Any] = []
    shared.subscribe(OwnedSubscriber(shared, raising(rxws.ConnectionLost("no")), None, None))
    shared.subscribe(OwnedSubscriber(shared, got.append, None, None))
    shared.emit(1)
    assert got == [1]
    assert [record.getMessage() for record in caplog.records] == ["ConnectionLost('no'), which nobody observed"]
