import asyncio
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.testing import serve
from tests.streams import ended, raising, turns, watch


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


async def test_it_goes_on_if_the_report_raises() -> None:
    """What an observer of `into` raises is an error of the socket, and the pipeline goes on."""

    def handler(incoming: Any, errors: Any) -> Any:
        errors.subscribe(seen.append)
        reports.subscribe(raising(LookupError("the disk is full")))
        return incoming.pipe(ops.map(lambda n: 12 // n), rxops.skip_errors(into=reports))

    reports, seen = Subject[Exception](), list[Exception]()
    socket, peer = serve(handler, codec=rxws.json)
    peer.send("1", "0", "2")
    await turns()
    assert peer.sent == ["12", "6"]
    assert [str(error) for error in seen] == ["the disk is full"]
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


@pytest.mark.parametrize("before", [[], [rxops.buffered(20)]])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("concurrent", [1, 4])
async def test_async_error_touches_no_other_item(before: list[Any], ordered: bool, concurrent: int) -> None:
    """An error of an asynchronous function touches no other item."""

    async def look(message: str) -> str:
        await asyncio.sleep(0)
        if message in "25":
            raise LookupError(message)
        return message

    async def found(message: str) -> bool:
        return bool(await look(message))

    def handler(incoming: Any, errors: Any) -> Any:
        errors.subscribe(seen.append)
        options: dict[str, Any] = {"max_concurrent": concurrent, "ordered": ordered}
        return reactivex.merge(
            incoming.pipe(*before, rxops.map_async(look, **options), rxops.skip_errors(into=errors)),
            incoming.pipe(*before, rxops.filter_async(found, **options), rxops.skip_errors(into=errors)),
        )

    seen: list[Exception] = []
    socket, peer = serve(handler)
    peer.send(*"123456")
    await turns(60)
    assert sorted(peer.sent) == sorted("1346" * 2)
    assert sorted(map(str, seen)) == ["2", "2", "5", "5"]
    peer.close(rxws.Close())
    await ended(socket)
