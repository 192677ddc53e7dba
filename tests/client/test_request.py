import asyncio
from typing import Any

import pytest
from reactivex import operators as ops

import rxws
from rxws.testing import MemoryDialer, connect, run_virtually
from tests.streams import raising, turns, watch
from tests.threads import in_a_thread

VIRTUAL = True

QUICK = rxws.Backoff(initial=0.001, maximum=0.001)


async def test_request_answered() -> None:
    """A request is sent when it is subscribed, and the first match answers it."""
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        question = socket.request({"id": 7}, matches=lambda message: message["id"] == 7)
        await turns()
        assert dialer.peer.sent == []
        log = watch(answer=question)
        await turns()
        dialer.peer.send('{"id":6}', '{"id":7,"n":1}', '{"id":7,"n":2}')
        await turns()
        assert log == [("answer", {"id": 7, "n": 1}), "answer|"]
        assert dialer.peer.sent == ['{"id":7}']


async def test_an_answer_can_be_awaited() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        asyncio.get_running_loop().call_later(0.01, dialer.peer.send, "pong")
        assert await socket.request("ping", matches=lambda message: message == "pong") == "pong"


async def test_no_answer_in_time_is_a_timeout() -> None:
    async with connect(MemoryDialer()) as socket:
        with pytest.raises(TimeoutError, match=r"no answer within 0.02 s"):
            await socket.request("ping", matches=lambda _: True, timeout=0.02)


async def test_no_connection_in_time_is_a_timeout() -> None:
    """The error of a request that waits for a connection says where to find the reason."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK) as socket:
        with pytest.raises(TimeoutError, match=r"within 0.02 s: there is no connection, and socket.states says why"):
            await socket.request("ping", matches=lambda _: True, timeout=0.02)


async def test_request_lost() -> None:
    """A request whose message was lost fails at once."""
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        await turns()
        log = watch(answer=socket.request("ping", matches=lambda _: True))
        await turns()
        dialer.peer.drop()
        await turns()
        assert str(log[0][1]) == "the connection was lost before the answer"
        assert isinstance(log[0][1], rxws.ConnectionLost)


async def test_request_offline() -> None:
    """A request made offline is answered when there is a connection."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK) as socket:
        log = watch(answer=socket.request("ping", matches=lambda _: True))
        await turns()
        dialer.answering.set()
        await turns()
        assert dialer.peer.sent == ["ping"]
        dialer.peer.send("pong")
        await turns()
        assert log == [("answer", "pong"), "answer|"]


async def test_request_dropped() -> None:
    """A request that is dropped fails at once."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK, offline="drop") as socket:
        with pytest.raises(rxws.ConnectionLost, match="dropped before it was sent"):
            await socket.request("ping", matches=lambda _: True)


async def test_socket_ends() -> None:
    """The end of the socket ends its requests."""
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log = watch(answer=socket.request("ping", matches=lambda _: True))
        dialer.peer.close(rxws.Close())
        await turns()
        assert str(log[0][1]) == "the socket closed before the answer: Close(code=1000, reason='')"
    with pytest.raises(rxws.ConnectionLost, match="the socket closed before the answer"):
        await socket.request("ping", matches=lambda _: True)


async def test_unsendable_request() -> None:
    """A request whose message cannot be sent fails at once."""
    async with connect(MemoryDialer()) as socket:
        with pytest.raises(rxws.EncodeError):
            await socket.request(object(), matches=lambda _: True)


@pytest.mark.parametrize("option", ["overflow", "offline"])
async def test_request_over_which_a_policy_raises(option: str) -> None:
    """A request fails at once with what a policy raises over its message; `errors` emits nothing."""
    function = raising(LookupError())
    options: Any = {"overflow": rxws.latest_by(function)} if option == "overflow" else {"offline": function}
    async with connect(MemoryDialer(), QUICK, **options) as socket:
        errors = watch(errors=socket.errors)
        with pytest.raises(LookupError):
            await socket.request("ping", matches=lambda _: True)
    assert errors == ["errors|"]


async def test_predicate_raises() -> None:
    """A predicate that raises fails its request alone."""
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log = watch(a=socket.request("a", matches=lambda _: 1 / 0 > 1), b=socket.request("b", matches=lambda _: True))
        await turns()
        dialer.peer.send("answer")
        await turns()
        assert isinstance(log[0][1], ZeroDivisionError)
        assert log[1:] == [("b", "answer"), "b|"]


async def test_a_disposed_request_is_over() -> None:
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        seen: list[Any] = []
        subscription = socket.request("a", matches=lambda _: True, timeout=0.02).subscribe(seen.append, seen.append)
        await turns()
        subscription.dispose()
        subscription.dispose()
        dialer.peer.send("answer")
        await asyncio.sleep(0.05)
        assert seen == []


async def test_earlier_report() -> None:
    """An earlier report of an equal message does not fail a request."""
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        await turns()
        socket.outgoing.on_next("ping")
        await turns()
        dialer.peer.drop()
        await turns()
        log = watch(answer=socket.request("ping", matches=lambda _: True))
        assert log == []


async def test_bad_timeout() -> None:
    """A timeout that is not a positive number is refused at once, not by a subscriber's wait."""
    async with connect(MemoryDialer()) as socket:
        with pytest.raises(ValueError, match="timeout must be a positive number of seconds, not -1"):
            socket.request("ping", matches=lambda _: True, timeout=-1)
        with pytest.raises(TypeError, match="timeout must be a positive number of seconds, not '1'"):
            socket.request("ping", matches=lambda _: True, timeout="1")


async def test_given_up_while_it_waits() -> None:
    """A request that is over while its message waits, by its timeout, a retry, or disposed, is not sent any more."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK) as socket:
        with pytest.raises(TimeoutError):
            await socket.request("tried", matches=lambda _: True, timeout=0.1).pipe(ops.retry(3))
        socket.request("left", matches=lambda _: True).subscribe().dispose()
        kept = socket.request("left", matches=lambda _: True).subscribe(print)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await socket.request("cancelled", matches=lambda _: True)
        assert (socket.stats.buffered, socket.stats.dropped) == (1, 0)
        dialer.answering.set()
        await turns()
        assert dialer.peer.sent == ["left"]
        kept.dispose()


async def test_room_of_what_is_given_up() -> None:
    """What is given up makes room: a source that was held goes on."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    async with connect(dialer, QUICK, high_water=1000, max_buffered=4000) as socket:
        question = socket.request("?" * 2000, matches=lambda _: True).subscribe()
        assert not socket.outgoing.has_room
        question.dispose()
        assert socket.outgoing.has_room


async def test_one_message_two_fates() -> None:
    """Two requests with one message object have a fate each."""
    dialer = MemoryDialer()
    dialer.answering.clear()
    question = {"id": 7}
    async with connect(dialer, QUICK, codec=rxws.json, offline="latest") as socket:
        log = watch(
            a=socket.request(question, matches=lambda _: True), b=socket.request(question, matches=lambda _: True)
        )
        await turns()
        dialer.answering.set()
        await turns()
        assert dialer.peer.sent == ['{"id":7}']
        assert [name for name, _ in log] == ["a#"]
        assert isinstance(log[0][1], rxws.ConnectionLost)
        dialer.peer.send('{"id":7}')
        await turns()
        assert log[1:] == [("b", {"id": 7}), "b|"]


async def test_lost_behind_its_answer() -> None:
    """A request that was answered is over, also if its connection breaks before the peer has confirmed the message."""
    dialer = MemoryDialer()
    async with connect(dialer, QUICK) as socket:
        await turns()
        dialer.peer.pongs = False
        log = watch(answer=socket.request("ping", matches=lambda _: True), lost=socket.undelivered)
        await turns()
        dialer.peer.send("pong")
        dialer.peer.drop()
        await turns()
        assert log == [("answer", "pong"), "answer|", ("lost", "ping")]


async def test_too_large_for_the_peer() -> None:
    """A peer that closes with 1009 while a request waits says what is wrong with it, with `reconnect` and without."""
    dialer = MemoryDialer()
    for options in ({"reconnect": QUICK}, {}):
        async with connect(dialer, **options) as socket:
            await turns()
            log = watch(answer=socket.request("ping", matches=lambda _: True))
            await turns()
            dialer.peer.pongs = False
            dialer.peer.close(rxws.Close(1009, "4 bytes"))
            await turns(50)
            assert log == [("answer#", rxws.Close(1009, "4 bytes"))]


async def test_answers_by_key() -> None:
    """Requests with one key function share it: each message is looked at once, and given to all that wait for it."""
    dialer, looked = MemoryDialer(), 0

    def key(message: Any) -> Any:
        nonlocal looked
        looked += 1
        return message.get("id")

    async with connect(dialer, codec=rxws.json, max_buffered=10**6) as socket:
        await turns()
        log = watch(**{str(n): socket.request({"id": n // 2}, key=key) for n in range(2000)})
        await turns()
        dialer.peer.send('{"event":1}', *(f'{{"id":{n}}}' for n in reversed(range(1000))))
        await turns()
        assert looked == 2000 + 1001
        expected = [[(str(n), {"id": n // 2}), f"{n}|"] for n in range(2000)]
        assert sorted(log, key=str) == sorted([entry for pair in expected for entry in pair], key=str)
        assert log[:2] == [("1998", {"id": 999}), "1998|"]
        dialer.peer.send('{"id":0}')
        await turns()
        assert (looked, len(log)) == (2000 + 1001, 4000)
        assert await_answer(socket, dialer, key)


def await_answer(socket: Any, dialer: MemoryDialer, key: Any) -> bool:
    """Ask again when nothing waits."""
    log = watch(again=socket.request({"id": "x"}, key=key))
    return log == []


async def test_left_while_the_answer_is_told() -> None:
    """Of two that wait for one key, the first to be told may leave the other: that one is over."""
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        await turns()
        log: list[Any] = []
        subscriptions = [
            socket.request("a", key=len).subscribe(lambda answer: (log.append(answer), subscriptions[1].dispose())),
            socket.request("b", key=len).subscribe(log.append),
        ]
        dialer.peer.send("c")
        await turns()
        assert log == ["c"]


async def test_key_raises() -> None:
    """A key function that raises fails the requests that share it, and others go on."""
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        await turns()

        def key(message: Any) -> Any:
            return message["id"]

        log = watch(
            a=socket.request({"id": 1}, key=key),
            b=socket.request({"id": 2}, key=key),
            c=socket.request({}, key=key),
            d=socket.request({"id": []}, key=key),
            e=socket.request({"id": 1}, matches=lambda _: True),
        )
        assert [(name, type(error)) for name, error in log] == [("c#", KeyError), ("d#", TypeError)]
        dialer.peer.send('{"event":1}', '{"id":1}')
        await turns()
        assert [(name, type(error)) for name, error in log[2:4]] == [("a#", KeyError), ("b#", KeyError)]
        assert log[4:] == [("e", {"event": 1}), "e|"]


async def test_socket_ends_with_keys() -> None:
    """The end of the socket ends requests that wait for a key."""
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log = watch(a=socket.request("a", key=len), b=socket.request("bb", key=len))
        dialer.peer.close(rxws.Close())
        await turns()
        assert [(name, type(error)) for name, error in log] == [
            ("a#", rxws.ConnectionLost),
            ("b#", rxws.ConnectionLost),
        ]
    with pytest.raises(rxws.ConnectionLost, match="the socket closed before the answer"):
        await socket.request("ping", key=len)


async def test_request_beside_a_lone_reader() -> None:
    """A request beside a reader that reads alone is an error, by key too, and leaves nothing behind."""
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        reading = asyncio.create_task(socket.receive())
        await turns()
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await socket.request("ping", key=len)
        dialer.peer.send("to the reader")
        assert await reading == "to the reader"
        assert dialer.peer.sent == []


async def test_matches_or_key() -> None:
    """A request has either a predicate or a key function."""
    async with connect(MemoryDialer()) as socket:
        for wrong in ({}, {"matches": lambda _: True, "key": len}):
            with pytest.raises(TypeError, match="a request takes either matches, a predicate for answers, or key"):
                socket.request("ping", **wrong)


async def test_the_name_of_a_field_is_not_a_key() -> None:
    """What is not a function is told at the call, not with the first message."""
    async with connect(MemoryDialer()) as socket:
        wrong: Any = "id"
        for given in ({"key": wrong}, {"matches": wrong}):
            with pytest.raises(TypeError, match=r"(key|matches) must be a function of a message, not 'id'"):
                socket.request("ping", **given)
        with pytest.raises(TypeError, match=r"matches must be a function of a message, not 'id'"):
            socket.multiplex(subscribe="on", matches=wrong)


async def test_request_of_a_thread() -> None:
    """A request of another thread is as one of the event loop: sent as it was, answered, and over in time."""
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        await turns()
        log: list[Any] = []
        question = {"id": 7}

        def work() -> None:
            for _ in range(2):
                socket.request(dict(question), matches=lambda m: m["id"] == 7).subscribe(log.append, log.append)
            socket.request(question, matches=lambda _: False, timeout=0.5).subscribe(log.append, log.append)
            question["id"] = 8
            socket.request({1}, matches=lambda _: True).subscribe(log.append, log.append)
            socket.request("left", matches=lambda _: True).subscribe(log.append, log.append).dispose()

        in_a_thread(work)
        await turns()
        assert dialer.peer.sent == ['{"id":7}'] * 3
        assert [type(entry) for entry in log] == [rxws.EncodeError]
        dialer.peer.send('{"id":7}')
        await asyncio.sleep(1)
        assert log[1:3] == [{"id": 7}] * 2
        assert [type(entry) for entry in log[3:]] == [TimeoutError]


async def test_request_of_a_thread_that_cannot_wait() -> None:
    """From a thread, too, a request fails if its key cannot be hashed, or if another reader has the socket alone."""
    dialer = MemoryDialer()
    async with connect(dialer, codec=rxws.json) as socket:
        await turns()
        errors: list[Exception] = []

        def ask(question: Any) -> None:
            socket.request({"id": question}, key=lambda m: m["id"]).subscribe(on_error=errors.append)

        for where in (in_a_thread, lambda work, *args: work(*args)):
            where(ask, [7])
            await turns()
            reading = asyncio.create_task(socket.receive())
            await turns()
            where(ask, 7)
            await turns()
            dialer.peer.send('"to the reader"')
            assert await reading == "to the reader"
        assert [type(error) for error in errors] == [TypeError, RuntimeError] * 2
        assert dialer.peer.sent == []


async def test_requests_of_threads_are_bounded() -> None:
    """A request of a thread that has run ahead, or behind its close, fails at once."""
    async with connect(MemoryDialer()) as socket:
        await turns()
        errors: list[Exception] = []

        def work() -> None:
            for message in ("x" * 3_000_000, "y" * 3_000_000):
                socket.request(message, matches=lambda _: True).subscribe(on_error=errors.append)
            socket.close()
            socket.request("z", matches=lambda _: True).subscribe(on_error=errors.append)

        in_a_thread(work)
        assert [type(error) for error in errors] == [rxws.ConnectionLost] * 2
        assert ["4 MiB" in str(error) for error in errors] == [True, False]
        await turns()
        assert len(errors) == 3


async def test_request_of_a_thread_is_left() -> None:
    """A request of a thread that is left before the event loop comes to it is not sent."""
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        await turns()
        left: list[Any] = []
        in_a_thread(lambda: left.append(socket.request("ping", matches=lambda _: True).subscribe()))
        left[0].dispose()
        await turns()
        assert (dialer.peer.sent, socket.stats.handed_over) == ([], 0)


def test_request_behind_the_loop() -> None:
    """A request that is made when the event loop is closed fails, as one behind the end of its socket."""

    async def live() -> Any:
        async with connect(MemoryDialer()) as socket:
            await turns()
            return socket

    socket = run_virtually(live())
    errors: list[Exception] = []
    socket.request("ping", matches=lambda _: True).subscribe(on_error=errors.append)
    assert [type(error) for error in errors] == [rxws.ConnectionLost]
