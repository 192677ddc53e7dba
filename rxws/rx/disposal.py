"""To know when a Disposable is disposed, by any caller.

RxPY's Disposables tell nobody. What all its kinds have in common is that disposing assigns `is_disposed = True`
or calls `dispose`, so `on_dispose` gives the one object a subclass of its own class which notices both. The object
stays what it is: same identity, state, name and `isinstance`. A bound `dispose` taken before is noticed too,
since it makes the same assignment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reactivex import abc
from reactivex.disposable import ScheduledDisposable

_watched: dict[type[Any], type[Any]] = {}


def on_dispose(disposable: abc.DisposableBase, action: Callable[[], object]) -> None:
    """Call `action` when `disposable` is disposed; at once if it already is.

    Holds for every kind in `reactivex.disposable` and for any subclass of `DisposableBase` written in Python.
    A `ScheduledDisposable` counts when its scheduler has come to it. Raises `TypeError` for an object whose
    class cannot be extended.

    >>> from reactivex.disposable import SerialDisposable
    >>> serial = SerialDisposable()
    >>> on_dispose(serial, lambda: print("disposed"))
    >>> serial.dispose()
    disposed
    """
    if isinstance(disposable, ScheduledDisposable):
        on_dispose(disposable.disposable, action)
    elif getattr(disposable, "is_disposed", False):
        action()
    else:
        _listeners(disposable).append(action)


def _listeners(disposable: abc.DisposableBase) -> list[Callable[[], object]]:
    kind = type(disposable)
    if "_rxws_listeners" not in getattr(disposable, "__dict__", ()):
        try:
            vars(disposable)["_rxws_listeners"] = []
            disposable.__class__ = _watched.get(kind) or _watched.setdefault(kind, _extend(kind))
        except (TypeError, AttributeError) as error:
            raise TypeError(
                f"rxws cannot tell when a {kind.__name__} is disposed: wrap it, "
                "reactivex.disposable.Disposable(yours.dispose)"
            ) from error
    return vars(disposable)["_rxws_listeners"]


def _extend(kind: type[Any]) -> type[Any]:
    def notify(self: Any) -> None:
        listeners = self.__dict__["_rxws_listeners"]
        while listeners:
            listeners.pop(0)()

    def dispose(self: Any) -> None:
        listeners = self.__dict__["_rxws_listeners"]
        told_after: list[Callable[[], object]] = listeners[:]  # what it does at its end may still send
        listeners.clear()
        try:
            kind.dispose(self)
        finally:
            for listener in told_after:
                listener()

    def get(self: Any) -> bool:
        try:
            return self.__dict__["is_disposed"]
        except KeyError:
            raise AttributeError("is_disposed") from None

    def put(self: Any, value: bool) -> None:
        self.__dict__["is_disposed"] = value
        if value:
            notify(self)

    members: dict[str, Any] = {"__slots__": (), "__module__": kind.__module__, "dispose": dispose}
    if not hasattr(kind, "is_disposed"):
        members["is_disposed"] = property(get, put)
    return type(kind.__name__, (kind,), members)
