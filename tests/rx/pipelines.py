"""A small pipeline through every operator of RxPY, and every function that makes an Observable.

Each is `make(s, here)`, where `s` emits what `SOURCE` says. Times are in seconds. Two events whose order matters are
at least a frame, 100 ms, apart, so that the diagrams hold in real time, too.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import reactivex
from reactivex import Observable, Observer, abc, just
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.notification import OnNext
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import Subject

Numbers = Observable[int]

SOURCE = "--1-2-----3---2-----5---0----------------"
"""What the peer sends; 0 is the end of the source."""


class Here:
    """What a pipeline needs of where it runs."""

    def __init__(self, wall_clock: Callable[[], datetime]) -> None:
        self.began = wall_clock()
        self.scheduler = AsyncIOScheduler(asyncio.get_running_loop())

    def date(self, seconds: float) -> datetime:
        """Give the date that is so many seconds after the beginning."""
        return self.began + timedelta(seconds=seconds)


class Pipeline(NamedTuple):
    """One row."""

    name: str
    make: Callable[[Numbers, Here], Observable[Any]]
    expected: str


def numbers(incoming: Observable[str]) -> Numbers:
    """Read the source."""
    return incoming.pipe(ops.map(int), ops.take_while(bool))


def late(value: Any, after: float = 0.3) -> Observable[Any]:
    return reactivex.timer(after).pipe(ops.map(lambda _: value))


def ticks() -> Numbers:
    """At 0.3, 1.1 and 1.9."""
    return reactivex.timer(0.3, 0.8).pipe(ops.take(3))


def until(seconds: float) -> Callable[..., Numbers]:
    return lambda *_: reactivex.timer(seconds)


def failing(s: Numbers) -> Numbers:
    """Fail at 1.0."""

    def check(n: int) -> int:
        if n == 3:
            raise LookupError
        return n

    return s.pipe(ops.map(check))


def times(count: int) -> Callable[[Any], bool]:
    left = itertools.count(count - 1, -1)
    return lambda _: next(left) >= 0


def lists(windows: Observable[Observable[Any]]) -> Observable[Any]:
    return windows.pipe(ops.flat_map(lambda window: window.pipe(ops.to_list())))


def logged(act: Callable[[list[Any]], Observable[Any]]) -> Observable[Any]:
    """Emit, behind an Observable, what was written into a log meanwhile."""
    log: list[Any] = []
    return act(log).pipe(ops.concat(late(log)))


def twice(both: list[Numbers]) -> Observable[Any]:
    return reactivex.merge(
        *(one.pipe(ops.map(lambda n, mark=mark: f"{n}{mark}")) for one, mark in zip(both, "ab", strict=True))
    )


def frames(interval: timedelta) -> int:
    return round(interval.total_seconds() / 0.1)


def plus_one(n: int) -> Numbers:
    return late(n + 1) if n < 4 else reactivex.empty()


def again(o: Observable[Any]) -> Observable[Any]:
    """Subscribe late."""
    return reactivex.timer(1.1).pipe(ops.flat_map(lambda _: o))


def observer(log: list[Any]) -> Observer[int]:
    return Observer(log.append)


def called_back(value: Any, callback: Callable[[Any], None]) -> None:
    asyncio.get_running_loop().call_later(0.3, callback, value)


async def soon(value: Any) -> Any:
    await asyncio.sleep(0.3)
    return value


def create(o: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
    assert scheduler is not None

    def end(*_: Any) -> None:
        o.on_next("x")
        o.on_completed()

    return scheduler.schedule_relative(0.3, end)


def rows(of: list[tuple[str, Callable[[Numbers, Here], Observable[Any]], str]]) -> list[Pipeline]:
    return [Pipeline(*row) for row in of]


OPERATORS = rows(
    [
        ("all", lambda s, _: s.pipe(ops.all(lambda n: n < 3)), '----------("False"|)'),
        ("amb", lambda s, _: s.pipe(ops.amb(late("x"))), "--1-2-----3---2-----5---|"),
        ("amb, the other one", lambda s, _: s.pipe(ops.amb(late("x", 0.1))), "-(x|)"),
        ("as_observable", lambda s, _: s.pipe(ops.as_observable()), "--1-2-----3---2-----5---|"),
        ("average", lambda s, _: s.pipe(ops.average()), '------------------------("2.6"|)'),
        ("buffer", lambda s, _: s.pipe(ops.buffer(ticks())), '---"[1]"-------"[2, 3]"-------("[2]""[]"|)'),
        (
            "buffer_toggle",
            lambda s, _: s.pipe(ops.buffer_toggle(ticks(), until(0.4))),
            '-------"[2]"-------"[2]"-------("[5]"|)',
        ),
        (
            "buffer_when",
            lambda s, _: s.pipe(ops.buffer_when(until(0.9))),
            '---------"[1, 2]"--------"[3, 2]"-----("[5]"|)',
        ),
        (
            "buffer_with_count",
            lambda s, _: s.pipe(ops.buffer_with_count(2)),
            '----"[1, 2]"---------"[3, 2]"---------("[5]"|)',
        ),
        (
            "buffer_with_time",
            lambda s, _: s.pipe(ops.buffer_with_time(0.9)),
            '---------"[1, 2]"--------"[3, 2]"-----("[5]"|)',
        ),
        (
            "buffer_with_time, overlapping",
            lambda s, _: s.pipe(ops.buffer_with_time(1.3, 0.9)),
            '-------------"[1, 2, 3]"--------"[3, 2, 5]"-("[5]"|)',
        ),
        (
            "buffer_with_time_or_count",
            lambda s, _: s.pipe(ops.buffer_with_time_or_count(0.9, 2)),
            '----"[1, 2]"--------"[3]"------"[2, 5]"---("[]"|)',
        ),
        ("catch", lambda s, _: failing(s).pipe(ops.catch(lambda error, source: late("x"))), "--1-2--------(x|)"),
        (
            "combine_latest",
            lambda s, _: s.pipe(ops.combine_latest(ticks())),
            '---"(1, 0)""(2, 0)"-----"(3, 0)""(3, 1)"--"(2, 1)"----"(2, 2)""(5, 2)"---|',
        ),
        ("concat", lambda s, _: s.pipe(ops.concat(late("x"))), "--1-2-----3---2-----5------(x|)"),
        ("concat_all", lambda s, _: s.pipe(ops.map(late), ops.concat_all()), "-----1--2----3---2-----5|"),
        ("concat_map", lambda s, _: s.pipe(ops.concat_map(late)), "-----1--2----3---2-----5|"),
        ("contains", lambda s, _: s.pipe(ops.contains(3)), '----------("True"|)'),
        ("count", lambda s, _: s.pipe(ops.count()), "------------------------(5|)"),
        ("debounce", lambda s, _: s.pipe(ops.debounce(0.3)), "-------2-----3---2-----5|"),
        (
            "default_if_empty",
            lambda s, _: s.pipe(ops.ignore_elements(), ops.default_if_empty(0)),
            "------------------------(0|)",
        ),
        ("delay", lambda s, _: s.pipe(ops.delay(0.3)), "-----1-2-----3---2-----5---|"),
        ("delay, to a date", lambda s, here: s.pipe(ops.delay(here.date(0.3))), "-----1-2-----3---2-----5---|"),
        ("delay_subscription", lambda s, _: s.pipe(ops.delay_subscription(0.3)), "----2-----3---2-----5---|"),
        (
            "delay_subscription, to a date",
            lambda s, here: s.pipe(ops.delay_subscription(here.date(0.3))),
            "----2-----3---2-----5---|",
        ),
        (
            "delay_with_mapper",
            lambda s, _: s.pipe(ops.delay_with_mapper(lambda n: reactivex.timer(0.1 * n))),
            "---1--2------3--2--------(5|)",
        ),
        (
            "delay_with_mapper, late",
            lambda s, _: s.pipe(ops.delay_with_mapper(until(0.3)(), until(0.3))),
            "-------2-----3---2-----5|",
        ),
        ("dematerialize", lambda s, _: s.pipe(ops.materialize(), ops.dematerialize()), "--1-2-----3---2-----5---|"),
        ("distinct", lambda s, _: s.pipe(ops.distinct()), "--1-2-----3---------5---|"),
        (
            "distinct_until_changed",
            lambda s, _: s.pipe(ops.distinct_until_changed(lambda n: n // 2)),
            "--1-2---------------5---|",
        ),
        (
            "do",
            lambda s, _: logged(lambda log: s.pipe(ops.do(observer(log)))),
            '--1-2-----3---2-----5------("[1, 2, 3, 2, 5]"|)',
        ),
        (
            "do_action",
            lambda s, _: logged(lambda log: s.pipe(ops.do_action(log.append))),
            '--1-2-----3---2-----5------("[1, 2, 3, 2, 5]"|)',
        ),
        ("do_while", lambda s, _: s.pipe(ops.take(2), ops.do_while(times(1))), "--1-2-----3---(2|)"),
        ("element_at", lambda s, _: s.pipe(ops.element_at(2)), "----------(3|)"),
        ("element_at_or_default", lambda s, _: s.pipe(ops.element_at_or_default(9, 0)), "------------------------(0|)"),
        ("exclusive", lambda s, _: s.pipe(ops.map(late), ops.exclusive()), "-----1-------3---2-----5|"),
        ("expand", lambda s, _: s.pipe(ops.take(1), ops.expand(plus_one)), "--1--2--3--(4|)"),
        ("filter", lambda s, _: s.pipe(ops.filter(lambda n: n % 2)), "--1-------3---------5---|"),
        ("filter_indexed", lambda s, _: s.pipe(ops.filter_indexed(lambda n, i: i % 2)), "----2---------2---------|"),
        (
            "finally_action",
            lambda s, _: logged(lambda log: s.pipe(ops.take(2), ops.finally_action(lambda: log.append("end")))),
            "--1-2--(\"['end']\"|)",
        ),
        ("find", lambda s, _: s.pipe(ops.find(lambda n, i, source: n == 3)), "----------(3|)"),
        ("find_index", lambda s, _: s.pipe(ops.find_index(lambda n, i, source: n == 3)), "----------(2|)"),
        ("first", lambda s, _: s.pipe(ops.first(lambda n: n == 3)), "----------(3|)"),
        (
            "first_or_default",
            lambda s, _: s.pipe(ops.first_or_default(lambda n: n == 9, 0)),
            "------------------------(0|)",
        ),
        ("flat_map", lambda s, _: s.pipe(ops.flat_map(late)), "-----1-2-----3---2-----5|"),
        (
            "flat_map_indexed",
            lambda s, _: s.pipe(ops.flat_map_indexed(lambda n, i: late(n * 10 + i))),
            '-----"10"-"21"-----"32"---"23"-----"54"|',
        ),
        ("flat_map_latest", lambda s, _: s.pipe(ops.flat_map_latest(late)), "-------2-----3---2-----5|"),
        ("fork_join", lambda s, _: s.pipe(ops.fork_join(ticks())), '------------------------("(5, 2)"|)'),
        (
            "group_by",
            lambda s, _: s.pipe(ops.group_by(lambda n: n % 2), lists),
            '------------------------("[1, 3, 5]""[2, 2]"|)',
        ),
        (
            "group_by_until",
            lambda s, _: s.pipe(ops.group_by_until(lambda n: n % 2, None, until(0.5)), lists),
            '-------"[1]"-"[2]"-----"[3]"---"[2]"----("[5]"|)',
        ),
        (
            "group_join",
            lambda s, _: s.pipe(
                ops.group_join(ticks(), until(0.3), until(0.4)),
                ops.flat_map(lambda pair: pair[1].pipe(ops.to_list(), ops.map(lambda found: (pair[0], found)))),
            ),
            '-----"(1, [0])"-"(2, [0])"-----"(3, [1])"---"(2, [1])"-----"(5, [2])"|',
        ),
        ("ignore_elements", lambda s, _: s.pipe(ops.ignore_elements()), "------------------------|"),
        ("is_empty", lambda s, _: s.pipe(ops.is_empty()), '--("False"|)'),
        (
            "join",
            lambda s, _: s.pipe(ops.join(ticks(), until(0.3), until(0.4))),
            '---"(1, 0)""(2, 0)"------"(3, 1)"--"(2, 1)"-----"(5, 2)"--|',
        ),
        ("last", lambda s, _: s.pipe(ops.last(lambda n: n < 5)), "------------------------(2|)"),
        (
            "last_or_default",
            lambda s, _: s.pipe(ops.last_or_default(0, lambda n: n == 9)),
            "------------------------(0|)",
        ),
        ("map", lambda s, _: s.pipe(ops.map(lambda n: n + 1)), "--2-3-----4---3-----6---|"),
        (
            "map_indexed",
            lambda s, _: s.pipe(ops.map_indexed(lambda n, i: n * 10 + i)),
            '--"10"-"21"-----"32"---"23"-----"54"---|',
        ),
        (
            "materialize",
            lambda s, _: s.pipe(ops.materialize(), ops.map(lambda item: item.kind)),
            "--N-N-----N---N-----N---(C|)",
        ),
        ("max", lambda s, _: s.pipe(ops.max()), "------------------------(5|)"),
        ("max_by", lambda s, _: s.pipe(ops.max_by(lambda n: n % 3)), '------------------------("[2, 2, 5]"|)'),
        ("merge", lambda s, _: s.pipe(ops.merge(ticks())), "--102-----31--2----25---|"),
        (
            "merge, one at a time",
            lambda s, _: s.pipe(ops.map(late), ops.merge(max_concurrent=1)),
            "-----1--2----3---2-----5|",
        ),
        ("merge_all", lambda s, _: s.pipe(ops.map(late), ops.merge_all()), "-----1-2-----3---2-----5|"),
        ("min", lambda s, _: s.pipe(ops.min()), "------------------------(1|)"),
        ("min_by", lambda s, _: s.pipe(ops.min_by(lambda n: n % 2)), '------------------------("[2, 2]"|)'),
        ("multicast", lambda s, _: s.pipe(ops.multicast(Subject()), ops.ref_count()), "--1-2-----3---2-----5---|"),
        ("observe_on", lambda s, here: s.pipe(ops.observe_on(here.scheduler)), "--1-2-----3---2-----5---|"),
        (
            "on_error_resume_next",
            lambda s, _: failing(s).pipe(ops.on_error_resume_next(late("x"))),
            "--1-2--------(x|)",
        ),
        ("pairwise", lambda s, _: s.pipe(ops.pairwise()), '----"(1, 2)"-----"(2, 3)"---"(3, 2)"-----"(2, 5)"---|'),
        (
            "partition",
            lambda s, _: twice(s.pipe(ops.partition(lambda n: n > 2))),
            '--"1b"-"2b"-----"3a"---"2b"-----"5a"---|',
        ),
        (
            "partition_indexed",
            lambda s, _: twice(s.pipe(ops.partition_indexed(lambda n, i: i > 2))),
            '--"1b"-"2b"-----"3b"---"2a"-----"5a"---|',
        ),
        ("pluck", lambda s, _: s.pipe(ops.map(lambda n: {"n": n}), ops.pluck("n")), "--1-2-----3---2-----5---|"),
        ("pluck_attr", lambda s, _: s.pipe(ops.map(OnNext), ops.pluck_attr("value")), "--1-2-----3---2-----5---|"),
        (
            "publish",
            lambda s, _: s.pipe(ops.publish(lambda o: o.pipe(ops.zip(o.pipe(ops.skip(1)))))),
            '----"(1, 2)"-----"(2, 3)"---"(3, 2)"-----"(2, 5)"---|',
        ),
        ("publish_value", lambda s, _: s.pipe(ops.publish_value(9, again)), "-----------3--2-----5---|"),
        ("reduce", lambda s, _: s.pipe(ops.reduce(lambda sum, n: sum + n, 100)), '------------------------("113"|)'),
        ("ref_count", lambda s, _: s.pipe(ops.publish(), ops.ref_count()), "--1-2-----3---2-----5---|"),
        ("repeat", lambda s, _: s.pipe(ops.take(2), ops.repeat(2)), "--1-2-----3---(2|)"),
        ("replay", lambda s, _: s.pipe(ops.replay(2, mapper=again)), "-----------(23)--2-----5---|"),
        (
            "replay, for a time",
            lambda s, _: s.pipe(ops.replay(window=0.8, mapper=again)),
            "-----------(23)--2-----5---|",
        ),
        ("retry", lambda s, _: failing(s).pipe(ops.retry(2)), "--1-2---------2-----5---|"),
        ("sample", lambda s, _: s.pipe(ops.sample(0.9)), "---------2--------2--------(5|)"),
        (
            "sample, by an Observable",
            lambda s, _: s.pipe(ops.sample(reactivex.timer(0.3, 0.8).pipe(ops.take(4)))),
            "---1-------3-------2-------(5|)",
        ),
        (
            "scan",
            lambda s, _: s.pipe(ops.scan(lambda sum, n: sum + n, 100)),
            '--"101"-"103"-----"106"---"108"-----"113"---|',
        ),
        (
            "sequence_equal",
            lambda s, _: s.pipe(ops.sequence_equal(reactivex.of(1, 2, 3, 2, 5))),
            '------------------------("True"|)',
        ),
        ("share", lambda s, _: s.pipe(ops.share()), "--1-2-----3---2-----5---|"),
        ("single", lambda s, _: s.pipe(ops.single(lambda n: n == 3)), "------------------------(3|)"),
        (
            "single_or_default",
            lambda s, _: s.pipe(ops.single_or_default(lambda n: n == 9, 0)),
            "------------------------(0|)",
        ),
        (
            "single_or_default_async",
            lambda s, _: s.pipe(ops.ignore_elements(), ops.single_or_default_async(True, 0)),
            "------------------------(0|)",
        ),
        ("skip", lambda s, _: s.pipe(ops.skip(2)), "----------3---2-----5---|"),
        ("skip_last", lambda s, _: s.pipe(ops.skip_last(2)), "----------1---2-----3---|"),
        ("skip_last_with_time", lambda s, _: s.pipe(ops.skip_last_with_time(0.5)), "----------(12)---------(32)---|"),
        ("skip_until", lambda s, _: s.pipe(ops.skip_until(until(0.7)())), "----------3---2-----5---|"),
        ("skip_until_with_time", lambda s, _: s.pipe(ops.skip_until_with_time(0.7)), "----------3---2-----5---|"),
        (
            "skip_until_with_time, to a date",
            lambda s, here: s.pipe(ops.skip_until_with_time(here.date(0.7))),
            "----------3---2-----5---|",
        ),
        ("skip_while", lambda s, _: s.pipe(ops.skip_while(lambda n: n < 3)), "----------3---2-----5---|"),
        (
            "skip_while_indexed",
            lambda s, _: s.pipe(ops.skip_while_indexed(lambda n, i: i < 3)),
            "--------------2-----5---|",
        ),
        ("skip_with_time", lambda s, _: s.pipe(ops.skip_with_time(0.7)), "----------3---2-----5---|"),
        ("slice", lambda s, _: s.pipe(ops.slice(1, 4, 2)), "----2---------(2|)"),
        ("some", lambda s, _: s.pipe(ops.some(lambda n: n == 3)), '----------("True"|)'),
        (
            "starmap",
            lambda s, _: s.pipe(ops.pairwise(), ops.starmap(lambda a, b: a * 10 + b)),
            '----"12"-----"23"---"32"-----"25"---|',
        ),
        (
            "starmap_indexed",
            lambda s, _: s.pipe(ops.pairwise(), ops.starmap_indexed(lambda a, b: a * 10 + b)),
            '----"12"-----"23"---"32"-----"25"---|',
        ),
        ("start_with", lambda s, _: s.pipe(ops.start_with(8, 9)), "(89)-1-2-----3---2-----5---|"),
        ("subscribe_on", lambda s, here: s.pipe(ops.subscribe_on(here.scheduler)), "--1-2-----3---2-----5---|"),
        ("sum", lambda s, _: s.pipe(ops.sum()), '------------------------("13"|)'),
        ("switch_latest", lambda s, _: s.pipe(ops.map(late), ops.switch_latest()), "-------2-----3---2-----5|"),
        ("switch_map", lambda s, _: s.pipe(ops.switch_map(late)), "-------2-----3---2-----5|"),
        (
            "switch_map_indexed",
            lambda s, _: s.pipe(ops.switch_map_indexed(lambda n, i: late(n * 10 + i))),
            '-------"21"-----"32"---"23"-----"54"|',
        ),
        ("take", lambda s, _: s.pipe(ops.take(3)), "--1-2-----(3|)"),
        ("take_last", lambda s, _: s.pipe(ops.take_last(2)), "------------------------(25|)"),
        ("take_last_buffer", lambda s, _: s.pipe(ops.take_last_buffer(2)), '------------------------("[2, 5]"|)'),
        ("take_last_with_time", lambda s, _: s.pipe(ops.take_last_with_time(1.1)), "------------------------(25|)"),
        ("take_until", lambda s, _: s.pipe(ops.take_until(until(1.1)())), "--1-2-----3|"),
        ("take_until_with_time", lambda s, _: s.pipe(ops.take_until_with_time(1.1)), "--1-2-----3|"),
        (
            "take_until_with_time, to a date",
            lambda s, here: s.pipe(ops.take_until_with_time(here.date(1.1))),
            "--1-2-----3|",
        ),
        ("take_while", lambda s, _: s.pipe(ops.take_while(lambda n: n < 3, inclusive=True)), "--1-2-----(3|)"),
        ("take_while_indexed", lambda s, _: s.pipe(ops.take_while_indexed(lambda n, i: i < 3)), "--1-2-----3---|"),
        ("take_with_time", lambda s, _: s.pipe(ops.take_with_time(1.1)), "--1-2-----3|"),
        (
            "tap",
            lambda s, _: logged(lambda log: s.pipe(ops.tap(log.append))),
            '--1-2-----3---2-----5------("[1, 2, 3, 2, 5]"|)',
        ),
        ("throttle_first", lambda s, _: s.pipe(ops.throttle_first(0.5)), "--1-------3---------5---|"),
        (
            "throttle_with_mapper",
            lambda s, _: s.pipe(ops.throttle_with_mapper(lambda n: reactivex.timer(0.1 * n))),
            "---1--2------3--2-------(5|)",
        ),
        ("throttle_with_timeout", lambda s, _: s.pipe(ops.throttle_with_timeout(0.3)), "-------2-----3---2-----5|"),
        (
            "time_interval",
            lambda s, _: s.pipe(ops.time_interval(), ops.map(lambda item: frames(item.interval))),
            "--2-2-----6---4-----6---|",
        ),
        ("timeout", lambda s, _: s.pipe(ops.timeout(0.5, late("x"))), "--1-2-------(x|)"),
        ("timeout, at a date", lambda s, here: s.pipe(ops.timeout(here.date(0.7), late("x"))), "--1-2-----(x|)"),
        (
            "timeout_with_mapper",
            lambda s, _: s.pipe(ops.timeout_with_mapper(until(0.3)(), until(0.5), late("x"))),
            "--1-2-------(x|)",
        ),
        (
            "timestamp",
            lambda s, here: s.pipe(ops.timestamp(), ops.map(lambda item: frames(item.timestamp - here.began))),
            '--2-4-----"10"---"14"-----"20"---|',
        ),
        (
            "to_dict",
            lambda s, _: s.pipe(ops.to_dict(lambda n: n % 2, str)),
            "------------------------(\"{1: '5', 0: '2'}\"|)",
        ),
        (
            "to_future",
            lambda s, _: reactivex.defer(lambda _: reactivex.from_future(s.pipe(ops.to_future()))),
            "------------------------(5|)",
        ),
        (
            "to_iterable",
            lambda s, _: s.pipe(ops.to_iterable(), ops.map(list)),
            '------------------------("[1, 2, 3, 2, 5]"|)',
        ),
        ("to_list", lambda s, _: s.pipe(ops.to_list()), '------------------------("[1, 2, 3, 2, 5]"|)'),
        (
            "to_marbles",
            lambda s, _: s.pipe(ops.to_marbles(0.1)),
            '------------------------("--1--2------3----2------5----|"|)',
        ),
        ("to_set", lambda s, _: s.pipe(ops.to_set(), ops.map(sorted)), '------------------------("[1, 2, 3, 5]"|)'),
        ("while_do", lambda s, _: s.pipe(ops.take(2), ops.while_do(times(2))), "--1-2-----3---(2|)"),
        ("window", lambda s, _: s.pipe(ops.window(ticks()), lists), '---"[1]"-------"[2, 3]"-------("[2]""[]"|)'),
        (
            "window_toggle",
            lambda s, _: s.pipe(ops.window_toggle(ticks(), until(0.4)), lists),
            '-------"[2]"-------"[2]"-------("[5]"|)',
        ),
        (
            "window_when",
            lambda s, _: s.pipe(ops.window_when(until(0.9)), lists),
            '---------"[1, 2]"--------"[3, 2]"-----("[5]"|)',
        ),
        (
            "window_with_count",
            lambda s, _: s.pipe(ops.window_with_count(2), lists),
            '----"[1, 2]"---------"[3, 2]"---------("[5]"|)',
        ),
        (
            "window_with_time",
            lambda s, _: s.pipe(ops.window_with_time(0.9), lists),
            '---------"[1, 2]"--------"[3, 2]"-----("[5]"|)',
        ),
        (
            "window_with_time, overlapping",
            lambda s, _: s.pipe(ops.window_with_time(1.3, 0.9), lists),
            '-------------"[1, 2, 3]"--------"[3, 2, 5]"-("[5]"|)',
        ),
        (
            "window_with_time_or_count",
            lambda s, _: s.pipe(ops.window_with_time_or_count(0.9, 2), lists),
            '----"[1, 2]"--------"[3]"------"[2, 5]"---("[]"|)',
        ),
        (
            "with_latest_from",
            lambda s, _: s.pipe(ops.with_latest_from(ticks())),
            '----"(2, 0)"-----"(3, 0)"---"(2, 1)"-----"(5, 2)"---|',
        ),
        ("zip", lambda s, _: s.pipe(ops.zip(ticks())), '---"(1, 0)"-------"(2, 1)"-------("(3, 2)"|)'),
        ("zip_latest", lambda s, _: s.pipe(ops.zip_latest(ticks())), '---"(1, 0)"-------"(3, 1)"-------("(2, 2)"|)'),
        (
            "zip_with_iterable",
            lambda s, _: s.pipe(ops.zip_with_iterable("abc")),
            "--\"(1, 'a')\"-\"(2, 'b')\"-----\"(3, 'c')\"---|",
        ),
        (
            "zip_with_list",
            lambda s, _: s.pipe(ops.zip_with_list(["a", "b", "c"])),
            "--\"(1, 'a')\"-\"(2, 'b')\"-----\"(3, 'c')\"---|",
        ),
    ]
)

CREATION = rows(
    [
        ("amb", lambda s, _: reactivex.amb(s, late("x", 0.1)), "-(x|)"),
        ("case", lambda s, _: reactivex.case(lambda: "a", {"a": late("x")}), "---(x|)"),
        ("catch", lambda s, _: reactivex.catch(failing(s), late("x")), "--1-2--------(x|)"),
        (
            "catch_with_iterable",
            lambda s, _: reactivex.catch_with_iterable([failing(s), late("x")]),
            "--1-2--------(x|)",
        ),
        ("cold", lambda s, _: reactivex.cold("--1-(2,3)-|", 0.1), "--1-(23)-----|"),
        (
            "combine_latest",
            lambda s, _: reactivex.combine_latest(s, ticks()),
            '---"(1, 0)""(2, 0)"-----"(3, 0)""(3, 1)"--"(2, 1)"----"(2, 2)""(5, 2)"---|',
        ),
        ("concat", lambda s, _: reactivex.concat(late("x"), s), "---x2-----3---2-----5---|"),
        (
            "concat_with_iterable",
            lambda s, _: reactivex.concat_with_iterable([late("x"), s]),
            "---x2-----3---2-----5---|",
        ),
        ("create", lambda s, _: reactivex.create(create), "---(x|)"),
        ("defer", lambda s, _: reactivex.defer(lambda scheduler: reactivex.timer(0.3, scheduler=scheduler)), "---(0|)"),
        ("empty", lambda s, _: reactivex.empty(), "|"),
        ("for_in", lambda s, _: reactivex.for_in([1, 2], late), "---1--(2|)"),
        ("fork_join", lambda s, _: reactivex.fork_join(s, ticks()), '------------------------("(5, 2)"|)'),
        ("from_", lambda s, _: reactivex.from_([1, 2]), "(12|)"),
        ("from_callable", lambda s, _: reactivex.from_callable(lambda: "x"), "(x|)"),
        ("from_callback", lambda s, _: reactivex.from_callback(called_back)("x"), "---(x|)"),
        ("from_future", lambda s, _: reactivex.from_future(asyncio.ensure_future(soon("x"))), "---(x|)"),
        ("from_iterable", lambda s, _: reactivex.from_iterable([1, 2]), "(12|)"),
        ("from_list", lambda s, _: reactivex.from_list([1, 2]), "(12|)"),
        ("from_marbles", lambda s, _: reactivex.from_marbles("--1-(2,3)-|", 0.1), "--1-(23)-----|"),
        ("generate", lambda s, _: reactivex.generate(1, lambda n: n < 4, lambda n: n + 1), "(123|)"),
        (
            "generate_with_relative_time",
            lambda s, _: reactivex.generate_with_relative_time(1, lambda n: n < 4, lambda n: n + 1, lambda n: 0.2 * n),
            "--1---2-----(3|)",
        ),
        ("hot", lambda s, here: reactivex.hot("--1-(2,3)-|", 0.1, 0.1, scheduler=here.scheduler), "---1-(23)-----|"),
        ("if_then", lambda s, _: reactivex.if_then(lambda: False, s, late("x")), "---(x|)"),
        ("interval", lambda s, _: reactivex.interval(0.3).pipe(ops.take(3)), "---0--1--(2|)"),
        ("just", lambda s, _: just("x"), "(x|)"),
        ("merge", lambda s, _: reactivex.merge(s, ticks()), "--102-----31--2----25---|"),
        ("never", lambda s, _: reactivex.never().pipe(ops.timeout(0.3, just("x"))), "---(x|)"),
        ("of", lambda s, _: reactivex.of(1, 2), "(12|)"),
        (
            "on_error_resume_next",
            lambda s, _: reactivex.on_error_resume_next(failing(s), late("x")),
            "--1-2--------(x|)",
        ),
        ("range", lambda s, _: reactivex.range(3), "(012|)"),
        ("repeat_value", lambda s, _: reactivex.repeat_value("x", 3), "(xxx|)"),
        ("return_value", lambda s, _: reactivex.return_value("x"), "(x|)"),
        ("start", lambda s, here: reactivex.start(lambda: "x", here.scheduler), "(x|)"),
        ("start_async", lambda s, _: reactivex.start_async(lambda: asyncio.ensure_future(soon("x"))), "---(x|)"),
        ("throw", lambda s, _: reactivex.throw(LookupError()).pipe(ops.catch(late("x"))), "---(x|)"),
        ("timer", lambda s, _: reactivex.timer(0.3), "---(0|)"),
        ("timer, again and again", lambda s, _: reactivex.timer(0.3, 0.4).pipe(ops.take(4)), "---0---1---2---(3|)"),
        ("timer, with one period", lambda s, _: reactivex.timer(0.3, 0.3).pipe(ops.take(3)), "---0--1--(2|)"),
        ("timer, at a date", lambda s, here: reactivex.timer(here.date(0.3)), "---(0|)"),
        (
            "timer, from a date on",
            lambda s, here: reactivex.timer(here.date(0.3), 0.4).pipe(ops.take(4)),
            "---0---1---2---(3|)",
        ),
        ("to_async", lambda s, here: reactivex.to_async(lambda n: n + 1, here.scheduler)(1), "(2|)"),
        ("using", lambda s, _: reactivex.using(Disposable, lambda _: late("x")), "---(x|)"),
        (
            "with_latest_from",
            lambda s, _: reactivex.with_latest_from(s, ticks()),
            '----"(2, 0)"-----"(3, 0)"---"(2, 1)"-----"(5, 2)"---|',
        ),
        ("zip", lambda s, _: reactivex.zip(s, ticks()), '---"(1, 0)"-------"(2, 1)"-------("(3, 2)"|)'),
        ("zip_latest", lambda s, _: reactivex.zip_latest(s, ticks()), '---"(1, 0)"-------"(3, 1)"-------("(2, 2)"|)'),
    ]
)
