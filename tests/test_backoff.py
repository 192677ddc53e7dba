import math
import random
from typing import Any

import pytest

import rxws
from rxws.backoff import LONGEST_RETRY_AFTER, full, is_final
from tests.ids import named


def refused(status: int, retry_after: float | None = None) -> rxws.ConnectError:
    return rxws.ConnectError(f"the server answered {status}", "http", status=status, retry_after=retry_after)


async def coroutine(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    ("because", "final"),
    [
        *((rxws.Close(code), True) for code in (1000, 1008, 4000, 4999)),
        *((rxws.Close(code), False) for code in (1001, 1002, 1009, 1011, 1012, 1013, 1014, 3000)),
        (rxws.Close.received(1005), True),
        (rxws.Close.received(1006), False),
        *((refused(status), True) for status in (400, 401, 403, 404, 410, 426)),
        *((refused(status), False) for status in (200, 408, 425, 429, 500, 502, 503)),
        *((rxws.ConnectError("", stage), False) for stage in ("dns", "tcp", "tls", "proxy", "handshake", "timeout")),
        *((error, False) for error in (rxws.ConnectionLost(), rxws.HeartbeatTimeout(), OSError(), TimeoutError())),
        (rxws.ProtocolError("bad frame"), False),
        (ExceptionGroup("", [OSError(), ExceptionGroup("", [rxws.ConnectionLost()])]), False),
        (ExceptionGroup("", [OSError(), ExceptionGroup("", [KeyError()])]), True),
        *((error, True) for error in (KeyError("token"), TypeError(), ValueError("no URL"))),
    ],
    ids=repr,
)
def test_is_final(because: Exception, final: bool) -> None:
    """The default rule of what is final."""
    assert is_final(because) is final


BUG, BYE, NO_CODE = KeyError("token"), rxws.Close(1000), rxws.Close.received(1005)
REFUSALS = [rxws.Close(1008), rxws.Close(4401), refused(401), BUG]
RULES: dict[Any, list[Exception]] = {"polite": [BYE, NO_CODE, *REFUSALS], "refused": REFUSALS, "never": [BUG]}


@pytest.mark.parametrize("rule", RULES)
def test_final_rules(rule: Any) -> None:
    """The rules that have a name differ in which of the peer's words they take for the last one."""
    coming_back = [rxws.Close(1001), rxws.Close(1012), rxws.Close.received(1006), refused(503), OSError()]
    last = rxws.Backoff(final=rule).is_last
    assert [one for one in [*RULES["polite"], *coming_back] if last(one)] == RULES[rule]
    assert last(ExceptionGroup("", [OSError(), RULES[rule][0]]))


def test_waits_grow_to_the_maximum() -> None:
    backoff = rxws.Backoff(initial=1, factor=2, maximum=10, jitter=lambda ceiling: ceiling)
    assert [backoff.delay(failures, OSError()) for failures in (0, 1, 2, 3, 4, 10**9)] == [1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize("factor", [1, 2, 3, 3.0, 10, 1e300, math.inf])
def test_waits_after_many_failures(factor: float) -> None:
    """However long an outage is, there is another attempt: no factor is too large for a float."""
    backoff = rxws.Backoff(initial=0.5, maximum=30, factor=factor, jitter=lambda ceiling: ceiling)
    assert [backoff.delay(failures, OSError()) for failures in (700, 10**6)] == [0.5 if factor == 1 else 30] * 2


def test_full_jitter() -> None:
    """Full jitter is anything up to the ceiling."""
    random.seed(1)
    waits = [full(10) for _ in range(1000)]
    assert 0 <= min(waits) < 0.5
    assert 9.5 < max(waits) <= 10
    assert 4 < sum(waits) / len(waits) < 6


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, -0.1])
def test_a_jitter_that_is_not_a_wait(wrong: float) -> None:
    """A wait that would never end, or take away from that of a `Retry-After`, is an error."""
    with pytest.raises(ValueError, match=f"jitter must return a number of seconds, 0 or more, not {wrong}"):
        rxws.Backoff(jitter=lambda ceiling: wrong).delay(0, OSError())


def test_retry_after() -> None:
    """What the server asks for is honored within an hour."""
    backoff = rxws.Backoff(initial=1, jitter=lambda ceiling: ceiling)
    assert backoff.delay(0, refused(503, retry_after=7)) == 8
    assert backoff.delay(0, refused(503)) == 1
    assert backoff.delay(0, refused(503, retry_after=1e9)) == 1 + LONGEST_RETRY_AFTER
    several = [OSError(), refused(503, retry_after=7), ExceptionGroup("", [refused(503, retry_after=9), refused(503)])]
    assert backoff.delay(0, ExceptionGroup("", several)) == 10


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"initial": 0}, ValueError, "initial must be a positive number of seconds, not 0"),
        ({"initial": "1"}, TypeError, "initial must be a positive number of seconds, not '1'"),
        ({"maximum": 0.1}, ValueError, "maximum must not be below initial, 0.5, but is 0.1"),
        ({"maximum": float("inf")}, ValueError, "maximum must be a positive number of seconds, not inf"),
        ({"factor": 0.5}, ValueError, "factor must be 1 or more, not 0.5"),
        ({"reset_after": -1}, ValueError, "reset_after must be a positive number of seconds, not -1"),
        ({"rotate_every": 0}, ValueError, "rotate_every must be a positive number of seconds, or None for never"),
        ({"max_attempts": 0}, ValueError, "a positive whole number of attempts, or None for no limit, not 0"),
        ({"max_attempts": 1.5}, TypeError, "max_attempts must be a positive whole number"),
        ({"factor": "2"}, TypeError, "factor must be 1 or more, not '2'"),
        ({"stale_after": 0}, ValueError, "stale_after must be a positive number of seconds, or None for never, not 0"),
        ({"jitter": 1}, TypeError, "jitter must be a function, not 1"),
        ({"jitter": coroutine}, TypeError, "jitter must be a function, not a coroutine function"),
        ({"final": coroutine}, TypeError, "final must be a function, not a coroutine function"),
        ({"final": [1000]}, TypeError, r"final must be a function, or one of 'polite', .* not \[1000\]"),
        ({"final": "rude"}, TypeError, r"final must be a function, or one of 'polite', .* not 'rude'"),
        ({"final": (1000,)}, TypeError, r"final must be a function, or one of 'polite', .* not \(1000,\)"),
    ],
    ids=named,
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        rxws.Backoff(**options)
