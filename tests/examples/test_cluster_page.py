"""`make demo-cluster`: a NATS server, three processes, and pages of a real browser that survive them."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.examples.conftest import EXAMPLES
from tests.integration.crew import Crew, started


@pytest.fixture
async def demo() -> AsyncIterator[Crew]:
    async with started(EXAMPLES / "cluster" / "demo.py", PORT="0") as demo:
        assert [one.name() for one in demo.all].count("nats-server") == 1
        yield demo


async def join(browser: Browser, demo: Crew, nick: str) -> tuple[BrowserContext, Page]:
    context = await browser.new_context(viewport={"width": 900, "height": 620})
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{demo.port}")
    await page.fill("input[name=nick]", nick)
    await page.click("text=Join")
    await process_of(page)
    return context, page


async def process_of(page: Page, other_than: int | None = None) -> int:
    """The process that serves a page; waits for another one."""
    for _ in range(200):
        text = await page.locator("#state").inner_text()
        if (found := re.fullmatch(r"Connected to process (\d+)", text)) and int(found[1]) != other_than:
            return int(found[1])
        await asyncio.sleep(0.05)
    raise AssertionError(f"still {text!r}")


async def say(page: Page, text: str) -> None:
    await page.fill("input[name=text]", text)
    await page.click("text=Send")


def said(page: Page) -> Any:
    return page.locator(".said .text")


def here(page: Page) -> Any:
    return page.locator("#here li > span:last-child")


async def test_pages_survive_the_death_of_a_process(
    demo: Crew, browser: Browser, eventually: Callable[..., Any]
) -> None:
    """Pages of different processes talk, and one comes back when its process dies."""
    _, ada = await join(browser, demo, "Ada")
    context, alan = await join(browser, demo, "Alan")
    for _ in range(30):
        if await process_of(alan) != await process_of(ada):
            break
        await context.close()
        context, alan = await join(browser, demo, "Alan")
    victim = await process_of(ada)
    assert await process_of(alan) != victim
    for page, names in ((ada, ["Ada you", "Alan"]), (alan, ["Ada", "Alan you"])):
        await expect(here(page)).to_have_text(names)
    await say(ada, "Is anybody here?")
    await expect(said(alan)).to_have_text(["Is anybody here?"])
    await say(alan, "<b>me</b>")
    await expect(said(ada)).to_have_text(["Is anybody here?", "<b>me</b>"])

    os.kill(victim, signal.SIGKILL)
    await expect(ada.locator("#state")).to_contain_text("Disconnected (1006)")
    meanwhile = [f"while you were away {number}" for number in range(3)]
    for text in meanwhile:
        await say(alan, text)
    assert await process_of(ada, other_than=victim)
    await say(ada, "Back again")
    everything = ["Is anybody here?", "<b>me</b>", *meanwhile, "Back again"]
    await expect(said(ada)).to_have_text(everything)
    await expect(said(alan)).to_have_text(everything)
    await expect(ada.locator(".said.mine")).to_have_count(2)
    assert await ada.locator(".notice", has_text="missing").count() == 0
    await expect(here(ada)).to_have_text(["Ada you", "Alan"])
    await context.close()
    await expect(here(ada)).to_have_text(["Ada you"])

    os.killpg(demo.process.pid, signal.SIGINT)
    _, errors = await demo.output(15)
    assert (demo.process.returncode, errors) == (0, "a worker died of SIGKILL; another one starts in 0 s\n")
    await eventually(lambda: not demo.left)


async def test_nothing_is_left_of_a_demo_that_is_killed(demo: Crew, eventually: Callable[..., Any]) -> None:
    assert len(demo.left) >= 5
    demo.process.kill()
    await eventually(lambda: not demo.left, timeout=15)
