"""Messages that wait for a connection, whatever their policies, weights and ages: each has one fate, and counts."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import rxws
from rxws.testing import MemoryDialer, connect
from tests.fuzzing.machine import TICK, check_buffer
from tests.fuzzing.profiles import few
from tests.fuzzing.virtual import VirtualLoop
from tests.streams import turns

POLICIES: dict[str, Any] = {
    "k": "keep",
    "l": "latest",
    "d": "drop",
    "e": rxws.expire(5 * TICK),
    "f": rxws.expire(20 * TICK),
}
OVERFLOWS = ("close", "drop_oldest", "drop_newest", "latest", rxws.latest_by(lambda message: message[0]))
MESSAGES = st.lists(st.tuples(st.sampled_from(sorted(POLICIES)), st.integers(0, 120)), max_size=40)


class Wide:
    """Text, made wider."""

    def encode(self, message: str) -> str:
        return message + " " * 100

    def decode(self, data: str | bytes) -> Any:
        return str(data).rstrip()


@given(overflow=st.sampled_from(OVERFLOWS), messages=MESSAGES, protocol=st.sampled_from(["text", "wide"]))
@few(200)
def test_each_has_one_fate(overflow: Any, messages: list[tuple[str, int]], protocol: str) -> None:
    """Whatever waits while offline is sent or dropped, once, and the buffer has in it what it says."""
    loop = VirtualLoop()
    offered = [f"{policy}{number}{'.' * size}" for number, (policy, size) in enumerate(messages)]
    fates: list[Any] = []

    async def wait() -> None:
        dialer = MemoryDialer()
        dialer.answering.clear()
        dialer.protocol = protocol
        protocols = {"text": rxws.codecs.text, "wide": Wide()}
        options: Any = {"overflow": overflow, "offline": lambda message: POLICIES[message[0]], "protocols": protocols}
        async with connect(dialer, rxws.Backoff(), max_buffered=600, **options) as socket:
            socket.dropped.subscribe(fates.append)
            loop.tick = TICK
            for message in offered:
                socket.outgoing.on_next(message)
                check_buffer(socket)
            loop.tick = 0.0
            dialer.answering.set()
            await turns()
            check_buffer(socket)
        fates.extend(data.rstrip() for data in dialer.peer.sent if isinstance(data, str))

    try:
        loop.run_until_complete(wait())
    finally:
        loop.close()
    assert sorted(fates) == sorted(offered)
