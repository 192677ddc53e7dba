"""Topics that know several servers, of which some are hung or dead; and what an operator or a stranger does."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from reactivex import operators as ops

import rxws
from rxws.testing import serve
from rxws.topics import Gap, Topics, TopicsError
from rxws.topics.engines.nats import engine, follower, link, outbox
from tests.integration.broker import Broker
from tests.topics.engines.contract import publish, ready, values

Eventually = Callable[..., Any]
Open = Callable[..., Topics[Any]]


@pytest.fixture
def hung() -> Iterator[str]:
    """The place of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def in_this_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try servers in the order of the URL."""
    monkeypatch.setattr(engine, "shuffle", lambda servers: None)


async def test_next_server_is_tried_when_one_is_hung(
    broker: Broker,
    hung: str,
    in_this_order: None,
    open_topics: Open,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hung server costs 2 s, and then the next one is tried; nobody needs to be told."""
    monkeypatch.setattr(engine, "NEXT_SERVER", 0.5)
    topics = open_topics(f"nats://{hung},nats://127.0.0.1:{broker.port}/hung")
    errors, log = values(topics.errors), values(topics["a"])
    began = asyncio.get_running_loop().time()
    topics["a"].on_next(1)
    await eventually(lambda: log == [1])
    assert asyncio.get_running_loop().time() - began < 4  # the only server would have five seconds
    topics._engine._stream.link.lost.set()
    topics["a"].on_next(2)
    await eventually(lambda: log == [1, 2])
    assert [str(error) for error in errors] == [f"NATS at {hung}, 127.0.0.1:{broker.port} is away, trying again: lost"]


async def test_the_reason_is_told_for_each_server(
    hung: str, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none of the servers is there, it says why for each of them, once, and without a password."""
    monkeypatch.setattr(engine, "NEXT_SERVER", 0.1)
    monkeypatch.setattr(engine, "DEADLINE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        dead = f"127.0.0.1:{probe.getsockname()[1]}"
    topics = open_topics(f"nats://bob:sesame@{dead},nats://bob:sesame@{hung}")
    errors = values(topics.errors)
    topics["a"].subscribe()
    why = f"{hung}: it does not answer within 0.1 s", f"{dead}: [Errno 111] Connect"
    await eventually(lambda: any(all(one in str(error) for one in why) for error in errors))
    await asyncio.sleep(1)
    told = [*map(str, errors)]
    assert len({*told}) == len(told) <= 2  # on a busy machine the other one may not answer in time either, once
    assert all(error.startswith(f"NATS at {dead}, {hung} is away, trying again: ") for error in told)
    assert "sesame" not in "".join(told)


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[nats.NATS]:
    """Another program."""
    client = await nats.connect(broker.url)
    yield client
    await client.close()


async def change(client: nats.NATS, name: str, key: str, value: Any) -> Any:
    """Change a stream's configuration as an operator does; return what it was."""
    config = json.loads((await client.request(f"$JS.API.STREAM.INFO.{name}", b"")).data)["config"]
    before, config[key] = config.get(key), value
    answer = json.loads((await client.request(f"$JS.API.STREAM.UPDATE.{name}", json.dumps(config).encode())).data)
    assert "error" not in answer
    return before


@pytest.mark.parametrize(("key", "value"), [("republish", None), ("allow_direct", False)])
async def test_what_an_operator_takes_away_is_told_once(
    broker: Broker, client: nats.NATS, open_topics: Open, eventually: Eventually, key: str, value: Any
) -> None:
    """A stream that topics can no longer live with is told at once, however few messages come and however many read.

    When it is as it was, they go on with what they have missed.
    """
    url = broker.fresh()
    name = url.rpartition("/")[2]
    topics = open_topics(url)
    errors: list[Exception] = []
    topics.errors.subscribe(errors.append)
    live = values(topics["a"].messages)
    topics["a"].on_next(1)
    await eventually(lambda: live == [1])
    before = await change(client, name, key, value)
    await eventually(lambda: errors, timeout=4)
    histories = [values(topics["a"].messages.history()) for _ in range(20)]
    await client.publish(f"{name}.in.a", b"2")
    await asyncio.sleep(1)
    assert [f"the stream {name!r} has {key} {value}: topics need {before!r}" in str(error) for error in errors] == [
        True
    ]
    assert live == [1]
    await change(client, name, key, before)
    topics["a"].on_next(3)
    await eventually(lambda: live == [1, 2, 3])
    await eventually(lambda: all(history == live for history in histories))
    assert len(errors) == 1


async def test_deleted_stream_is_told_once(
    broker: Broker, client: nats.NATS, open_topics: Open, eventually: Eventually
) -> None:
    """A stream that is deleted under many readers is told once, and made anew."""
    url = broker.fresh()
    topics = open_topics(url)
    errors: list[Exception] = []
    topics.errors.subscribe(errors.append)
    live = values(topics["a"].messages)
    publish(topics["a"], [1])
    await eventually(lambda: live == [1])
    await client.request(f"$JS.API.STREAM.DELETE.{url.rpartition('/')[2]}", b"")
    histories = [values(topics["a"].history()) for _ in range(20)]
    await eventually(lambda: live == [1, "gap"])
    publish(topics["a"], [2])
    await eventually(lambda: live == [1, "gap", 2] and all(history == [2] for history in histories))
    assert [type(error) for error in errors] == [TopicsError, Gap]


@pytest.mark.parametrize("status", ["404", "503", "204"])
async def test_header_of_a_stranger_ends_no_reading(
    broker: Broker, client: nats.NATS, open_topics: Open, eventually: Eventually, status: str
) -> None:
    """What any program says in a message's headers is no answer of the server's."""
    url = broker.fresh()
    name = url.rpartition("/")[2]
    topics = open_topics(url)
    errors, live = values(topics.errors), values(topics["a"])
    publish(topics["a"], [1])
    await eventually(lambda: live == [1])
    forged = {"Status": status, "Nats-Sequence": "77", "Nats-Last-Sequence": "9", "Nats-Num-Pending": "5"}
    for headers in ({"Status": status}, forged, {"Nats-Subject": f"{name}.in.b"}):
        await client.publish(f"{name}.in.a", b"2", headers=headers)
    await eventually(lambda: live == [1, 2, 2, 2])
    publish(topics["a"], [3])
    logs = [values(topics[name].history(**how)) for name in ("a", "*") for how in ({}, {"last": 5}, {"last": 10})]
    await eventually(lambda: all(log == [1, 2, 2, 2, 3] for log in logs))
    assert values(topics["a"].history(last=2)) == []
    assert errors == []


async def test_reading_without_progress_is_an_error(
    open_topics: Open, broker: Broker, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that brings nothing, though there is something, is told once, and asked for a few times a second."""
    topics = open_topics(broker.fresh())
    errors: list[Exception] = []
    topics.errors.subscribe(errors.append)
    live = values(topics["a"])
    publish(topics["a"], [1])
    await eventually(lambda: live == [1])
    ask_many, asked = link.Link.ask_many, 0

    async def empty(self: Any, subject: str, *more: Any) -> Any:
        nonlocal asked
        asked += 1
        *found, end = await ask_many(self, subject, *more)
        if subject.startswith("$JS.API.DIRECT.GET."):
            end.headers |= {"Nats-Last-Sequence": "0"}
            found.clear()
        return [*found, end]

    with monkeypatch.context() as broken:
        broken.setattr(link.Link, "ask_many", empty)
        logs = [values(topics["a"].history()) for _ in range(10)]
        await asyncio.sleep(1)
        assert asked <= 10 * 12
    await eventually(lambda: all(log == [1] for log in logs))
    assert ["returns no message of the stream" in str(error) for error in errors] == [True]


async def test_number_too_large_is_its_senders_fault(
    broker: Broker, client: nats.NATS, open_topics: Open, eventually: Eventually
) -> None:
    """What a stranger publishes that could not be sent on is told; it closes nobody, now or later."""
    url = broker.fresh()
    topics = open_topics(url)
    errors: list[Exception] = []
    topics.errors.subscribe(errors.append)

    def room() -> Any:
        return topics["a"].latest().pipe(ops.map(lambda value: {"mapped": value}))

    _, one = serve(room, codec=rxws.json)
    publish(topics["a"], [1])
    await eventually(lambda: one.sent == ['{"mapped":1}'])
    for data in (b"1e999", b"\xff", b"nonsense"):
        await client.publish(f"{url.rpartition('/')[2]}.in.a", data)
    await eventually(lambda: len(errors) == 3)
    _, two = serve(room, codec=rxws.json)
    await eventually(lambda: len(errors) == 4)
    publish(topics["a"], [2])
    await eventually(lambda: one.sent[1:] == two.sent == ['{"mapped":2}'])
    assert {type(error) for error in errors} == {rxws.DecodeError}
    assert one.close_sent is two.close_sent is None


async def test_message_beside_the_stream_is_told(
    broker: Broker, client: nats.NATS, open_topics: Open, eventually: Eventually
) -> None:
    """A program that publishes where one should listen is told of, and harms nobody."""
    url = broker.fresh()
    name = url.rpartition("/")[2]
    topics = open_topics(url)
    errors, live = values(topics.errors), values(topics["a"])
    publish(topics["a"], [1])
    await eventually(lambda: live == [1])
    for headers in (None, {"Nats-Subject": f"{name}.in.a", "Nats-Sequence": "many", "Nats-Last-Sequence": "1"}):
        await client.publish(f"{name}.live.a", b"2", headers=headers)
    await client.flush()
    publish(topics["a"], [3])
    await eventually(lambda: live == [1, 3])
    told = f"a message on '{name}.live.a' came from elsewhere: publish to '{name}.in.a'"
    assert [str(error) for error in errors] == [told]


async def test_hung_server_is_told_once_to_all_readers(
    tmp_path: Path, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that hangs under twenty readers is told once for each reason, and then again when it hangs again."""
    for module in (engine, link, outbox):
        monkeypatch.setattr(module, "DEADLINE", 0.3)
    monkeypatch.setattr(link, "PING_INTERVAL", 0.2)
    monkeypatch.setattr(engine, "OUTAGE", 0.9)
    with Broker(tmp_path) as broker:
        topics = open_topics(broker.url)
        errors: list[Exception] = []
        topics.errors.subscribe(errors.append)
        live = values(topics["a"])
        for outage in (1, 2):
            publish(topics["a"], [outage])
            await eventually(lambda outage=outage: live[-1:] == [outage])
            await asyncio.sleep(1.2)
            broker.process.send_signal(signal.SIGSTOP)
            logs = [values(topics["a"].history(last=1)) for _ in range(20)]
            publish(topics["a"], [0])
            await asyncio.sleep(2)
            broker.process.send_signal(signal.SIGCONT)
            await eventually(lambda logs=logs: all(log[-1:] == [0] for log in logs))
            # NATS answers a question while it has yet to store what came before it: then 0 comes live
            assert all(log in ([0], [outage, 0]) for log in logs)
            told = [str(error) for error in errors]
            assert len({*told}) == len(told) <= 5
            assert told
            errors.clear()
        await eventually(lambda: live == [1, 0, 2, 0])
        await topics.close()


async def test_overtaken_message_is_told(
    broker: Broker, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that is lost on its way, as one is with a cluster's leader, comes behind its successors: told once."""
    monkeypatch.setattr(outbox, "DEADLINE", 0.3)
    topics = open_topics(broker.fresh())
    errors, live = values(topics.errors), values(topics["*"])
    publish(topics["a"], [0])
    await eventually(lambda: live == [0])
    send, lost = nats.NATS.publish, [b"1"]

    async def lose(self: Any, subject: str, payload: bytes = b"", **more: Any) -> None:
        if payload in lost:
            lost.remove(payload)
        else:
            await send(self, subject, payload, **more)

    monkeypatch.setattr(nats.NATS, "publish", lose)
    publish(topics["a"], [1, 2, 3])
    publish(topics["b"], [4])
    await eventually(lambda: len(live) == 5)
    publish(topics["a"], [5])
    await topics.confirmed()
    await eventually(lambda: live == [0, 2, 3, 4, 1, 5])
    assert [str(error) for error in errors] == [
        f"NATS at 127.0.0.1:{broker.port} is away, trying again: it has not confirmed a message for 0.3 s",
        "messages to 'a' are out of order: NATS lost one, then took the next",
    ]


@pytest.mark.parametrize(
    "answer", [b"", *(json.dumps({"error": {"err_code": code}}).encode() for code in outbox.NOT_YET), None]
)
async def test_message_that_is_not_taken_yet_is_sent_again(
    broker: Broker, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch, answer: bytes | None
) -> None:
    """A message that nobody takes, or whose confirmation is lost, is sent again; it is not refused."""
    monkeypatch.setattr(outbox, "DEADLINE", 0.3)
    topics = open_topics(broker.fresh())
    errors, live = values(topics.errors), values(topics["a"])
    publish(topics["a"], [0])
    await eventually(lambda: live == [0])
    answered, first = outbox.Outbox._answered, True
    send, sent = nats.NATS.publish, []

    async def note(self: Any, subject: str, payload: bytes = b"", **more: Any) -> None:
        if ".in." in subject:
            sent.append(int(payload))
        await send(self, subject, payload, **more)

    monkeypatch.setattr(nats.NATS, "publish", note)

    def spoil(self: Any, stream: Any, message: Any) -> None:
        nonlocal first
        if first:
            first = False
            if answer is None:
                return
            message.data = answer
        answered(self, stream, message)

    monkeypatch.setattr(outbox.Outbox, "_answered", spoil)
    publish(topics["a"], [1, 2, 3])
    await topics.confirmed()
    await eventually(lambda: live == [0, 1, 2, 3])
    assert len(errors) == (answer is None)
    assert sorted(sent) == [1, 1, 2, 3]  # what is confirmed meanwhile is not sent again


async def test_connection_that_ends_without_a_word_is_replaced(
    broker: Broker, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection whose end the client library does not tell, since closing failed, is noticed by who only listens."""
    monkeypatch.setattr(link, "PING_INTERVAL", 0.2)
    subscriber, publisher = open_topics(url := broker.fresh()), open_topics(url)
    live = values(subscriber["a"])
    await ready(subscriber, eventually)
    publish(publisher["a"], [1])
    await eventually(lambda: live == [1])

    async def say_nothing() -> None:
        pass

    connection = subscriber._engine._stream.link
    connection.client._closed_cb = say_nothing
    await connection.client.close()
    publish(publisher["a"], [2])
    await eventually(lambda: live == [1, 2])


async def test_another_leader_has_all_read_what_is_missing(
    broker: Broker, client: nats.NATS, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a leader kept, but died before it passed it on, is read as soon as there is another one.

    Those who have just subscribed read nothing.
    """
    url = broker.fresh()
    topics = open_topics(url)
    live = values(topics["a"].messages)
    publish(topics["a"], [1])
    await eventually(lambda: live == [1])
    with monkeypatch.context() as lossy:
        lossy.setattr(follower.Follower, "_take", lambda self, stream, message: None)
        publish(topics["a"], [2])
        await topics.confirmed()
        await client.flush()
        await asyncio.sleep(0.1)
    assert live == [1]
    fresh = values(topics["b"].messages)
    await client.publish(f"$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.{url.rpartition('/')[2]}", b"{}")
    await eventually(lambda: live == [1, 2])
    assert fresh == []


async def test_server_that_takes_nothing_leaves_no_task(
    tmp_path: Path, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that hangs while much is on its way is given up, for which the client library would wait.

    When it goes on, all is there, once.
    """
    monkeypatch.setattr(link, "PING_INTERVAL", 0.2)
    with Broker(tmp_path) as broker:
        topics = open_topics(broker.url, max_buffered=10**9)
        live = values(topics["a"].pipe(ops.map(lambda value: value[0])))
        publish(topics["a"], [[0]])
        await eventually(lambda: live == [0])
        tasks = asyncio.all_tasks()
        broker.process.send_signal(signal.SIGSTOP)
        publish(topics["a"], ([number, "x" * 200_000] for number in range(1, 151)))
        await eventually(lambda: not topics._engine.is_up)
        await eventually(lambda: len(asyncio.all_tasks() & tasks) <= 3)  # this one, and two of the engine's
        broker.process.send_signal(signal.SIGCONT)
        await eventually(lambda: live == [*range(151)])
        await topics.close()


async def test_cluster_that_chooses_a_leader_is_asked_again(
    broker: Broker, open_topics: Open, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that says that there is no leader yet is nothing to tell of, unless it stays so."""
    topics = open_topics(broker.fresh())
    errors, live = values(topics.errors), values(topics["a"])
    publish(topics["a"], [1])
    await eventually(lambda: live == [1])
    ask_many, refused, times = link.Link.ask_many, 0, 3

    async def refuse(self: Any, subject: str, *more: Any) -> Any:
        nonlocal refused
        found = await ask_many(self, subject, *more)
        if subject.startswith("$JS.API.STREAM.MSG.GET.") and refused < times:
            refused += 1
            found[0].data = json.dumps({"error": {"err_code": link.UNSETTLED[0], "description": "busy"}}).encode()
        return found

    monkeypatch.setattr(link.Link, "ask_many", refuse)
    log = values(topics["a"].latest())
    await eventually(lambda: log == [1])
    assert refused == 3
    assert errors == []
    monkeypatch.setattr(link, "DEADLINE", 0.3)
    times = 10_000
    log = values(topics["a"].latest())
    await eventually(lambda: errors)
    assert [str(error) for error in errors] == [f"NATS refused $JS.API.STREAM.MSG.GET.{topics._engine._name}: busy"]
