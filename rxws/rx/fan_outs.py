"""Find out whether the present item goes to many subscribers. Then a slow one must not slow its source.

RxPY's Subjects do not say what feeds them, or what they feed. But dispatch is synchronous, so the call stack shows the
way of an item. A Subject on the stack counts as many subscribers, even if it has one now: a later one could not ask for
what a hold keeps back. The same is true for `share`, `publish` and `replay`, which contain Subjects.
"""

from __future__ import annotations

from inspect import currentframe
from typing import Any, Final

from reactivex.observer.scheduledobserver import ScheduledObserver
from reactivex.subject import BehaviorSubject, ReplaySubject, Subject

from rxws.rx.broadcast import Broadcast

_SUBJECTS: Final = {
    *(vars(kind)["_on_next_core"].__code__ for kind in (Subject, BehaviorSubject, ReplaySubject)),
    vars(ScheduledObserver)["run"].__code__,  # a `ReplaySubject` has one for each observer
}
_EMIT: Final = vars(Broadcast)["emit"].__code__


def goes_to_many() -> bool:
    """Return whether a Subject or a room is on the call stack of the present item. Takes some microseconds."""
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
