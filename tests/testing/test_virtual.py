"""Time that does not pass."""

import asyncio
import time
from socket import socketpair

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops

from rxws.testing import VirtualLoop, run, run_virtually, serve, virtual, virtual_time


def shout(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(str.upper))


def test_waiting_takes_no_time() -> None:
    began = time.monotonic()

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        times = [loop.time()]
        await asyncio.sleep(3600)
        times.append(loop.time())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.sleep(61)
        return [*times, loop.time()]

    assert run_virtually(main()) == [0, 3600, 3660]
    assert time.monotonic() - began < 5


def test_timers_keep_their_order() -> None:
    """Timers of the same time come in the order in which they were asked for."""

    async def main() -> list[int]:
        loop, order = asyncio.get_running_loop(), list[int]()
        for number in range(300):
            loop.call_later(0.1 + 0.2 if number % 2 else 0.3, order.append, number)
        await asyncio.sleep(1)
        return order

    assert run_virtually(main()) == list(range(300))


def test_threads_hold_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still while threads work."""

    async def main() -> float:
        timer = asyncio.create_task(asyncio.sleep(10))
        await asyncio.to_thread(time.sleep, 0.05)
        now = asyncio.get_running_loop().time()
        await timer
        return now

    assert run_virtually(main()) == 0
    monkeypatch.setattr(virtual, "MAX_THREAD_SECONDS", 0.01)
    with pytest.raises(RuntimeError, match=r"a call in a thread is not done after 0\.01 s"):
        run_virtually(asyncio.to_thread(time.sleep, 0.05))


def test_endless_waiting_and_running() -> None:
    """Waiting forever and running forever are errors."""

    async def waits() -> None:
        await asyncio.get_running_loop().create_future()

    async def spins() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="nothing is left to happen"):
        run_virtually(waits())
    with pytest.raises(RuntimeError, match="time stands still"):
        run_virtually(spins())


async def test_from_an_async_def() -> None:
    """Virtual time may be used from an async def, and raises what is raised."""
    assert run(shout, "-a") == "-A"

    async def fails() -> None:
        raise KeyError("no")

    with pytest.raises(KeyError):
        run_virtually(fails())


def test_loop_factory() -> None:
    """A loop of virtual time can be used as any other."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(asyncio.sleep(5))
        assert runner.get_loop().time() == 5


def test_sockets() -> None:
    """A loop of virtual time reads and writes what is there."""

    async def main() -> bytes:
        reader, writer = await asyncio.open_connection(sock=ours)
        theirs.sendall(b"hello")
        answer = await reader.readexactly(5)
        writer.write(b"x" * 5_000_000)
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(lambda: [theirs.recv(1_000_000) for _ in range(3)])
        writer.transport.abort()
        assert loop.time() == 0
        return answer

    ours, theirs = socketpair()
    with theirs:
        assert run_virtually(main()) == b"hello"


@virtual_time
async def test_schedulers() -> None:
    """The schedulers go by virtual time."""
    gaps = reactivex.interval(7).pipe(
        ops.take(3), ops.time_interval(), ops.map(lambda item: item.interval.total_seconds())
    )
    socket, peer = serve(lambda: gaps.pipe(ops.map(str)))
    peer.pongs = True
    await socket.closed
    assert peer.sent == ["7.0", "7.0", "7.0"]


@pytest.mark.parametrize("moment", [1.0, 1e6])
def test_timers_of_one_moment(moment: float) -> None:
    """Timers that are due at the same time run in the order they were set, however many, and however late it is."""
    ran = list[int]()

    async def main() -> None:
        for number in range(2000):
            asyncio.get_running_loop().call_at(moment + number % 2 * 0.5, ran.append, number)
        await asyncio.sleep(moment + 1)

    run_virtually(main())
    assert ran == [*range(0, 2000, 2), *range(1, 2000, 2)]
