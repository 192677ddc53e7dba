import pytest

from rxws.core.buffer import Buffer, Full, HighWater, make_buffer
from rxws.core.wire import MESSAGE_WEIGHT, Frame, Text
from rxws.policies import latest_by

LIMIT = 3 * (MESSAGE_WEIGHT + 1)


def item(message: str) -> Frame:
    return Text(message.encode(), message)


def fill(buffer: Buffer, *messages: str, congested: bool = True) -> list[str]:
    lost: list[str] = []
    for message in messages:
        dropped = buffer.push(item(message), congested)
        lost += [message] if dropped is None else [one.message for one in dropped]
    return lost


def rest(buffer: Buffer) -> str:
    found = "".join(waiting.message for waiting in buffer.pop(buffer.weight))
    assert (buffer.weight, len(buffer), buffer.pop(1)) == (0, 0, [])
    return found


def test_close_refuses() -> None:
    """The policy close refuses what is over the limit."""
    buffer = make_buffer("close", LIMIT)
    assert fill(buffer, "a", "b", "c") == []
    with pytest.raises(Full):
        fill(buffer, "d")
    assert (len(buffer), buffer.weight) == (3, LIMIT)
    assert rest(buffer) == "abc"


def test_drop_oldest_gives_up_the_oldest() -> None:
    buffer = make_buffer("drop_oldest", LIMIT)
    assert fill(buffer, "a", "b", "c", "d", "e") == ["a", "b"]
    assert rest(buffer) == "cde"


def test_drop_newest_gives_up_the_newest() -> None:
    buffer = make_buffer("drop_newest", LIMIT)
    assert fill(buffer, "a", "b", "c", "d", "e") == ["d", "e"]
    assert rest(buffer) == "abc"


def test_latest_while_congested() -> None:
    """The policy latest keeps the newest message while the wire is congested."""
    buffer = make_buffer("latest", LIMIT)
    assert fill(buffer, "a", "b", "c") == ["a", "b"]
    assert rest(buffer) == "c"


def test_latest_while_free() -> None:
    """The policy latest keeps all messages while the wire is not congested."""
    buffer = make_buffer("latest", LIMIT)
    assert fill(buffer, "a", "b", "c", congested=False) == []
    assert fill(buffer, "d") == ["a", "b", "c"]
    assert rest(buffer) == "d"


def test_latest_at_the_limit() -> None:
    """At the limit latest drops the oldest message, even if the wire is not congested."""
    buffer = make_buffer("latest", LIMIT)
    assert fill(buffer, "a", "b", "c", "d", congested=False) == ["a"]
    assert rest(buffer) == "bcd"


def test_latest_by_key() -> None:
    """latest_by keeps the newest message of each key, in its place."""
    buffer = make_buffer(latest_by(lambda message: message[0]), 10_000)
    assert fill(buffer, "a1", "b1", "a2", "c1", "b2") == ["a1", "b1"]
    assert rest(buffer) == "a2b2c1"


def test_latest_by_after_a_while() -> None:
    """What queued while the wire was free is conflated with the next message that comes while it is not."""
    buffer = make_buffer(latest_by(lambda message: message[0]), 10_000)
    assert fill(buffer, "a1", "b1", "a2", "c1", congested=False) == []
    assert fill(buffer, "b2") == ["a1", "b1"]
    assert fill(buffer, "d1", "a3", congested=False) == []
    assert (len(buffer), buffer.weight) == (5, 5 * (MESSAGE_WEIGHT + 2))
    assert [one.message for one in buffer.pop(2 * (MESSAGE_WEIGHT + 2))] == ["a2", "b2"]
    assert fill(buffer, "c2") == ["c1"]
    assert rest(buffer) == "c2d1a3"


def test_latest_by_refuses_what_is_not_a_key() -> None:
    """What cannot be hashed is refused when it comes, also while nothing is conflated."""
    buffer = make_buffer(latest_by(lambda message: [message]), 10_000)
    for congested in (False, True):
        with pytest.raises(TypeError, match="unhashable"):
            fill(buffer, "a", congested=congested)
    assert (len(buffer), buffer.weight) == (0, 0)


def test_latest_by_drops_the_oldest() -> None:
    """At the limit the oldest goes: of those that are conflated first, then of those that queue behind them."""
    buffer = make_buffer(latest_by(lambda message: message[0]), LIMIT)
    assert fill(buffer, "a", "b") == []
    assert fill(buffer, "c", "d", "e", "f", congested=False) == ["a", "b", "c"]
    assert rest(buffer) == "def"
    assert fill(buffer, "a", "b", "c") == []
    assert fill(buffer, "a" * 100) == ["a", "b", "c"]
    assert rest(buffer) == "a" * 100


def test_latest_by_is_bounded() -> None:
    """latest_by is bounded over all keys."""
    buffer = make_buffer(latest_by(lambda message: message), LIMIT)
    assert fill(buffer, "a", "b", "c", "d") == ["a"]
    assert fill(buffer, "b") == ["b"]
    assert buffer.weight == LIMIT
    assert rest(buffer) == "bcd"


@pytest.mark.parametrize("policy", ["close", "drop_oldest", "drop_newest", "latest"])
def test_heavy_message_passes(policy: str) -> None:
    """A message heavier than the limit passes alone."""
    buffer = make_buffer(policy, 10)
    assert fill(buffer, "x" * 1000) == []
    assert len(buffer) == 1


@pytest.mark.parametrize("policy", ["close", "drop_oldest", "drop_newest", "latest", latest_by(id)])
def test_heavy_message_passes_up_to_high_water(policy: str) -> None:
    """A heavy message is taken while no more than high water waits: who waits for room has one in hand."""
    light = "x" * (100 - MESSAGE_WEIGHT)
    buffer = make_buffer(policy, 1000, 200)
    assert fill(buffer, light, light, "y" * 1000, congested=False) == []
    assert len(buffer) == 3
    if policy == "close":
        with pytest.raises(Full):
            fill(buffer, light)
    else:
        assert fill(buffer, light, congested=False) != []


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "latest", latest_by(id)])
def test_empty_messages_are_bounded_too(policy: str) -> None:
    buffer = make_buffer(policy, 100 * MESSAGE_WEIGHT)
    fill(buffer, *[""] * 1000, congested=False)
    assert len(buffer) == 100


@pytest.mark.parametrize("policy", ["close", "latest"])
def test_pop_by_weight(policy: str) -> None:
    """As many messages are taken at once as weigh a limit, and at least one."""
    buffer = make_buffer(policy, 10_000)
    fill(buffer, "a", "b", "c", "d" * 100, "e", congested=False)
    taken = [[one.message for one in buffer.pop(2 * (MESSAGE_WEIGHT + 1))] for _ in range(4)]
    assert taken == [["a", "b"], ["c"], ["d" * 100], ["e"]]
    assert (buffer.weight, buffer.pop(1)) == (0, [])


@pytest.mark.parametrize("policy", ["close", "latest", latest_by(lambda message: message)])
def test_remove_asks_once(policy: str) -> None:
    """What is taken out is asked about once: the answer may change, and the weights still add up."""
    buffer = make_buffer(policy, 10_000)
    fill(buffer, *"abcdef", congested=False)
    answers = iter([False, True] * 3)
    assert [one.message for one in buffer.remove(lambda _: next(answers))] == ["b", "d", "f"]
    assert (len(buffer), buffer.weight) == (3, LIMIT)
    assert rest(buffer) == "ace"


def test_remove_some_that_are_conflated() -> None:
    buffer = make_buffer(latest_by(lambda message: message[0]), 10_000)
    fill(buffer, "a1", "b1", "a2")
    fill(buffer, "a3", "c1", "b2", congested=False)
    assert [one.message for one in buffer.remove(lambda one: one.message[0] == "a")] == ["a2", "a3"]
    assert (len(buffer), buffer.weight) == (3, 3 * (MESSAGE_WEIGHT + 2))
    assert fill(buffer, "d1") == ["b1"]
    assert rest(buffer) == "b2c1d1"


def test_room_at_once() -> None:
    """Whoever asks for room while there is some is called back at once."""
    called: list[str] = []
    HighWater(make_buffer("close", 100), 10).when(lambda: called.append("room"))
    assert called == ["room"]


def test_room_from_a_quarter_on() -> None:
    """Who waits is told when a quarter of the mark waits, with what is on its way; what is more is not room."""
    buffer, called = make_buffer("close", 10_000), list[str]()
    high_water = HighWater(buffer, 1000)
    high_water.hold(None, ())
    high_water.when(lambda: called.append("room"))
    buffer.push(item("x" * 300), congested=False)
    high_water.look()
    buffer.pop(buffer.weight)
    high_water.look(251)
    assert called == []
    high_water.look(250)
    assert (called, high_water.holding) == (["room"], False)
