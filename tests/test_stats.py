"""What is counted."""

import pytest

from rxws.stats import DURATIONS, MAX_KINDS, OTHER, HubStats, tally


def test_kinds_are_limited() -> None:
    """Kinds beyond the limit are counted together."""
    totals: dict[str, int] = {}
    for number in range(100):
        tally(totals, f"Error{number}")
    tally(totals, "Error0")
    assert (len(totals), totals["Error0"], totals[OTHER]) == (MAX_KINDS + 1, 2, 100 - MAX_KINDS)


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (0.1, 0), (0.11, 1), (86400.0, 9), (1e9, 10)])
def test_duration_buckets(seconds: float, bucket: int) -> None:
    """Durations are counted up to and including their bounds."""
    stats = HubStats()
    stats.add_duration(seconds)
    assert stats.durations == [int(number == bucket) for number in range(len(DURATIONS) + 1)]
    assert stats.duration == seconds
