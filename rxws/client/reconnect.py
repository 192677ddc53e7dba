"""Gives a socket one connection after another, while its streams go on."""

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

STALE_CHECKS: Final = 8
"""How often within `stale_after` the client checks whether a message has come."""

PROOF_SHARE: Final = 0.25
"""The share of `close_timeout` for which a successor waits for a pong before it takes over: some peers send none."""


class Dialed(NamedTuple):
    """A connection that was opened, before the socket uses it."""

    wire: Wire
    protocol: str | None
    """The negotiated subprotocol, if there is one."""
    headers: Mapping[str, str] = NO_HEADERS
    """The headers of the server's answer to the handshake."""
    greeter: Greeter | None = None
    """The owner of the connection until now; `None` if there was no greeting."""
    connection: Connection | None = None
    """The connection on this wire, once it is made."""

    def open(self, life: Lifecycle) -> Connection:
        """Let the socket use the connection."""
        return life.open(self.wire, self.protocol, self.connection)

    def announce(self, states: States, attempt: int) -> None:
        """Emit `Open`, then pass on the messages that the greeting did not receive."""
        states.change(Open(self.protocol, attempt, self.headers))
        if self.greeter is not None:
            self.greeter.hand_over()


Dial = Callable[[Lifecycle], Awaitable[Dialed]]
"""Opens a connection for a socket."""


class Reconnector:
    """Makes the connections of a socket: the first one, one after each loss, and for each rotation a successor.

    Memory: one connection, and during a rotation a second one.
    """

    def __init__(self, dial: Dial, backoff: Backoff, states: States, log: SocketLog) -> None:
        self._dial = dial
        self._backoff = backoff
        self._states = states
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._attempt = 0  # attempts since the last stable connection
        self._opened = 0.0  # when the present connection opened, in the event loop's time
        self._event: asyncio.Future[float | None] = self._loop.create_future()
        """What happens to the present connection next: `None` if it is to be replaced, or the delay after its loss."""
        self._next_event = self._event
        """The oldest event that `run` has not handled: it may be busy when a rotation is asked for."""
        self._rotation: asyncio.TimerHandle | None = None
        self._retry_rotation = 0.0  # seconds until the next rotation, if this one is given up
        self._replacing = False  # whether a successor is being made that has not taken over yet
        self._ended: Exception | None = None  # what ended the connection that is being replaced
        self._pause: asyncio.Future[None] | None = None  # ends when the next attempt begins
        self._announced = False  # whether `states` has announced that pause; it announces no pause of a rotation
        self._hurried = False  # whether the next attempt is to begin at once
        self._connection: Connection | None = None  # the newest one
        self._stale_timer: asyncio.TimerHandle | None = None  # for the next check whether messages come

    def renew(self, because: Exception) -> Callable[[], object] | None:
        """Return a function that announces the next connection and begins to make it; `None` if none follows.

        While a successor is being made, one always follows: a server that allows one session closes the old connection
        because of the new one.
        """
        if self._replacing and self._pause is None:
            return lambda: self._wait_for_successor(because)
        if self._loop.time() - self._opened >= self._backoff.reset_after:
            self._attempt = 0
        if self._hurried:
            self._hurried = False
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

    def _wait_for_successor(self, because: Exception) -> None:
        """Record that the old connection has ended: its successor takes over as soon as it can."""
        self._ended = because
        self._log.write(
            logging.INFO, "rotation", "rotation: the old connection ended before its successor took over: %s", because
        )
        self._wait(0.0, because)

    def rotate(self) -> None:
        """Replace the present connection; do nothing if there is none, or it is being replaced."""
        if isinstance(self._states.present, Open) and not (self._replacing or self._event.done()):
            asked, self._event = self._event, self._loop.create_future()
            asked.set_result(None)

    def hurry(self) -> None:
        """Begin the next attempt now, and give up the present connection for it."""
        if self._pause is not None and self._announced:
            set_result(self._pause, None)
        elif isinstance(self._states.present, Waiting):
            self._hurried = True  # `states` is announcing the pause, which begins soon
        elif self._connection is not None and isinstance(self._states.present, Open):
            self._hurried = True
            try:
                self._connection.give_up(ConnectionLost("another connection was asked for"))
            finally:
                self._hurried = False

    async def run(self, life: Lifecycle) -> None:
        """Keep a socket connected; raises the first error that is final."""
        try:
            while True:
                self._open(life, await self._reach(life, announce=True))
                while (delay := await self._next_event) is None:
                    self._next_event = self._event
                    await self._replace(life)
                await self._sleep(delay, announced=True)
        finally:
            self._forget_timers()

    async def _reach(self, life: Lifecycle, *, announce: bool) -> Dialed:
        """Make attempts until one succeeds; raises the first error that is final."""
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
                dialed.wire.abort()  # for example, the function for the URL has ignored its cancellation
                raise asyncio.CancelledError
            await self._sleep(delay, announced=announce)

    async def _sleep(self, delay: float, *, announced: bool) -> None:
        """Wait until the next attempt, for at most `delay` seconds."""
        if announced and self._hurried:
            self._hurried, delay = False, 0.0
        self._announced = announced
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
        self._opened, self._hurried = self._loop.time(), False
        self._event = self._next_event = self._loop.create_future()
        self._connection = connection = dialed.open(life)
        self._retry_rotation = self._backoff.initial
        self._rotate_in(self._backoff.rotate_every)
        if self._backoff.stale_after is not None:
            self._check_stale(life, connection, self._backoff.stale_after, life.counters.received, self._opened)
        dialed.announce(self._states, self._attempt)
        return connection

    async def _replace(self, life: Lifecycle) -> None:
        """Open a successor while the old connection goes on, switch to it, and close the old one.

        - Before the switch, the successor has time to answer a ping: a server that allows one session may accept a
          second one only to close it.
        - Before the switch, the old connection stops sending, so that messages keep their order. If the peer does not
          confirm in time what was sent, the old connection stays. If no confirmation can be read, it goes on sending:
          the wait might never end.
        - The old connection is closed when all that waited at the switch has arrived on the new one. So subscriptions
          on the new connection begin before those on the old one end.
        - If the old connection ends during all this, the successor takes over as after a loss.
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
            await greeter.prove(PROOF_SHARE * life.settings.close_timeout)
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
                self._after_both_failed(life, error, self._ended)
            else:
                if old.phase is ConnectionPhase.OPEN:
                    old.wire.wake()
                self._rotate_again(error)
                life.reports.note(_rotation_error(error))
        finally:
            self._replacing = False
            if reach is not None:
                reach.cancel()
                reach.add_done_callback(_abort)
                if life.close_cause is not None:  # a successor that is being greeted closes with it
                    await asyncio.wait({reach}, timeout=life.settings.close_timeout)

    def _after_both_failed(self, life: Lifecycle, error: Exception, ended: Exception) -> None:
        """Reconnect as after any loss, or raise a final error: the old connection ended, and its successor failed."""
        if isinstance(ended, Close) and self._is_last(ended):
            life.reports.note(_rotation_error(error))
            raise ended
        if self._is_last(ended) or self._is_last(error):
            raise error from error.__cause__
        self._event = self._next_event = self._loop.create_future()
        self._event.set_result(self._announce(error))

    async def _arrival(self, life: Lifecycle, connection: Connection, more: int | None = None) -> bool:
        """Wait until what was sent has arrived, or the connection ends; return whether `close_timeout` sufficed."""
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

    def _check_stale(self, life: Lifecycle, connection: Connection, limit: float, received: int, since: float) -> None:
        """Give up a connection that brought no message for `limit` seconds, in which it was not held."""
        if connection.cause is not None:
            return
        now, count = self._loop.time(), life.counters.received
        if count != received or life.held or connection.wire.blind:
            received, since = count, now
        if now - since >= limit:
            connection.give_up(ConnectionLost(f"no message has come for {limit:g} s"))
        else:
            self._stale_timer = self._loop.call_later(
                limit / STALE_CHECKS, self._check_stale, life, connection, limit, received, since
            )

    def _rotate_again(self, error: Exception) -> None:
        """Set the timer for the next rotation, after one failed.

        Try again soon, since the server may end the old connection at any time. But if the server does not want another
        connection, wait as long as usual.
        """
        every = self._backoff.rotate_every
        cause = error.__cause__ if isinstance(error.__cause__, Close) else error
        if every is not None and not self._is_last(cause):
            every = min(self._retry_rotation, every)
            self._retry_rotation *= self._backoff.factor
        self._rotate_in(every)

    def _rotate_in(self, seconds: float | None) -> None:
        self._forget_rotation()
        if seconds is not None:
            self._rotation = self._loop.call_later(seconds, self.rotate)

    def _forget_timers(self) -> None:
        self._forget_rotation()
        if self._stale_timer is not None:
            self._stale_timer.cancel()

    def _forget_rotation(self) -> None:
        if self._rotation is not None:
            self._rotation.cancel()


def _rotation_error(error: Exception) -> Exception:
    """Turn the error of a rotation into one that says that the socket goes on."""
    match error:
        case TimeoutError():
            return error
        case ConnectError():
            failure: Exception = ConnectError(
                f"rotation given up: {error}",
                error.stage,
                status=error.status,
                headers=error.headers,
                body=error.body,
                retry_after=error.retry_after,
            )
        case _ if parted(error, Close)[0] is not None:
            failure = ConnectionLost(f"rotation given up: the successor ended during its greeting with {error!r}")
        case ConnectionLost():
            failure = ConnectionLost(f"rotation given up: {error}")
        case _:
            error.add_note("rotation given up: the present connection stays")
            return error
    failure.__cause__ = error
    return failure


def _abort(reach: asyncio.Task[Dialed]) -> None:
    """Drop a successor that came too late."""
    if not reach.cancelled() and reach.exception() is None:
        reach.result().wire.abort()
