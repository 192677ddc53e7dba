"""The JetStream stream that keeps all topics: its limits, and reading it without a consumer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from nats.aio.msg import Msg

from rxws.topics.engines.engine import Limits
from rxws.topics.engines.nats.link import Link, Refused
from rxws.topics.message import Gap, Position, Record, TopicsError

READ_BATCH: Final = 256
"""Messages of one answer."""
BATCH_BYTES: Final = 1024 * 1024
DUPLICATES: Final = 120
"""Seconds within which a message that is sent again is recognised."""
FULL_TOPICS: Final = 64
"""Topics of a pattern at their limit whose beginnings are looked up; with more of them there may be a gap."""

NOT_FOUND: Final = 10059
IN_USE: Final = 10058
NO_MESSAGE: Final = 10037
"""Error codes of JetStream's."""

BINARY_HEADER: Final = "Rxws-Binary"
SECOND: Final = 10**9


class Stream:
    """The stream, as found on one connection."""

    def __init__(self, link: Link, name: str, info: dict[str, Any]) -> None:
        self.link = link
        self.name = name
        self.epoch = _epoch(info["created"])
        self._config: dict[str, Any] = info["config"]
        self.max_bytes: int = self._config["max_bytes"]
        self.has_other_limits = False
        """Whether it was made with other limits than those asked for."""
        self._replicas: int = self._config["num_replicas"]
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
        config = info["config"]
        for key in ("subjects", "republish", "allow_direct", "discard", "retention"):
            if config.get(key) != wanted[key]:
                raise TopicsError(f"the stream {name!r} has {key} {config.get(key)!r}: topics need {wanted[key]!r}")
        stream = cls(link, name, info)
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

    async def after(self, pattern: str, number: int, count: int = READ_BATCH) -> tuple[list[Record], int]:
        """Read messages after a number, and tell how many follow those."""
        question = {"seq": number + 1, "next_by_subj": self.subject(pattern), "batch": count, "max_bytes": BATCH_BYTES}
        *found, end = await self.link.ask_many(f"$JS.API.DIRECT.GET.{self.name}", question, _is_end)
        headers = end.headers or {}
        if headers["Status"] == "404":
            return [], 0
        if headers["Status"] != "204":
            raise TopicsError(f"NATS does not give what stream {self.name!r} keeps: {headers}")
        return [self.record(one.headers or {}, one.data) for one in found], int(headers["Nats-Num-Pending"])

    async def before_last(self, pattern: str, count: int) -> int:
        """Find the number after which there are just so many messages, or the beginning if there are not more."""
        low, high = 0, (await self.newest()).number
        first, pending = await self.after(pattern, 0, 1)
        if not first or pending + 1 <= count:
            return 0
        while low + 1 < high:
            middle = (low + high) // 2
            found, pending = await self.after(pattern, middle, 1)
            if len(found) + pending > count:
                low = middle
            elif len(found) + pending == count:
                return middle
            else:
                high = middle
        return low

    async def gap(self, pattern: str, since: Position) -> Gap | None:
        """Tell whether messages after a position may be missing, of those that have been read until now."""
        info = await self._info({"subjects_filter": self.subject(pattern)})
        state = info["state"]
        counts: dict[str, int] = state.get("subjects") or {}
        if since.epoch != self.epoch or since.number > state["last_seq"]:
            return Gap(pattern, str(since), "the stream is another one since", anew=True)
        most = info["config"]["max_msgs_per_subject"]
        full = [subject for subject, count in counts.items() if count >= most > 0]
        if (
            state["first_seq"] > since.number + 1
            or info.get("total", 0) > len(counts)  # the server tells 100,000 at a time
            or await self._discarded(full, since)
        ):
            return Gap(pattern, str(since), "they are no longer kept")
        return None

    async def _info(self, question: dict[str, Any]) -> dict[str, Any]:
        """Ask how the stream is; raises `TopicsError`, and connects anew, if it is another one than was found."""
        info = await self.link.ask(f"$JS.API.STREAM.INFO.{self.name}", question)
        if _epoch(info["created"]) != self.epoch:
            self.link.why = TopicsError(f"the stream {self.name!r} was made anew")
            self.link.lost.set()
            raise self.link.why
        self._replicas = info["config"]["num_replicas"]
        return info

    async def _discarded(self, full: Sequence[str], since: Position) -> bool:
        """Tell whether a topic that is full begins after a position."""
        if len(full) > FULL_TOPICS:
            return True
        for subject in full:
            first = await self._ask_leader({"seq": 1, "next_by_subj": subject})
            if first is None or first > since.number:
                return True
        return False

    async def is_behind(self, pattern: str, number: int) -> bool:
        """Tell whether there are messages after a number that a replica may not have yet: any of them reads."""
        if self._replicas == 1:
            return False
        return (await self._ask_leader({"last_by_subj": self.subject(pattern)}) or 0) > number

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
        "name": name,
        "subjects": [f"{name}.in.>"],
        "retention": "limits",
        "discard": "old",
        "storage": "file",
        "num_replicas": 1,
        "max_msgs_per_subject": limits.count,
        "max_bytes": limits.size,
        "max_age": int((limits.age or 0) * SECOND),
        "duplicate_window": int(min(DUPLICATES, limits.age or DUPLICATES) * SECOND),
        "allow_direct": True,
        "republish": {"src": f"{name}.in.>", "dest": f"{name}.live.>"},
    }


def _is_end(message: Msg) -> bool:
    return "Status" in (message.headers or {})


def _epoch(created: str) -> int:
    """Read when the stream was made, in microseconds."""
    seconds, _, fraction = created.rstrip("Z").partition(".")
    moment = datetime.fromisoformat(f"{seconds}+00:00")
    return int(moment.timestamp()) * 1_000_000 + int(re.sub(r"\D.*", "", fraction)[:6].ljust(6, "0"))
