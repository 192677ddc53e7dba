"""What presence promises, whatever engine carries it: each engine's tests run this suite on a fixture `topics`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws import operators as rxops
from rxws.testing import serve
from rxws.topics import Present, TooManyMembers, Topics
from rxws.topics.presence.present import MAX_MEMBERS
from tests.streams import watch

Eventually = Callable[..., Any]


def changes(presence: Observable[Present]) -> list[str]:
    """What an Observable of presence emits: who was there at first, then each change and who is there after it."""
    log: list[str] = []

    def note(present: Present) -> None:
        joined = "".join(f"+{who}" for who in present.joined)
        left = "".join(f"-{who}" for who in present.left)
        log.append(f"{joined}{left}:{','.join(present.members)}")

    presence.subscribe(note)
    return log


class PresenceContract:
    """The suite."""

    async def test_the_present_set_comes_first_then_each_change(
        self, topics: Topics[Any], eventually: Eventually
    ) -> None:
        presence = topics["room.tea"].presence
        empty = changes(presence)
        await eventually(lambda: empty == [":"])
        ada = presence.joining("ada", {"color": "red"}).subscribe()
        late = watch(late=presence)
        await eventually(lambda: late == [("late", Present({"ada": {"color": "red"}}))])
        bob = watch(bob=presence.joining("bob"))
        await eventually(lambda: bob == [("bob", Present({"ada": {"color": "red"}, "bob": None}))])
        ada.dispose()
        ada.dispose()
        await eventually(lambda: empty == [":", "+ada:ada", "+bob:ada,bob", "-ada:bob"])
        assert late[1:] == [
            ("late", Present({"ada": {"color": "red"}, "bob": None}, joined={"bob": None})),
            ("late", Present({"bob": None}, left={"ada": {"color": "red"}})),
        ]
        assert [present for _, present in bob[1:]] == [present for _, present in late[2:]]

    async def test_rooms_are_apart(self, topics: Topics[Any], eventually: Eventually) -> None:
        topics["room.tea"].presence.joining("ada").subscribe()
        topics["room"].presence.joining("bob").subscribe()
        logs = {name: changes(topics[name].presence) for name in ("room", "room.tea", "room.tea.green")}
        await eventually(lambda: logs == {"room": [":bob"], "room.tea": [":ada"], "room.tea.green": [":"]})

    async def test_name_that_joined_twice_is_one_member(self, topics: Topics[Any], eventually: Eventually) -> None:
        """A name that joined twice is one member until the last one has left."""
        presence = topics["a"].presence
        log = watch(a=presence)
        await eventually(lambda: log)
        first = presence.joining("ada", 1).subscribe()
        second = presence.joining("ada", 2).subscribe()
        second.dispose()
        first.dispose()
        values = [value for _, value in log]
        assert values == [
            Present({}),
            Present({"ada": 1}, joined={"ada": 1}),
            Present({"ada": 2}),
            Present({"ada": 1}),
            Present({}, left={"ada": 1}),
        ]

    async def test_client_is_there_until_its_socket_closes(self, topics: Topics[Any], eventually: Eventually) -> None:
        """The client of a handler is there until its socket closes."""
        log = changes(topics["a"].presence)
        await eventually(lambda: log == [":"])

        def room(request: Any) -> Any:
            here = topics["a"].presence.joining(request)
            return reactivex.merge(topics["a"], here.pipe(ops.map(lambda present: [*present.members])))

        def one(name: str) -> Any:
            return serve(lambda: room(name), codec=rxws.json)

        _, ada = one("ada")
        await eventually(lambda: ada.sent == ['["ada"]'])
        socket, bob = one("bob")
        await eventually(lambda: ada.sent[1:] == bob.sent == ['["ada","bob"]'])
        ada.drop()
        await eventually(lambda: bob.sent[1:] == ['["bob"]'])
        socket.close()
        await eventually(lambda: log == [":", "+ada:ada", "+bob:ada,bob", "-ada:bob", "-bob:"])

    async def test_joining_within_the_first_emission(self, topics: Topics[Any], eventually: Eventually) -> None:
        """A subscriber that joins within its first emission is told so after that emission."""
        presence, log = topics["a"].presence, list[str]()
        other = changes(presence)
        await eventually(lambda: other == [":"])

        def note(present: Present) -> None:
            log.append(f"{','.join(present.joined)}:{','.join(present.members)}")
            if len(log) == 1:
                presence.joining("ada").subscribe()
                log.append("joined")

        presence.subscribe(note)
        await eventually(lambda: other == [":", "+ada:ada"])
        assert log == [":", "joined", "ada:ada"]

    async def test_what_a_subscriber_does_follows_for_all(self, topics: Topics[Any], eventually: Eventually) -> None:
        presence = topics["a"].presence
        before = changes(presence)
        await eventually(lambda: before)
        ada = presence.joining("ada").subscribe()

        def follow(present: Present) -> None:
            if "bob" in present.joined:
                presence.joining("cleo").subscribe()
                ada.dispose()

        presence.subscribe(follow)
        after = changes(presence)
        presence.joining("bob").subscribe()
        expected = ["+bob:ada,bob", "+cleo-ada:bob,cleo"]
        assert (before[2:], after[1:]) == (expected, expected)

    async def test_last_one_leaves_as_another_comes(self, topics: Topics[Any], eventually: Eventually) -> None:
        """The last one to leave while another comes takes nothing from it."""
        presence = topics["a"].presence
        first: list[Present] = []
        presence.pipe(ops.take(2)).subscribe(first.append)
        await eventually(lambda: first)
        ada = changes(presence.joining("ada"))
        bob = presence.joining("bob").subscribe()
        bob.dispose()
        await eventually(lambda: ada == [":ada", "+bob:ada,bob", "-bob:ada"])
        assert len(first) == 2

    async def test_one_value_may_be_awaited(self, topics: Topics[Any]) -> None:
        presence = topics["a"].presence
        subscription = presence.joining("ada").subscribe()
        async with asyncio.timeout(5):
            assert await presence.pipe(ops.first()) == Present({"ada": None})
        subscription.dispose()
        async with asyncio.timeout(5):
            assert await presence.pipe(ops.first()) == Present({})

    async def test_raising_subscriber_takes_nothing_from_others(
        self, topics: Topics[Any], eventually: Eventually
    ) -> None:
        """A subscriber that raises takes nothing from the others."""
        errors = watch(errors=topics.errors)
        error = ValueError("a subscriber's")

        def fail(present: Present) -> None:
            raise error

        presence = topics["a"].presence
        early = changes(presence)
        presence.subscribe(fail)
        await eventually(lambda: early)
        presence.subscribe(fail)
        log = changes(presence.joining("ada"))
        assert early == [":", "+ada:ada"]
        assert log == [":ada"]
        assert len(errors) == 4
        assert {noted for _, noted in errors} == {error}

    async def test_busy_subscriber_holds_no_member(self, topics: Topics[Any], eventually: Eventually) -> None:
        """A subscriber that is busy does not hold the members that join."""
        begun: list[Any] = []

        async def work(item: Any) -> Any:
            begun.append(item)
            await asyncio.sleep(60)

        busy = topics["a"].presence.pipe(rxops.map_async(work)).subscribe()
        await eventually(lambda: begun)
        heard: list[Any] = []

        def come(incoming: Any) -> Any:
            incoming.subscribe(heard.append)
            return incoming.pipe(
                ops.flat_map(lambda name: topics["a"].presence.joining(name)), ops.map(lambda present: 0)
            )

        _, peer = serve(come, codec=rxws.json)
        await asyncio.sleep(0)
        for number in range(10):
            peer.send(f'"{number}"')
        await eventually(lambda: len(heard) == 10)
        busy.dispose()

    async def test_members_are_limited(self, topics: Topics[Any], eventually: Eventually) -> None:
        """Members are limited, and the limit is a clear error."""
        presence = topics["a"].presence
        names = [f"{number:04}" for number in range(MAX_MEMBERS)]
        stays = [presence.joining(name).subscribe() for name in names]
        log = watch(full=presence.joining("one too many"), again=presence.joining(names[1]))
        await eventually(lambda: len(log) == 2)
        assert log[0][0] == "full#"
        assert isinstance(log[0][1], TooManyMembers)
        assert str(log[0][1]) == "topic 'a' has 1000 members, which is the limit"
        stays[0].dispose()
        assert changes(presence.joining("next")) == [f":{','.join(names[1:])},next"]
        socket, _ = serve(lambda: presence.joining("one too many"), codec=rxws.json)
        assert (await socket.closed).code == 1013

    async def test_what_cannot_be_a_member_is_a_clear_error(self, topics: Topics[Any]) -> None:
        presence = topics["a"].presence
        for who, metadata, error, says in (
            (7, None, TypeError, "a member's name is a str, not 7"),
            ("", None, ValueError, "needs at least one character"),
            ("ada", object(), TypeError, "must be JSON"),
            ("ada", float("nan"), ValueError, "must be JSON"),
            ("\ud800", None, ValueError, "must be JSON"),
            ("ada", "x" * 600, ValueError, "may take 512 bytes of JSON, but 'ada' takes 610"),
        ):
            with pytest.raises(error, match=says):
                presence.joining(who, metadata)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"'\*' stands for many topics"):
            _ = topics["*"].presence

    async def test_metadata_are_what_json_makes_of_them(self, topics: Topics[Any], eventually: Eventually) -> None:
        metadata = {"pair": (1, 2)}
        joining = topics["a"].presence.joining("ada", metadata)
        metadata["pair"] = (3, 4)
        log = watch(a=joining)
        await eventually(lambda: log == [("a", Present({"ada": {"pair": [1, 2]}}))])

    async def test_other_threads_may_join_and_leave(self, topics: Topics[Any], eventually: Eventually) -> None:
        log = changes(topics["a"].presence)
        await eventually(lambda: log)
        subscriptions: list[Any] = []
        for work in (
            lambda: subscriptions.append(topics["a"].presence.joining("ada").subscribe()),
            lambda: subscriptions[0].dispose(),
        ):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            await asyncio.sleep(0)
        await eventually(lambda: log == [":", "+ada:ada", "-ada:"])

    async def test_closing_completes_it(self, topics: Topics[Any], eventually: Eventually) -> None:
        log = watch(a=topics["a"].presence.joining("ada"))
        await eventually(lambda: len(log) == 1)
        await topics.close()
        assert log[1:] == ["a|"]
        assert watch(late=topics["a"].presence) == ["late|"]
