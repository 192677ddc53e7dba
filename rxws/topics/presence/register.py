"""The presence of all topics in one process."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from functools import partial

from reactivex import abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxws.topics.engines.engine import Engine
from rxws.topics.message import Unpublished
from rxws.topics.presence.attendance import BEATS, Attendance
from rxws.topics.presence.present import Member, Present, TooManyMembers

TTL = 10.0
"""Seconds after which the members of a process that died have left. It must be the same in all processes."""

TOPICS_A_TURN = 100
"""Topics that are announced in one turn of the event loop."""


class Register:
    """The presence of each topic, in this process and in others, over an engine of its own.

    It begins with the first subscription. At each beat, it publishes a message for each topic that has subscribers.
    """

    def __init__(self, engine: Engine | None) -> None:
        self._engine = engine
        self._me = ""
        self._attendances: dict[str, Attendance] = {}
        self._beating: asyncio.Task[None] | None = None

    def attend(
        self,
        topic: str,
        member: Member | None,
        observer: abc.ObserverBase[Present],
        report: Callable[[Exception], object],
    ) -> abc.DisposableBase:
        """Emit to an observer who is in a topic; until that is disposed, `member` is in it."""
        self._begin(report)
        attendance = self._attendances.get(topic)
        if attendance is None:
            attendance = self._attendances[topic] = Attendance(topic, self._me, self._engine, report)
            attendance.begin()
        attendance.users += 1
        if member is None:
            entered: abc.DisposableBase = Disposable()
        elif attendance.roster.has_room_for(member.who):
            entered = attendance.enter(*member)
        else:
            self._leave(attendance)
            observer.on_error(TooManyMembers(topic))
            return Disposable()
        subscription = attendance.roster.subscribe(observer)
        return CompositeDisposable(subscription, entered, Disposable(lambda: self._leave(attendance)))

    async def close(self) -> None:
        """Complete all subscriptions, and announce that no member is left here."""
        attendances, self._attendances = self._attendances, {}
        for attendance in attendances.values():
            attendance.end()
        if self._engine is not None and self._beating is not None:
            self._beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beating
            await self._engine.close()

    def _leave(self, attendance: Attendance) -> None:
        attendance.users -= 1
        if not attendance.users and self._attendances.get(attendance.topic) is attendance:
            del self._attendances[attendance.topic]
            attendance.end()

    def _begin(self, report: Callable[[Exception], object]) -> None:
        self._me = self._me or secrets.token_hex(8)  # not in `__init__`: each forked process needs its own
        if self._engine is not None and self._beating is None:
            self._engine.start(partial(self._take_error, report))
            self._beating = asyncio.get_running_loop().create_task(self._beat())

    def _take_error(self, report: Callable[[Exception], object], error: Exception) -> None:
        if not isinstance(error, Unpublished):
            report(error)
        elif (attendance := self._attendances.get(error.topic.rpartition(".")[0])) is not None:
            attendance.unpublished(error)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(TTL / BEATS)
            for number, attendance in enumerate(tuple(self._attendances.values())):
                if number % TOPICS_A_TURN == TOPICS_A_TURN - 1:
                    await asyncio.sleep(0)
                if attendance.users:
                    attendance.beat()
