"""A client's socket from its first attempt to its end: what `connect` returns, and the task that owns the socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar, cast

from rxws.backoff import Backoff
from rxws.client.greeting import Greeter
from rxws.client.reconnect import Dialed, Reconnector
from rxws.client.socket import ClientWebSocket
from rxws.client.states import Closed, States
from rxws.close import Close
from rxws.core.lifecycle import Lifecycle
from rxws.core.log import CLIENT, SocketLog
from rxws.core.socket import closing_on_exit
from rxws.errors import parted
from rxws.options import Settings
from rxws.rx.foreign import without_frames
from rxws.rx.holds import current_socket

In = TypeVar("In")
Out = TypeVar("Out")


class Dialing(Protocol):
    """Opens the connections of a client."""

    @property
    def target(self) -> str | None:
        """The URL, without secrets; `None` if it is not known yet."""
        ...

    async def dial(self) -> Dialed:
        """Open a connection; raises `ConnectError`, or what the caller's own function raises."""
        ...

    async def close(self) -> None:
        """Close what the connections share, such as a session."""


class Connect(Generic[In, Out]):
    """What `connect` returns: await it, or enter it with `async with`."""

    def __init__(
        self,
        dialer: Dialing,
        settings: Settings,
        backoff: Backoff | None,
        greet: Any = None,
        open_timeout: float = 10.0,
    ) -> None:
        self._dialer = dialer
        self._greet = greet
        self._open_timeout = open_timeout
        self._settings = settings
        self._backoff = backoff
        self._task: asyncio.Task[None] | None = None
        self._block: AbstractAsyncContextManager[None] | None = None
        self._log: SocketLog

    def __await__(self) -> Generator[Any, Any, ClientWebSocket[In, Out]]:
        return self._connect().__await__()

    if not TYPE_CHECKING:  # type checkers report a wrong name anyway

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(
                f"connect(...) is not yet a socket, and has no {name!r}: write 'async with connect(...) as socket', or "
                "'socket = await connect(...)'",
                name=name,
                obj=self,
            )

    async def __aenter__(self) -> ClientWebSocket[In, Out]:
        socket = await self._connect()
        self._block = closing_on_exit(socket._life)  # pyright: ignore[reportPrivateUsage]
        await self._block.__aenter__()
        return socket

    async def __aexit__(self, *error: Any) -> bool | None:
        assert self._block is not None
        try:
            return await self._block.__aexit__(*error)
        finally:
            assert self._task is not None
            _, pending = await asyncio.wait({self._task}, timeout=self._settings.close_timeout)
            if pending:
                self._log.write(
                    logging.ERROR,
                    "stuck",
                    "an attempt to connect, perhaps in its function for the URL or headers, ignores its cancellation: "
                    "its socket is closed",
                )

    async def _connect(self) -> ClientWebSocket[In, Out]:
        if self._task is not None:
            raise RuntimeError("this connect(...) was used before: call connect again for another socket")
        states: States
        opener = current_socket.get()
        log = self._log = SocketLog(CLIENT, url=self._dialer.target)
        if self._backoff is None:
            life = Lifecycle(self._settings, log=log, opener=opener, is_client=True)
            states = States(life.reports.report)
            try:
                dialed = await self._dial(life)
            except BaseException:
                life.no_connection_follows()
                await self._dialer.close()
                raise
            reconnector = None
            dialed.open(life)
            dialed.announce(states, 1)
        else:
            states = States(lambda error: life.reports.report(error))
            reconnector = Reconnector(self._dial, self._backoff, states, log)
            life = Lifecycle(self._settings, log=log, renew=reconnector.renew, opener=opener, is_client=True)
        life.at_end(lambda: states.change(Closed(cast("Any", life.close_cause))))
        self._task = asyncio.create_task(self._keep(life, reconnector), name="rxws client")
        return ClientWebSocket(life, states, reconnector)

    async def _dial(self, life: Lifecycle) -> Dialed:
        """Open a connection, and greet on it, within `open_timeout`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._open_timeout
        dialed = await self._dialer.dial()
        try:
            connection = life.connect(dialed.wire, dialed.protocol)
        except BaseException:  # raised while the codec was made
            dialed.wire.abort()
            raise
        dialed = dialed._replace(connection=connection)
        if self._greet is None:
            return dialed
        greeter = Greeter(life, connection, dialed.protocol, dialed.headers)
        return dialed._replace(greeter=await greeter.greet(self._greet, until, self._open_timeout))

    async def _keep(self, life: Lifecycle, reconnector: Reconnector | None) -> None:
        """Own the socket and its dialer until the socket ends."""
        try:
            if reconnector is None:
                await life.closed
            else:
                await _until_closed(life, reconnector)
        finally:
            life.abort()
            await self._dialer.close()


async def _until_closed(life: Lifecycle, reconnector: Reconnector) -> None:
    """Run the reconnector until the socket is closed, or no other attempt follows."""
    work = asyncio.create_task(reconnector.run(life), name="rxws reconnect")
    life.at_end(work.cancel)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await work
    except Exception as error:
        close, rest = parted(error, Close)
        try:
            if rest is not None:
                life.reports.note(rest)
            if close is not None:  # raised by a greeting
                life.abort(without_frames(close))
        finally:
            del close, rest  # whose tracebacks have this frame
    finally:
        work.cancel()
        del work  # which keeps what it raised, and so this frame
