import asyncio

import pytest

from rxws.core import receipts
from rxws.core.receipts import Receipts
from rxws.core.wire import MESSAGE_WEIGHT, Frame, Text

WEIGHT = 100


def item(number: int) -> Frame:
    return Text(b"x" * (WEIGHT - MESSAGE_WEIGHT), number)


def make(limit: int = 10 * WEIGHT) -> tuple[Receipts, list[str]]:
    due: list[str] = []
    return Receipts(asyncio.get_running_loop(), limit, lambda: due.append("due")), due


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "AFTER", 0.02)


async def test_a_message_is_asked_about_after_a_while_and_a_pong_confirms_what_was_before_the_ping() -> None:
    unconfirmed, due = make()
    unconfirmed.sent(item(1))
    assert unconfirmed.ping() is None
    await asyncio.sleep(0.05)
    assert due == ["due"]
    ping = unconfirmed.ping()
    assert ping is not None
    assert unconfirmed.ping() is None
    unconfirmed.sent(item(2))
    assert unconfirmed.pong(ping)
    assert not unconfirmed.pong(ping)
    assert [one.message for one in unconfirmed.unconfirmed()] == [2]
    unconfirmed.stop()


async def test_what_comes_after_a_ping_is_asked_about_again() -> None:
    unconfirmed, due = make()
    unconfirmed.sent(item(1))
    unconfirmed.ask()
    first = unconfirmed.ping()
    unconfirmed.sent(item(2))
    await asyncio.sleep(0.05)
    assert unconfirmed.ping() is None  # one is on its way
    assert first is not None
    unconfirmed.pong(first)
    second = unconfirmed.ping()
    assert second is not None
    unconfirmed.pong(second)
    assert unconfirmed.unconfirmed() == []
    await asyncio.sleep(0.05)
    assert unconfirmed.ping() is None
    assert len(due) <= 3


async def test_a_quarter_of_the_limit_is_asked_about_at_once_and_the_limit_stops_sending() -> None:
    unconfirmed, _ = make()
    for number in range(2):
        unconfirmed.sent(item(number))
    assert unconfirmed.ping() is None
    unconfirmed.sent(item(2))
    ping = unconfirmed.ping()
    assert ping is not None
    for number in range(3, 10):
        assert not unconfirmed.full
        unconfirmed.sent(item(number))
    assert unconfirmed.full
    unconfirmed.pong(ping)
    assert not unconfirmed.full
    unconfirmed.stop()


async def test_a_pong_that_nobody_asked_for_confirms_nothing() -> None:
    unconfirmed, _ = make()
    unconfirmed.sent(item(1))
    assert not unconfirmed.pong(b"")
    unconfirmed.ask()
    unconfirmed.ping()
    assert not unconfirmed.pong(b"rxws")
    assert len(unconfirmed.unconfirmed()) == 1
    unconfirmed.stop()


async def test_the_last_ping_asks_about_all_and_only_if_need_be() -> None:
    unconfirmed, _ = make()
    assert unconfirmed.last_ping() is None
    unconfirmed.sent(item(1))
    unconfirmed.ask()
    unconfirmed.ping()
    assert unconfirmed.last_ping() is None
    unconfirmed.sent(item(2))
    ping = unconfirmed.last_ping()
    assert ping is not None
    assert unconfirmed.pong(ping)
    assert unconfirmed.unconfirmed() == []
    unconfirmed.stop()


async def test_one_can_wait_for_arrival_of_what_is_sent_and_what_will_be() -> None:
    unconfirmed, _ = make()
    await unconfirmed.arrival()
    unconfirmed.sent(item(1))
    task = asyncio.create_task(unconfirmed.arrival(1))
    await asyncio.sleep(0)
    ping = unconfirmed.ping()
    assert ping is not None
    unconfirmed.pong(ping)
    await asyncio.sleep(0)
    assert not task.done()
    unconfirmed.sent(item(2))
    ping = unconfirmed.ping()
    assert ping is not None
    unconfirmed.pong(ping)
    await asyncio.wait_for(task, 1)
    unconfirmed.stop()


async def test_its_end_ends_the_waiting() -> None:
    unconfirmed, _ = make()
    unconfirmed.sent(item(1))
    task = asyncio.create_task(unconfirmed.arrival())
    await asyncio.sleep(0)
    unconfirmed.stop()
    await asyncio.wait_for(task, 1)
