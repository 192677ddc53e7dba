"""The tape, as programs: its servers are killed while trades go on, and its page and its client miss none."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.examples.conftest import EXAMPLES
from tests.integration.broker import Broker
from tests.ports import free_port

Run = Callable[..., subprocess.Popen[str]]
LONG = 20_000
"""Milliseconds that a page may take on a busy machine."""


@pytest.fixture
def run() -> Iterator[Run]:
    """Run a program of the tape; all that run are killed at the end."""
    with ExitStack() as stack:

        def run(name: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
            program = [sys.executable, str(EXAMPLES / "tape" / name), *arguments]
            settings = {**os.environ, "SECONDS": "0.05", **environment}
            process = subprocess.Popen(
                program, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield run


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


def listens(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def wait_for(port: str) -> None:
    deadline = time.monotonic() + 20
    while not listens(port):
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def numbers(page: Page) -> list[int]:
    """The trades that the page shows, the oldest first."""
    shown = await page.locator(".trade > :first-child").all_text_contents()
    return [int(number) for number in reversed(shown)]


async def at_least(page: Page, count: int) -> None:
    await expect(page.locator(".trade").nth(count - 1)).to_be_attached(timeout=LONG)


@contextmanager
def looked_at(page: Page) -> Iterator[None]:
    """Fail if a script of the page raises; that it cannot connect is no failure."""
    complaints: list[Any] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield
    assert complaints == []


async def test_killed_server_loses_no_trade_silently(run: Run, broker: Broker, browser: Browser) -> None:
    """When a server is killed, its page and its client come back and miss nothing, or are told of the gap."""
    over_nats, alone = {"PORT": str(free_port()), "TOPICS": broker.url}, {"PORT": str(free_port())}
    servers = [run("server.py", **settings) for settings in (over_nats, alone)]
    run("market.py", broker.url)
    for settings in (over_nats, alone):
        await asyncio.to_thread(wait_for, settings["PORT"])
    client = run("client.py", f"ws://127.0.0.1:{over_nats['PORT']}/tape")
    read: list[int] = []

    async def read_until(count: int) -> None:
        assert client.stdout is not None
        async with asyncio.timeout(20):
            while len(read) < count:
                read.append(int((await asyncio.to_thread(client.stdout.readline)).split()[0]))

    page, other = [await browser.new_page(viewport={"width": 1000, "height": 800}) for _ in range(2)]
    with looked_at(page), looked_at(other):
        await page.goto(f"http://127.0.0.1:{over_nats['PORT']}")
        await other.goto(f"http://127.0.0.1:{alone['PORT']}")
        await at_least(page, 5)
        await at_least(other, 3)
        await read_until(5)
        for server, settings in zip(servers, (over_nats, alone), strict=True):
            server.kill()
            server.wait()
            run("server.py", **settings)
        await expect(page.locator(".note")).to_have_count(1, timeout=LONG)
        await page.click("#cut")
        await expect(page.locator(".note")).to_have_count(2, timeout=LONG)
        await at_least(page, len(await numbers(page)) + 3)
        await read_until(len(read) + 30)
        shown = await numbers(page)
        assert shown == [*range(shown[0], shown[0] + len(shown))]
        assert read == [*range(read[0], read[0] + len(read))]
        assert await page.locator(".missed").count() >= 3
        assert await page.locator("#missing").text_content() == await page.locator("#gaps").text_content() == "0"
        await expect(other.locator(".gap")).to_contain_text("the process has restarted since", timeout=LONG)
        await expect(other.locator("#gaps")).to_have_text("1")
