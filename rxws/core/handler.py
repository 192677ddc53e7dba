"""What a handler may be: its parameters are bound by name, and what it returns is run."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast

from reactivex import Observable, abc
from reactivex.subject import AsyncSubject, ReplaySubject, Subject

from rxws.checks import named
from rxws.close import Close
from rxws.core.lifecycle import Lifecycle
from rxws.core.socket import WebSocket
from rxws.core.work import Work
from rxws.errors import parted, raise_fatal
from rxws.rx.foreign import as_error, is_own_cancellation
from rxws.rx.holds import current_socket

Sent = TypeVar("Sent")

Result = Observable[Sent | Close] | abc.DisposableBase | Sequence[abc.DisposableBase] | None
"""What a handler returns; `Sent` is what the codec encodes."""

HandlerFunction = Callable[..., Result[Sent] | Awaitable[Result[Sent]] | AsyncIterable[Sent | Close]]
"""What a handler is, for type checkers, which do not look at its parameters."""

NAMES: Final = ("request", "incoming", "outgoing", "errors", "socket")

OPTIONS: Final = "__rxws_options__"
"""The attribute of an aiohttp handler that has the options it was decorated with; `__wrapped__` is the function."""

YIELDS_A_TURN: Final = 64
"""Values that a generator may yield before the event loop's other business gets its turn."""

NO_GUESTS: Final[Mapping[str, Any]] = MappingProxyType({})
"""The arguments of no framework."""

Begin = Callable[[], object]


class Handler:
    """A function that says what a socket does; raises `TypeError` for one that cannot.

    Where a framework calls it, `guests` may be there, too: parameters that are the framework's.
    """

    def __init__(self, function: Callable[..., Any], *, guests: bool = False) -> None:
        if isinstance(function, (staticmethod, classmethod)):
            kind = type(cast("object", function)).__name__
            raise TypeError(f"a handler is a function: write @{kind} above @rxws.websocket, not below it")
        if not callable(function):
            raise TypeError(f"a handler is a function, not {function!r}")
        self.name = getattr(function, "__qualname__", None) or repr(function)
        target, _ = _unwrap(function)
        if hasattr(target, OPTIONS):
            raise TypeError(
                f"{named(target)} is decorated with @rxws.websocket already: once is enough, with all the options"
            )
        forms = target, getattr(target, "__call__", None)  # noqa: B004 - of an object that is callable
        if any(map(inspect.isgeneratorfunction, forms)):
            raise TypeError(f"{self.name} yields but is not a coroutine: write 'async def'")
        self._function = function
        parameters = _parameters(function, self.name, guests=guests)
        bound = [parameter for parameter in parameters if parameter.name in NAMES]
        self._by_position = [parameter.name for parameter in bound if parameter.kind is parameter.POSITIONAL_ONLY]
        self._by_name = [parameter.name for parameter in bound if parameter.kind is not parameter.POSITIONAL_ONLY]
        self.guests = [parameter for parameter in parameters if parameter.name not in NAMES]
        self._is_coroutine = any(map(inspect.iscoroutinefunction, forms))
        self._is_generator = any(map(inspect.isasyncgenfunction, forms))
        names = {parameter.name for parameter in bound}
        self._told: set[str] = set()
        self._asks_for_incoming = "incoming" in names
        self._may_subscribe = bool(names & {"incoming", "socket"})

    def compose(
        self,
        life: Lifecycle,
        socket: WebSocket[Any, Any],
        first: tuple[Any, ...] = (),
        let_through: tuple[type[Exception], ...] = (),
        guests: Mapping[str, Any] = NO_GUESTS,
    ) -> Begin:
        """Call a `def` handler now, others later, and return what to do when the socket is open.

        `first` are arguments before the bound ones, `self` of a method, and `guests` those of a framework. What a `def`
        handler raises fails the socket as soon as it is open, but for exceptions to be let through; of a group, the
        first of them is.
        """
        if self._is_coroutine or self._is_generator:
            live = self._generate if self._is_generator else self._live
            return lambda: self._start(life, lambda: live(life, self._call(socket, first, guests)), let_through)
        try:
            token = current_socket.set(life)
            try:
                result = self._call(socket, first, guests)
            finally:
                current_socket.reset(token)
            if result is not None:
                self._check(result, life)
        except BaseException as error:
            raise_fatal(error)
            answer, rest = parted(as_error(error, self.name), let_through)
            if answer is not None:
                if rest is not None:
                    life.reports.note(rest)
                try:
                    raise answer from None
                finally:
                    del answer, rest  # whose tracebacks have this frame
            return functools.partial(life.reports.fail, as_error(error, self.name))
        return functools.partial(self._begin, life, result)

    def _call(self, socket: WebSocket[Any, Any], first: tuple[Any, ...], guests: Mapping[str, Any]) -> Any:
        arguments: dict[str, Any] = {}
        for name in self._by_name:
            arguments[name] = socket if name == "socket" else getattr(socket, name)
        for name in self._by_position:
            first += (socket if name == "socket" else getattr(socket, name),)
        return self._function(*first, **guests, **arguments)

    def _check(self, result: Any, life: Lifecycle) -> None:
        """Raise `TypeError` for a wrong result; Disposables are the socket's from now on, even if it never opens."""
        if result is life.outgoing:
            raise TypeError(f"{self.name} returned its own outgoing: return another Observable, or None")
        if isinstance(result, Observable):
            return
        if isinstance(result, abc.DisposableBase):
            life.own(result)
            return
        if _are_disposables(result):
            life.own(*result)
            return
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(
            f"{self.name} returned {type(result).__name__}: a handler returns an Observable, a Disposable, a list of "
            "Disposables, or None; one that awaits or yields is an 'async def'"
        )

    def _begin(self, life: Lifecycle, result: Any) -> None:
        """Do what the result asks for, and report what that raises."""
        token = current_socket.set(life)
        try:
            self._run(life, result)
        except BaseException as error:
            life.reports.fail(as_error(error, self.name))
            raise_fatal(error)
        finally:
            current_socket.reset(token)

    def _run(self, life: Lifecycle, result: Any) -> None:
        """Do what the result asks for; a turn later, messages come whether or not anyone reads them."""
        if isinstance(result, Observable):
            observable = cast("Observable[Any]", result)
            if getattr(observable, "is_stopped", False):
                self._look_at_end(observable, life)
            life.stream(observable)
        elif (
            result is None
            and self._asks_for_incoming
            and life.close_cause is None
            and not life.incoming.readers.present
        ):
            self._warn(
                life,
                "unread",
                "%s asks for `incoming`, has not subscribed to it and returned nothing, so its messages are dropped: "
                "return the Observable that it makes, or subscribe to it",
            )
        # Not before the tasks that this has made begin: what they read would be dropped.
        life.thread.loop.call_soon(life.incoming.readers.want)

    def _warn(self, life: Lifecycle, event: str, message: str) -> None:
        """Say what is wrong with this handler, once."""
        if message not in self._told:
            self._told.add(message)
            life.reports.log.write(logging.WARNING, event, message, self.name)

    def _look_at_end(self, result: Observable[Any], life: Lifecycle) -> None:
        """Log, once, that a Subject which is meant for many has ended: sockets that get it now close at once."""
        if isinstance(result, Subject) and not isinstance(result, (ReplaySubject, AsyncSubject)):
            self._warn(
                life,
                "ended",
                "%s returned a Subject that has ended, so its socket closes at once: if `incoming.subscribe(subject)` "
                "ended it when a client left, use a room of rxws.Rooms() instead, which does not end",
            )

    def _start(
        self, life: Lifecycle, work: Callable[[], Coroutine[Any, Any, None]], too_late: tuple[type[Exception], ...]
    ) -> asyncio.Task[None]:
        if not self._may_subscribe:
            life.incoming.readers.want()
        task = life.thread.loop.create_task(self._guard(life, work, too_late), name=f"rxws {self.name}")
        life.work_in(Work(task, life.reports.log, reads=self._may_subscribe))

        def done(task: asyncio.Task[None]) -> None:
            life.work_over()
            if task.cancelled():
                life.close(Close())

        task.add_done_callback(done)
        return task

    async def _guard(
        self, life: Lifecycle, work: Callable[[], Coroutine[Any, Any, None]], too_late: tuple[type[Exception], ...]
    ) -> None:
        current_socket.set(life)
        try:
            await work()  # not made before: a task may be cancelled before it begins
        except BaseException as error:
            if is_own_cancellation(error):
                raise
            if isinstance(error, too_late):
                error.add_note(
                    "It came after the handshake was answered, so the client does not get it. Raise it in a 'def' "
                    "handler, which runs before, or before `rxws.accept`."
                )
            life.reports.fail(as_error(error, self.name))
            raise_fatal(error)

    async def _live(self, life: Lifecycle, coroutine: Coroutine[Any, Any, Any]) -> None:
        waited: list[bool] = []
        life.thread.loop.call_soon(waited.append, True)
        result = await coroutine
        if result is None:
            if not waited and life.close_cause is None and life.incoming.readers.present:
                self._warn(
                    life,
                    "ended",
                    "%s is an 'async def' that subscribed to `incoming` and ended without waiting, which closes its "
                    "socket at once: write 'def', or wait with `await socket.closed`",
                )
            life.close(Close())
        else:
            self._check(result, life)
            self._run(life, result)

    async def _generate(self, life: Lifecycle, generator: AsyncGenerator[Any, None]) -> None:
        values = after = 0
        async with aclosing(generator):
            async for value in generator:
                life.outgoing.on_next(value)
                del value  # or it would stay until the next one comes
                values += 1
                if life.close_cause is None and not life.outgoing.has_room:
                    await life.outgoing.room()
                elif values % YIELDS_A_TURN == 0:
                    await asyncio.sleep(0)
                if life.close_cause is not None:
                    after += 1
                    if not self._may_subscribe or after > YIELDS_A_TURN:
                        return  # or it would go on forever: nothing slows it any more
                    await asyncio.sleep(0)
        life.close(Close())


def _are_disposables(result: Any) -> bool:
    return isinstance(result, (list, tuple)) and all(
        isinstance(item, abc.DisposableBase) for item in cast("list[object]", result)
    )


def _parameters(function: Callable[..., Any], name: str, *, guests: bool) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(function).parameters.values())
    _, bound = _unwrap(function)
    if is_method(function):
        del parameters[0]  # self
    parameters = [parameter for parameter in parameters if parameter.name not in bound]
    for parameter in parameters:
        if guests and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            continue
        if parameter.name not in NAMES or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            todo = "functools.partial gives it others, and with @rxws.asgi.websocket a framework does"
            if [one.name for one in parameters] == ["scope", "receive", "send"]:
                todo = "an ASGI application is not a handler, and runs on an ASGI server, such as uvicorn"
            raise TypeError(
                f"{name} asks for {parameter.name!r}: a handler's parameters are bound by name, "
                f"and may be {', '.join(NAMES)}; {todo}"
            )
    return parameters


def _unwrap(function: Callable[..., Any]) -> tuple[Callable[..., Any], set[str]]:
    """Give the function within `functools.partial`s, and the names of the keyword arguments that these bind."""
    bound = set[str]()
    while isinstance(function, functools.partial):
        bound |= set(function.keywords)
        function = function.func
    return function, bound


def is_method(function: Callable[..., Any]) -> bool:
    """Return whether a function stands in the body of a class, and has a `self`."""
    parameters = list(inspect.signature(function).parameters)
    target, _ = _unwrap(function)
    return bool(parameters) and parameters[0] not in NAMES and _in_class_body(target)


def _in_class_body(function: Any) -> bool:
    scope = getattr(function, "__qualname__", "").rpartition(".")[0]
    return inspect.isfunction(function) and bool(scope) and not scope.endswith("<locals>")
