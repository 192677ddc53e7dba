"""The README's screenshots of the demo, light and dark: python -m docs.screenshots."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from playwright.async_api import Page, async_playwright, expect

from rxws.cli.demo.server import make_app
from tests.chromium import FLAGS
from tests.integration.server import running
from tests.integration.test_demo_page import slide

PLACE = Path(__file__).parent / "pictures"


async def use(page: Page, address: str) -> None:
    """Do on the page what there is to do, until an alert is shown over the chart."""
    await page.goto(address)
    await page.wait_for_timeout(20_000)
    await slide(page, "rate", 12)
    await page.wait_for_timeout(4000)
    await slide(page, "work", 100)
    await page.wait_for_timeout(6000)
    await slide(page, "work", 0)
    await page.click("#garbage")
    await page.wait_for_timeout(2000)
    await page.click("#close-4001")
    await expect(page.locator("#close-code")).to_have_text("4001")
    await expect(page.locator("#state")).to_have_text("open")
    await page.wait_for_timeout(2000)
    await slide(page, "threshold", 50)
    await page.wait_for_timeout(6000)
    await expect(page.locator("#alert")).to_be_visible(timeout=20_000)


async def main() -> None:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    async with running(make_app()) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        for scheme, name in (("light", "demo.png"), ("dark", "demo-dark.png")):
            size = {"width": 1280, "height": 1080}
            page = await browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
            await use(page, server.http)
            await page.screenshot(path=PLACE / name)
            await page.close()
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
