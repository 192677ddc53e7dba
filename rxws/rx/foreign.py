"""Calls into foreign code, a user's or a library's: whatever it raises, the caller goes on.

`Exception` is not all that code raises. The result of a cancelled task raises `CancelledError`, a closed generator
`GeneratorExit`, a task group a `BaseExceptionGroup`. What ends the program is reported too, then raised on: alone if
it was in a group, since an event loop lets a group end no more than a task.
"""

from __future__ import annotations

from asyncio import CancelledError, all_tasks, current_task
from collections.abc import Callable
from copy import copy
from typing import Any, TypeVar

from rxws.errors import FATAL, members, raise_fatal
from rxws.rx.loop_thread import running_loop

E = TypeVar("E", bound=Exception)
Report = Callable[[Exception], object]


def as_error(error: BaseException, who: str) -> Exception:
    """Make an `Exception` of whatever `who` raised; of a group, one of `Exception`s.

    >>> from asyncio import CancelledError
    >>> as_error(KeyError(1), "a subscriber"), as_error(CancelledError(), "a subscriber")
    (KeyError(1), RuntimeError('a subscriber raised CancelledError()'))
    """
    if isinstance(error, Exception):
        return error
    what = f"{who} raised {described(error)}"
    grouped = [as_error(one, who) for one in members(error)]
    return caused(ExceptionGroup(what, grouped) if grouped else RuntimeError(what), error)


def caused(error: E, cause: BaseException | None) -> E:
    """Give an error its cause. A function that did this in a variable of its own would be in its own traceback."""
    error.__cause__ = cause
    return error


def without_frames(error: E) -> E:
    """Return an error to keep: a copy without its traceback, in whose frames is whatever was at work.

    One whose class cannot be copied is returned itself.

    >>> error = KeyError(1)
    >>> without_frames(error) is error  # as it was not raised
    True
    """
    if error.__traceback__ is None:
        return error
    try:
        alike = copy(error)
    except Exception:
        return error
    return alike if type(alike) is type(error) else error


def cancelled(error: BaseException) -> bool:
    """Whether an error is that the present task was cancelled: not just something that it awaited."""
    return isinstance(error, CancelledError) and is_cancelled()


def is_cancelled() -> bool:
    """Whether the present task was cancelled, even if something that it awaited has taken no notice of it."""
    task = current_task()
    return task is not None and task.cancelling() > 0


def loop_ends() -> bool:
    """Whether the event loop ends: all its tasks are being cancelled, the present one among them, or it no longer runs.

    So do `asyncio.run` and Ctrl-C. What a task makes of its cancellation then, a result or an error, is nobody's.
    """
    if running_loop() is None:
        return True
    task = current_task()
    return task is not None and task.cancelling() > 0 and all(other.cancelling() for other in all_tasks())


def described(value: object, how: Callable[[Any], str] = repr) -> str:
    """Return `repr(value)` or `str(value)`, or which of its methods raises what.

    >>> class Shy:
    ...     def __repr__(self):
    ...         return f"{1 / 0}"
    >>> described([1]), described(KeyError("no"), str), described(Shy())
    ('[1]', "'no'", '<Shy, whose repr raises ZeroDivisionError>')
    """
    try:
        return how(value)
    except BaseException as error:  # it is nested too deep, or of a class of the user's
        raise_fatal(error)
        return f"<{type(value).__name__}, whose {how.__name__} raises {type(error).__name__}>"


def call(report: Report, who: str, function: Callable[..., object], *args: Any) -> None:
    """Call `function`, and report what it raises."""
    try:
        function(*args)
    except BaseException as error:
        report(as_error(error, who))
        raise_fatal(error)


def call_all(report: Report, who: str, *functions: Callable[[], object]) -> None:
    """Call all of the functions, whatever they raise; what ends the program is raised on behind the last one."""
    fatal: BaseException | None = None
    for function in functions:
        try:
            function()
        except BaseException as error:
            try:
                report(as_error(error, who))
                raise_fatal(error)
            except FATAL as last:
                fatal = last
    if fatal is not None:
        raise fatal
