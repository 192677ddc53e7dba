"""A client that comes back, whatever happens to its connections: nothing is sent twice, and each stream ends once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from reactivex import abc

import rxws
from rxws.core.phases import WirePhase
from rxws.errors import ConnectError
from rxws.testing import MemoryDialer, MemoryWire, connect
from tests.fuzzing.machine import CLOSE_TIMEOUT, THEN, Machine, event, happenings, often
from tests.fuzzing.profiles import few

POLICIES = ("close", "drop_oldest", "drop_newest", "latest")
OFFLINE = ("keep", "latest", "drop", rxws.expire(2.0))


class Return(Machine):
    """A client's socket, and the peers of its connections."""

    socket: rxws.ClientWebSocket[Any, Any]

    @initialize(
        overflow=st.sampled_from(POLICIES),
        offline=st.sampled_from(OFFLINE),
        heartbeat=st.sampled_from([None, 3.0]),
        max_attempts=st.sampled_from([None, 3]),
        rotate_every=st.sampled_from([None, 6.0]),
        observed=st.booleans(),
        answers=st.booleans(),
    )
    def begin(self, max_attempts: Any, rotate_every: Any, observed: bool, answers: bool, **options: Any) -> None:
        self.topic: abc.DisposableBase | None = None
        self.ended_topics = self.topics = 0
        backoff = rxws.Backoff(
            initial=1.0, jitter=lambda ceiling: ceiling, max_attempts=max_attempts, rotate_every=rotate_every
        )

        async def open() -> None:
            self.dialer = MemoryDialer()
            if not answers:
                self.dialer.answering.clear()
            self.socket = await connect(
                self.dialer, backoff, close_timeout=CLOSE_TIMEOUT, max_buffered=300, high_water=150, **options
            )
            self.note("states", "outgoing", "dropped", "undelivered", "closed", *["errors"] * observed)

        self.loop.run_until_complete(open())

    # The peers

    def with_peer(self, event: Callable[[MemoryWire], object]) -> None:
        if self.dialer.wires and not self.dialer.peer.ended and self.dialer.peer.phase is not WirePhase.NEW:
            event(self.dialer.peer)

    @often
    def the_peer_sends(self) -> None:
        self.with_peer(lambda peer: peer.send(f"in {next(self.numbers)}"))

    @event
    def the_peer_stops_reading_or_reads_on(self) -> None:
        self.with_peer(lambda peer: setattr(peer, "congested", not peer.congested))

    @event
    def the_peer_answers_pings_or_not(self) -> None:
        self.with_peer(lambda peer: setattr(peer, "pongs", not peer.pongs))

    @event
    def the_peer_will_not_answer_a_close(self) -> None:
        self.with_peer(lambda peer: setattr(peer, "mute", True))

    @event
    def the_peer_closes_for_now(self) -> None:
        self.with_peer(lambda peer: peer.close(rxws.Close(1001)))

    @event
    def the_peer_violates_the_protocol(self) -> None:
        self.with_peer(lambda peer: peer.violate())

    @event
    def the_connection_breaks(self) -> None:
        self.with_peer(lambda peer: self.loop.call_soon(peer.drop, ConnectionResetError()))

    @event
    def the_first_connection_breaks(self) -> None:
        if self.dialer.wires:
            self.loop.call_soon(self.dialer.wires[0].drop)

    @event
    def the_next_attempt_is_refused(self) -> None:
        self.dialer.refusals.append(ConnectError("refused", "tcp"))

    @event
    def the_next_attempt_is_put_off(self) -> None:
        self.dialer.refusals.append(ConnectError("busy", "http", status=503, retry_after=4.0))

    @event
    def the_network_answers_or_not(self) -> None:
        answering = self.dialer.answering
        (answering.clear if answering.is_set() else answering.set)()

    # The application

    @event
    def somebody_subscribes_to_incoming(self) -> None:
        self.note("incoming")

    @event
    def a_topic_is_subscribed_or_left(self) -> None:
        if self.topic is None:
            self.topics += 1
            topic = self.socket.multiplex(subscribe="in", unsubscribe="leave", matches=lambda _: True)
            self.topic = topic.subscribe(lambda _: None, lambda _: self.end_topic(), self.end_topic)
        else:
            self.topic.dispose()
            self.topic, self.topics = None, self.topics - 1

    def end_topic(self) -> None:
        self.ended_topics += 1

    @event
    def a_question_is_asked(self) -> None:
        self.topics += 1
        answer = self.socket.request("question", matches=lambda message: message.endswith("7"), timeout=4.0)
        answer.subscribe(lambda _: None, lambda _: self.end_topic(), self.end_topic)

    @event
    def the_connection_is_rotated(self) -> None:
        self.socket.rotate()

    @event
    def an_error_is_reported(self) -> None:
        self.socket.errors.on_next(ValueError("reported"))

    ENDINGS: dict[str, Callable[[Any], object]] = {
        **Machine.APPLICATION,
        "the peer closes": lambda life: life.with_peer(lambda peer: peer.close(rxws.Close(4001))),
        "the next attempt is forbidden": lambda life: life.dialer.refusals.append(
            ConnectError("forbidden", "http", status=403)
        ),
    }
    HAPPENINGS = happenings({**vars(Machine), **vars()}, ENDINGS)

    @rule(what=HAPPENINGS, then=THEN)
    def happens(self, what: str, then: float) -> None:
        self.act(what, then)

    # The end

    def check(self) -> None:
        super().check()
        assert isinstance(self.values("states")[-1], rxws.Closed)
        assert self.dialer.closed
        assert all(wire.ended for wire in self.dialer.wires)
        assert self.ended_topics >= self.topics
        sent = Counter(message for wire in self.dialer.wires for message in wire.sent)
        lost = Counter([*self.values("dropped"), *self.values("undelivered")])
        for message in self.offered:
            assert sent[message] <= 1, "nothing is sent twice"
            assert lost[message] <= 1, "nothing is reported twice"
            assert sent[message] + lost[message] >= 1, "nothing vanishes"


def test_client_ends_once_whatever_happens() -> None:
    """Whatever happens, a client that reconnects ends once and sends nothing twice."""
    run_state_machine_as_test(Return, settings=few(80, steps=40))
