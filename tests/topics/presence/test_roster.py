"""The members of one topic, as one set."""

from __future__ import annotations

from reactivex import Observer

from rxws.topics import Present
from rxws.topics.presence.roster import Roster, Stay


def test_newest_stay_counts() -> None:
    """The newest of several stays counts, in whatever order they come."""
    for first, second, since in (("a", "b", 1), ("b", "a", 1), ("a", "b", 3), ("b", "a", 3)):
        roster = Roster(print)
        roster.say(first, {"ada": Stay(since, since)})
        roster.say(second, {"ada": Stay(2, 2)})
        roster.open()
        shown: list[Present] = []
        roster.subscribe(Observer(shown.append))
        assert shown == [Present({"ada": max(since, 2)})]
