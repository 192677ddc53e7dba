"""What a socket reports besides its messages: errors, undelivered messages, and other news."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any, Literal, Protocol

from rxws.close import Close
from rxws.core.log import SocketLog
from rxws.core.streams import Errors, Undelivered
from rxws.core.wire import Frame
from rxws.errors import ConnectionLost, FeedbackLoop, close_for, parted
from rxws.rx.broadcast import Broadcast
from rxws.rx.foreign import call
from rxws.rx.loop_thread import LoopThread

News = tuple[Literal["open"], str | None] | tuple[Literal["leave", "close"], Close] | tuple[Literal["error"], Exception]
"""A connection opens, with its subprotocol; the peer's close frame comes; a connection has closed and another one
follows; an error is reported, observed or not."""

_making = Lock()


class Closable(Protocol):
    """What an error closes."""

    def close(self, close: Close) -> None:
        """Close."""


class Reports:
    """Reports on streams, which are made on demand, and logs what nobody observes.

    | call | for | observed | not observed | closes the socket |
    |---|---|---|---|---|
    | `report` | what foreign code raised, what does not decode | `errors` | logged | if not observed |
    | `fail` | what no socket survives | `errors` | logged | always |
    | `note` | what closes nothing, or only what closes already | `errors` | logged | never |
    | `lost` | a peer that has left | `errors` | logged at DEBUG | never |
    | `show` | what the caller raises on | `errors` | counted | never |
    | `give_back` | messages that did not arrive | `undelivered` | kept for late subscribers | never |
    | `tell` | other news, for recorders | `news` | forgotten | never |

    `owner` is closed with the error's own code, see `close_for`. Called, it does what `report` does.

    Memory: `undelivered` keeps what weighs at most `limit` bytes.
    """

    __slots__ = ("_ended", "_errors", "_limit", "_news", "_owner", "_thread", "_undelivered", "log")

    def __init__(self, thread: LoopThread, log: SocketLog, limit: int, owner: Closable) -> None:
        self.log = log
        self._thread = thread
        self._limit = limit
        self._owner: Closable | None = owner
        self._errors: Errors | None = None
        self._undelivered: Undelivered | None = None
        self._news: Broadcast[News] | None = None
        self._ended = False  # so that what is made from now on has ended

    @property
    def errors(self) -> Errors:
        """The errors of the socket."""
        if self._errors is None:
            with _making:
                self._errors = self._errors or Errors(self._thread, self._note, self.report)
            if self._ended:
                self.end_errors()
                self.detach()
        return self._errors

    @property
    def undelivered(self) -> Undelivered:
        """Messages that did not arrive, or may not have."""
        if self._undelivered is None:
            with _making:
                self._undelivered = self._undelivered or Undelivered(self._limit, self._note)
            if self._ended:
                self.end_undelivered()
                self.detach()
        return self._undelivered

    @property
    def news(self) -> Broadcast[News]:
        """Other news, for recorders: they count neither as subscribers nor as observers."""
        if self._news is None:
            with _making:
                self._news = self._news or Broadcast(self.log.unobserved)
        return self._news

    def end_errors(self) -> None:
        """Complete `errors`."""
        self._ended = True
        if self._errors is not None:
            self._errors.end()

    def end_undelivered(self) -> None:
        """Complete `undelivered`, behind `errors`."""
        if self._undelivered is not None:
            self._undelivered.end()

    def detach(self) -> None:
        """Cut the ties to the socket, which has ended, and to the streams: late errors are logged."""
        self._owner = None
        if self._errors is not None:
            self._errors.detach(partial(_log_late, self.log))
        if self._undelivered is not None:
            self._undelivered.detach(partial(_log_late, self.log))

    def tell(self, news: News) -> None:
        """Emit news to recorders."""
        if self._news is not None:
            self._news.emit(news)

    def give_back(self, items: Sequence[Frame], refused: Close | None = None) -> None:
        """Emit the messages that did not arrive; with `refused`, the peer closed because one of them was too large."""
        for item in items:
            if item.lost is not None:
                reason = refused or ConnectionLost("the connection was lost before the answer")
                call(self.report, "a subscriber", item.lost, reason)
        if items:
            self.undelivered.report(*items)

    def _close(self, close: Close) -> None:
        if self._owner is not None:
            self._owner.close(close)

    def report(self, error: Exception) -> None:
        """Emit an error on `errors`; if nobody observes them, close the socket and log it."""
        close, rest = parted(error, Close)
        if close is not None:
            self._close(close)
        elif not self.observed or isinstance(error, FeedbackLoop):
            self._close(close_for(error))  # first, since the log may be sent to the very socket
        if rest is not None:
            self.note(rest)

    __call__ = report

    def show(self, error: Exception) -> None:
        """Emit an error, to those who observe `errors`."""
        self.tell(("error", error))
        self.log.count(error)
        self.errors.emit(error)

    def fail(self, error: Exception) -> None:
        """Report an error that no socket survives, and close with its code."""
        self.report(error)
        self._close(close_for(error))

    def note(self, error: Exception) -> None:
        """Report an error that closes nothing, or that comes while the socket is closing."""
        self._show_or_log(error, self.log.unobserved)

    def lost(self, error: ConnectionLost) -> None:
        """Report that the peer has left: on `errors` if observed, else as a line at DEBUG."""
        self._show_or_log(error, self.log.lost)

    def _show_or_log(self, error: Exception, log: Callable[[Any], object]) -> None:
        if self.observed:
            self.show(error)
        else:
            self.tell(("error", error))
            log(error)

    @property
    def observed(self) -> bool:
        """Whether anyone observes `errors`."""
        return self._errors is not None and self._errors.observed

    def _note(self, error: Exception) -> None:
        """Log an error that cannot go to `errors`: one of its observer, or that it feeds itself; from any thread."""
        close, rest = parted(error, Close)
        if close is not None or isinstance(error, FeedbackLoop):
            self._thread.run_last(self._close, close_for(error))
        if rest is not None:
            self.log.unobserved(rest)


def _log_late(log: SocketLog, error: Exception) -> None:
    """Log an error, except a `Close` in it: the socket has ended already."""
    _, rest = parted(error, Close)
    if rest is not None:
        log.unobserved(rest)
