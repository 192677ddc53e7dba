"""Diagrams compared, and what a failure shows."""

import pytest
from reactivex import Observable
from reactivex import operators as ops

from rxws.testing import Marbles, parse, run


def shout(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(str.upper))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("-a-b", "-a-b--", True),
        ("-a-b", "-a--b", False),
        ("-a", "-a-b", False),
        ("-a-b", "-a", False),
        ("-|", "-(close 1000)", True),
        ("-(close 4001 bye)", "-(close 4001)", True),
        ("-(close 4001)", "-(close 4001 bye)", False),
        ("-(close 4001)", "-a", False),
        ("-a", "-|", False),
        ("-(# KeyError)", "-#", True),
        ("-(# KeyError)", "-(# ValueError)", False),
        ("-(close 1006)", "-#", True),
        ("-<1>", "-<true>", False),
        ('-"ab"', "-(ab)", False),
    ],
)
def test_equal_diagrams(one: str, other: str, same: bool) -> None:
    """Diagrams are the same if they say the same."""
    marbles = Marbles(parse(one).events)
    assert (marbles == other) is same
    assert (marbles == Marbles(parse(other).events)) is same
    assert (marbles != other) is not same
    assert marbles != 3


def test_difference() -> None:
    """A difference shows both diagrams one above the other, and marks it."""
    result = run(shout, "-a-b--c|")
    assert result.difference('-A--"longer"-C|').splitlines() == [
        "incoming  -a-b-       -c|",
        'expected  -A--"longer"-C|',
        "     got  -A-B-       -C(close 1000)",
        "             ^^^^^^^^^",
    ]
    lines = run(shout, "-a-b-|").difference("-A-C-(close 1001)").splitlines()
    assert lines == [
        "incoming  -a-b-|",
        "expected  -A-C-(close 1001)",
        "     got  -A-B-(close 1000)",
        "             ^ ^^^^^^^^^^^^",
    ]


def test_missing_and_surplus() -> None:
    """A missing message and one too many are marked."""
    marbles = Marbles(parse("-a---c").events)
    assert marbles.difference("-a-b").splitlines() == ["expected  -a-b", "     got  -a---c", "             ^ ^"]
    assert repr(marbles) == "<-a---c>"
    assert marbles.difference(Marbles(parse("-a").events)).splitlines()[0] == "expected  -a"
