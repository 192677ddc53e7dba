"""A connection on a thread of its own, used from this event loop."""

import asyncio
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from reactivex import operators as ops

import rxws
import rxws.jupyter
from rxws import operators as rxops
from rxws.jupyter import Server, connect
from rxws.jupyter.connection import crossing
from rxws.jupyter.connection.background import Background
from tests.ports import has_ipv6
from tests.streams import raising, watch

Serve = Callable[..., Server]


def shout(incoming: Any) -> Any:
    return incoming.pipe(ops.map(str.upper))


def counting(number: int, pause_every: int = 0) -> Any:
    async def count() -> Any:
        for n in range(number):
            yield str(n)
            if pause_every and n % pause_every == 0:
                await asyncio.sleep(0.001)

    return count


async def test_it_is_used_as_any_other(serve: Serve) -> None:
    async with connect(serve(shout).url()) as socket:
        incoming, outgoing, errors = socket
        log = watch(incoming=incoming, outgoing=outgoing, errors=errors)
        for message in ("a", "b"):
            outgoing.on_next(message)
            assert await incoming.pipe(ops.first()) == message.upper()  # never missed, though log had subscribed before
        assert socket.stats.received == 2
        assert isinstance(socket, rxws.ClientWebSocket)
    assert await socket.closed == rxws.Close()
    assert [item for item in log if item[0] == "incoming"] == [("incoming", "A"), ("incoming", "B")]
    assert {"incoming|", "outgoing|", "errors|"} <= set(map(str, log))


def test_stopped_before_its_loop_runs() -> None:
    """What is told to end before its thread's event loop runs ends: who waited for it was cancelled at once, say."""

    class Late(Background[int]):
        async def _main(self) -> None:
            self.stop()
            await super()._main()

    async def wait(give: Callable[[int], None], stop: asyncio.Event) -> None:
        give(1)
        await stop.wait()

    background = Late(wait, "late")
    background.join(5)
    assert background.made_soon(0) == 1
    assert not background._thread.is_alive()


@pytest.mark.parametrize("how", ["late", "interrupted"])
def test_not_made_in_time(how: str) -> None:
    """Who waits for what does not begin in time is told so, and it ends when it has begun; so at an interrupt."""
    release = threading.Event()

    async def late(give: Callable[[int], None], stop: asyncio.Event) -> None:
        await asyncio.to_thread(release.wait)
        give(1)
        await stop.wait()

    background: Any = Background(late, "rxws server")
    if how == "interrupted":
        background._made.result = raising(KeyboardInterrupt())
    error = TimeoutError if how == "late" else KeyboardInterrupt
    with pytest.raises(error, match="the rxws server has not begun within 0.01 s" if how == "late" else None):
        background.made_soon(0.01)
    release.set()
    background.join(5)
    assert not background._thread.is_alive()


def test_server_whose_clean_up_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the clean-up of an application raises is not lost: threads say what they raise."""
    raised: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    app = web.Application()

    async def fail(app: web.Application) -> None:
        raise ValueError("not cleaned up")

    app.on_cleanup.append(fail)
    rxws.jupyter.serve(app).close()
    assert [str(one.exc_value) for one in raised] == ["not cleaned up"]


def test_url_without_a_slash() -> None:
    """A path is one with or without its slash; a query needs none."""
    with rxws.jupyter.serve(web.Application()) as server:
        assert server.url("shout") == server.url("/shout") == f"ws://127.0.0.1:{server.port}/shout"
        assert server.url("?a=1") == f"ws://127.0.0.1:{server.port}/?a=1"


def test_what_is_not_an_application_or_a_socket() -> None:
    """It is told at the call, not in a thread."""
    with pytest.raises(TypeError, match=r"serve takes an aiohttp.web.Application, not .*shout"):
        rxws.jupyter.serve(shout)
    with pytest.raises(TypeError, match=r"show takes a socket, such as connect\(...\) gives, not 3"):
        rxws.jupyter.show(3)


@pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")
async def test_served_on_ipv6() -> None:
    """An address of IPv6 has brackets in a URL."""
    app = web.Application()
    app.router.add_get("/shout", rxws.websocket(shout))
    rxws.setup(app)
    with rxws.jupyter.serve(app, host="::1") as server:
        assert server.url("/shout?a=1") == f"ws://[::1]:{server.port}/shout?a=1"
        async with connect(server.url("/shout")) as socket:
            socket.outgoing.on_next("a")
            assert await socket.incoming.pipe(ops.first()) == "A"


async def test_greeting(serve: Serve) -> None:
    """The connection is greeted in its own thread, and entering raises what that does."""
    seen: list[Any] = []

    async def greet(connection: rxws.Greeting[Any, Any]) -> None:
        await connection.send("hello")
        seen.append((await connection.receive(), threading.current_thread() is threading.main_thread()))

    url = serve(shout).url()
    async with connect(url, greet=greet) as socket:
        assert seen == [("HELLO", False)]
        socket.outgoing.on_next("a")
        assert await socket.incoming.pipe(ops.first()) == "A"

    async def fail(_: object) -> None:
        raise rxws.Close(4401)

    with pytest.raises(rxws.Close, match="4401"):
        await connect(url, greet=fail)


async def test_subscribers_are_called_in_the_notebook_s_thread(serve: Serve) -> None:
    """All subscribers are called in the thread of the notebook."""
    threads: set[int] = set()
    async with connect(serve(shout).url()) as socket:
        for stream in (socket.incoming, socket.outgoing, socket.states, socket.closed, socket.dropped):
            stream.subscribe(lambda _: threads.add(threading.get_ident()))
        socket.outgoing.on_next("a")
        await socket.incoming.pipe(ops.first())
    await socket.closed
    assert threads == {threading.get_ident()}


async def test_a_cell_that_blocks_does_not_lose_the_socket(serve: Serve) -> None:
    async with connect(serve(shout, heartbeat=0.2).url(), heartbeat=0.2) as socket:
        seen: list[Any] = []
        socket.incoming.subscribe(seen.append)
        socket.outgoing.on_next("a")
        time.sleep(1.2)
        assert seen == []
        assert socket.stats.received == 1
        socket.outgoing.on_next("b")
        await socket.incoming.pipe(ops.first(lambda message: message == "B"))
        assert seen == ["A", "B"]
        assert socket.rtt is not None


async def test_blocking_cell_slows_the_peer_down(serve: Serve) -> None:
    """While a cell blocks, the peer is slowed down, and nothing is lost."""
    async with connect(serve(counting(60_000)).url()) as socket:
        seen: list[int] = []
        socket.incoming.pipe(ops.map(int)).subscribe(seen.append)
        await socket.incoming.pipe(ops.first())
        time.sleep(0.5)
        assert socket.stats.received - len(seen) < 16_000  # 1,024, what was read ahead, and what one read holds
        await socket.closed
    assert seen == list(range(60_000))


async def test_long_block_drops_the_oldest_messages(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cell that blocks for long loses the oldest messages, and says so."""
    monkeypatch.setattr(crossing, "PROGRESS_TIMEOUT", 0.1)
    monkeypatch.setattr(crossing, "HIGH", 16)
    monkeypatch.setattr(crossing, "MAX_CROSSING", 100)
    async with connect(serve(counting(5000, pause_every=20)).url()) as socket:
        seen: list[int] = []
        socket.incoming.pipe(ops.map(int)).subscribe(seen.append)
        await socket.incoming.pipe(ops.first())
        time.sleep(1)
        await socket.closed
    assert seen[-1] == 4999
    assert seen == sorted(seen)
    assert len(seen) < 5000
    missing = 5000 - len(seen)
    assert f"OverflowError: {missing} items were dropped" in capsys.readouterr().err


async def test_operators_here_hold_the_socket_there(serve: Serve, eventually: Any) -> None:
    async def work(message: str) -> str:
        await asyncio.sleep(0.05)
        return message

    async with connect(serve(counting(100_000)).url()) as socket:
        done: list[str] = []
        socket.incoming.pipe(rxops.map_async(work), ops.take(5)).subscribe(done.append)
        await eventually(lambda: len(done) >= 3)
        assert socket.stats.received < 50_000
        assert done[:3] == ["0", "1", "2"]


async def test_iteration_and_requests_work_across(serve: Serve) -> None:
    async with connect(serve(shout).url()) as socket:
        assert await socket.request("question", matches=lambda answer: answer == "QUESTION") == "QUESTION"
        topic = socket.multiplex(subscribe="topic", matches=lambda message: message == "TOPIC")
        assert await topic.pipe(ops.first()) == "TOPIC"
        socket.outgoing.on_next("one")
        time.sleep(0.2)  # the answer is there before anybody has subscribed here
        async with asyncio.timeout(10):
            async for message in socket:
                assert message == "ONE"
                break


async def test_nothing_is_lost_between_readers(serve: Serve, eventually: Any) -> None:
    """What comes between two readers waits for the next one, in whichever thread, and however it reads."""
    async with connect(serve(counting(100_000)).url()) as socket:
        seen = [await socket.incoming.pipe(ops.first())]
        time.sleep(0.1)  # meanwhile messages would cross, if anybody read
        for _ in range(20):
            seen.append(await socket.receive())
            seen.append(socket.incoming.pipe(ops.first()).run())
            seen += socket.incoming.pipe(ops.take(3), ops.to_list()).run()
            seen += await socket.incoming.pipe(ops.take(3), ops.to_list())
            async for message in socket:
                seen.append(message)
                break
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await socket.receive()
            waiting = asyncio.create_task(socket.receive())
            await asyncio.sleep(random.choice([0, 0, 0.001, 0.002]))
            waiting.cancel()
            await asyncio.wait({waiting})
            if not waiting.cancelled():
                seen.append(waiting.result())
        assert seen == [*map(str, range(len(seen)))]
        await eventually(lambda: socket.stats.unread > 0)
        await asyncio.sleep(0.2)
        assert socket.stats.received < 20_000  # it is held


async def test_a_blocked_cell_reads_what_is_under_way(serve: Serve) -> None:
    """While its cell blocks, `run()` reads what was under way to those who read here before."""
    async with connect(serve(counting(10_000)).url()) as socket:
        seen: list[str] = []
        done = asyncio.Event()

        def take(message: str) -> None:
            seen.append(message)
            if len(seen) == 500:
                subscription.dispose()
                done.set()

        subscription = socket.incoming.subscribe(take)
        await done.wait()
        for _ in range(2000):
            seen.append(socket.incoming.pipe(ops.first()).run())
        assert seen == [*map(str, range(2500))]


async def keep_one(socket: Any) -> None:
    """Cancel a task that receives when it has been handed a message, and before it takes that."""
    waiting = asyncio.create_task(socket.receive())
    while not socket.incoming.readers.kept:
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()


async def test_a_kept_message(serve: Serve) -> None:
    """A message that a cell was cancelled with is the next one's, who may wait in a thread, or be busy with it."""

    async def work(message: str) -> str:
        await asyncio.sleep(0.02)
        return message

    async with connect(serve(counting(100_000)).url()) as socket:
        await keep_one(socket)
        assert socket.incoming.pipe(ops.first()).run() == "0"
        await keep_one(socket)
        done = await socket.incoming.pipe(rxops.map_async(work), ops.take(10), ops.to_list())
        assert done == [*map(str, range(1, 11))]
        assert socket.stats.received < 20_000


async def test_readers_beside_each_other(serve: Serve) -> None:
    """A second reader beside one that waits is told what to do, in a thread, too."""
    async with connect(serve(shout).url()) as socket:
        waiting = asyncio.create_task(socket.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="to_async_iterable"):
            await socket.incoming.pipe(ops.first())
        with pytest.raises(RuntimeError, match="to_async_iterable"):
            socket.incoming.pipe(ops.first()).run()
        socket.outgoing.on_next("a")
        assert await waiting == "A"
        socket.incoming.subscribe()
        with pytest.raises(RuntimeError, match="has a subscriber"):
            await socket.receive()


async def test_receive_at_the_end(serve: Serve) -> None:
    """receive() raises the Close when all is read, and a loop ends."""

    def handler(outgoing: Any) -> None:
        for message in "abc":
            outgoing.on_next(message)
        outgoing.on_next(rxws.Close(4001, "bye"))

    socket = await connect(serve(handler).url())
    assert [await socket.receive() for _ in "abc"] == ["a", "b", "c"]
    with pytest.raises(rxws.Close, match="4001"):
        await socket.receive()
    assert [message async for message in socket] == []
    assert await socket.closed == rxws.Close(4001, "bye")


async def test_run_blocks_until_the_answer_is_there(serve: Serve) -> None:
    async with connect(serve(shout).url()) as socket:
        socket.incoming.subscribe()
        for message in ("a", "b", "c"):
            socket.outgoing.on_next(message)
            time.sleep(0.02)  # it may be there by the time it is asked for
            answers = socket.incoming.pipe(ops.filter(lambda answer, asked=message: answer == asked.upper()))
            assert answers.pipe(ops.first()).run() == message.upper()


async def test_raised_error_is_shown(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """What a subscriber raises is shown, and the socket stays open."""
    async with connect(serve(shout).url()) as socket:
        seen: list[Any] = []
        socket.incoming.subscribe(lambda _: 1 // 0)  # type: ignore[arg-type]
        socket.incoming.subscribe(seen.append)
        socket.outgoing.on_next("a")
        await socket.incoming.pipe(ops.first())
        shown = capsys.readouterr().err
        assert "ZeroDivisionError" in shown
        assert "reactivex" not in shown
        assert seen == ["A"]
        errors: list[Any] = []
        socket.errors.subscribe(errors.append)
        socket.outgoing.on_next("b")
        await socket.errors.pipe(ops.first())
        assert "ZeroDivisionError" not in capsys.readouterr().err
        assert isinstance(errors[0], ZeroDivisionError)


async def test_close_in_a_group_closes(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """A `Close` in a group closes, and what else the group has is shown."""

    def leave(_: Any) -> None:
        raise ExceptionGroup("tasks", [ValueError("besides"), rxws.Close(4001, "enough")])

    async with connect(serve(shout).url()) as socket:
        socket.incoming.subscribe(leave)
        socket.outgoing.on_next("a")
        assert await socket.closed == rxws.Close(4001, "enough")
        assert "besides" in capsys.readouterr().err


async def test_a_close_that_a_subscriber_raises_closes(serve: Serve) -> None:
    def leave(_: Any) -> None:
        raise rxws.Close(4001, "enough")

    async with connect(serve(shout).url()) as socket:
        socket.incoming.subscribe(leave)
        socket.outgoing.on_next("a")
        assert await socket.closed == rxws.Close(4001, "enough")


async def test_raised_error_commands_no_terminal(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """What a message says comes back in an exception, and is shown without its control characters."""

    def fail(message: str) -> None:
        raise ValueError(f"unknown: {message}")

    async with connect(serve(shout).url()) as socket:
        socket.incoming.subscribe(fail)
        socket.outgoing.on_next("\x1b[2j\nforged")
        await socket.incoming.pipe(ops.first())
    shown = capsys.readouterr().err
    assert "unknown: \\x1b[2J\\nFORGED" in shown
    assert "\x1b[2J" not in shown


async def test_unobserved_errors_are_shown(serve: Serve, capsys: pytest.CaptureFixture[str], eventually: Any) -> None:
    """Errors of the socket are shown unless they are observed."""
    async with connect(serve(shout).url(), codec=rxws.json) as socket:
        socket.outgoing.on_next({1})
        shown: list[str] = []
        await eventually(lambda: shown.append(capsys.readouterr().err) or "EncodeError" in "".join(shown))
        errors: list[Any] = []
        socket.errors.subscribe(errors.append)
        socket.outgoing.on_next({2})
        await eventually(lambda: errors)
        await asyncio.sleep(0.05)
        assert capsys.readouterr().err == ""


async def test_failing_block_closes_with_its_code(serve: Serve) -> None:
    """Leaving the block by an error closes the socket with the code of that error."""
    closes: list[rxws.Close] = []

    def handler(socket: rxws.WebSocket[Any, Any]) -> None:
        socket.closed.subscribe(closes.append)

    server = serve(handler)
    sockets: list[Any] = []

    async def cell() -> None:
        async with connect(server.url()) as socket:
            sockets.append(socket)
            socket.incoming.subscribe()
            raise KeyError("oops")

    with pytest.raises(KeyError):
        await cell()
    assert await sockets[0].closed == rxws.Close(1011, "Unexpected Error")
    async with asyncio.timeout(5):
        while not closes:  # the server's end of it comes in its own time
            await asyncio.sleep(0.01)
    assert [close.code for close in closes] == [1011]


async def test_thread_ends_with_the_socket(serve: Serve) -> None:
    """The thread ends with the socket, and late subscribers are told of the end."""
    server = serve(shout)
    before = set(threading.enumerate())
    socket = await connect(server.url())
    (thread,) = (one for one in set(threading.enumerate()) - before if one.name == "rxws socket")
    socket.close(4000, "done")
    assert await socket.closed == rxws.Close(4000, "done")
    await asyncio.to_thread(thread.join, 15)
    assert not thread.is_alive()
    assert await socket.closed == rxws.Close(4000, "done")
    assert await socket.incoming.pipe(ops.to_list()) == []
    assert isinstance(await socket.states, rxws.Closed)


async def test_thread_ends_despite_a_late_call(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread ends even if a call comes while its event loop closes."""
    async with asyncio.timeout(10), connect(serve(shout).url()) as socket:
        thread = socket._life.thread
        close = thread.loop.close

        def close_and_be_called() -> None:
            close()
            thread.hand_over(print)

        monkeypatch.setattr(thread.loop, "close", close_and_be_called)
    assert thread.loop.is_closed()


async def test_what_keeps_it_from_connecting_is_raised() -> None:
    with pytest.raises(rxws.ConnectError):
        await connect("ws://127.0.0.1:9/")
    with pytest.raises(TypeError, match="makes its own"):
        connect("ws://127.0.0.1:9/", session=None)
    with pytest.raises(ValueError, match="is not a WebSocket URL"):
        connect("127.0.0.1:9")


@pytest.mark.parametrize(("url", "brief"), [("'ws://127.0.0.1:9/'", True), ("lambda: open('/nowhere')", False)])
def test_a_connection_that_cannot_be_opened_is_shown_briefly(url: str, brief: bool) -> None:
    """IPython shows what happened and what to do; code of the notebook that raised is shown with its traceback."""
    code = f"import rxws.jupyter; await rxws.jupyter.connect({url})"
    command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "--quick", "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    if brief:
        assert re.fullmatch(r"rxws\.errors\.ConnectError: cannot connect to .*: is the server running\?\s+", shown)
    else:
        assert "in <lambda>()" in shown


async def test_it_is_for_one_socket(serve: Serve) -> None:
    connecting = connect(serve(shout).url())
    async with connecting:
        pass
    with pytest.raises(RuntimeError, match="used before"):
        await connecting


def test_an_interpreter_that_ends_closes_its_sockets() -> None:
    program = """
import asyncio, rxws, rxws.jupyter
from aiohttp import web

@rxws.websocket
def handler(socket):
    socket.closed.subscribe(lambda close: print("server:", close.code, flush=True))

async def main():
    app = web.Application()
    app.router.add_get("/", handler)
    rxws.setup(app)
    server = rxws.jupyter.serve(app)
    socket = await rxws.jupyter.connect(server.url())
    socket.incoming.subscribe()

asyncio.run(main())
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert result.stdout.strip() in ("server: 1000", "server: 1001")
    assert result.returncode == 0


def test_a_server_that_cannot_listen_says_so() -> None:
    from aiohttp import web

    with rxws.jupyter.serve(web.Application()) as server, pytest.raises(OSError, match="in use"):
        rxws.jupyter.serve(web.Application(), port=server.port)


async def test_what_raises_often_is_shown_once_and_counted(
    serve: Serve, capsys: pytest.CaptureFixture[str], eventually: Any
) -> None:
    """The first error of a place in full, then how many there were; another place, and a new subscription, anew."""

    def fail(message: str) -> None:
        if int(message) % 96 == 95:
            raise KeyError(message)
        raise ValueError(f"no \x1b[2J {message}")

    async with connect(serve(counting(768)).url()) as socket:
        socket.incoming.subscribe(fail)
        await socket.closed
    counts = (
        "ValueError: no \\x1b[2J 766 (raised 760 times so far, shown once)",
        "KeyError: '767' (raised 8 times so far, shown once)",
    )
    shown: list[str] = []
    await eventually(lambda: shown.append(capsys.readouterr().err) or all(count in "".join(shown) for count in counts))
    assert "".join(shown).count("Traceback") == 2
    assert len("".join(shown).splitlines()) < 40
    async with connect(serve(counting(3)).url()) as socket:
        socket.incoming.subscribe(fail)
        await socket.closed
    assert capsys.readouterr().err.count("Traceback") == 1
