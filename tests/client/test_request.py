import asyncio
from typing import Any

import pytest

import rxws
from rxws.testing import MemoryDialer, connect, run_virtually
from tests.streams import turns, watch
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
        assert str(log[0][1]) == "the socket closed before the answer"
    with pytest.raises(rxws.ConnectionLost, match="the socket closed before the answer"):
        await socket.request("ping", matches=lambda _: True)


async def test_unsendable_request() -> None:
    """A request whose message cannot be sent fails at once."""
    async with connect(MemoryDialer()) as socket:
        with pytest.raises(rxws.EncodeError):
            await socket.request(object(), matches=lambda _: True)  # type: ignore[arg-type]


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
            socket.request("ping", matches=lambda _: True, timeout="1")  # type: ignore[arg-type]


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
        assert dialer.peer.sent == ['{"id":7}'] * 3 + ['"left"']
        assert [type(entry) for entry in log] == [rxws.EncodeError]
        dialer.peer.send('{"id":7}')
        await asyncio.sleep(1)
        assert log[1:3] == [{"id": 7}] * 2
        assert [type(entry) for entry in log[3:]] == [TimeoutError]


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
