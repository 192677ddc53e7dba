"""The examples on ASGI, under uvicorn, in pages of a real browser."""

from types import ModuleType

import pytest
import websockets
from playwright.async_api import Page, expect

from tests.examples.test_chat_page import join, say
from tests.integration.asgi import AsgiServer

pytestmark = pytest.mark.fast_wire  # once is enough: aiohttp has no part in it


@pytest.mark.example("fastapi_rooms.py")
async def test_fastapi_rooms(example: ModuleType, page: Page) -> None:
    """Two pages talk, a stranger gets 403, and the end of the application is 1001."""
    server = AsgiServer()
    await server.start(example.app)
    server.watch(example.app.state.rxws_hub)
    other = await page.context.browser.new_page()  # type: ignore[union-attr]
    await page.goto(f"{server.http}?name=ann")
    await expect(page.locator("li")).to_have_text(["ann: is here"])
    await other.goto(f"{server.http}?name=bob")
    await expect(page.locator("li")).to_have_text(["ann: is here", "bob: is here"])
    await other.fill("input", "<b>hi</b>")
    await other.click("button")
    await expect(page.locator("li").last).to_have_text("bob: <b>hi</b>")
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(f"{server.url}rooms/lobby?name=4")
    assert refused.value.response.status_code == 403
    await server.cleanup()
    await expect(page.locator("p")).to_have_text("closed, 1001")
    await other.close()


@pytest.mark.example("chat/server.py")
async def test_chat_on_asgi(example: ModuleType, page: Page) -> None:
    """The chat's handler and its page are the same behind `--asgi`."""
    server = AsgiServer()
    await server.start(example.make_asgi_app())
    other = await page.context.browser.new_page()  # type: ignore[union-attr]
    await join(page, server, "Ada")
    await expect(page.locator("#state")).to_have_text("Connected")
    await say(page, "Is anybody here?")
    await join(other, server, "Alan")
    await expect(other.locator(".said .text")).to_have_text("Is anybody here?")
    await expect(page.locator("#here li")).to_have_count(2)
    await other.close()
    await expect(page.locator(".notice").last).to_contain_text("Alan left")
    await page.click("#leave")
    await expect(page.locator("#door")).to_be_visible()
    assert (len(example.rooms), example.chats) == (0, {})
    await server.stop()
