import asyncio
import threading

from rxws.rx.loop_thread import LoopThread
from rxws.rx.scheduler import MAX_AT_ONCE, LoopScheduler

VIRTUAL = True


async def test_order() -> None:
    """Immediate work runs at once, and what is due now soon."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    log: list[str] = []
    scheduler.schedule(lambda *_: log.append("at once"))
    scheduler.schedule_relative(0, lambda *_: log.append("soon"))
    scheduler.schedule_relative(0.05, lambda *_: log.append("later"))
    assert log == ["at once"]
    await asyncio.sleep(0.1)
    assert log == ["at once", "soon", "later"]


async def test_too_much_immediate_work() -> None:
    """Too much immediate work waits for the next turn."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    done: list[int] = []
    for number in range(MAX_AT_ONCE + 5):
        scheduler.schedule(lambda *_, number=number: done.append(number))
    assert len(done) == MAX_AT_ONCE
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert done == list(range(MAX_AT_ONCE + 5))


async def test_dispose() -> None:
    """Disposing cancels what is scheduled."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    done: list[int] = []
    scheduler.schedule_relative(0.001, lambda *_: done.append(1)).dispose()
    scheduler.schedule_relative(0, lambda *_: done.append(2)).dispose()
    await asyncio.sleep(0.01)
    assert done == []


async def test_thread_schedules() -> None:
    """Timed work that a thread asks for runs on the event loop."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 60
    scheduler = LoopScheduler(LoopThread(loop))
    ran: asyncio.Future[int] = loop.create_future()
    await asyncio.to_thread(scheduler.schedule_relative, 0.001, lambda *_: ran.set_result(threading.get_ident()))
    assert await asyncio.wait_for(ran, 5) == threading.get_ident()


async def test_thread_cancels() -> None:
    """Timed work that a thread cancels does not run."""
    loop = asyncio.get_running_loop()
    scheduler = LoopScheduler(LoopThread(loop))
    done: list[int] = []
    mine = scheduler.schedule_relative(0.3, lambda *_: done.append(1))
    await asyncio.to_thread(mine.dispose)
    await asyncio.to_thread(lambda: scheduler.schedule_relative(0.3, lambda *_: done.append(2)).dispose())
    await asyncio.sleep(0.4)
    assert done == []


async def test_thread_runs_its_own() -> None:
    """Immediate work stays in the thread that asks for it."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    threads: list[int] = []

    def work() -> int:
        scheduler.schedule(lambda *_: threads.append(threading.get_ident()))
        return threading.get_ident()

    assert [await asyncio.to_thread(work)] == threads
    assert threads != [threading.get_ident()]


def test_closed_loop() -> None:
    """A closed loop ignores what a thread asks for."""

    async def make() -> LoopScheduler:
        return LoopScheduler(LoopThread(asyncio.get_running_loop()))

    scheduler = asyncio.run(make())
    done: list[int] = []
    worker = threading.Thread(target=lambda: scheduler.schedule_relative(0, lambda *_: done.append(1)).dispose())
    worker.start()
    worker.join()
    assert done == []
