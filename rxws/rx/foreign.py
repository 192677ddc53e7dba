"""Calls into foreign code, a user's or a library's: the caller goes on, whatever that raises.

Foreign code may raise more than an `Exception`. The result of a cancelled task raises `CancelledError`, a closed
generator `GeneratorExit`, and a task group a `BaseExceptionGroup`. An error that ends the program (`errors.FATAL`) is
reported, too, and then raised again. It is taken out of its group for that: an event loop does not end with a group.
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
    """Turn what `who` raised into an `Exception`. A group becomes an `ExceptionGroup`.

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
    """Set the cause of an error, and return the error.

    A caller that kept the error in a local variable to do so would be in its traceback: a reference cycle.
    """
    error.__cause__ = cause
    return error


def without_frames(error: E) -> E:
    """Return a copy of an error without its traceback, whose frames would keep all their local variables in memory.

    An error that was not raised has none, and is returned itself. So is an error that cannot be copied.

    >>> error = KeyError(1)
    >>> without_frames(error) is error
    True
    """
    if error.__traceback__ is None:
        return error
    try:
        copied = copy(error)
    except Exception:
        return error
    return copied if type(copied) is type(error) else error


def is_own_cancellation(error: BaseException) -> bool:
    """Return whether an error cancels the current task; if not, only something that the task awaited was cancelled."""
    return isinstance(error, CancelledError) and is_task_cancelled()


def is_task_cancelled() -> bool:
    """Return whether the current task was cancelled, even if what it awaited has caught the `CancelledError`."""
    task = current_task()
    return task is not None and task.cancelling() > 0


def loop_ends() -> bool:
    """Return whether the event loop has stopped, or ends: all its tasks are being cancelled, and the current one too.

    `asyncio.run` and Ctrl-C end a loop in this way. No one then takes what a cancelled task returns or raises.
    """
    return running_loop() is None or (is_task_cancelled() and all(task.cancelling() for task in all_tasks()))


def described(value: object, how: Callable[[Any], str] = repr) -> str:
    """Return `how(value)`, that is its `repr` or its `str`; if that raises, say so instead.

    >>> class Shy:
    ...     def __repr__(self):
    ...         return f"{1 / 0}"
    >>> described([1]), described(KeyError("no"), str), described(Shy())
    ('[1]', "'no'", '<Shy, whose repr raises ZeroDivisionError>')
    """
    try:
        return how(value)
    except BaseException as error:  # nested too deep, or a user's class
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
    """Call all functions, and report what they raise. An error that ends the program is raised after the last one."""
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
