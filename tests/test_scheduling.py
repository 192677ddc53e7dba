import asyncio

from rxws.scheduling import MAX_AT_ONCE, LoopScheduler


async def test_immediate_work_runs_at_once_and_what_is_due_now_soon() -> None:
    scheduler = LoopScheduler(asyncio.get_running_loop())
    log: list[str] = []
    scheduler.schedule(lambda *_: log.append("at once"))
    scheduler.schedule_relative(0, lambda *_: log.append("soon"))
    scheduler.schedule_relative(0.001, lambda *_: log.append("later"))
    assert log == ["at once"]
    await asyncio.sleep(0.01)
    assert log == ["at once", "soon", "later"]


async def test_too_much_immediate_work_waits_for_the_next_turn() -> None:
    scheduler = LoopScheduler(asyncio.get_running_loop())
    done: list[int] = []
    for number in range(MAX_AT_ONCE + 5):
        scheduler.schedule(lambda *_, number=number: done.append(number))
    assert len(done) == MAX_AT_ONCE
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert done == list(range(MAX_AT_ONCE + 5))


async def test_disposing_cancels_what_is_scheduled() -> None:
    scheduler = LoopScheduler(asyncio.get_running_loop())
    done: list[int] = []
    scheduler.schedule_relative(0.001, lambda *_: done.append(1)).dispose()
    scheduler.schedule_relative(0, lambda *_: done.append(2)).dispose()
    await asyncio.sleep(0.01)
    assert done == []
