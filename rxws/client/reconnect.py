"""A connection after the other: the streams of a socket survive them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from rxws.backoff import Backoff
from rxws.client.greeting import Greeter
from rxws.client.states import Connecting, Open, States, Waiting
from rxws.close import Close
from rxws.core.connection import Connection
from rxws.core.lifecycle import Lifecycle
from rxws.core.log import SocketLog
from rxws.core.phases import ConnectionPhase
from rxws.core.wire import Wire
from rxws.errors import NO_HEADERS, ConnectError, ConnectionLost, parted, raise_fatal
from rxws.rx.foreign import as_error, is_task_cancelled
from rxws.rx.loop_thread import set_result

LOOKS: Final = 8
"""How often it is seen within `stale_after` whether a message has come."""

PROOF: Final = 0.25
"""How much of `close_timeout` a successor has to answer a ping before it takes over; not all peers answer them."""


class Dialed(NamedTuple):
    """A connection that was opened."""

    wire: Wire
    protocol: str | None
    """The subprotocol that was negotiated."""
    headers: Mapping[str, str] = NO_HEADERS
    """Those of the server's answer."""
    greeter: Greeter | None = None
    """Who has greeted on it."""
    connection: Connection | None = None
    """What speaks on the wire."""

    def open(self, life: Lifecycle) -> Connection:
        """Give the connection to its socket."""
        return life.open(self.wire, self.protocol, self.connection)

    def announce(self, states: States, attempt: int) -> None:
        """Say that the connection is open; what came during its greeting, and was not received, follows."""
        states.change(Open(self.protocol, attempt, self.headers))
        if self.greeter is not None:
            self.greeter.hand_over()


Dial = Callable[[Lifecycle], Awaitable[Dialed]]
"""Opens a connection for a socket."""


class Reconnector:
    """Brings a socket its connections: the first one, another when one is lost, a fresh one in time."""

    def __init__(self, dial: Dial, backoff: Backoff, states: States, log: SocketLog) -> None:
        self._dial = dial
        self._backoff = backoff
        self._states = states
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._attempt = 0  # since the last stable connection
        self._opened = 0.0
        self._event: asyncio.Future[float | None] = self._loop.create_future()
        """What the present connection waits for: `None` to be replaced, or the delay after it broke."""
        self._next_event = self._event
        """The oldest that `run` has not seen: it may be busy while one is asked for a rotation."""
        self._rotation: asyncio.TimerHandle | None = None
        self._again = 0.0  # seconds until the next rotation, if this one is given up
        self._replacing = False  # and the successor has not taken over yet
        self._ended: Exception | None = None  # what ended the connection that is being replaced
        self._pause: asyncio.Future[None] | None = None  # until the next attempt
        self._told = False  # that pause, by `states`: it is not that of a rotation
        self._asked = False  # for another connection, at once
        self._connection: Connection | None = None  # the newest
        self._looking: asyncio.TimerHandle | None = None  # whether messages come

    def renew(self, because: Exception) -> Callable[[], object] | None:
        """Return what announces another connection and begins to make it; `None` if this one was the last.

        One whose successor is being made is not: a server that allows one session ends it for the other's sake.
        """
        if self._replacing and self._pause is None:
            return lambda: self._succeed(because)
        if self._loop.time() - self._opened >= self._backoff.reset_after:
            self._attempt = 0
        if self._asked:
            self._asked = False
            return lambda: self._wait(0.0, because)
        if self._is_last(because):
            return None
        try:
            delay = self._delay(because)
        except BaseException as error:
            self._log.fault("Backoff(jitter=...) raised, so the socket ends", as_error(error, "jitter"))
            raise_fatal(error)
            return None
        return lambda: self._wait(delay, because)

    def _wait(self, delay: float, because: Exception) -> None:
        self._states.change(Waiting(delay, because))
        self._event.set_result(delay)

    def _succeed(self, because: Exception) -> None:
        """Leave the rest to the successor on its way."""
        self._ended = because
        self._log.write(
            logging.INFO, "rotation", "rotation: the old connection ended before its successor took over: %s", because
        )
        self._wait(0.0, because)

    def rotate(self) -> None:
        """Replace the present connection, if there is one and it is not being replaced."""
        if isinstance(self._states.present, Open) and not (self._replacing or self._event.done()):
            asked, self._event = self._event, self._loop.create_future()
            asked.set_result(None)

    def hurry(self) -> None:
        """Make the next attempt now; the present connection is given up for it."""
        if self._pause is not None and self._told:
            set_result(self._pause, None)
        elif isinstance(self._states.present, Waiting):
            self._asked = True  # the pause, which is being told, begins soon
        elif self._connection is not None and isinstance(self._states.present, Open):
            self._asked = True
            try:
                self._connection.give_up(ConnectionLost("another connection was asked for"))
            finally:
                self._asked = False

    async def run(self, life: Lifecycle) -> None:
        """Keep a socket connected; raises what is final of what keeps it from that."""
        try:
            while True:
                self._open(life, await self._reach(life, announce=True))
                while (delay := await self._next_event) is None:
                    self._next_event = self._event
                    await self._replace(life)
                await self._sleep(delay, told=True)
        finally:
            self._forget_timers()

    async def _reach(self, life: Lifecycle, *, announce: bool) -> Dialed:
        """Try until there is a connection; raises the error that is final."""
        while True:
            self._attempt += 1
            if announce and self._states.present != (connecting := Connecting(self._attempt)):
                self._states.change(connecting)
            try:
                dialed = await self._dial(life)
            except BaseException as error:
                raise_fatal(error)
                if is_task_cancelled():
                    raise asyncio.CancelledError from error
                because = as_error(error, "an attempt to connect")
                try:
                    if self._is_last(because) or (self._ended is not None and not announce):
                        raise because from because.__cause__
                    delay = self._announce(because) if announce else self._delay(because, "rotation: ")
                finally:
                    del because  # whose traceback has this frame
            else:
                if not is_task_cancelled():
                    return dialed
                dialed.wire.abort()  # what made the URL ignores its cancellation, say
                raise asyncio.CancelledError
            await self._sleep(delay, told=announce)

    async def _sleep(self, delay: float, *, told: bool) -> None:
        """Wait until the next attempt, for at most `delay` seconds."""
        if told and self._asked:
            self._asked, delay = False, 0.0
        self._told = told
        self._pause = pause = self._loop.create_future()
        timer = self._loop.call_later(delay, set_result, pause, None)
        try:
            await pause
        finally:
            timer.cancel()
            if self._pause is pause:
                self._pause = None

    def _delay(self, because: Exception, what: str = "") -> float:
        try:
            delay = self._backoff.delay(max(self._attempt - 1, 0), because)
        except BaseException as error:
            raise_fatal(error)
            failure = as_error(error, "jitter")
            raise failure from failure.__cause__
        self._log.waiting(delay, because, what)
        return delay

    def _announce(self, because: Exception) -> float:
        delay = self._delay(because)
        self._states.change(Waiting(delay, because))
        return delay

    def _open(self, life: Lifecycle, dialed: Dialed) -> Connection:
        self._opened, self._asked = self._loop.time(), False
        self._event = self._next_event = self._loop.create_future()
        self._connection = connection = dialed.open(life)
        self._again = self._backoff.initial
        self._rotate_in(self._backoff.rotate_every)
        if self._backoff.stale_after is not None:
            self._look(life, connection, self._backoff.stale_after, life.counters.received, self._opened)
        dialed.announce(self._states, self._attempt)
        return connection

    async def _replace(self, life: Lifecycle) -> None:
        """Open a successor while the present connection goes on; switch; close the old one.

        The successor has to answer a ping first: a server that allows one session may let it in, and close it. The old
        one stops sending before the switch, so that order is kept: if the peer does not confirm in time what was sent,
        the old one stays. While no confirmation can be read, it sends on: to wait might be to wait for itself. It is
        closed when all that was sent after the switch has arrived: a subscription on the new connection begins before
        the one on the old ends. If the old connection ends before, the successor follows it.
        """
        old = life.connection
        if old is None:
            return
        self._replacing, self._attempt, self._ended = True, 0, None
        reach = asyncio.create_task(self._reach(life, announce=False))
        try:
            await asyncio.wait({reach, self._event}, return_when=asyncio.FIRST_COMPLETED)
            if self._event.done():
                if self._ended is None:
                    return
                self._states.change(Connecting(self._attempt))
                await asyncio.wait({reach})
            dialed = reach.result()
            if life.close_cause is not None:
                return
            assert dialed.connection is not None
            greeter = dialed.greeter or Greeter(life, dialed.connection, dialed.protocol, dialed.headers)
            dialed = dialed._replace(greeter=greeter)
            await greeter.prove(PROOF * life.settings.close_timeout)
            old.advance(ConnectionPhase.RETIRING)
            arrived = await self._arrival(life, old)
            if life.close_cause is not None:
                return
            if not arrived and old.phase is ConnectionPhase.RETIRING:
                timeout = life.settings.close_timeout
                raise TimeoutError(f"rotation given up: the peer has not confirmed within {timeout:g} s what was sent")
            greeter.check()
            self._replacing = False
            new, reach = self._open(life, dialed), None
            await self._arrival(life, new, life.outgoing.buffered[0])
            old.begin_closing(Close(), Close(), ConnectionPhase.LEAVING)
        except Exception as error:
            old.advance(ConnectionPhase.OPEN)
            if self._ended is not None:
                self._go_on(life, error, self._ended)
            else:
                if old.phase is ConnectionPhase.OPEN:
                    old.wire.wake()
                self._rotate_again(error)
                life.reports.note(_given_up(error))
        finally:
            self._replacing = False
            if reach is not None:
                reach.cancel()
                reach.add_done_callback(_abort)
                if life.close_cause is not None:  # which a successor that is being greeted is told
                    await asyncio.wait({reach}, timeout=life.settings.close_timeout)

    def _go_on(self, life: Lifecycle, error: Exception, ended: Exception) -> None:
        """Reconnect as after any loss, since the old connection ended and its successor failed; or end for good."""
        if isinstance(ended, Close) and self._is_last(ended):
            life.reports.note(_given_up(error))
            raise ended
        if self._is_last(ended) or self._is_last(error):
            raise error from error.__cause__
        self._event = self._next_event = self._loop.create_future()
        self._event.set_result(self._announce(error))

    async def _arrival(self, life: Lifecycle, connection: Connection, more: int | None = None) -> bool:
        """Wait until what is sent has arrived, or for the connection's end; tell whether that was in time."""
        try:
            async with asyncio.timeout(life.settings.close_timeout):
                assert connection.receipts is not None
                await connection.receipts.arrival(more)
        except TimeoutError:
            return False
        return True

    def _is_last(self, because: Exception) -> bool:
        limit = self._backoff.max_attempts
        if limit is not None and self._attempt >= limit:
            return True
        try:
            return self._backoff.is_last(because)
        except BaseException as error:
            self._log.fault("Backoff(final=...) raised, so this failure is final", as_error(error, "final"))
            raise_fatal(error)
            return True

    def _look(self, life: Lifecycle, connection: Connection, limit: float, received: int, since: float) -> None:
        """Give a connection up that is alive and brings no messages; what is held back is none of its doing."""
        if connection.cause is not None:
            return
        now, count = self._loop.time(), life.counters.received
        if count != received or life.held or connection.wire.blind:
            received, since = count, now
        if now - since >= limit:
            connection.give_up(ConnectionLost(f"no message has come for {limit:g} s"))
        else:
            self._looking = self._loop.call_later(limit / LOOKS, self._look, life, connection, limit, received, since)

    def _rotate_again(self, error: Exception) -> None:
        """Rotate soon, since the server may cut the old connection any time; in time, if it does not want another."""
        every = self._backoff.rotate_every
        said = error.__cause__ if isinstance(error.__cause__, Close) else error
        if every is not None and not self._is_last(said):
            every = min(self._again, every)
            self._again *= self._backoff.factor
        self._rotate_in(every)

    def _rotate_in(self, seconds: float | None) -> None:
        self._forget_rotation()
        if seconds is not None:
            self._rotation = self._loop.call_later(seconds, self.rotate)

    def _forget_timers(self) -> None:
        self._forget_rotation()
        if self._looking is not None:
            self._looking.cancel()

    def _forget_rotation(self) -> None:
        if self._rotation is not None:
            self._rotation.cancel()


def _given_up(error: Exception) -> Exception:
    """Say of what ended a rotation that it ended no more than that."""
    match error:
        case TimeoutError():
            return error
        case ConnectError():
            told: Exception = ConnectError(
                f"rotation given up: {error}",
                error.stage,
                status=error.status,
                headers=error.headers,
                body=error.body,
                retry_after=error.retry_after,
            )
        case _ if parted(error, Close)[0] is not None:
            told = ConnectionLost(f"rotation given up: the successor ended during its greeting with {error!r}")
        case ConnectionLost():
            told = ConnectionLost(f"rotation given up: {error}")
        case _:
            error.add_note("rotation given up: the present connection stays")
            return error
    told.__cause__ = error
    return told


def _abort(reach: asyncio.Task[Dialed]) -> None:
    if not reach.cancelled() and reach.exception() is None:
        reach.result().wire.abort()
