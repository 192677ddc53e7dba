from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject, ReplaySubject, Subject

import rxws
from rxws.core.incoming import Readers
from rxws.rx.broadcast import Broadcast, Hot
from rxws.rx.fan_outs import goes_to_many

MANY: dict[str, Callable[[Observable[Any]], Observable[Any]]] = {
    "Subject": lambda source: fed(source, Subject[Any]()),
    "BehaviorSubject": lambda source: fed(source, BehaviorSubject[Any](0)),
    "ReplaySubject": lambda source: fed(source, ReplaySubject[Any](1)),
    "a subclass": lambda source: fed(source, Own()),
    "a room": lambda source: fed(source, rxws.Rooms[Any]()["room"]),
    "share": lambda source: source.pipe(ops.map(str), ops.share()),
    "publish": lambda source: source.pipe(ops.publish(), ops.ref_count()),
    "replay": lambda source: source.pipe(ops.replay(buffer_size=1), ops.ref_count()),
    "operators before and behind": lambda source: fed(source.pipe(ops.map(str)), Subject[Any]()).pipe(ops.filter(bool)),
}

ONE: dict[str, Callable[[Observable[Any]], Observable[Any]]] = {
    "nothing": lambda source: source,
    "operators": lambda source: source.pipe(ops.map(str), ops.filter(bool), ops.scan(lambda a, b: b)),
    "merge": lambda source: reactivex.merge(source, reactivex.never()),
    "flat_map": lambda source: source.pipe(ops.flat_map(reactivex.just)),
}


class Own(Subject[Any]):
    """A Subject of the user's."""


def fed(source: Observable[Any], subject: Any) -> Observable[Any]:
    source.subscribe(subject)
    return subject


@pytest.mark.parametrize("way", [*MANY, *ONE])
def test_the_way_of_an_item(way: str) -> None:
    """A Subject or a room between an item's source and who takes it is seen, operators are not taken for one."""
    source, seen = Hot[str](print), list[bool]()
    {**MANY, **ONE}[way](source).subscribe(lambda _: seen.append(goes_to_many()))
    seen.clear()
    source.emit("a")
    assert seen == [way in MANY]


def test_the_way_begins_at_the_source() -> None:
    """A Subject before the source is not on the way of the source's items."""
    before, seen = Subject[str](), list[bool]()
    readers: Any = Readers(None, print)
    before.subscribe(readers.emit)
    Broadcast.subscribe(readers, reactivex.Observer(lambda _: seen.append(goes_to_many())))
    before.on_next("a")
    assert (seen, goes_to_many()) == ([False], False)
