"""Whatever foreign code raises, its caller goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rxws.errors import leaves, raise_fatal
from rxws.rx.foreign import as_error, call, call_all, described, is_own_cancellation
from tests.streams import raising

ODD = [
    ValueError("plain"),
    asyncio.CancelledError(),
    GeneratorExit(),
    BaseExceptionGroup("several", [asyncio.CancelledError(), ValueError()]),
]


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
def test_call_reports_whatever_is_raised(error: BaseException) -> None:
    """What a function raises is reported as an `Exception`, whatever it is."""
    seen, reported = list[Any](), list[Exception]()
    call(reported.append, "a subscriber", seen.append, 1)
    call(reported.append, "a subscriber", raising(error))
    (told,) = reported
    assert (seen, told is error or told.__cause__ is error) == ([1], True)
    assert isinstance(told, Exception)


@pytest.mark.parametrize("fatal", [KeyboardInterrupt("now"), SystemExit(3)])
def test_raise_fatal(fatal: BaseException) -> None:
    """What ends the program is raised alone, from whatever depth of groups, and nothing else is."""
    raise_fatal(ValueError())
    raise_fatal(BaseExceptionGroup("", [asyncio.CancelledError(), ValueError()]))
    for error in (fatal, BaseExceptionGroup("", [ValueError(), BaseExceptionGroup("", [fatal])])):
        with pytest.raises(type(fatal)) as raised:
            raise_fatal(error)
        assert raised.value is fatal


def test_as_error_of_a_group() -> None:
    """A group is made one of `Exception`s, and its own ones stay what they are."""
    mine = KeyError(1)
    group = BaseExceptionGroup("several", [mine, BaseExceptionGroup("inner", [asyncio.CancelledError()])])
    made = as_error(group, "a subscriber")
    assert isinstance(made, ExceptionGroup)
    assert made.exceptions[0] is mine
    assert [str(one) for one in leaves(made)] == ["1", "a subscriber raised CancelledError()"]


@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit])
def test_call_all_raises_what_ends_the_program_last(fatal: type[BaseException]) -> None:
    """All functions are called; what ends the program is reported, and raised on behind the last one."""
    called, reported = list[int](), list[Exception]()
    functions: list[Callable[[], object]] = [raising(ValueError()), raising(fatal()), lambda: called.append(1)]
    with pytest.raises(fatal):
        call_all(reported.append, "a step", *functions)
    assert (called, [type(error) for error in reported]) == ([1], [ValueError, RuntimeError])


async def test_cancelled_or_what_it_awaited() -> None:
    """A task tells its own cancellation from that of what it awaited."""
    told: list[bool] = []

    async def wait(future: asyncio.Future[None]) -> None:
        try:
            await future
        except asyncio.CancelledError as error:
            told.append(is_own_cancellation(error))

    mine, theirs = asyncio.get_running_loop().create_future(), asyncio.get_running_loop().create_future()
    tasks = asyncio.create_task(wait(mine)), asyncio.create_task(wait(theirs))
    await asyncio.sleep(0)
    tasks[0].cancel()
    theirs.cancel()
    await asyncio.gather(*tasks)
    assert told == [True, False]
    assert not is_own_cancellation(ValueError())


def test_as_error_keeps_exceptions() -> None:
    """An `Exception` is itself."""
    error = KeyError(1)
    assert as_error(error, "a subscriber") is error


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
def test_described_bears_whatever_is_raised(error: BaseException) -> None:
    """A value whose methods raise is described all the same; what ends the program is raised."""

    class Evil(BaseException):
        __repr__ = __str__ = raising(error)

    name = type(error).__name__
    assert described(Evil()) == f"<Evil, whose repr raises {name}>"
    assert described(Evil(), str) == f"<Evil, whose str raises {name}>"
    assert str(as_error(Evil(), "a subscriber")) == f"a subscriber raised <Evil, whose repr raises {name}>"
    Evil.__repr__ = raising(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        described(Evil())
