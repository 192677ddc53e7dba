"""What RxPY's Subjects show of themselves, and every Subject of rxws: observers, exception, the end, `fail`."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws.testing import serve
from tests.streams import turns

VIRTUAL = True


def socket_of() -> rxws.WebSocket[Any, Any]:
    socket, _ = serve(lambda: None)
    return socket


async def test_observers_of_a_sockets_subjects() -> None:
    """They are listed, as RxPY's are, and the list is the caller's."""
    socket = socket_of()
    for subject in (socket.outgoing, socket.errors):
        assert subject.observers == []
        first, second = subject.subscribe(), subject.pipe(ops.map(str)).subscribe()
        assert len(subject.observers) == 2
        subject.observers.clear()
        assert len(subject.observers) == 2
        first.dispose()
        assert len(subject.observers) == 1
        second.dispose()
        assert subject.observers == []
    socket.outgoing.subscribe()
    socket.close()
    await socket.closed
    assert (socket.outgoing.observers, socket.errors.observers) == ([], [])


async def test_what_outgoing_shows_of_its_end() -> None:
    """It has ended when it takes nothing more, and names what it has failed with. Calls never find it disposed."""
    for end, exception in (
        (lambda outgoing: outgoing.on_completed(), None),
        (lambda outgoing: outgoing.dispose(), None),
        (lambda outgoing: outgoing.on_error(ValueError("no")), "ValueError('no')"),
        (lambda outgoing: outgoing.fail(ValueError("no")), "ValueError('no')"),
    ):
        socket = socket_of()
        socket.errors.subscribe()
        outgoing = socket.outgoing
        assert (outgoing.is_stopped, outgoing.is_disposed, outgoing.exception) == (False, False, None)
        end(outgoing)
        await socket.closed
        shown = None if outgoing.exception is None else repr(outgoing.exception)
        assert (outgoing.is_stopped, outgoing.is_disposed, shown) == (True, False, exception)
        outgoing.check_disposed()


async def test_fail_closes_a_socket(caplog: pytest.LogCaptureFixture) -> None:
    """`outgoing.fail` is `on_error` that tells whether it came before the end: 1011, and its subscribers fail."""
    socket = socket_of()
    seen: list[Exception] = []
    socket.outgoing.subscribe(on_error=seen.append)
    error = ValueError("no")
    assert socket.outgoing.fail(error)
    assert not socket.outgoing.fail(ValueError("again"))
    assert (await socket.closed).code == 1011
    assert seen == [error]
    assert ["again" in record.getMessage() for record in caplog.records] == [False]


async def test_fail_of_errors() -> None:
    """`errors.fail` pushes an error, and the stream goes on."""
    socket = socket_of()
    seen: list[Exception] = []
    socket.errors.subscribe(seen.append)
    assert socket.errors.fail(ValueError("one"))
    socket.errors.on_next(ValueError("two"))
    assert list(map(str, seen)) == ["one", "two"]
    assert (socket.errors.exception, socket.errors.is_stopped) == (None, False)
    socket.close()
    await socket.closed
    assert not socket.errors.fail(ValueError("late"))
    assert (socket.errors.exception, socket.errors.is_stopped) == (None, True)


async def test_room(caplog: pytest.LogCaptureFixture) -> None:
    """A room lists its members, and no source ends it, by `fail` neither."""
    caplog.set_level(logging.ERROR, "rxws")
    rooms = rxws.Rooms[str]()
    room, seen = rooms["a"], list[str]()
    assert room.observers == []
    member = room.subscribe(seen.append)
    assert rooms["a"].observers == [member]
    assert room.fail(ValueError("no"))
    assert "no" in caplog.text
    room.on_next("on")
    assert (seen, room.is_stopped, room.is_disposed, room.exception) == (["on"], False, False, None)
    member.dispose()
    assert room.observers == []


async def test_topic() -> None:
    """A topic's observers may be in other processes: it says so. No publisher ends it, by `fail` neither."""
    topics = rxws.topics("memory://")
    try:
        topic, seen, errors = topics["a"], list[Any](), list[Exception]()
        topics.errors.subscribe(errors.append)
        topic.subscribe(seen.append)
        with pytest.raises(AttributeError, match="a Topic does not know its observers"):
            print(topic.observers)
        assert not hasattr(topic, "observers")
        assert topic.fail(ValueError("no"))
        topic.on_next("on")
        await turns()
        assert (seen, list(map(str, errors))) == (["on"], ["no"])
        assert (topic.is_stopped, topic.is_disposed, topic.exception) == (False, False, None)
    finally:
        await topics.close()


@pytest.mark.parametrize("make", [lambda: socket_of().outgoing, lambda: rxws.Rooms[Any]()["a"]])
async def test_what_rxpy_makes_of_an_observer(make: Callable[[], Subject[Any]]) -> None:
    """`as_observer` and `to_notifier` hand on to a Subject of rxws as to any other."""
    subject, seen = make(), list[Any]()
    subject.subscribe(seen.append)
    subject.as_observer().on_next("a")
    Subject[Any]().pipe(ops.start_with("b"), ops.materialize(), ops.take(1)).subscribe(subject.to_notifier())
    await turns()
    assert seen == ["a", "b"]
