import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import rxws
from rxws.testing import MemoryDialer, VirtualLoop, connect
from tests.streams import opened, raising, turns, watch

VIRTUAL = True

QUICK = rxws.Backoff(initial=0.001, maximum=0.001)


async def arrive(offline: Any, messages: list[Any], wait: float = 0, **options: Any) -> tuple[list[Any], list[Any]]:
    """What arrives of messages that were sent offline, and what is dropped."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK, offline=offline, **options) as socket:
        dropped: list[Any] = []
        socket.dropped.subscribe(dropped.append)
        for message in messages:
            socket.outgoing.on_next(message)
        await asyncio.sleep(wait)
        dialer.answering.set()
        await turns()
        socket.outgoing.on_next("online")
        await turns()
        assert socket.stats.dropped == len(dropped)
    return list(dialer.peer.sent), dropped


async def test_keep() -> None:
    """The policy keep sends all messages in their order when there is a connection."""
    assert await arrive("keep", list("abc")) == (["a", "b", "c", "online"], [])


async def test_keep_is_bounded() -> None:
    """The policy keep is bounded and drops the newest message."""
    sent, dropped = await arrive("keep", [f"{n:036}" for n in range(10)], max_buffered=500)
    assert [int(message) for message in sent[:-1]] == [0, 1, 2, 3, 4]
    assert [int(message) for message in dropped] == [5, 6, 7, 8, 9]


async def test_keep_follows_overflow() -> None:
    """With an overflow policy of its own, keep follows that one."""
    sent, dropped = await arrive("keep", [f"{n:036}" for n in range(8)], max_buffered=500, overflow="drop_oldest")
    assert [int(message) for message in sent[:-1]] == [3, 4, 5, 6, 7]
    assert [int(message) for message in dropped] == [0, 1, 2]


async def test_latest_sends_the_newest() -> None:
    assert await arrive("latest", list("abc")) == (["c", "online"], ["a", "b"])


async def test_drop_sends_none() -> None:
    assert await arrive("drop", list("abc")) == (["online"], ["a", "b", "c"])


async def test_expire() -> None:
    """The policy expire sends what is young enough."""
    assert await arrive(rxws.expire(10), ["young"]) == (["young", "online"], [])
    assert await arrive(rxws.expire(0.01), ["old", "older"], wait=0.05) == (["online"], ["old", "older"])


@pytest.mark.parametrize("overflow", ["close", "drop_oldest", "drop_newest"])
async def test_expired_makes_room(overflow: str) -> None:
    """What has expired makes room for what is young."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    expire = {"o": rxws.expire(0.01), "y": rxws.expire(60), "k": "keep"}
    options: Any = {"offline": lambda message: expire[message[0]], "overflow": overflow, "max_buffered": 300}
    async with connect(dialer, QUICK, **options) as socket:
        dropped: list[Any] = []
        socket.dropped.subscribe(dropped.append)
        for message in ("k1", "o1", "o2", "y1"):
            socket.outgoing.on_next(message)
        await asyncio.sleep(0.05)
        for message in ("y2", "y3"):
            socket.outgoing.on_next(message)
        dialer.answering.set()
        await opened(socket)
        assert dialer.peer.sent == ["k1", "y1", "y2", "y3"]
        assert dropped == ["o1", "o2"]


class Spelled:
    """Writes numbers and their names, but does not read them."""

    def encode(self, message: dict[str, int]) -> str:
        return "-".join(f"{number}-{name}" for name, number in message.items())

    def decode(self, data: str | bytes) -> Any:
        raise ValueError(data)


class Wide:
    """JSON and as many spaces as make it ten times as long."""

    def encode(self, message: Any) -> str:
        data = rxws.json.encode(message)
        return data + " " * 9 * len(data)

    def decode(self, data: str | bytes) -> Any:
        return rxws.json.decode(data)


@asynccontextmanager
async def offline(negotiated: str | None, protocols: Any, **options: Any) -> AsyncIterator[tuple[Any, MemoryDialer]]:
    """A client that is offline; what comes of its messages once it is not is to be seen when the block ends."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    dialer.protocol = negotiated
    async with connect(dialer, QUICK, protocols=protocols, **options) as socket:
        yield socket, dialer
        dialer.answering.set()
        await opened(socket)


@pytest.mark.parametrize(("negotiated", "sent"), [("v2", ['{"a":1}']), ("v1", ["1-a"]), (None, [])])
async def test_encoded_for_protocol(negotiated: Any, sent: list[str]) -> None:
    """What waits is encoded for the protocol that is negotiated."""
    async with offline(negotiated, {"v2": rxws.json, "v1": Spelled()}) as (socket, dialer):
        errors = watch(errors=socket.errors)
        socket.outgoing.on_next({"a": 1})
        assert errors == []
    assert dialer.peer.sent == sent
    assert [type(entry[1]) for entry in errors[:-1]] == ([] if sent else [rxws.EncodeError])


@pytest.mark.parametrize("overflow", ["close", "drop_oldest", "drop_newest", "latest", rxws.latest_by(str)])
async def test_wider_frames_are_dropped(overflow: Any) -> None:
    """What does not fit any more, since another codec makes wider frames, is dropped, counted and told."""
    options: Any = {"overflow": overflow, "max_buffered": 500 * (64 + 5)}
    async with offline("wide", {"json": rxws.json, "wide": Wide()}, **options) as (socket, dialer):
        log = watch(dropped=socket.dropped)
        offered = list(range(10_000, 10_500))
        for number in offered:
            socket.outgoing.on_next(number)
    kept = 1 if overflow == "latest" else 500 * (64 + 5) // (64 + 50)
    assert len(dialer.peer.sent) == kept == 500 - socket.stats.dropped
    dropped = [entry[1] for entry in log[:-1]]
    assert sorted([*dropped, *map(rxws.json.decode, dialer.peer.sent)]) == offered
    assert (dropped[0] == offered[0]) is (overflow not in ("close", "drop_newest"))


async def test_losses_are_told_behind_the_last() -> None:
    """What is sent when a loss is told comes behind what waits already."""
    options: Any = {"overflow": "drop_oldest", "max_buffered": 4 * (64 + 20)}
    async with offline("wide", {"json": rxws.json, "wide": Wide()}, **options) as (socket, dialer):
        socket.dropped.subscribe(lambda number: socket.outgoing.on_next(99) if number == 10 else None)
        for number in (10, 11, 12, 13, 14):
            socket.outgoing.on_next(number)
    assert [rxws.json.decode(data) for data in dialer.peer.sent] == [12, 13, 14, 99]


@pytest.mark.parametrize("first", ["json", "wide"])
@pytest.mark.parametrize("negotiated", ["json", "wide"])
async def test_changed_since(first: str, negotiated: str) -> None:
    """A message that has changed since `on_next` goes out as it was, whichever codec is negotiated."""
    codecs = {"json": rxws.json, "wide": Wide()}
    async with offline(negotiated, {name: codecs[name] for name in (first, *codecs)}) as (socket, dialer):
        message = {"bid": 1}
        socket.outgoing.on_next(message)
        message["bid"] = 2
    assert [rxws.json.decode(data) for data in dialer.peer.sent] == [{"bid": 1}]


class Written(Spelled):
    pure = True


async def test_changed_and_not_readable() -> None:
    """A message that has changed, and cannot be read from its frame, is dropped; what has not changed is sent."""
    async with offline("json", {"spelled": Written(), "json": rxws.json}) as (socket, dialer):
        log = watch(dropped=socket.dropped, undelivered=socket.undelivered)
        messages = [{"bid": 1}, {"bid": 2}]
        for message in messages:
            socket.outgoing.on_next(message)
        messages[0]["bid"] = 3
    assert dialer.peer.sent == ['{"bid":2}']
    assert log == [("dropped", {"bid": 3}), "dropped|", "undelivered|"]
    assert socket.stats.dropped == 1


async def test_latest_of_codecs_that_are_not_pure() -> None:
    """The policy latest keeps one message, also where a copy of it waits, for the codec that is to be negotiated."""
    async with offline("json", {"spelled": Spelled(), "json": rxws.json}, offline="latest") as (socket, dialer):
        log = watch(dropped=socket.dropped)
        for number in range(3):
            socket.outgoing.on_next({"bid": number})
    assert dialer.peer.sent == ['{"bid":2}']
    assert log == [("dropped", {"bid": 0}), ("dropped", {"bid": 1}), "dropped|"]


@pytest.mark.parametrize("raised", [rxws.Close(4005), asyncio.CancelledError(), ValueError()], ids=repr)
async def test_raising_costs_one_message(raised: BaseException) -> None:
    """What a codec or a key function raises over one message that waits costs none of the others."""

    class Raising:
        encode = decode = staticmethod(lambda data: raising(raised)() if data == "b" else data)

    def key(message: str) -> str:
        return raising(KeyError(message))() if message == "d" and keyed["d"] else keyed.setdefault(message, message)

    keyed = {"d": ""}
    async with offline("v1", {"v2": rxws.codecs.text, "v1": Raising()}, overflow=rxws.latest_by(key)) as (
        socket,
        dialer,
    ):
        errors = watch(errors=socket.errors)
        for message in "abcde":
            socket.outgoing.on_next(message)
        keyed["d"] = "raise"
    assert dialer.peer.sent == ["a", "c", "e"]
    assert (await socket.closed).code == (4005 if isinstance(raised, rxws.Close) else 1000)
    kinds = [type(entry[1]) for entry in errors[:-1]]
    assert kinds == [KeyError] if isinstance(raised, rxws.Close) else [rxws.EncodeError, KeyError]


@pytest.mark.parametrize("overflow", ["close", "drop_oldest", "drop_newest"])
async def test_policy_per_message(overflow: str) -> None:
    """Each message may have its own policy."""

    def policy(message: str) -> Any:
        return {"t": "latest", "d": "drop", "e": rxws.expire(0.01)}.get(message[0], "keep")

    messages = ["k1", "t1", "d1", "e1", "k2", "t2"]
    sent, dropped = await arrive(policy, messages, wait=0.05, overflow=overflow)
    assert sent == ["k1", "k2", "t2", "online"]
    assert dropped == ["d1", "t1", "e1"]


async def test_overflow_latest() -> None:
    """With the overflow policy latest only the newest message waits."""
    assert await arrive("keep", list("abc"), overflow="latest") == (["c", "online"], ["a", "b"])


async def test_overflow_latest_by() -> None:
    """With latest_by the newest message of each key waits, and the offline policy still rules."""
    by_letter = rxws.latest_by(lambda message: message[0])
    sent, dropped = await arrive(
        lambda message: "latest" if message > "c" else "keep", ["a1", "b1", "a2", "x", "y"], overflow=by_letter
    )
    assert (sent, dropped) == (["a2", "b1", "y", "online"], ["a1", "x"])


async def test_bad_policy_result() -> None:
    """A policy that makes no sense is an error of the stream."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK, offline=lambda message: "burn") as socket:
        log = watch(errors=socket.errors)
        socket.outgoing.on_next("hello")
    assert str(log[0][1]).startswith("the offline policy of 'hello' is 'burn'")


async def test_hold_ends_with_expiry() -> None:
    """A hold by what waits ends when that expires."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK, offline=rxws.expire(0.01), high_water=100) as socket:
        seen: list[Any] = []
        socket.incoming.subscribe(seen.append)
        for _ in range(5):
            socket.outgoing.on_next("x" * 100)
        await asyncio.sleep(0.05)
        dialer.answering.set()
        await turns()
        dialer.peer.send("hello")
        await turns()
        assert seen == ["hello"]
        assert dialer.peer.sent == []


async def test_expiry_while_closing() -> None:
    """What expires while a close waits for a connection is seen to be dropped."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK, offline=rxws.expire(0.01)) as socket:
        log = watch(dropped=socket.dropped, undelivered=socket.undelivered)
        socket.outgoing.on_next("old")
        socket.close()
        await asyncio.sleep(0.05)
        dialer.answering.set()
    assert log == [("dropped", "old"), "dropped|", "undelivered|"]


class TickingLoop(VirtualLoop):
    """A loop whose clock goes on while it is read, as every real one does."""

    def time(self) -> float:
        self._jumps.now += 0.001
        return super().time()


def test_expiry_while_the_clock_is_read() -> None:
    """Each message that waited is sent or dropped, however the clock goes on while the buffer makes room."""

    async def overflow() -> None:
        dialer = MemoryDialer()
        dialer.answering.clear()
        async with connect(dialer, QUICK, offline=rxws.expire(1), max_buffered=100 * 69) as socket:
            dropped: list[Any] = []
            socket.dropped.subscribe(dropped.append)
            for number in range(3000):
                socket.outgoing.on_next(f"{number:05}")
            stats = socket.stats
            assert stats.buffered_bytes == 69 * stats.buffered <= 100 * 69
            assert len(dropped) + stats.buffered == 3000
            dialer.answering.set()
            await opened(socket)
            fates = [*dropped, *dialer.peer.sent]
            assert sorted(fates) == [f"{number:05}" for number in range(3000)]

    with asyncio.Runner(loop_factory=TickingLoop) as runner:
        runner.run(overflow())
