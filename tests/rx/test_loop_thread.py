import asyncio
import contextvars
import gc
import threading
import weakref

import pytest

from rxws.rx.loop_thread import LoopThread
from tests.streams import turns

BOTH_LOOPS = True


def test_a_closed_loop_ignores_calls() -> None:
    async def make() -> LoopThread:
        return LoopThread(asyncio.get_running_loop())

    thread = asyncio.run(make())
    called: list[int] = []
    worker = threading.Thread(target=thread.run, args=(called.append, 1))
    worker.start()
    worker.join()
    assert called == []


async def test_call_limit() -> None:
    """Calls beyond the limit are refused."""
    thread = LoopThread(asyncio.get_running_loop())
    called: list[int] = []
    assert [thread.hand_over(called.append, number, limit=2) for number in range(3)] == [True, True, False]
    await asyncio.sleep(0)
    assert called == [0, 1]


async def test_call_raises() -> None:
    """A call that raises does not keep the next one."""
    loop = asyncio.get_running_loop()
    raised: list[object] = []
    loop.set_exception_handler(lambda _, context: raised.append(type(context["exception"])))
    thread = LoopThread(loop)
    called: list[int] = []
    thread.hand_over(lambda: 1 / 0)
    thread.hand_over(called.append, 1)
    await turns()
    assert (raised, called) == ([ZeroDivisionError], [1])


async def test_calls_within_calls() -> None:
    """Calls that come while calling wait for the next turn."""
    thread = LoopThread(asyncio.get_running_loop())
    called: list[int] = []

    def again() -> None:
        called.append(len(called))
        thread.hand_over(again)

    thread.hand_over(again)
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(called) <= 3


def test_a_closed_loop_keeps_no_calls() -> None:
    async def make() -> LoopThread:
        return LoopThread(asyncio.get_running_loop())

    class Message:
        pass

    def work() -> None:
        for message in messages:
            thread.run(print, message)
            assert thread.hand_over(print, message, limit=1)

    thread = asyncio.run(make())
    messages = [Message() for _ in range(10)]
    kept = [weakref.ref(message) for message in messages]
    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    messages.clear()
    gc.collect()
    assert [ref() for ref in kept] == [None] * 10


def test_settle(caplog: pytest.LogCaptureFixture) -> None:
    """What the loop did not come to is settled when it is closed."""
    called: list[int] = []
    loop = asyncio.new_event_loop()
    thread = LoopThread(loop)
    thread.hand_over(called.append, 1)
    thread.hand_over(lambda: 1 / 0)
    thread.hand_over(called.append, 2)
    loop.close()
    thread.settle()
    assert called == [1, 2]
    assert "ZeroDivisionError" in caplog.text
    thread.hand_over(called.append, 3)
    thread.settle()  # what came after the end is ignored
    assert called == [1, 2]


def test_settle_in_the_loop() -> None:
    """To what is settled it is as if the loop ran: it happens then and there, and comes to an end."""
    called: list[int] = []
    loop = asyncio.new_event_loop()
    thread = LoopThread(loop)
    thread.hand_over(thread.run, called.append, 1)
    loop.close()
    thread.settle()
    assert (called, thread.here()) == ([1], False)


async def test_call_in_own_thread() -> None:
    """A call from the loop's own thread is made at once."""
    thread = LoopThread(asyncio.get_running_loop())
    called: list[int] = []
    thread.run(called.append, 1)
    assert (thread.here(), called) == (True, [1])
    assert await asyncio.to_thread(thread.here) is False


def test_call_between_two_runs() -> None:
    """In the loop's thread, but not in the running loop, a call waits; in another loop of that thread, too."""
    called: list[int] = []

    async def look() -> None:
        assert thread.here()
        thread.run(called.append, 2)

    async def elsewhere() -> None:
        assert not thread.here()
        thread.run(called.append, 1)

    with asyncio.Runner() as runner:
        thread = LoopThread(runner.get_loop())
        thread.run(called.append, 0)
        assert (thread.here(), called) == (False, [])
        asyncio.run(elsewhere())
        assert called == []
        runner.run(look())
    assert sorted(called) == [0, 1, 2]


def test_loop_in_another_thread() -> None:
    """The loop is where it runs, not where it was made."""
    loop = asyncio.new_event_loop()
    thread = LoopThread(loop)
    called: list[int] = []

    async def look() -> None:
        assert thread.here()
        thread.run(called.append, 1)
        assert called == [1]

    worker = threading.Thread(target=loop.run_until_complete, args=(look(),))
    worker.start()
    worker.join()
    loop.close()
    assert called == [1]


async def test_each_call_keeps_its_context() -> None:
    """Calls of several threads that wait together are each made in the context of their caller."""
    user = contextvars.ContextVar[str]("user", default="nobody")
    thread, seen = LoopThread(asyncio.get_running_loop()), list[tuple[str, str]]()

    def call(name: str) -> None:
        user.set(name)
        thread.run(lambda: seen.append((name, user.get())))

    callers = [threading.Thread(target=call, args=(name,)) for name in ("alice", "bob", "carol")]
    for caller in callers:
        caller.start()
        caller.join()
    await turns()
    assert seen == [("alice", "alice"), ("bob", "bob"), ("carol", "carol")]
    assert user.get() == "nobody"
