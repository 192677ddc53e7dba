"""The DevTools protocol of Chromium: a page's events, and its answers, through restarts of the browser."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
from pathlib import Path
from typing import Any

import aiohttp

import rxws
from tests.chromium import FLAGS
from tests.servers.process import Server, beside, causes, check_account, until

PAGE = "data:text/html,<script>let n = 0; setInterval(() => console.log('tick', n++), 5)</script>"


class Chromium(Server):
    """A browser with one page; each start has another port and other URLs."""

    def __init__(self, folder: Path) -> None:
        program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        options = ("--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder / 'profile'}")
        super().__init__(folder, program, *FLAGS, *options, PAGE, port=0)
        self.place = folder / "profile" / "DevToolsActivePort"

    async def start(self) -> None:
        self.place.unlink(missing_ok=True)
        await super().start()

    async def _accepts(self) -> bool:
        return self.place.exists()

    async def page(self) -> str:
        """Ask for the URL of the page; errors of files and of HTTP mean that there is none yet."""
        port = self.place.read_text().splitlines()[0]
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = [one["webSocketDebuggerUrl"] for one in await answer.json() if one["type"] == "page"]
        if not pages:
            raise ConnectionError("the browser has no page yet")
        return pages[0]


class Client:
    """Reads a page's console, and has the page write to it."""

    def __init__(self) -> None:
        self.ticks: list[list[int]] = []
        self.asked: list[int] = []
        self.answered: list[int] = []
        self.failed: list[int] = []
        self.said: list[int] = []

    def state(self, state: rxws.State) -> None:
        if isinstance(state, rxws.Open):
            self.ticks.append([])

    def take(self, message: Any) -> None:
        match message:
            case {"method": "Runtime.consoleAPICalled", "params": {"args": [{"value": "tick"}, {"value": number}]}}:
                self.ticks[-1].append(number)
            case {"method": "Runtime.consoleAPICalled", "params": {"args": [{"value": "said"}, {"value": number}]}}:
                self.said.append(number)

    async def ask(self, socket: rxws.ClientWebSocket[Any, Any]) -> None:
        for number in itertools.count(2):
            self.asked.append(number)
            expression = f"console.log('said', {number}), {number}"
            question = {"id": number, "method": "Runtime.evaluate", "params": {"expression": expression}}
            try:
                answer = await socket.request(question, key=lambda message: message.get("id"), timeout=20)
                assert answer["result"]["result"]["value"] == number, answer
                self.answered.append(number)
            except rxws.ConnectionLost:
                self.failed.append(number)
            except asyncio.CancelledError:  # the test is over
                self.asked.pop()
                raise
            await asyncio.sleep(0.005)

    async def more(self) -> None:
        goal = len(self.ticks) + 1
        await until(lambda: len(self.ticks) >= goal and len(self.ticks[-1]) > 30, f"connection {goal} and its ticks")


async def test_devtools_through_restarts(tmp_path: Path) -> None:
    """Each start has another URL, and the page's console is there from its first line; each question has one fate."""
    client, browser = Client(), Chromium(tmp_path)
    backoff = rxws.Backoff(initial=0.02, maximum=0.1)
    options: Any = {"codec": rxws.json, "greet": {"id": 1, "method": "Runtime.enable"}, "reconnect": backoff}
    try:
        async with rxws.connect(browser.page, **options) as socket, beside(client.ask(socket)):
            ends = causes(socket)
            socket.states.subscribe(client.state)
            socket.incoming.subscribe(client.take)
            for end in (signal.SIGTERM, signal.SIGKILL, None):
                await browser.start()
                await client.more()
                if end is signal.SIGTERM:
                    await browser.stop()
                elif end is not None:
                    await browser.kill()
    finally:
        browser.clean_up()
        await browser.ended()
    assert [type(end) for end in ends] == [rxws.ConnectionLost] * 2
    assert len(client.ticks) == 3
    for ticks in client.ticks:
        assert ticks == list(range(len(ticks)))
    check_account(client.asked, client.answered, client.failed)
    assert len(client.failed) <= 2
    assert len(client.said) == len(set(client.said))
