"""Publishing from programs without an event loop, to a real broker."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rxws
from rxws.cli import main
from tests.integration.broker import Broker
from tests.topics.engines.contract import values

Eventually = Callable[..., Any]


def command(*arguments: str, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rxws", "publish", *arguments], input=text, capture_output=True, text=True, timeout=60
    )


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rxws", "publish", *arguments], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


async def test_script_publishes(broker: Broker, eventually: Eventually) -> None:
    """A script publishes, and what it published is kept."""
    url = broker.fresh()

    def script() -> None:
        with rxws.topics.publisher(url) as publisher:
            for number in range(1000):
                publisher["a"].on_next(number)

    await asyncio.to_thread(script)
    async with rxws.topics(url) as topics:
        log = values(topics["a"].history())
        await eventually(lambda: len(log) == 1000)
        assert log == [*range(1000)]


async def test_script_publishes_large_messages(broker: Broker) -> None:
    """A script that publishes more than `max_buffered` bytes in a row waits for the broker, and drops nothing."""
    errors: list[Exception] = []

    def script() -> None:
        with rxws.topics.publisher(broker.fresh(), max_buffered=1_000_000) as publisher:
            publisher.errors.subscribe(errors.append)
            for _ in range(200):
                publisher["a"].on_next("x" * 50_000)

    await asyncio.to_thread(script)
    assert errors == []


async def test_command_publishes_lines(broker: Broker, eventually: Eventually) -> None:
    """The command publishes lines, and its status says whether all are confirmed."""
    url = broker.fresh()
    async with rxws.topics(url) as topics:
        log = values(topics["room.tea"].history())
        good = await asyncio.to_thread(command, url, "room.tea", text='{"a": 1}\n[2]\n')
        texts = await asyncio.to_thread(command, "--text", url, "room.tea", text="hello you\n")
        bad = await asyncio.to_thread(command, url, "room.tea", text="3\nhello\n4\n")
        await eventually(lambda: log == [{"a": 1}, [2], "hello you", 3, 4])
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert (texts.returncode, bad.returncode) == (0, 1)
    assert bad.stderr.startswith("rxws: line 2 is not JSON")


@pytest.mark.parametrize("options", [[], ["--text"]])
async def test_line_that_is_not_utf_8_fails_alone(broker: Broker, eventually: Eventually, options: list[str]) -> None:
    """A line that is not UTF-8 is one bad line, also where the standard input is strict."""
    url = broker.fresh()
    async with rxws.topics(url) as topics:
        log = values(topics["a"].history())
        finished = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "rxws", "publish", *options, url, "a"],
            input=b'1\n"\xff"\n2\n',
            env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
            capture_output=True,
            timeout=60,
        )
        await eventually(lambda: [str(message) for message in log] == ["1", "2"])
    assert finished.returncode == 1
    assert finished.stderr.startswith(b"rxws: cannot send ")


async def test_deeply_nested_json_is_one_bad_line(broker: Broker) -> None:
    """JSON that is nested too deeply is one bad line."""
    finished = await asyncio.to_thread(command, broker.fresh(), "a", text="[" * 100_000 + "]" * 100_000 + "\n1\n")
    assert finished.returncode == 1
    assert finished.stderr.startswith("rxws: line 1 is not JSON")
    assert "Traceback" not in finished.stderr


def test_absent_broker_is_told_and_not_a_failure(tmp_path: Path) -> None:
    """A broker that was away for a while is told, and is not a failure."""
    broker = Broker(tmp_path)
    with start(broker.url, "a") as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("1\n")
        process.stdin.flush()
        assert "is away" in process.stderr.readline()
        broker.start()
        try:
            _, said = process.communicate(timeout=20)
        finally:
            broker.stop()
    assert process.returncode == 0
    assert all("is away" in line for line in said.splitlines())


async def test_ctrl_c_ends_the_command_without_a_traceback(broker: Broker, eventually: Eventually) -> None:
    url = broker.fresh()
    async with rxws.topics(url) as topics:
        log = values(topics["a"].history())
        with start(url, "a") as process:
            assert process.stdin is not None
            process.stdin.write("1\n")
            process.stdin.flush()
            await eventually(lambda: log == [1], timeout=20)
            process.send_signal(signal.SIGINT)
            _, said = await asyncio.to_thread(process.communicate, timeout=20)
    assert (process.returncode, said) == (130, "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("memory://", "a"), "a publisher needs a broker"),
        (("http://localhost", "a"), "expected a URL of topics such as"),
        (("nats://127.0.0.1:1", "a.*"), "'a.*' stands for many topics"),
        (("nats://127.0.0.1:1", "a b"), "'a b' has a wildcard within a token, a blank"),
    ],
)
def test_wrong_arguments_are_clear_errors(arguments: tuple[str, ...], says: str) -> None:
    """Wrong arguments of the command are clear errors."""
    finished = command(*arguments, text="")
    assert finished.returncode == 2
    assert finished.stderr.startswith("rxws: ")
    assert says in finished.stderr
    assert "Traceback" not in finished.stderr


def test_command_fails_without_a_broker(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a broker the command says so and fails."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("1\n"))
    assert main(["publish", "nats://127.0.0.1:1", "a"]) == 1
    said = capsys.readouterr().err
    assert "NATS at 127.0.0.1:1 is away" in said
    assert "a message to 'a' was not published" in said
