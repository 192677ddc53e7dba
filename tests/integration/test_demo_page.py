"""The demo in a browser: what it shows, how it is controlled, how it ends and comes back."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from playwright.async_api import Page, expect
from yarl import URL

from rxws.cli import demo
from rxws.cli.demo.server import make_app
from tests.integration.server import running


async def test_only_the_page_s_own_files_are_served(tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("secret")
    around = os.path.relpath(secret, Path(demo.__file__).parent / "page")
    async with running(make_app()) as server, aiohttp.ClientSession() as session:
        for name, status in (("page.css", 200), (str(secret), 404), (around, 404), ("..", 404), ("main.py", 404)):
            url = URL(server.http + quote(name, safe=""), encoded=True)
            async with session.get(url) as response:
                assert (name, response.status) == (name, status)


async def slide(page: Page, name: str, value: int) -> None:
    await page.evaluate(
        "([name, value]) => { const e = document.getElementById(name); e.value = value;"
        "e.dispatchEvent(new Event('input')); }",
        [name, value],
    )


async def count(page: Page) -> int:
    return int(await page.inner_text("#count-in"))


async def test_page_streams_telemetry(page: Page) -> None:
    """The page streams telemetry, and switches it live."""
    async with running(make_app()) as server:
        await page.goto(server.http)
        await expect(page.locator("#state")).to_have_text("open")
        await expect(page.locator("#memory")).to_contain_text("%")
        await expect(page.locator("#chart path.mean")).to_have_count(1)
        await expect(page.locator("#marbles rect.marble").first).to_be_visible()
        await expect(page.locator("#rtt")).to_contain_text("ms", timeout=10_000)

        await slide(page, "rate", 1)
        await page.wait_for_timeout(500)
        slow = await count(page)
        await page.wait_for_timeout(1000)
        slow = await count(page) - slow
        await slide(page, "rate", 20)
        await page.wait_for_timeout(500)
        fast = await count(page)
        await page.wait_for_timeout(1000)
        fast = await count(page) - fast
        assert slow <= 3
        assert fast >= 10

        await slide(page, "threshold", 1)
        await expect(page.locator("#alert")).to_contain_text("above 1 %", timeout=20_000)
        await slide(page, "threshold", 100)
        await expect(page.locator(".threshold-text")).to_have_text("100 %")


@pytest.mark.fast_wire  # once is enough: aiohttp has no part in it
async def test_demo_on_asgi(page: Page) -> None:
    """The command runs on uvicorn behind a flag, with the same page, and stops on Ctrl-C."""
    command = [sys.executable, "-u", "-m", "rxws", "demo", "--asgi", "--port", "0"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    url = re.search(r"http://\S+(?=,)", (await process.stdout.readline()).decode())
    assert url is not None
    await page.goto(url[0])
    await expect(page.locator("#state")).to_have_text("open")
    await expect(page.locator("#memory")).to_contain_text("%")
    await expect(page.locator("#chart path.mean")).to_have_count(1)
    await slide(page, "rate", 1)
    before = await count(page)
    await page.wait_for_timeout(2500)
    assert await count(page) > before
    await page.goto("about:blank")
    process.send_signal(signal.SIGINT)
    assert (await process.stdout.read()).decode() == "stopped\n"
    assert await process.wait() == 0


async def test_a_slow_page_is_fresh(page: Page) -> None:
    """A page that takes longer for a message than the next one takes to come has fresh ones, and shows how old."""
    async with running(make_app()) as server:
        await page.goto(server.http)
        await expect(page.locator("#state")).to_have_text("open")
        await slide(page, "rate", 20)
        await slide(page, "work", 150)
        await page.wait_for_timeout(4000)
        age = await page.inner_text("#age")
        assert int(age.removesuffix(" ms")) < 1500  # of 4 s, a page without fresh messages would be 2.7 s behind
        assert await page.inner_text("#in-flight") != "–"
        await expect(page.locator("#fresh path.line")).to_have_count(2)


async def test_its_buttons_end_the_socket_and_it_comes_back(page: Page) -> None:
    ends = (("close-1000", "1000", "–"), ("close-4001", "4001", "bye"), ("fail", "1011", "Unexpected Error"))
    async with running(make_app()) as server:
        await page.goto(server.http)
        for button, code, reason in ends:
            await expect(page.locator("#state")).to_have_text("open")
            await page.click(f"#{button}")
            await expect(page.locator("#close-code")).to_have_text(code)
            await expect(page.locator("#close-reason")).to_have_text(reason)
        await expect(page.locator("#state")).to_have_text("open")
        await page.uncheck("#auto")
        await page.click("#close-1000")
        await expect(page.locator("#state")).to_have_text("closed")
        await page.click("#reconnect")
        await expect(page.locator("#state")).to_have_text("open")


async def test_bad_json_is_answered(page: Page) -> None:
    """Bad JSON is answered, and the socket stays open."""
    async with running(make_app()) as server:
        await page.goto(server.http)
        await expect(page.locator("#state")).to_have_text("open")
        await page.click("#garbage")
        await expect(page.locator("#error")).to_contain_text("cannot decode '{not json'")
        before = await count(page)
        await page.wait_for_timeout(1000)
        assert await count(page) > before
        assert await page.inner_text("#close-code") == "–"


async def test_it_is_light_and_dark(page: Page) -> None:
    async with running(make_app()) as server:
        await page.emulate_media(color_scheme="dark")
        await page.goto(server.http)
        colors = [await page.evaluate("getComputedStyle(document.body).backgroundColor")]
        await page.click("#theme")
        colors.append(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert colors == ["rgb(15, 20, 28)", "rgb(244, 246, 250)"]
