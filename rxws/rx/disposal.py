"""Find out when a Disposable is disposed, by any caller.

RxPY's Disposables have no listeners. But to dispose one either assigns `is_disposed = True` or calls `dispose`. So
`on_dispose` replaces the object's class with a subclass that notices both. The object keeps its identity, its state,
the name of its class, and `isinstance`. It also notices a bound `dispose` that was taken before, since that assigns
`is_disposed`, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reactivex import abc
from reactivex.disposable import ScheduledDisposable

_subclasses: dict[type[Any], type[Any]] = {}
"""For each class, the subclass that notices. One for each class, not for each object, to save time and memory."""


def on_dispose(disposable: abc.DisposableBase, action: Callable[[], object]) -> None:
    """Call `action` once, when `disposable` is disposed; now if it already is.

    This works for every class in `reactivex.disposable`, and for any subclass of `DisposableBase` written in Python. A
    `ScheduledDisposable` counts as disposed when its scheduler has disposed what it wraps. Raises `TypeError` for an
    object whose class cannot be changed.

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
            disposable.__class__ = _subclasses.get(kind) or _subclasses.setdefault(kind, _extend(kind))
        except (TypeError, AttributeError) as error:
            raise TypeError(
                f"rxws cannot tell when a {kind.__name__} is disposed: wrap it, "
                "reactivex.disposable.Disposable(yours.dispose)"
            ) from error
    return vars(disposable)["_rxws_listeners"]


def _extend(kind: type[Any]) -> type[Any]:
    """Make a subclass whose objects call their listeners when they are disposed."""

    def notify(self: Any) -> None:
        listeners = self.__dict__["_rxws_listeners"]
        while listeners:
            listeners.pop(0)()

    def dispose(self: Any) -> None:
        listeners = self.__dict__["_rxws_listeners"]
        waiting: list[Callable[[], object]] = listeners[:]
        listeners.clear()  # so that `notify` calls none yet: the object's own `dispose` may still send a message
        try:
            kind.dispose(self)
        finally:
            for listener in waiting:
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
