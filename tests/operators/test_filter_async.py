from reactivex.subject import Subject

from rxws import operators as rxops
from tests.operators.jobs import Jobs
from tests.streams import turns, watch


async def test_filter_async() -> None:
    """`filter_async` keeps the items for which a coroutine returns true."""
    jobs, source = Jobs(), Subject[int]()
    log = watch(r=source.pipe(rxops.filter_async(jobs, max_concurrent=3)))
    for number in (1, 2, 3):
        source.on_next(number)
    await turns()
    source.on_completed()
    await jobs.end(3, 1)
    await jobs.end(2, False)
    await jobs.end(1, True)
    assert log == [("r", 1), ("r", 3), "r|"]
