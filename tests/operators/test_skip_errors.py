from typing import Any

import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.testing import serve
from tests.streams import ended, turns, watch


async def test_a_pipeline_survives_its_errors() -> None:
    def handler(incoming: Any, errors: Any) -> Any:
        errors.subscribe(seen.append)
        return incoming.pipe(ops.map(lambda n: 12 // n), rxops.skip_errors(into=errors))

    seen: list[Exception] = []
    socket, peer = serve(handler, codec=rxws.json)
    peer.send("1", "0", "2", '"a"', "3")
    await turns()
    assert peer.sent == ["12", "6", "4"]
    assert [type(error) for error in seen] == [ZeroDivisionError, TypeError]
    peer.close(rxws.Close())
    await ended(socket)


async def test_an_error_of_a_cold_source_is_passed_on() -> None:
    errors: Subject[Exception] = Subject()
    reported = watch(e=errors)
    error = LookupError()
    assert watch(r=reactivex.throw(error).pipe(rxops.skip_errors(into=errors))) == [("r#", error)]
    assert reported == []


async def test_a_pipeline_disposed_by_its_own_error_stays_so() -> None:
    source, errors = Subject[int](), Subject[Exception]()
    failing = source.pipe(ops.map(lambda n: 1 // n), rxops.skip_errors(into=errors))
    subscription = failing.subscribe()
    errors.subscribe(lambda _: subscription.dispose())
    source.on_next(0)
    assert source.observers == []
