from rxws.core.limits import TokenBucket


def test_burst() -> None:
    """A burst of one second's worth passes, and the next one does not."""
    bucket = TokenBucket(5)
    assert [bucket.admits(10.0) for _ in range(6)] == [True] * 5 + [False]


def test_tokens_come_back() -> None:
    """Tokens come back with time, and never more than the burst."""
    bucket = TokenBucket(2)
    assert [bucket.admits(0), bucket.admits(0), bucket.admits(0.4), bucket.admits(0.9), bucket.admits(100)] == [
        1,
        1,
        0,
        1,
        1,
    ]
    assert [bucket.admits(100), bucket.admits(100)] == [True, False]


def test_slow_rate() -> None:
    """A rate of less than one a second still admits one."""
    bucket = TokenBucket(0.1)
    assert [bucket.admits(0), bucket.admits(5), bucket.admits(10.1)] == [True, False, True]
