from rxws.core.limits import TokenBucket


def test_a_burst_of_one_second_s_worth_passes_and_the_next_does_not() -> None:
    bucket = TokenBucket(5)
    assert [bucket.admits(10.0) for _ in range(6)] == [True] * 5 + [False]


def test_tokens_come_back_with_time_but_never_more_than_the_burst() -> None:
    bucket = TokenBucket(2)
    assert [bucket.admits(0), bucket.admits(0), bucket.admits(0.4), bucket.admits(0.9), bucket.admits(100)] == [
        1,
        1,
        0,
        1,
        1,
    ]
    assert [bucket.admits(100), bucket.admits(100)] == [True, False]


def test_less_than_one_a_second_still_admits_one() -> None:
    bucket = TokenBucket(0.1)
    assert [bucket.admits(0), bucket.admits(5), bucket.admits(10.1)] == [True, False, True]
