"""Whether the present item goes to many: one who takes it slowly is not to slow its source then.

RxPY's Subjects tell nobody who feeds them, and whom they feed. But dispatch is synchronous, so the way that an item has
taken is the stack. A Subject on it is for many by definition, however many are subscribed just now: those who come
later cannot ask for what a hold keeps back. So is `share`, `publish` and `replay`, which are made of Subjects.
"""

from __future__ import annotations

from inspect import currentframe
from typing import Any, Final

from reactivex.observer.scheduledobserver import ScheduledObserver
from reactivex.subject import BehaviorSubject, ReplaySubject, Subject

from rxws.rx.broadcast import Broadcast

_SUBJECTS: Final = {
    *(vars(kind)["_on_next_core"].__code__ for kind in (Subject, BehaviorSubject, ReplaySubject)),
    vars(ScheduledObserver)["run"].__code__,  # which a `ReplaySubject` has for each of its observers
}
_EMIT: Final = vars(Broadcast)["emit"].__code__


def goes_to_many() -> bool:
    """Tell whether a Subject, or a room, hands on the item that is being handed on here; takes some microseconds."""
    frame = currentframe()
    while frame is not None:
        code = frame.f_code
        if code in _SUBJECTS:
            return True
        if code is _EMIT:
            broadcast: Broadcast[Any] = frame.f_locals["self"]
            if broadcast.is_source:
                return False
            if broadcast.is_for_many:
                return True
        frame = frame.f_back
    return False
