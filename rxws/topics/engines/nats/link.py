"""One connection to a NATS server. It does not come back: the engine makes another one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable
from math import ceil
from typing import Any, Final

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from rxws.topics.message import TopicsError

DEADLINE: Final = 5.0
"""Seconds for each answer of the server's."""
ASK_AGAIN: Final = 0.5
"""Seconds until what was not answered at all is asked again: a cluster that chooses a leader drops questions."""
CLOSING: Final = 1.0
"""Seconds to close a connection that is lost."""
PING_INTERVAL: Final = 2
"""Seconds between pings; a server that has answered none of three counts as lost: a partition is seen within 8 s."""
CLIENT_PENDING: Final = 65_536
"""Messages of one subscription that wait in the client library; beyond, they are read from the stream again."""
ANSWERS: Final = 65_536
"""Answers that wait there; no more than a tenth of it is asked for at a time."""
PENDING_BYTES: Final = 64 * 1024 * 1024
UNSETTLED: Final = (10008, 10009)
"""JetStream's errors of a cluster that chooses a leader."""
UNSETTLED_PAUSE: Final = 0.1
"""Seconds until such a cluster is asked again, for as long as an answer may take."""
DENIED: Final = re.compile(r"permissions violation for (publish|subscription) to \"([^\"]*)\"", re.IGNORECASE)


class Refused(TopicsError):
    """The server understood, and said no."""

    def __init__(self, subject: str, error: dict[str, Any]) -> None:
        super().__init__(f"NATS refused {subject}: {error.get('description') or error}")
        self.code = error.get("err_code")


class Link:
    """A connection, from its handshake to its loss.

    `denied` is called with "publish" or "subscription" and the subject, in small letters as the client library tells
    it, for each that the user has no permission for.
    """

    def __init__(self, denied: Callable[[str, str], object] = lambda action, subject: None) -> None:
        self.client = Client()
        self.lost = asyncio.Event()
        self.why: Exception | None = None
        """Why it was lost."""
        self._denied = denied
        self._slow: dict[Subscription, Callable[[], object]] = {}
        self._answers: dict[str, asyncio.Queue[Msg]] = {}
        self._asked = 0
        self._inbox = ""

    async def open(self, server: str, within: float = DEADLINE) -> None:
        """Connect to one server within some seconds; raises `TopicsError` with the reason, or what it does not know."""
        try:
            async with asyncio.timeout(within):
                await self.client.connect(
                    server,
                    name="rxws",
                    allow_reconnect=False,
                    connect_timeout=ceil(within),
                    reconnect_time_wait=0,
                    ping_interval=PING_INTERVAL,
                    max_outstanding_pings=3,
                    error_cb=self._note,
                    closed_cb=self._closed,
                    max_reconnect_attempts=1,
                )
            self._inbox = self.client.new_inbox()
            await self.subscribe(f"{self._inbox}.*", self._answered)
        except BaseException as error:
            await self.close()
            if isinstance(error, TimeoutError):
                raise TopicsError(f"it does not answer within {within:.3g} s") from error
            if isinstance(error, errors.NoServersError) and self.why is not None:
                raise self.why from error
            raise

    async def close(self) -> None:
        """Disconnect, even if cancelled meanwhile: the client library would leave tasks behind."""
        closing = asyncio.ensure_future(self._close())
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():
            try:
                await asyncio.wait({closing})
            except asyncio.CancelledError as error:
                cancelled = error
        self.lost.set()
        if cancelled is not None:
            raise cancelled

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSING if self.lost.is_set() else DEADLINE):
                await self.client.close()
        except Exception as error:
            self.why = self.why or error
        self._abandon()

    def _abandon(self) -> None:
        """End what is left where the client library closes by itself, and waits for a server that takes nothing."""
        client: Any = self.client
        reading = [subscription._wait_for_msgs_task for subscription in client._subs.values()]
        for task in (client._reading_task, client._ping_interval_task, client._flusher_task, *reading):
            if task is not None:
                task.cancel()
        while client._flush_queue is not None and not client._flush_queue.empty():
            flushed = client._flush_queue.get_nowait()
            if not flushed.done():
                flushed.set_result(None)  # for those who publish much and wait for it
        writer = getattr(client._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def wait_lost(self) -> None:
        """Wait until it is lost; the client library may fail to say so where closing fails."""
        while not self.lost.is_set() and not self.client.is_closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING_INTERVAL):
                    await self.lost.wait()

    async def subscribe(
        self, subject: str, take: Callable[[Msg], object], on_slow: Callable[[], object] | None = None
    ) -> Subscription:
        """Hand on messages; `on_slow` is called when the client library had to drop one."""

        async def take_message(message: Msg) -> None:
            take(message)

        subscription = await self.client.subscribe(  # pyright: ignore[reportUnknownMemberType]
            subject,
            cb=take_message,
            pending_msgs_limit=ANSWERS if on_slow is None else CLIENT_PENDING,
            pending_bytes_limit=PENDING_BYTES,
        )
        if on_slow is not None:
            self._slow[subscription] = on_slow
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Stop that."""
        self._slow.pop(subscription, None)
        await subscription.unsubscribe()

    async def publish(self, subject: str, data: bytes, *, reply: str, headers: dict[str, str] | None = None) -> None:
        """Publish; raises `ConnectionError`, and the connection is lost, whatever the client library raises.

        While a connection is being lost, asyncio's transports may raise an `AttributeError`.
        """
        try:
            await self.client.publish(subject, data, reply=reply, headers=headers)
        except Exception as error:
            self.lost.set()
            raise ConnectionError("the connection to NATS is lost") from error

    async def ask(self, subject: str, question: dict[str, Any]) -> dict[str, Any]:
        """Ask the JetStream API; raises `Refused`, or `TopicsError` if nobody answers."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DEADLINE
        while True:
            (answer,) = await self.ask_many(subject, question, lambda message: True)
            if answer.headers is not None and answer.headers.get("Status") == "503":
                raise TopicsError("the NATS server has no JetStream: start it with -js")
            content: dict[str, Any] = json.loads(answer.data)
            if "error" not in content:
                return content
            refusal = Refused(subject, content["error"])
            if refusal.code not in UNSETTLED or loop.time() > deadline:
                raise refusal
            await asyncio.sleep(UNSETTLED_PAUSE)

    async def ask_many(self, subject: str, question: dict[str, Any], is_last: Callable[[Msg], bool]) -> list[Msg]:
        """Ask, and wait for all answers, of which some may come twice; raises `TopicsError` if one is late."""
        self._asked += 1
        name = str(self._asked)
        answers = self._answers[name] = asyncio.Queue[Msg]()
        found: list[Msg] = []
        try:
            async with asyncio.timeout(DEADLINE):
                while not found:
                    await self.publish(subject, json.dumps(question).encode(), reply=f"{self._inbox}.{name}")
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(ASK_AGAIN):
                            found.append(await answers.get())
                while not is_last(found[-1]):
                    found.append(await answers.get())
        except TimeoutError as error:
            raise TopicsError(f"NATS did not answer {subject} within {DEADLINE} s") from error
        finally:
            del self._answers[name]
        return found

    def _answered(self, message: Msg) -> None:
        answers = self._answers.get(message.subject.rpartition(".")[2])
        if answers is not None:
            answers.put_nowait(message)

    async def _note(self, error: Exception) -> None:
        if isinstance(error, errors.SlowConsumerError):
            on_slow = self._slow.get(error.sub)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            if on_slow is not None:
                on_slow()
        else:
            self.why = error
            if denied := DENIED.search(str(error)):
                self._denied(denied[1].lower(), denied[2].lower())

    async def _closed(self) -> None:
        self.lost.set()
