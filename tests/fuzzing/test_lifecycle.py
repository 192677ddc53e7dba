"""A socket, whatever happens to it in whatever order: each stream ends once, in order, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.disposable import CompositeDisposable, Disposable
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.testing import serve
from tests.fuzzing.machine import CLEAN_UP, CLOSE_TIMEOUT, THEN, Machine, event, happenings, often
from tests.fuzzing.profiles import few
from tests.streams import turns

HANDLERS = ("observable", "disposables", "none", "raises", "coroutine", "late", "stubborn", "generator", "worker")
OPTIONS: dict[str, Any] = {
    "observed": st.sampled_from([True, True, False]),
    "overflow": st.sampled_from(["close", "drop_oldest", "drop_newest", "latest"]),
    "heartbeat": st.sampled_from([None, 3.0]),
    "message_rate": st.sampled_from([None, None, 3]),
    "codec": st.sampled_from([rxws.json, rxws.codecs.text]),
    "reads": st.booleans(),
    "read": st.booleans(),
}

ENDS = ("complete", "fail", "close", "bad result")


class Work:
    """What a handler does, as the test says, and whether it was torn down as often as it was begun."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.returned = False
        self.disposed: list[str] = []
        self.commands: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.source: Subject[Any] = Subject()

    def resource(self) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: Any = None) -> abc.DisposableBase:
            return CompositeDisposable(self.source.subscribe(observer), self.disposable())

        return Observable(subscribe)

    def disposable(self) -> Disposable:
        self.begun += 1
        return Disposable(self.end)

    def end(self) -> None:
        self.ended += 1

    def do(self, command: str, value: Any = None) -> None:
        self.commands.put_nowait((command, value))
        match command:
            case "next":
                self.source.on_next(value)
            case "complete":
                self.source.on_completed()
            case "fail":
                self.source.on_error(ValueError("the source failed"))
            case "close":
                self.source.on_error(rxws.Close(4002))

    # The handlers

    def observable(self, incoming: Observable[Any]) -> Any:
        return self.resource()

    def disposables(self, incoming: Observable[Any]) -> Any:
        return [incoming.subscribe(lambda _: None), self.disposable(), self.disposable()]

    def none(self, incoming: Observable[Any]) -> None:
        incoming.subscribe(lambda _: None)

    def raises(self, incoming: Observable[Any]) -> None:
        raise ValueError("the handler raised")

    async def coroutine(self, incoming: Observable[Any], outgoing: Subject[Any]) -> Any:
        incoming.subscribe(lambda _: None)
        return await self.late(outgoing)

    async def late(self, outgoing: Subject[Any]) -> Any:
        self.begun += 1
        try:
            while True:
                match await self.commands.get():
                    case "next", value:
                        outgoing.on_next(value)
                    case "complete", _:
                        self.returned = True
                        return self.resource()
                    case "fail", _:
                        raise ValueError("the coroutine failed")
                    case "close", _:
                        raise rxws.Close(4002)
                    case _:
                        return 5
        finally:
            self.end()

    async def stubborn(self, socket: Any) -> Any:
        try:
            await self.late(socket.outgoing)
        finally:
            await asyncio.sleep(CLEAN_UP)
            socket.outgoing.on_next("too late")

    async def reader(self, incoming: Observable[Any], outgoing: Subject[Any]) -> Any:
        return await self.late(outgoing)

    def worker(self, incoming: Observable[Any]) -> Observable[Any]:
        async def work(message: Any) -> Any:
            self.begun += 1
            try:
                await asyncio.sleep(0.3)
            finally:
                self.end()
            return message

        return incoming.pipe(rxops.map_async(work))

    async def generator(self, incoming: Observable[Any]) -> AsyncIterator[Any]:
        self.begun += 1
        try:
            while True:
                match await self.commands.get():
                    case "next", value:
                        yield value
                    case "complete", _:
                        return
                    case "close", _:
                        raise rxws.Close(4002)
                    case _:
                        raise ValueError("the generator failed")
        finally:
            self.end()


class Life(Machine):
    """A socket of a handler's, and its peer."""

    @initialize(handler=st.sampled_from(HANDLERS), **OPTIONS)
    def begin(self, handler: str, **options: Any) -> None:
        self.start(handler, **options)

    def start(self, handler: str, observed: bool, reads: bool, read: bool, **options: Any) -> None:
        self.peer_sent: list[str] = []
        self.peer_done = False
        self.holds = 0
        self.seen: list[list[Any]] = []  # by each reader
        self.waiting: asyncio.Task[None] | None = None
        self.subscriptions: list[abc.DisposableBase] = []
        self.in_sequence = handler in ("stubborn", "reader")  # they read nothing, and leave that to others

        def open() -> None:
            self.work = Work()
            function = getattr(self.work, handler)
            self.socket, self.peer = serve(
                function, max_buffered=300, high_water=150, close_timeout=CLOSE_TIMEOUT, **options
            )
            self.peer.congested = not reads
            self.life = self.socket._life
            self.note(
                "outgoing",
                "dropped",
                "undelivered",
                "closed",
                *["errors"] * observed,
                *["incoming"] * (read and not self.in_sequence),
            )
            self.life.at_end(lambda: self.order.append("disposed"))
            self.life.own(self.work.disposable())

        self.do(open, 1)

    # The peer

    def send_from_peer(self, *messages: str) -> None:
        if not self.peer_done and not self.peer.ended:
            self.peer_sent += messages
            self.peer.send(*messages)

    @often
    def the_peer_sends(self) -> None:
        self.send_from_peer(f'"in {next(self.numbers)}"')

    @event
    def the_peer_sends_several_at_once(self) -> None:
        self.send_from_peer(*(f'"in {next(self.numbers)}"' for _ in range(3)))

    @event
    def the_peer_sends_what_may_not_decode(self) -> None:
        self.send_from_peer("{")

    @event
    def the_peer_stops_reading_or_reads_on(self) -> None:
        if not self.peer.ended:
            self.peer.congested = not self.peer.congested

    @event
    def the_peer_will_not_answer_a_close(self) -> None:
        self.peer.mute = True

    @event
    def the_peer_answers_a_ping(self) -> None:
        if self.peer.pings and not self.peer_done:
            self.peer.pong(self.peer.pings[-1])

    def end_of_peer(self, action: Callable[[], object]) -> None:
        if not self.peer_done and not self.peer.ended:
            self.peer_done = True
            action()

    # The application

    @event
    def a_message_that_cannot_be_sent(self) -> None:
        self.socket.outgoing.on_next({1})

    @often
    def the_handler_sends(self) -> None:
        self.work.do("next", f"work {next(self.numbers)}")

    # Those who read

    def reads(self, observable: Observable[Any], then: Callable[[Any], object] = lambda _: None) -> None:
        """Subscribe a reader, unless one reads alone."""
        seen: list[Any] = []
        self.seen.append(seen)

        def take(message: Any) -> None:
            seen.append(message)
            then(message)

        with contextlib.suppress(RuntimeError):
            self.subscriptions.append(observable.subscribe(take, lambda _: None))

    @event
    def somebody_subscribes_to_incoming(self) -> None:
        if self.in_sequence:
            self.reads(self.socket.incoming)
        else:
            with contextlib.suppress(RuntimeError):
                self.note("incoming")

    @event
    def somebody_subscribes_who_raises_at_every_message(self) -> None:
        self.reads(self.socket.incoming, lambda _: 1 / 0)

    @often
    def somebody_leaves(self) -> None:
        if self.subscriptions:
            self.subscriptions.pop(0).dispose()

    @often
    def somebody_reads_one(self) -> None:
        self.reads(self.socket.incoming.pipe(ops.first()))

    @event
    def somebody_reads_one_after_the_other(self) -> None:
        self.reads(self.socket.incoming.pipe(ops.take(1), ops.repeat(3)))

    @often
    def a_task_receives(self) -> None:
        if self.waiting is None or self.waiting.done():
            self.waiting = self.loop.create_task(self.receive())

    async def receive(self) -> None:
        with contextlib.suppress(RuntimeError, rxws.Close):
            self.seen.append([await self.socket.receive()])

    @event
    def a_task_that_receives_is_cancelled(self) -> None:
        self.a_task_receives()
        self.the_peer_sends()
        self.loop.create_task(self.cancel(self.waiting, next(self.numbers) % 5))

    async def cancel(self, task: asyncio.Task[None] | None, after: int) -> None:
        """Cancel a task some turns later: it may have been handed a message that it has not taken."""
        assert task is not None
        await turns(after)
        task.cancel()

    @event
    def reading_is_held(self) -> None:
        self.holds += 1
        self.life.hold()

    @event
    def reading_is_released(self) -> None:
        if self.holds:
            self.holds -= 1
            self.life.release()

    @event
    def an_error_is_reported(self) -> None:
        self.socket.errors.on_next(ValueError("reported"))

    ENDINGS: dict[str, Callable[[Any], object]] = {
        **Machine.APPLICATION,
        **{f"the handler's work: {end}": lambda life, end=end: life.work.do(end) for end in ENDS},
        "the handler's task is cancelled": lambda life: life.cancel_the_handler(),
        "the peer closes": lambda life: life.end_of_peer(lambda: life.peer.close(rxws.Close(4001, "bye"))),
        "the peer closes, 1001": lambda life: life.end_of_peer(lambda: life.peer.close(rxws.Close(1001))),
        "the peer closes without a code": lambda life: life.end_of_peer(lambda: life.peer.close(None)),
        "the peer violates the protocol": lambda life: life.end_of_peer(lambda: life.peer.violate(1007)),
        "the connection ends": lambda life: life.loop.call_soon(life.peer.drop),
        "the connection breaks": lambda life: life.loop.call_soon(life.peer.drop, ConnectionResetError()),
    }

    HAPPENINGS = happenings({**vars(Machine), **vars()}, ENDINGS)

    @rule(what=HAPPENINGS, then=THEN)
    def happens(self, what: str, then: float) -> None:
        self.act(what, then)

    def cancel_the_handler(self) -> None:
        for task in asyncio.all_tasks():
            if task.get_name().startswith("rxws Work."):
                task.cancel()

    # The end

    def call_after_the_end(self) -> None:
        super().call_after_the_end()
        self.life.hold()
        self.life.release()
        self.peer.send("late")
        self.peer.drop()

    def check(self) -> None:
        super().check()
        assert self.work.begun == self.work.ended
        came = [message for message in self.peer_sent if message != "{" or self.life.settings.codec is not rxws.json]
        awaited = iter([json.loads(m) for m in came] if self.life.settings.codec is rxws.json else came)
        assert all(message in awaited for message in self.values("incoming"))  # in order, but for those of before
        self.check_readers([json.loads(m) for m in came] if self.life.settings.codec is rxws.json else came)
        sent = [message.strip('"') for message in self.peer.sent if isinstance(message, str)]
        fates = Counter([*sent, *self.values("dropped"), *self.values("undelivered")])
        assert {message: fates[message] for message in fates if message.startswith("out ")} == Counter(self.offered)

    def check_readers(self, came: list[Any]) -> None:
        """Check that each reader has messages in order, and that none is missing before one that was read."""
        for seen in self.seen:
            awaited = iter(came)
            assert all(message in awaited for message in seen), seen
        read = {message for seen in [*self.seen, self.values("incoming")] for message in seen}
        if self.in_sequence and not self.work.returned:
            last = max((came.index(message) for message in read), default=-1)
            assert [message for message in came[: last + 1] if message not in read] == []


class Sequence(Life):
    """A socket whose handler reads in sequence: what comes between two readers waits for the next one."""

    @initialize(**OPTIONS)
    def begin(self, **options: Any) -> None:
        self.start("reader", **options)


def test_socket_ends_once_whatever_happens() -> None:
    """Whatever happens, a socket ends once and in order, and leaves nothing behind."""
    run_state_machine_as_test(Life, settings=few(120, steps=40))


def test_nothing_is_lost_between_readers() -> None:
    """Whoever reads, however they leave, no message is missing before one that was read."""
    run_state_machine_as_test(Sequence, settings=few(120, steps=40))
