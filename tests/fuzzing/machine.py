"""What the state machines have in common: events in virtual time, several in a turn of the event loop; and the end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

import rxws
from rxws.core.buffer import ConflatingBuffer
from tests.fuzzing.virtual import VirtualLoop
from tests.streams import turns, watch
from tests.threads import in_a_thread, send_in_a_thread

CLOSE_TIMEOUT = 5.0
CLEAN_UP = 0.5
"""Seconds that the clean-up of a handler takes at most."""

TICK = 0.05
"""Seconds between two readings of the clock within an event: in real life no two agree."""

THEN = st.sampled_from([0, 0, 0, 1, 1, 2, 5, 0.5, 3.0, 7.0])
"""What follows an event: turns of the event loop, or seconds (the floats); with 0, the next event, in the same turn."""


def event(method: Callable[[Any], None]) -> Callable[[Any], None]:
    """Mark a method of a machine as something that may happen."""
    method.weight = 1  # type: ignore[attr-defined]
    return method


def often(method: Callable[[Any], None]) -> Callable[[Any], None]:
    """Mark a method of a machine as something that happens often."""
    method.weight = 4  # type: ignore[attr-defined]
    return method


def happenings(members: Mapping[str, Any], endings: Mapping[str, Any]) -> st.SearchStrategy[str]:
    """Choose among the events of a class and the endings; an ending comes about every thirtieth time."""
    events = [name for name, member in members.items() for _ in range(getattr(member, "weight", 0))]
    return st.sampled_from([*events * (29 * len(endings) // len(events)), *endings])


def check_buffer(socket: rxws.WebSocket[Any, Any]) -> None:
    """Check that the buffer of a socket, and what waits of threads, has in it what it says, and no more than it may."""
    buffer: Any = socket._life.outgoing._buffer
    conflating = isinstance(buffer, ConflatingBuffer)
    items = [*buffer._by_key.values(), *[item for _, item in buffer._queue]] if conflating else buffer._items
    weights = [item.weight for item in items]
    assert (socket.stats.buffered, socket.stats.buffered_bytes) == (len(weights), sum(weights))
    assert len(weights) < 2 or sum(weights) <= socket._life.settings.max_buffered
    handed_over = [call.weight for call in socket._life.thread._calls or () if call.weight]
    assert (socket.stats.handed_over, socket.stats.handed_over_bytes) == (len(handed_over), sum(handed_over))


class Machine(RuleBasedStateMachine):
    """The life of `socket`: one rule chooses among all events, so that each is as likely in every example."""

    socket: rxws.WebSocket[Any, Any]

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.numbers = itertools.count()
        self.logs: dict[str, list[Any]] = {}
        self.order: list[str] = []
        self.offered: list[str] = []
        self._batch: list[Callable[[], object]] = []

    ENDINGS: Mapping[str, Callable[[Any], object]]

    def act(self, what: str, then: float) -> None:
        """Let something happen: an event, or one of the endings."""
        self.do(partial(self.ENDINGS[what], self) if what in self.ENDINGS else getattr(self, what), then)

    def do(self, event: Callable[[], object], then: float) -> None:
        """Let an event happen, now or together with the next one."""
        self._batch.append(event)
        if then:
            batch, self._batch = self._batch, []
            self.loop.run_until_complete(self._run(batch, then))

    async def _run(self, batch: list[Callable[[], object]], then: float) -> None:
        self.loop.tick = TICK
        for event in batch:
            event()
            check_buffer(self.socket)
        self.loop.tick = 0.0
        await (turns(then) if isinstance(then, int) else asyncio.sleep(then))
        check_buffer(self.socket)

    def offer(self) -> None:
        """Send a message: it is to have one fate, if this is before an end."""
        message = f"out {next(self.numbers)}" + "." * 50
        if not self.ending:
            self.offered.append(message)
        self.socket.outgoing.on_next(message)

    @property
    def ending(self) -> bool:
        """Whether what is sent from here is ignored: after the end, or one that another thread has asked for."""
        thread = self.socket._life.thread
        return self.socket.outgoing.is_stopped or (thread.ending and not thread.here())

    @often
    def a_message_is_sent(self) -> None:
        self.offer()

    @often
    def messages_are_sent_by_a_thread(self) -> None:
        in_a_thread(lambda: [self.offer() for _ in range(3)])

    @event
    def a_thread_sends_what_cannot_be_sent(self) -> None:
        send_in_a_thread(self.socket, [{1}])

    def note(self, *names: str) -> None:
        """Watch streams of the socket, and the order in which they end."""
        for name in names:
            if name not in self.logs:
                stream = getattr(self.socket, name)
                self.logs[name] = watch(**{name: stream})
                if not self.logs.get("closed"):
                    end = lambda *_, name=name: self.order.append(name)  # noqa: E731
                    stream.subscribe(lambda _: None, end, end)

    def values(self, name: str) -> list[Any]:
        return [entry[1] for entry in self.logs[name] if entry[0] == name]

    def teardown(self) -> None:
        try:
            if hasattr(self, "socket"):
                self.do(lambda: self.socket.close(), 1)
                self.loop.run_until_complete(self.wait_for_the_end())
                self.do(self.call_after_the_end, 5)
                self.check()
        finally:
            self.loop.close()

    async def wait_for_the_end(self) -> None:
        """Wait, not longer than the deadline, and then for clean-ups that take some time; then nothing is to come."""
        async with asyncio.timeout(CLOSE_TIMEOUT + 0.2):
            while len(self.logs["closed"]) < 2:
                await asyncio.sleep(0.1)
        await asyncio.sleep(CLOSE_TIMEOUT + CLEAN_UP)
        await turns(5)
        assert self.loop.waiting() == []

    CLOSES: dict[str, Callable[[rxws.WebSocket[Any, Any]], object]] = {
        "close": lambda socket: socket.close(4003, "ours"),
        "dispose": lambda socket: socket.dispose(),
        "on_completed": lambda socket: socket.outgoing.on_completed(),
        "on_error": lambda socket: socket.outgoing.on_error(ValueError("sent")),
        "on_next": lambda socket: socket.outgoing.on_next(rxws.Close(4004)),
        "subscription": lambda socket: socket.subscription and socket.subscription.dispose(),
        "give up": lambda socket: socket._life.abort(),
    }

    APPLICATION: dict[str, Callable[[Any], object]] = {
        **{f"the application: {name}": lambda life, end=end: end(life.socket) for name, end in CLOSES.items()},
        **{
            f"a thread: {name}": lambda life, end=end: in_a_thread(lambda: end(life.socket))
            for name, end in CLOSES.items()
            if name not in ("subscription", "give up")
        },
    }
    """The endings that the application may ask for, from the event loop and from other threads."""

    def call_after_the_end(self) -> None:
        for close in self.CLOSES.values():
            close(self.socket)
        self.socket.outgoing.on_next("late")
        self.note("incoming", "errors")

    def check(self) -> None:
        """Check what holds of every socket that has ended."""
        for name, log in self.logs.items():
            terminal = [entry for entry in log if entry == f"{name}|" or entry[0] == f"{name}#"]
            assert terminal == log[-1:], log
            assert name == "outgoing" or terminal == [f"{name}|"], log
        (close,) = self.values("closed")
        assert isinstance(close, rxws.Close)
        assert self.order[-1] == "closed"
        promised = [name for name in ("incoming", "errors", "disposed", "closed") if name in self.order]
        assert [name for name in self.order if name in promised] == promised
        assert self.loop.exceptions == []
        assert asyncio.all_tasks(self.loop) == set()
        assert self.loop.waiting() == []
