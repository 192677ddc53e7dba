"""The members of one topic, as one set."""

from __future__ import annotations

from reactivex import Observer

from rxws.errors import FeedbackLoop
from rxws.topics import Present
from rxws.topics.presence.roster import Roster, Stay


def test_newest_stay_counts() -> None:
    """The newest of several stays counts, in whatever order they come."""
    for first, second, since in (("a", "b", 1), ("b", "a", 1), ("a", "b", 3), ("b", "a", 3)):
        roster = Roster(print)
        roster.update(first, {"ada": Stay(since, since)})
        roster.update(second, {"ada": Stay(2, 2)})
        roster.open()
        shown: list[Present] = []
        roster.subscribe(Observer(shown.append))
        assert shown == [Present({"ada": max(since, 2)})]


def test_members_that_feed_themselves_are_cut() -> None:
    """A subscriber that joins and leaves with each change that it is shown does not go on forever."""
    errors: list[Exception] = []
    shown: list[Present] = []
    roster = Roster(errors.append)

    def come_and_go(present: Present) -> None:
        assert len(shown) < 10_000, "it would never end"
        shown.append(present)
        roster.update("here", {} if "ada" in present.members else {"ada": Stay(1, None)})

    roster.open()
    roster.subscribe(Observer(come_and_go))
    assert [type(error) for error in errors] == [FeedbackLoop]
    assert len(shown) == 1001
    roster.update("there", {"alan": Stay(2, None)})
    assert "alan" in shown[-1].members
