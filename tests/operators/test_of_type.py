import reactivex

from rxws import operators as rxops
from tests.streams import watch


async def test_of_type_keeps_one_type() -> None:
    assert watch(r=reactivex.of(1, "a", 2.0, True).pipe(rxops.of_type(int))) == [("r", 1), ("r", True), "r|"]
