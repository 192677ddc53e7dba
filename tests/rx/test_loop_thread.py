import asyncio
import contextvars
import gc
import threading
import weakref
from functools import partial
from typing import Any

import pytest

from rxws.rx.loop_thread import LoopThread, set_result
from tests.streams import turns
from tests.threads import in_a_thread

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
    """Calls beyond the limit are refused; as many again may tell of it, and an owner's are not counted."""
    thread = LoopThread(asyncio.get_running_loop(), max_calls=2)
    called: list[Any] = []
    assert [thread.hand_over(called.append, number) for number in range(3)] == [True, True, False]
    assert [thread.hand_over(called.append, f"{number}", refusal=True) for number in range(3)] == [True, True, False]
    in_a_thread(lambda: thread.run(called.append, "owner"))
    await asyncio.sleep(0)
    assert called == [0, 1, "0", "1", "owner"]


async def test_weight_limit() -> None:
    """Messages beyond the limit are refused, but for one that is heavier alone; a call without a weight is not."""
    thread = LoopThread(asyncio.get_running_loop(), max_bytes=100)
    called: list[str] = []
    assert [thread.hand_over(called.append, weight, weight=int(weight)) for weight in ("60", "41", "40")] == [
        True,
        False,
        True,
    ]
    assert (thread.messages, thread.weight) == (2, 100)
    assert thread.hand_over(called.append, "tell", weight=100, refusal=True)
    assert not thread.hand_over(called.append, "tell", weight=1, refusal=True)
    assert thread.hand_over(called.append, "light")
    await asyncio.sleep(0)
    assert called == ["60", "40", "tell", "light"]
    assert thread.hand_over(called.append, "1000", weight=1000)
    assert (thread.messages, thread.weight) == (1, 1000)
    await asyncio.sleep(0)
    assert (called[-1], thread.messages, thread.weight) == ("1000", 0, 0)


async def test_call_that_waits_once() -> None:
    """However often it is asked for, a call waits once; when it is made it may be asked for again."""
    thread = LoopThread(asyncio.get_running_loop())
    called: list[int] = []
    once, other = (lambda: called.append(1)), (lambda: called.append(2))
    for count in (1, 2):
        in_a_thread(lambda: [thread.run_once(call) for _ in range(1000) for call in (once, other)])
        await asyncio.sleep(0)
        assert called == [1, 2] * count
    thread.run_once(once)
    assert called == [1, 2, 1, 2, 1]


async def test_last_call() -> None:
    """Of the calls that end all the first one counts, and no message follows it from another thread."""
    thread = LoopThread(asyncio.get_running_loop())
    called: list[Any] = []

    def work() -> None:
        assert thread.hand_over(called.append, "before", weight=1)
        for number in range(1000):
            thread.run_last(called.append, number)
        assert not thread.hand_over(called.append, "behind", weight=1)
        assert thread.hand_over(called.append, "no message")

    in_a_thread(work)
    await asyncio.sleep(0)
    assert called == ["before", 0, "no message"]
    thread.run_last(called.append, "here")
    assert called[-1] == "here"


async def test_end_takes_what_waits() -> None:
    """At the end the messages that wait are there at once, and in order; each call is made once, and none follows."""
    thread = LoopThread(asyncio.get_running_loop())
    called: list[Any] = []

    def end() -> None:
        for call in thread.end():
            call()
        called.append("ended")

    in_a_thread(
        lambda: (
            thread.hand_over(called.append, 1, weight=1),
            thread.run(end),
            thread.run(called.append, "no message"),
            thread.hand_over(called.append, 2, weight=1),
        )
    )
    await asyncio.sleep(0)
    assert called == [1, 2, "ended", "no message"]
    assert (thread.messages, thread.weight) == (0, 0)
    assert not thread.hand_over(called.append, 3, weight=1)


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
            thread.run_once(partial(print, message))
            assert thread.hand_over(print, message, weight=1)

    thread = asyncio.run(make())
    messages = [Message() for _ in range(10)]
    kept = [weakref.ref(message) for message in messages]
    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    messages.clear()
    gc.collect()
    assert [ref() for ref in kept] == [None] * 10
    assert (thread.messages, thread.weight) == (0, 0)


def test_run_waiting(caplog: pytest.LogCaptureFixture) -> None:
    """Calls that still wait when the loop is closed can be made."""
    called: list[int] = []
    loop = asyncio.new_event_loop()
    thread = LoopThread(loop)
    thread.hand_over(called.append, 1)
    thread.hand_over(lambda: 1 / 0)
    thread.hand_over(called.append, 2)
    loop.close()
    thread.run_waiting()
    assert called == [1, 2]
    assert "ZeroDivisionError" in caplog.text
    thread.hand_over(called.append, 3)
    thread.run_waiting()  # what came after the end is ignored
    assert called == [1, 2]


def test_run_waiting_in_the_loop() -> None:
    """These calls count as made in the loop: what they call happens at once, and comes to an end."""
    called: list[int] = []
    loop = asyncio.new_event_loop()
    thread = LoopThread(loop)
    thread.hand_over(thread.run, called.append, 1)
    loop.close()
    thread.run_waiting()
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


async def test_results_on_a_closed_loop() -> None:
    """A future gets its result in its own loop; that of a closed loop, or one that is done, is left alone."""
    future = asyncio.get_running_loop().create_future()
    in_a_thread(set_result, future, 1)
    assert await future == 1
    set_result(future, 2)
    assert await future == 1
    loop = asyncio.new_event_loop()
    left = loop.create_future()
    loop.close()
    set_result(left, 1)
    assert not left.done()
