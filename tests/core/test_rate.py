from rxws.core.limits import Rate


def test_a_burst_of_one_second_s_worth_passes_and_the_next_does_not() -> None:
    rate = Rate(5)
    assert [rate.admits(10.0) for _ in range(6)] == [True] * 5 + [False]


def test_tokens_come_back_with_time_but_never_more_than_the_burst() -> None:
    rate = Rate(2)
    assert [rate.admits(0), rate.admits(0), rate.admits(0.4), rate.admits(0.9), rate.admits(100)] == [1, 1, 0, 1, 1]
    assert [rate.admits(100), rate.admits(100)] == [True, False]


def test_less_than_one_a_second_still_admits_one() -> None:
    rate = Rate(0.1)
    assert [rate.admits(0), rate.admits(5), rate.admits(10.1)] == [True, False, True]
