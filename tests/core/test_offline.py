import asyncio
from typing import Any

import pytest
from reactivex import operators as ops

import rxws
from rxws.testing import MemoryDialer, connect
from tests.streams import turns, watch

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


async def test_keep_sends_all_in_their_order_when_there_is_a_connection() -> None:
    assert await arrive("keep", list("abc")) == (["a", "b", "c", "online"], [])


async def test_keep_is_bounded_and_drops_the_newest() -> None:
    sent, dropped = await arrive("keep", [f"{n:036}" for n in range(10)], max_buffered=500)
    assert [int(message) for message in sent[:-1]] == [0, 1, 2, 3, 4]
    assert [int(message) for message in dropped] == [5, 6, 7, 8, 9]


async def test_keep_with_an_overflow_policy_of_its_own_follows_that() -> None:
    sent, dropped = await arrive("keep", [f"{n:036}" for n in range(8)], max_buffered=500, overflow="drop_oldest")
    assert [int(message) for message in sent[:-1]] == [3, 4, 5, 6, 7]
    assert [int(message) for message in dropped] == [0, 1, 2]


async def test_latest_sends_the_newest() -> None:
    assert await arrive("latest", list("abc")) == (["c", "online"], ["a", "b"])


async def test_drop_sends_none() -> None:
    assert await arrive("drop", list("abc")) == (["online"], ["a", "b", "c"])


async def test_expire_sends_what_is_young_enough() -> None:
    assert await arrive(rxws.expire(10), ["young"]) == (["young", "online"], [])
    assert await arrive(rxws.expire(0.01), ["old", "older"], wait=0.05) == (["online"], ["old", "older"])


@pytest.mark.parametrize("overflow", ["close", "drop_oldest", "drop_newest"])
async def test_what_has_expired_makes_room_for_what_is_young(overflow: str) -> None:
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
        await socket.states.pipe(ops.first(lambda state: isinstance(state, rxws.Open)))
        await turns()
        assert dialer.peer.sent == ["k1", "y1", "y2", "y3"]
        assert dropped == ["o1", "o2"]


@pytest.mark.parametrize(("negotiated", "sent"), [("v2", ['{"a":1}']), ("v1", ["1-a"]), (None, [])])
async def test_what_waits_is_encoded_for_the_protocol_that_is_negotiated(negotiated: Any, sent: list[str]) -> None:
    class Spelled:
        def encode(self, message: dict[str, int]) -> str:
            return "-".join(f"{number}-{name}" for name, number in message.items())

        def decode(self, data: str | bytes) -> Any:
            return data

    dialer = MemoryDialer()
    dialer.answering.clear()
    dialer.protocol = negotiated
    async with connect(dialer, QUICK, protocols={"v2": rxws.json, "v1": Spelled()}) as socket:
        errors = watch(errors=socket.errors)
        socket.outgoing.on_next({"a": 1})
        assert errors == []
        dialer.answering.set()
        await socket.states.pipe(ops.first(lambda state: isinstance(state, rxws.Open)))
        await turns()
        assert dialer.peer.sent == sent
        assert [type(error) for _, error in errors] == ([] if sent else [rxws.EncodeError])


@pytest.mark.parametrize("overflow", ["close", "drop_oldest", "drop_newest"])
async def test_each_message_may_have_its_own_policy(overflow: str) -> None:
    def policy(message: str) -> Any:
        return {"t": "latest", "d": "drop", "e": rxws.expire(0.01)}.get(message[0], "keep")

    messages = ["k1", "t1", "d1", "e1", "k2", "t2"]
    sent, dropped = await arrive(policy, messages, wait=0.05, overflow=overflow)
    assert sent == ["k1", "k2", "t2", "online"]
    assert dropped == ["d1", "t1", "e1"]


async def test_with_the_overflow_policy_latest_only_the_newest_waits() -> None:
    assert await arrive("keep", list("abc"), overflow="latest") == (["c", "online"], ["a", "b"])


async def test_with_latest_by_the_newest_of_each_key_waits_and_the_offline_policy_still_rules() -> None:
    by_letter = rxws.latest_by(lambda message: message[0])
    sent, dropped = await arrive(
        lambda message: "latest" if message > "c" else "keep", ["a1", "b1", "a2", "x", "y"], overflow=by_letter
    )
    assert (sent, dropped) == (["a2", "b1", "y", "online"], ["a1", "x"])


async def test_a_policy_that_makes_no_sense_is_an_error_of_the_stream() -> None:
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK, offline=lambda message: "burn") as socket:
        log = watch(errors=socket.errors)
        socket.outgoing.on_next("hello")
    assert str(log[0][1]).startswith("the offline policy of 'hello' is 'burn'")


def test_bad_policies_are_refused_early() -> None:
    with pytest.raises(ValueError, match="offline must be 'keep', 'latest', 'drop'"):
        rxws.connect("ws://localhost", reconnect=QUICK, offline="burn")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="a message expires after a positive number of seconds, not 0"):
        rxws.expire(0)
    with pytest.raises(ValueError, match="offline is for sockets that come back"):
        rxws.connect("ws://localhost", offline="drop")


async def test_a_hold_by_what_waits_ends_when_it_expires() -> None:
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


async def test_what_expires_while_a_close_waits_for_a_connection_is_seen_to_be_dropped() -> None:
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK, offline=rxws.expire(0.01)) as socket:
        log = watch(dropped=socket.dropped, undelivered=socket.undelivered)
        socket.outgoing.on_next("old")
        socket.close()
        await asyncio.sleep(0.05)
        dialer.answering.set()
    assert log == [("dropped", "old"), "dropped|", "undelivered|"]
