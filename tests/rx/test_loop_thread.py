import asyncio
import gc
import threading
import weakref

import pytest

from rxws.rx.loop_thread import LoopThread

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


async def test_calls_beyond_the_limit_are_refused() -> None:
    thread = LoopThread(asyncio.get_running_loop())
    called: list[int] = []
    assert [thread.hand_over(called.append, number, limit=2) for number in range(3)] == [True, True, False]
    await asyncio.sleep(0)
    assert called == [0, 1]


async def test_a_call_that_raises_does_not_keep_the_next_one() -> None:
    loop = asyncio.get_running_loop()
    raised: list[object] = []
    loop.set_exception_handler(lambda _, context: raised.append(type(context["exception"])))
    thread = LoopThread(loop)
    called: list[int] = []
    thread.hand_over(lambda: 1 / 0)
    thread.hand_over(called.append, 1)
    await asyncio.sleep(0.01)
    assert (raised, called) == ([ZeroDivisionError], [1])


async def test_calls_that_come_while_calling_wait_for_the_next_turn() -> None:
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


def test_what_the_loop_did_not_come_to_is_settled_when_it_is_closed(caplog: pytest.LogCaptureFixture) -> None:
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


async def test_a_call_from_the_loop_s_own_thread_is_made_at_once() -> None:
    thread = LoopThread(asyncio.get_running_loop())
    called: list[int] = []
    thread.run(called.append, 1)
    assert (thread.here(), called) == (True, [1])
    assert await asyncio.to_thread(thread.here) is False
