import asyncio

from rxws.core.receipts import ASK_AFTER, ASK_AT, ASK_EVERY, Receipts
from rxws.core.wire import MESSAGE_WEIGHT, Frame, Text

VIRTUAL = True

WEIGHT = 100


def item(number: int) -> Frame:
    return Text(b"x" * (WEIGHT - MESSAGE_WEIGHT), number)


class Asked(Receipts):
    """Receipts whose pings are made as a connection makes them."""

    number = 0

    def ping(self, *, last: bool = False) -> int | None:
        if not (self.last_due if last else self.due):
            return None
        self.number += 1
        self.asked(self.number, last=last)
        return self.number


def make(limit: int = 10 * WEIGHT) -> tuple[Asked, list[str]]:
    due: list[str] = []
    return Asked(asyncio.get_running_loop(), limit, lambda: due.append("due")), due


async def test_ask_after_a_while() -> None:
    """A message is asked about after a while, and a pong confirms what was before the ping."""
    unconfirmed, due = make()
    unconfirmed.sent(item(1))
    assert unconfirmed.ping() is None
    await asyncio.sleep(2 * ASK_AFTER)
    assert due == ["due"]
    ping = unconfirmed.ping()
    assert ping is not None
    assert unconfirmed.ping() is None
    unconfirmed.sent(item(2))
    assert unconfirmed.answered(ping)
    assert not unconfirmed.answered(ping)
    assert [one.message for one in unconfirmed.unconfirmed()] == [2]
    unconfirmed.stop()


async def test_answer() -> None:
    """An answer may be asked for though nothing was sent; the end is one, too."""
    unconfirmed, due = make()
    waiting = asyncio.create_task(unconfirmed.answer())
    await asyncio.sleep(1)
    assert (due, waiting.done()) == (["due"], False)
    ping = unconfirmed.ping()
    assert ping is not None
    assert unconfirmed.answered(ping)
    await waiting
    unconfirmed.stop()
    await unconfirmed.answer()


async def test_ask_again() -> None:
    """What comes after a ping is asked about again."""
    unconfirmed, due = make()
    unconfirmed.sent(item(1))
    unconfirmed.ask()
    first = unconfirmed.ping()
    unconfirmed.sent(item(2))
    await asyncio.sleep(2 * ASK_AFTER)
    assert unconfirmed.ping() is None  # one is on its way
    assert first is not None
    unconfirmed.answered(first)
    second = unconfirmed.ping()
    assert second is not None
    unconfirmed.answered(second)
    assert unconfirmed.unconfirmed() == []
    await asyncio.sleep(2 * ASK_AFTER)
    assert unconfirmed.ping() is None
    assert len(due) <= 3


async def test_ask_at_a_quarter() -> None:
    """A quarter of the limit is asked about at once, and the limit stops sending."""
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
    unconfirmed.answered(ping)
    assert not unconfirmed.full
    unconfirmed.stop()


async def test_pongs_that_are_not_ours() -> None:
    """A peer whose pongs answer no ping is not waited for, until one does; then the limit counts again."""
    unconfirmed, _ = make()
    assert not unconfirmed.unasked()  # before any ping
    for number in range(10):
        unconfirmed.sent(item(number))
    ping = unconfirmed.ping()
    assert ping is not None
    assert unconfirmed.full
    assert unconfirmed.unasked()
    assert not unconfirmed.unasked()
    for number in range(10, 30):
        assert not unconfirmed.full
        unconfirmed.sent(item(number))
    assert unconfirmed.forgotten == 10
    unconfirmed.answered(ping)
    assert unconfirmed.full
    assert unconfirmed.ping() is not None
    assert not unconfirmed.unasked()  # it has answered one
    assert unconfirmed.full
    assert [one.message for one in unconfirmed.unconfirmed()] == list(range(10, 30))
    unconfirmed.stop()


async def test_ask_about_a_few() -> None:
    """A few messages are asked about at once, but not twice within the pace; then what came meanwhile is."""
    unconfirmed, due = make(1000 * WEIGHT)
    for number in range(ASK_AT):
        assert unconfirmed.ping() is None
        unconfirmed.sent(item(number))
    first = unconfirmed.ping()
    assert first is not None
    for number in range(2 * ASK_AT):
        unconfirmed.sent(item(number))
    assert unconfirmed.ping() is None
    unconfirmed.answered(first)
    assert unconfirmed.ping() is None
    unconfirmed.sent(item(0))
    assert (unconfirmed.ping(), due) == (None, [])
    await asyncio.sleep(ASK_EVERY)
    assert due == ["due"]
    second = unconfirmed.ping()
    assert second is not None
    unconfirmed.answered(second)
    assert unconfirmed.unconfirmed() == []
    await asyncio.sleep(2 * ASK_AFTER)
    assert due == ["due"]


async def test_slow_pong() -> None:
    """A pong that comes late does not delay the next ping: what was sent meanwhile is old, or are a few."""
    for number in (1, ASK_AT):
        unconfirmed, due = make(1000 * WEIGHT)
        unconfirmed.sent(item(1))
        unconfirmed.ask()
        first = unconfirmed.ping()
        assert first is not None
        for _ in range(number):
            unconfirmed.sent(item(2))
        await asyncio.sleep(ASK_AFTER / 2 if number == ASK_AT else 2 * ASK_AFTER)
        assert unconfirmed.ping() is None
        unconfirmed.answered(first)
        assert unconfirmed.ping() is not None
        unconfirmed.stop()
        del due


async def test_pings_of_others() -> None:
    """A ping that somebody else sends confirms, too; the answer to one before that confirms nothing."""
    unconfirmed, _ = make()
    assert not unconfirmed.answered(1)
    unconfirmed.asked(1)
    unconfirmed.sent(item(1))
    assert unconfirmed.answered(1)
    unconfirmed.asked(2)
    unconfirmed.sent(item(2))
    unconfirmed.asked(3)
    assert not unconfirmed.answered(1)
    assert unconfirmed.answered(3)
    assert [one.message for one in unconfirmed.unconfirmed()] == [2]
    unconfirmed.stop()


async def test_last_ping() -> None:
    """The last ping asks about all, and only if need be."""
    unconfirmed, _ = make()
    assert unconfirmed.ping(last=True) is None
    unconfirmed.sent(item(1))
    unconfirmed.ask()
    unconfirmed.ping()
    assert unconfirmed.ping(last=True) is None
    unconfirmed.sent(item(2))
    ping = unconfirmed.ping(last=True)
    assert ping is not None
    assert unconfirmed.answered(ping)
    assert unconfirmed.unconfirmed() == []
    unconfirmed.stop()


async def test_arrival() -> None:
    """One can wait for the arrival of what is sent and of what will be."""
    unconfirmed, _ = make()
    await unconfirmed.arrival()
    unconfirmed.sent(item(1))
    task = asyncio.create_task(unconfirmed.arrival(1))
    await asyncio.sleep(0)
    ping = unconfirmed.ping()
    assert ping is not None
    unconfirmed.answered(ping)
    await asyncio.sleep(0)
    assert not task.done()
    unconfirmed.sent(item(2))
    ping = unconfirmed.ping()
    assert ping is not None
    unconfirmed.answered(ping)
    await asyncio.wait_for(task, 1)
    unconfirmed.stop()


async def test_arrival_of_all() -> None:
    """One can wait for the arrival of all, what is sent meanwhile included."""
    unconfirmed, _ = make()
    unconfirmed.sent(item(1))
    task = asyncio.create_task(unconfirmed.arrival())
    for number in (2, 3):
        await asyncio.sleep(0)
        ping = unconfirmed.ping()
        unconfirmed.sent(item(number))
        assert ping is not None
        unconfirmed.answered(ping)
    await asyncio.sleep(0)
    assert not task.done()
    ping = unconfirmed.ping()
    assert ping is not None
    unconfirmed.answered(ping)
    await asyncio.wait_for(task, 1)
    unconfirmed.stop()


async def test_its_end_ends_the_waiting() -> None:
    unconfirmed, _ = make()
    unconfirmed.sent(item(1))
    task = asyncio.create_task(unconfirmed.arrival())
    await asyncio.sleep(0)
    unconfirmed.stop()
    await asyncio.wait_for(task, 1)


async def test_blind() -> None:
    """While no pong can be read the oldest are forgotten above twice the limit, and counted until a pong comes."""
    unconfirmed, _ = make()
    for number in range(10):
        unconfirmed.sent(item(number))
    ping = unconfirmed.ping()
    for number in range(10, 25):
        unconfirmed.sent(item(number), blind=True)
    assert (unconfirmed.full, unconfirmed.forgotten) == (True, 5)
    assert ping is not None
    assert unconfirmed.answered(ping)
    assert unconfirmed.forgotten == 0
    ping = unconfirmed.ping(last=True)
    assert ping is not None
    for number in range(25, 50):
        unconfirmed.sent(item(number), blind=True)
    assert (unconfirmed.forgotten, unconfirmed.ping(last=True) is None) == (20, False)
    assert [frame.message for frame in unconfirmed.unconfirmed()] == list(range(30, 50))
    unconfirmed.stop()


async def test_blind_beyond_a_ping() -> None:
    """A pong confirms what is forgotten, also if all that its ping was about is."""
    unconfirmed, _ = make()
    for number in range(3):
        unconfirmed.sent(item(number))
    ping = unconfirmed.ping()
    assert ping is not None
    for number in range(3, 40):
        unconfirmed.sent(item(number), blind=True)
    assert unconfirmed.forgotten == 20
    assert unconfirmed.answered(ping)
    assert unconfirmed.forgotten == 17
    assert unconfirmed.full
    unconfirmed.stop()
