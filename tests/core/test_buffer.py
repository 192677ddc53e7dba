import pytest

from rxws.core.buffer import Buffer, Full, make_buffer
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


def test_close_refuses_what_is_over_the_limit() -> None:
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


def test_latest_keeps_the_newest_while_the_wire_is_congested() -> None:
    buffer = make_buffer("latest", LIMIT)
    assert fill(buffer, "a", "b", "c") == ["a", "b"]
    assert rest(buffer) == "c"


def test_latest_keeps_all_while_it_is_not() -> None:
    buffer = make_buffer("latest", LIMIT)
    assert fill(buffer, "a", "b", "c", congested=False) == []
    assert fill(buffer, "d") == ["a", "b", "c"]
    assert rest(buffer) == "d"


def test_latest_drops_the_oldest_at_the_limit_even_if_the_wire_is_not_congested() -> None:
    buffer = make_buffer("latest", LIMIT)
    assert fill(buffer, "a", "b", "c", "d", congested=False) == ["a"]
    assert rest(buffer) == "bcd"


def test_latest_by_keeps_the_newest_of_each_key_in_its_place() -> None:
    buffer = make_buffer(latest_by(lambda message: message[0]), 10_000)
    assert fill(buffer, "a1", "b1", "a2", "c1", "b2") == ["a1", "b1"]
    assert rest(buffer) == "a2b2c1"


def test_latest_by_is_bounded_over_all_keys() -> None:
    buffer = make_buffer(latest_by(lambda message: message), LIMIT)
    assert fill(buffer, "a", "b", "c", "d") == ["a"]
    assert fill(buffer, "b") == ["b"]
    assert buffer.weight == LIMIT
    assert rest(buffer) == "bcd"


@pytest.mark.parametrize("policy", ["close", "drop_oldest", "drop_newest", "latest"])
def test_a_message_heavier_than_the_limit_passes_alone(policy: str) -> None:
    buffer = make_buffer(policy, 10)  # type: ignore[arg-type]
    assert fill(buffer, "x" * 1000) == []
    assert len(buffer) == 1


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "latest", latest_by(id)])
def test_empty_messages_are_bounded_too(policy: str) -> None:
    buffer = make_buffer(policy, 100 * MESSAGE_WEIGHT)  # type: ignore[arg-type]
    fill(buffer, *[""] * 1000, congested=False)
    assert len(buffer) == 100


@pytest.mark.parametrize("policy", ["close", "latest"])
def test_as_many_are_taken_at_once_as_weigh_a_limit_but_one_at_the_least(policy: str) -> None:
    buffer = make_buffer(policy, 10_000)  # type: ignore[arg-type]
    fill(buffer, "a", "b", "c", "d" * 100, "e", congested=False)
    taken = [[one.message for one in buffer.pop(2 * (MESSAGE_WEIGHT + 1))] for _ in range(4)]
    assert taken == [["a", "b"], ["c"], ["d" * 100], ["e"]]
    assert (buffer.weight, buffer.pop(1)) == (0, [])
