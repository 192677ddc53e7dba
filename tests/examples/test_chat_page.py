"""The chat rooms, in two pages of a real browser."""

from types import ModuleType

import pytest
from playwright.async_api import Page, expect

from tests.integration.server import Server, running

pytestmark = pytest.mark.example("chat/server.py")


async def join(page: Page, server: Server, nick: str, room: str = "lobby") -> None:
    await page.goto(server.http)
    await page.fill("input[name=nick]", nick)
    await page.fill("input[name=room]", room)
    await page.click("text=Join")


async def say(page: Page, text: str) -> None:
    await page.fill("input[name=text]", text)
    await page.click("text=Send")


async def test_two_people_talk_and_one_leaves(example: ModuleType, page: Page) -> None:
    async with running(example.make_app()) as server:
        other = await page.context.browser.new_page()  # type: ignore[union-attr]
        await join(page, server, "Ada")
        await expect(page.locator("#state")).to_have_text("Connected")
        await say(page, "Is anybody here?")
        await join(other, server, "Alan")
        await expect(other.locator(".said .text")).to_have_text("Is anybody here?")
        await expect(page.locator("#here li")).to_have_count(2)
        await say(other, "<b>me</b>")
        await expect(page.locator(".said:not(.mine) .text")).to_have_text("<b>me</b>")
        await expect(other.locator(".said.mine .text")).to_have_text("<b>me</b>")
        await other.close()
        await expect(page.locator(".notice").last).to_contain_text("Alan left")
        await expect(page.locator("#here li")).to_have_count(1)
        await page.click("#leave")
        await expect(page.locator("#door")).to_be_visible()
        assert (len(example.rooms), example.chats) == (0, {})


async def test_rooms_are_apart_and_a_name_is_one_s_own(example: ModuleType, page: Page) -> None:
    async with running(example.make_app()) as server:
        other, third = [await page.context.browser.new_page() for _ in range(2)]  # type: ignore[union-attr]
        await join(page, server, "Ada", "cats")
        await join(other, server, "Alan", "dogs")
        await expect(other.locator("#state")).to_have_text("Connected")
        await say(page, "meow")
        await expect(page.locator(".said .text")).to_have_text("meow")
        await expect(other.locator(".said")).to_have_count(0)
        await join(third, server, "Ada", "cats")
        await expect(third.locator("#refusal")).to_have_text("Ada is here already")


async def test_a_page_that_lost_the_server_comes_back(example: ModuleType, page: Page) -> None:
    async with running(example.make_app()) as server:
        await join(page, server, "Ada")
        await expect(page.locator("#state")).to_have_text("Connected")
        for socket in server.app[next(key for key in server.app if "hub" in str(key))]:
            socket.close(1012, "Restarting")
        await expect(page.locator("#state")).to_contain_text("Disconnected (1012)")
        await expect(page.locator("#state")).to_have_text("Connected")
        await say(page, "still here")
        await expect(page.locator(".said .text")).to_have_text("still here")
