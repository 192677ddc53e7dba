"""What was kept of a topic, then what is live: one subscriber of `history` or `latest`."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Sequence
from typing import Any

from reactivex import Observer, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxws.codecs import Codec
from rxws.core.encoding import sharing
from rxws.errors import DecodeError, not_cancelled
from rxws.rx.holds import origin
from rxws.topics.engines.engine import Item, Last, Reading, Since
from rxws.topics.feed import Arrival, Feed
from rxws.topics.message import Gap
from rxws.topics.seam import Seam

Report = Callable[[Exception], object]


def replay(
    observer: abc.ObserverBase[Arrival | Gap],
    feed: Feed,
    start: Last | Since,
    *,
    read: Callable[[str, Last | Since, Reading], abc.DisposableBase],
    codec: Codec[Any, Any],
    report: Report,
) -> abc.DisposableBase:
    """Emit what is kept, then what the feed brings, each once; what the observer raises is reported."""

    def emit(item: Arrival | Gap) -> None:
        try:
            observer.on_next(item)
        except (Exception, CancelledError) as error:
            report(not_cancelled(error, "a subscriber"))

    def read_decoded(start: Last | Since, seam: Seam[Arrival]) -> abc.DisposableBase:
        return read(feed.pattern, start, Decoding(codec, seam, report))

    seam = Seam[Arrival](emit, read_decoded)
    live = feed.subscribe(Observer(seam.take, observer.on_error, observer.on_completed))
    seam.begin(start)
    return CompositeDisposable(Disposable(seam.dispose), live)


class Decoding:
    """Decodes what is read, and has it framed once, if it is sent as it is."""

    def __init__(self, codec: Codec[Any, Any], seam: Seam[Arrival], report: Report) -> None:
        self.caught_up = seam.caught_up
        self._batch = seam.batch
        self._codec = codec
        self._report = report

    def batch(self, items: Sequence[Item]) -> None:
        """Hand on, in nobody's name."""
        token = origin.set(None)
        try:
            for item in items:
                self._hand_on(item)
        finally:
            origin.reset(token)

    def _hand_on(self, item: Item) -> None:
        if isinstance(item, Gap):
            self._report(item)
            self._batch([item])
            return
        try:
            arrival = Arrival(self._codec, item)
        except DecodeError as error:
            self._report(error)
        else:
            with sharing(arrival.value, self._codec, arrival.frame):
                self._batch([arrival])
