"""A feed that many share, over the in-memory wire."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from reactivex import operators as ops

import rxws
from rxws import operators as rxops
from rxws.client.sharing import ONCE, SharedFeed
from rxws.testing import MemoryDialer, connect, serve
from rxws.testing.virtual import VirtualLoop
from tests.streams import raising, turns, watch
from tests.threads import in_a_thread

VIRTUAL = True

QUICK = rxws.Backoff(initial=0.001, maximum=0.001)
LOST = ConnectionResetError("the peer is gone")


Sharing = Callable[..., SharedFeed[Any]]


@pytest.fixture
def sharing() -> Iterator[Sharing]:
    """Make feeds over a dialer; the connection of each is closed after the test."""
    feeds: list[SharedFeed[Any]] = []

    def share(dialer: MemoryDialer, reconnect: rxws.Backoff = ONCE, **options: Any) -> SharedFeed[Any]:
        feeds.append(SharedFeed(lambda: connect(dialer, reconnect, **options)))
        return feeds[-1]

    yield share
    for feed in feeds:
        if feed.socket is not None:
            feed.socket.close()


async def test_first_and_last_subscriber(sharing: Sharing) -> None:
    """It connects with the first subscriber, closes with the last one, and begins anew with the next."""
    dialer = MemoryDialer()
    feed = sharing(dialer)
    await turns()
    assert (dialer.attempts, feed.socket) == (0, None)
    log: list[Any] = []
    first = feed.subscribe(lambda message: log.append(("first", message)))
    await turns()
    dialer.peer.send("1")
    await turns()
    second = feed.pipe(ops.map(str.upper)).subscribe(lambda message: log.append(("second", message)))
    dialer.peer.send("two")
    await turns()
    assert feed.socket is not None
    first.dispose()
    first.dispose()
    dialer.peer.send("three")
    await turns()
    assert dialer.peer.close_sent is None
    second.dispose()
    await turns()
    assert log == [("first", "1"), ("first", "two"), ("second", "TWO"), ("second", "THREE")]
    assert (dialer.attempts, dialer.peer.close_sent, feed.socket) == (1, rxws.Close(), None)
    late = watch(f=feed)
    await turns()
    dialer.peer.send("four")
    await turns()
    assert (dialer.attempts, late) == (2, [("f", "four")])


async def test_left_before_it_connects(sharing: Sharing) -> None:
    """A subscriber that leaves at once opens nothing; one that leaves during the attempt ends it."""
    dialer = MemoryDialer()
    feed = sharing(dialer)
    feed.subscribe().dispose()
    await turns()
    assert dialer.attempts == 0
    dialer.answering.clear()
    subscription = feed.subscribe()
    await turns()
    assert dialer.attempts == 1
    subscription.dispose()
    await turns()
    dialer.answering.set()
    await turns()
    assert (dialer.wires, dialer.closed) == ([], True)


@pytest.mark.parametrize("code", [1000, 1005])
async def test_goodbye_completes(sharing: Sharing, code: int) -> None:
    """The server's goodbye completes the feed, and who comes then begins anew."""
    dialer = MemoryDialer()
    feed = sharing(dialer)
    log = watch(f=feed, s=feed.states)
    await turns()
    dialer.peer.send("last")
    dialer.peer.close(rxws.Close.received(code)) if code == 1000 else dialer.peer.close()
    await turns()
    closed = rxws.Closed(rxws.Close.received(code))
    assert log[-4:] == [("f", "last"), ("s", closed), "s|", "f|"]
    again = watch(f=feed)
    await turns()
    assert (dialer.attempts, again) == (2, [])


async def test_close_with_a_code_fails(sharing: Sharing) -> None:
    """Any other close of the server is the error of all subscribers."""
    dialer = MemoryDialer()
    feed = sharing(dialer)
    log = watch(a=feed, b=feed)
    await turns()
    dialer.peer.close(rxws.Close(4001, "bye"))
    await turns()
    assert log == [("a#", rxws.Close(4001, "bye")), ("b#", rxws.Close(4001, "bye"))]


async def test_lost_connection_fails(sharing: Sharing) -> None:
    """A connection that is lost is the subscribers' error; `retry` begins anew."""
    dialer = MemoryDialer()
    feed = sharing(dialer)
    log, retried = watch(f=feed), watch(r=feed.pipe(ops.retry()))
    await turns()
    dialer.peer.drop(LOST)
    await turns()
    (name, error), *_ = log
    assert (name, type(error), error.__cause__) == ("f#", rxws.ConnectionLost, LOST)
    dialer.peer.send("again")
    await turns()
    assert (dialer.attempts, retried) == (2, [("r", "again")])


@pytest.mark.parametrize("reconnect", [ONCE, rxws.Backoff(initial=0.001, maximum=0.001, max_attempts=2)])
async def test_refused(sharing: Sharing, reconnect: rxws.Backoff) -> None:
    """What keeps it from connecting for good is the subscribers' error; states say so, too."""
    dialer = MemoryDialer()
    refusal = rxws.ConnectError("nobody there", "tcp")
    dialer.refusals.extend([refusal, refusal])
    feed = sharing(dialer, reconnect)
    log = watch(s=feed.states, f=feed)
    await asyncio.sleep(1)
    assert log[0] == ("s", rxws.Connecting(1))
    assert log[-3:] == [("s", rxws.Closed(rxws.Close.received(1006))), "s|", ("f#", refusal)]
    assert dialer.closed


@pytest.mark.parametrize("reconnect", [ONCE, rxws.Backoff(initial=0.001, maximum=0.001, max_attempts=2)])
async def test_own_function_raises(sharing: Sharing, reconnect: rxws.Backoff) -> None:
    """What a function for the URL or headers raises is the subscribers' error, not only a close with 1006."""
    dialer = MemoryDialer()
    dialer.refusals.extend([KeyError("TOKEN"), KeyError("TOKEN")])
    feed = sharing(dialer, reconnect)
    log = watch(f=feed)
    await asyncio.sleep(1)
    ((name, error),) = log
    assert (name, type(error), error.args) == ("f#", KeyError, ("TOKEN",))


async def test_outage_is_on_states_only(sharing: Sharing) -> None:
    """With `reconnect`, subscribers of the data do not notice an outage; a late subscriber of `states` learns it."""
    dialer = MemoryDialer()
    feed = sharing(dialer, QUICK)
    states, log = watch(s=feed.states), watch(f=feed)
    await turns()
    dialer.peer.send("1")
    await turns()
    dialer.answering.clear()
    dialer.peer.drop(LOST)
    await asyncio.sleep(0.1)
    assert watch(s=feed.states) == [("s", rxws.Connecting(2))]
    dialer.answering.set()
    await turns()
    dialer.peer.send("2")
    await turns()
    assert log == [("f", "1"), ("f", "2")]
    assert [type(state) for _, state in states] == [
        *(rxws.Connecting, rxws.Open, rxws.Waiting, rxws.Connecting, rxws.Open)
    ]


async def test_states_wait_for_the_next_connection(sharing: Sharing) -> None:
    """To look at states connects nothing; they are those of one connection, and `repeat` follows them all."""
    dialer = MemoryDialer()
    feed = sharing(dialer)
    log = watch(s=feed.states.pipe(ops.repeat()))
    await turns()
    assert (dialer.attempts, log) == (0, [])
    for number in (1, 2):
        subscription = feed.subscribe()
        await turns()
        subscription.dispose()
        await turns()
        assert dialer.attempts == number
    life = [rxws.Connecting(1), rxws.Open(None, 1), rxws.Closed(rxws.Close())]
    assert log == [("s", state) for state in life * 2]


async def test_bad_message_fails_unless_errors_are_observed(sharing: Sharing, caplog: pytest.LogCaptureFixture) -> None:
    """A message that does not decode ends a feed that does not come back; if `errors` is observed, it is skipped."""
    dialer = MemoryDialer()
    feed = sharing(dialer, ONCE, codec=rxws.json)
    log = watch(f=feed)
    await turns()
    dialer.peer.send("{")
    await turns()
    (name, error), *_ = log
    assert (name, type(error), dialer.peer.close_sent.code) == ("f#", rxws.DecodeError, 1007)
    errors, log = watch(e=feed.errors), watch(f=feed)
    await turns()
    dialer.peer.send("{", "1")
    await turns()
    assert (log, [type(error) for _, error in errors]) == ([("f", 1)], [rxws.DecodeError])
    dialer.peer.close(rxws.Close(1008))
    await turns()
    assert log[1:] == [("f#", rxws.Close(1008))]  # not the error of before
    assert errors[1:] == ["e|"]


async def test_back_after_what_does_not_decode(sharing: Sharing, caplog: pytest.LogCaptureFixture) -> None:
    """A message that does not decode is an outage of a feed that comes back."""
    dialer = MemoryDialer()
    feed = sharing(dialer, QUICK, codec=rxws.json)
    log = watch(f=feed)
    await turns()
    dialer.peer.send("1", "{", "2")
    await asyncio.sleep(1)
    assert (dialer.attempts, dialer.wires[0].close_sent) == (2, rxws.Close(1007, "Invalid Message"))
    dialer.peer.send("3")
    await turns()
    assert log == [("f", 1), ("f", 3)]
    assert "DecodeError" in caplog.text


async def test_subscriber_that_raises(sharing: Sharing, caplog: pytest.LogCaptureFixture) -> None:
    """A subscriber that raises, or takes no errors, costs the others nothing."""
    dialer = MemoryDialer()
    feed = sharing(dialer)
    feed.subscribe(raising(KeyError("one")))
    log = watch(f=feed)
    await turns()
    dialer.peer.send("1", "2")
    await turns()
    dialer.peer.close(rxws.Close(1011))
    await turns()
    assert log == [("f", "1"), ("f", "2"), ("f#", rxws.Close(1011))]
    texts = [record.getMessage() for record in caplog.records if record.name == "rxws"]
    assert texts == [
        "KeyError('one'), which nobody observed",
        "KeyError('one'), which nobody observed",
        "Close(code=1011, reason=''), which nobody observed",
    ]


def test_what_ends_the_program_is_raised_on() -> None:
    """`SystemExit` of a subscriber ends the program, behind the end of the others."""
    log: list[Any] = []

    async def follow() -> None:
        dialer = MemoryDialer()
        feed = SharedFeed(lambda: connect(dialer, ONCE))
        feed.subscribe(on_error=raising(SystemExit(3)))
        log.extend([watch(f=feed)])
        await turns()
        dialer.peer.close(rxws.Close(4001))
        await asyncio.sleep(1)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner, pytest.raises(SystemExit):
        runner.run(follow())
    assert log == [[("f#", rxws.Close(4001))]]


async def test_subscriber_of_a_handler_has_its_errors(sharing: Sharing) -> None:
    """What a handler's pipeline raises over a message of the feed closes its socket, not the feed."""
    dialer = MemoryDialer()
    feed = sharing(dialer)

    @rxws.websocket
    def numbers() -> Any:
        return feed.pipe(ops.map(int))

    handler: Any = numbers
    (bad, bad_peer), (good, good_peer) = serve(handler), serve(lambda: feed)
    await turns()
    dialer.peer.send("one")
    await turns()
    assert bad_peer.close_sent.code == 1011
    assert (good_peer.sent, good_peer.close_sent) == (["one"], None)
    dialer.peer.close(rxws.Close())
    await turns()
    assert good_peer.close_sent == rxws.Close()
    assert bad is not good


async def test_slow_subscriber_holds_nobody(sharing: Sharing) -> None:
    """A subscriber that is busy holds neither the connection nor the others; it has room for 1,024 items."""
    dialer = MemoryDialer()
    feed = sharing(dialer)
    gate, slow = asyncio.Event(), []

    async def work(message: str) -> str:
        await gate.wait()
        return message

    feed.pipe(rxops.map_async(work)).subscribe(slow.append)
    log = watch(f=feed)
    await turns()
    dialer.peer.send(*map(str, range(500)))
    await turns(600)
    assert len(log) == 500
    assert feed.socket is not None
    assert not feed.socket._life.held
    gate.set()
    await turns(3000)
    assert slow == [str(number) for number in range(500)]


async def test_slow_subscriber_may_take_the_newest(sharing: Sharing) -> None:
    """The connection goes on being read for a busy subscriber, so that it may drop all but the newest message."""
    dialer, worked = MemoryDialer(), list[str]()

    async def work(message: str) -> None:
        worked.append(message)
        await asyncio.sleep(0.05)

    newest = rxops.buffered(1, overflow="drop_oldest")
    subscription = sharing(dialer).pipe(newest, rxops.map_async(work)).subscribe()
    await turns()
    for number in range(100):
        dialer.peer.send(str(number))
        await asyncio.sleep(0.01)
    subscription.dispose()
    assert worked == [str(number) for number in (0, *range(4, 99, 5))]


async def test_subscribers_in_threads(sharing: Sharing) -> None:
    """Threads subscribe and leave; what comes is handed on in the event loop."""
    dialer = MemoryDialer()
    feed = sharing(dialer)
    log: list[Any] = []
    subscriptions: list[Any] = []
    in_a_thread(lambda: subscriptions.append(feed.subscribe(log.append)))
    await turns()
    dialer.peer.send("1")
    await turns()
    in_a_thread(subscriptions[0].dispose)
    await turns()
    assert (log, dialer.peer.close_sent) == (["1"], rxws.Close())


def test_feed_outside_of_an_event_loop(caplog: pytest.LogCaptureFixture) -> None:
    """A feed that is made at import belongs to the loop of its first subscriber, and then to that of another run."""
    dialers: list[MemoryDialer] = []

    def dial() -> Any:
        dialers.append(MemoryDialer())
        return connect(dialers[-1], ONCE)

    feed: SharedFeed[Any] = SharedFeed(dial)
    with pytest.raises(RuntimeError, match="a feed connects in an event loop, and none runs here"):
        feed.subscribe()

    async def follow() -> list[Any]:
        log = watch(s=feed.states, f=feed)
        await turns()
        dialers[-1].peer.send("1")
        await turns()
        return log

    for _ in range(2):
        log = asyncio.run(follow())
        assert log[:3] == [("s", rxws.Connecting(1)), ("s", rxws.Open(None, 1)), ("f", "1")]
    assert len(dialers) == 2
    assert caplog.records == []  # the loop's end is nobody's error


def test_subscribed_while_its_loop_is_closed() -> None:
    """A connection that a closed loop never began does not keep a later subscriber waiting: it gets its own."""
    dialer, log = MemoryDialer(), list[str]()
    loop = asyncio.new_event_loop()

    async def make() -> SharedFeed[Any]:
        return SharedFeed(lambda: connect(dialer, ONCE))

    feed = loop.run_until_complete(make())
    feed.subscribe(log.append)
    loop.close()

    async def follow() -> None:
        feed.subscribe(log.append)
        await turns()
        dialer.peer.send("1")
        await turns()

    asyncio.run(follow())
    assert (log, dialer.attempts) == (["1"], 1)


async def test_nothing_is_left_of_a_connection(sharing: Sharing) -> None:
    """A feed without subscribers keeps no socket."""
    dialer = MemoryDialer()
    feed = sharing(dialer)
    subscription = feed.subscribe()
    await turns()
    socket = weakref.ref(feed.socket)
    assert socket() is not None
    subscription.dispose()
    await asyncio.sleep(10)
    dialer.wires.clear()
    gc.collect()
    assert socket() is None
    assert [task.get_name() for task in asyncio.all_tasks() if "rxws" in task.get_name()] == []
