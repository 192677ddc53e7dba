"""The JetStream stream that keeps all topics: its limits, and reading it without a consumer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from nats.aio.msg import Msg

from rxws.topics.engines.engine import Limits
from rxws.topics.engines.nats.link import Link, Refused
from rxws.topics.message import Gap, Position, Record, TopicsError

READ_BATCH: Final = 256
"""Messages of one answer."""
BATCH_BYTES: Final = 1024 * 1024
DUPLICATES: Final = 120
"""Seconds within which a message that is sent again is recognized."""
FULL_TOPICS: Final = 64
"""Topics of a pattern at their limit whose beginnings are looked up; with more of them there may be a gap."""

ADVISORIES: Final = "$JS.EVENT.ADVISORY.STREAM"
"""The prefix of the subjects on which JetStream says what happens to streams."""

NOT_FOUND: Final = 10059
IN_USE: Final = 10058
NO_MESSAGE: Final = 10037
"""Error codes of JetStream's."""

MAX_NUMBER: Final = 2**64 - 1
"""Of a message; a server refuses a question about the one after it."""

BINARY_HEADER: Final = "Rxws-Binary"
SECOND: Final = 10**9


class Batch(NamedTuple):
    """What one answer brings."""

    records: list[Record]
    pending: int
    """Messages that follow."""
    number: int
    """Up to where that was read."""


class Stream:
    """The stream, as found on one connection."""

    def __init__(self, link: Link, name: str, info: dict[str, Any]) -> None:
        self.link = link
        self.name = name
        self.epoch = _epoch(info["created"])
        self.has_other_limits = False
        """Whether it was made with other limits than those asked for."""
        self._config: dict[str, Any] = info["config"]
        self._prefix = f"{name}.in."

    @classmethod
    async def find(cls, link: Link, name: str, limits: Limits) -> Stream:
        """Find the stream, or make it; raises `TopicsError` for one that does not do."""
        wanted = _config(name, limits)
        try:
            info = await link.ask(f"$JS.API.STREAM.INFO.{name}", {})
        except Refused as refusal:
            if refusal.code != NOT_FOUND:
                raise
            try:
                await link.ask(f"$JS.API.STREAM.CREATE.{name}", wanted)
            except Refused as refusal:
                if refusal.code != IN_USE:  # another process, with other limits, was quicker
                    raise
            info = await link.ask(f"$JS.API.STREAM.INFO.{name}", {})
        stream = cls(link, name, info)
        stream.check(info)
        config = info["config"]
        stream.has_other_limits = any(
            config[key] != wanted[key] for key in ("max_msgs_per_subject", "max_bytes", "max_age")
        )
        return stream

    @property
    def limits(self) -> str:
        """What it keeps, as options of topics."""
        config = self._config
        age = config["max_age"] / SECOND or None
        return f"max_messages={config['max_msgs_per_subject']}, max_bytes={config['max_bytes']}, max_age={age}"

    @property
    def max_bytes(self) -> int:
        """Bytes that it keeps, -1 for no limit."""
        return self._config["max_bytes"]

    @property
    def has_replicas(self) -> bool:
        """Whether servers answer that may lag behind the leader."""
        return self._config["num_replicas"] > 1

    @property
    def live(self) -> str:
        """The prefix of the subjects that live messages come on."""
        return f"{self.name}.live."

    def subject(self, topic: str) -> str:
        """The subject to publish to."""
        return self._prefix + topic

    def record(self, headers: Mapping[str, str], data: bytes) -> Record:
        """Make a record of a message that came with the stream's headers."""
        topic = headers["Nats-Subject"].removeprefix(self._prefix)
        return Record(topic, Position(self.epoch, int(headers["Nats-Sequence"])), data, BINARY_HEADER in headers)

    async def newest(self) -> Position:
        """Tell the position of the newest message of all topics."""
        info = await self._info({})
        return Position(self.epoch, info["state"]["last_seq"])

    def check(self, info: dict[str, Any]) -> None:
        """Raise `TopicsError`, which loses the connection, if the stream is another one, or one that does not do."""
        if _epoch(info["created"]) != self.epoch:
            raise self._lose(TopicsError(f"the stream {self.name!r} was made anew"))
        config, needed = info["config"], _needed(self.name)
        for key, value in needed.items():
            if config.get(key) != value:
                wrong = f"the stream {self.name!r} has {key} {config.get(key)!r}: topics need {value!r}"
                raise self._lose(TopicsError(wrong))
        self._config = config

    async def after(self, pattern: str, number: int, count: int = READ_BATCH) -> Batch:
        """Read messages after a number; raises `TopicsError` if there are some, and none comes."""
        if number >= MAX_NUMBER:  # of a position that a stranger made up
            return Batch([], 0, number)
        question = {"seq": number + 1, "next_by_subj": self.subject(pattern), "batch": count, "max_bytes": BATCH_BYTES}
        *found, end = await self.link.ask_many(f"$JS.API.DIRECT.GET.{self.name}", question, _is_end)
        headers = end.headers or {}
        if headers["Status"] == "404":
            return Batch([], 0, number)
        if headers["Status"] == "503":
            await self.look()
        if headers["Status"] != "204":
            raise TopicsError(f"NATS does not return the messages of the stream {self.name!r}: {headers}")
        pending, last = int(headers["Nats-Num-Pending"]), int(headers["Nats-Last-Sequence"])
        records: list[Record] = []
        for one in found:
            record = self.record(one.headers or {}, one.data)
            if record.position.number > (records[-1].position.number if records else number):
                records.append(record)  # or it was asked for twice
        if last <= number:
            raise TopicsError(f"NATS returns no message of the stream {self.name!r} after {number}: {headers}")
        return Batch(records, pending, last)

    async def last_ones(self, pattern: str, count: int, last: int) -> Batch:
        """Read the last `count` messages up to a number, and those after it; of more than 256, the first ones."""
        many, few, number = -1, last, max(last - count, 0)
        while True:
            batch = await self.after(pattern, number)
            found = len(batch.records) + batch.pending
            if batch.number >= last:
                found = sum(record.position.number <= last for record in batch.records)
            if found > count + READ_BATCH:
                many = number
            elif found < count:
                few = number
            if count <= found <= count + READ_BATCH or number == 0 > many or many + 1 >= few:
                return batch._replace(records=batch.records[max(found - count, 0) :])
            number = max(last - 8 * (last - number), 0) if many < 0 else (many + few) // 2

    async def gap(self, pattern: str, since: Position) -> Gap | None:
        """Tell whether messages after a position may be missing, of those that have been read until now."""
        info = await self._info({"subjects_filter": self.subject(pattern)})
        state = info["state"]
        counts: dict[str, int] = state.get("subjects") or {}
        if since.epoch != self.epoch or since.number > state["last_seq"]:
            return Gap(pattern, str(since), "the stream was replaced since", anew=True)
        most = info["config"]["max_msgs_per_subject"]
        full = [subject for subject, count in counts.items() if count >= most > 0]
        if (
            state["first_seq"] > since.number + 1
            or info.get("total", 0) > len(counts)  # the server tells 100,000 at a time
            or await self._discarded(full, since)
        ):
            return Gap(pattern, str(since), "they are no longer kept")
        return None

    async def look(self) -> None:
        """Look whether the stream is still the one that was found; raises `TopicsError` if not."""
        await self._info({})

    async def _info(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            info = await self.link.ask(f"$JS.API.STREAM.INFO.{self.name}", question)
        except Refused as refusal:
            if refusal.code == NOT_FOUND:
                self._lose(refusal)
            raise
        self.check(info)
        return info

    def _lose(self, why: TopicsError) -> TopicsError:
        """Connect anew."""
        self.link.why = why
        self.link.lost.set()
        return why

    async def _discarded(self, full: Sequence[str], since: Position) -> bool:
        """Tell whether a topic that is full begins after a position."""
        if len(full) > FULL_TOPICS:
            return True
        for subject in full:
            first = await self._ask_leader({"seq": 1, "next_by_subj": subject})
            if first is None or first > since.number:
                return True
        return False

    async def last(self, pattern: str) -> int:
        """Tell the number of the last message that the leader has; 0 if it has none."""
        return await self._ask_leader({"last_by_subj": self.subject(pattern)}) or 0

    async def _ask_leader(self, question: dict[str, Any]) -> int | None:
        """Ask for a message's number; the leader alone answers, from what is confirmed."""
        try:
            answer = await self.link.ask(f"$JS.API.STREAM.MSG.GET.{self.name}", question)
        except Refused as refusal:
            if refusal.code != NO_MESSAGE:
                raise
            return None
        return int(answer["message"]["seq"])


def _config(name: str, limits: Limits) -> dict[str, Any]:
    return {
        **_needed(name),
        "name": name,
        "storage": "file",
        "num_replicas": 1,
        "max_msgs_per_subject": limits.count,
        "max_bytes": limits.size,
        "max_age": int((limits.age or 0) * SECOND),
        "duplicate_window": int(min(DUPLICATES, limits.age or DUPLICATES) * SECOND),
    }


def _needed(name: str) -> dict[str, Any]:
    """What topics need of a stream that another program made."""
    return {
        "subjects": [f"{name}.in.>"],
        "republish": {"src": f"{name}.in.>", "dest": f"{name}.live.>"},
        "allow_direct": True,
        "discard": "old",
        "retention": "limits",
    }


def _is_end(message: Msg) -> bool:
    """Tell an end from a message, to which anyone may give a header of that name: an end has no number."""
    headers = message.headers or {}
    return "Status" in headers and "Nats-Sequence" not in headers


def _epoch(created: str) -> int:
    """Read when the stream was made, in microseconds."""
    seconds, _, fraction = created.rstrip("Z").partition(".")
    moment = datetime.fromisoformat(f"{seconds}+00:00")
    return int(moment.timestamp()) * 1_000_000 + int(re.sub(r"\D.*", "", fraction)[:6].ljust(6, "0"))
