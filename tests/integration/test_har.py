"""HAR files that a real browser writes: Chromium, by Playwright."""

import asyncio
import json
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

import rxws
from rxws.recording import read, replay
from tests.chromium import browser
from tests.integration.server import serving

__all__ = ["browser"]

PAGE = """
async url => {
  const socket = new WebSocket(url, "v1"), opened = new Promise(done => socket.onopen = done);
  socket.binaryType = "arraybuffer";
  await opened;
  const closed = new Promise(done => socket.onclose = done);
  socket.send("hello");
  await new Promise(done => setTimeout(done, 600));
  socket.send(new Uint8Array([0, 1, 255]));
  await new Promise(done => setTimeout(done, 200));
  socket.close();
  return (await closed).code;
}
"""


async def test_playwright_s_files(browser: Browser, tmp_path: Path) -> None:
    """What `record_har` writes, also with attached messages in a packed file, is a recording at its pace."""
    async with serving(rxws.websocket(protocols=["v1"])(lambda incoming: incoming)) as server:
        for name in ("embedded.har", "packed.zip"):
            context = await browser.new_context(record_har_path=tmp_path / name)
            page = await context.new_page()
            await page.goto(f"{server.http}/nowhere")
            async with page.expect_websocket() as opening:
                assert await page.evaluate(PAGE, server.url) == 1000
            socket = await opening.value
            if not socket.is_closed():  # Playwright has not heard of the messages before it hears of that
                await socket.wait_for_event("close")
            await context.close()
    assert json.loads((tmp_path / "embedded.har").read_text())["log"]["creator"]["name"] == "Playwright"
    for name in ("embedded.har", "packed.zip"):
        recording = read(tmp_path / name)
        assert [(event.lane, event.data) for event in recording] == [
            ("socket", "v1"),
            ("outgoing", "hello"),
            ("incoming", "hello"),
            ("outgoing", b"\x00\x01\xff"),
            ("incoming", b"\x00\x01\xff"),
        ]
        assert recording.about == {"url": server.url}
        first, second = (event.time for event in recording.lane("outgoing"))
        assert 0.55 < second - first < 5
        assert recording.start is not None
    loop = asyncio.get_running_loop()
    began, played = loop.time(), list[Any]()
    replay(recording, "incoming", speed=2).subscribe(played.append)
    while len(played) < 2:
        await asyncio.sleep(0.01)
    assert loop.time() - began > 0.25
