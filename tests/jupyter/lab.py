"""`make lab`: live pictures in JupyterLab, Notebook 7 and marimo, in a browser; prints what it measured.

    python -m tests.jupyter.lab [directory for screenshots]

10,000 events a second are watched in each; the page's frames are counted. In JupyterLab the page is loaded again, and
the notebook is opened without its kernel, untrusted, and under a policy that forbids the script.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from playwright.async_api import Browser, Page

from tests.chromium import chromium

CODE = """import asyncio, reactivex, rxws.jupyter
from reactivex import operators as ops
from reactivex.subject import Subject

trades = Subject()

async def feed():
    loop, sent, began = asyncio.get_running_loop(), 0, asyncio.get_running_loop().time()
    while True:
        due = int((loop.time() - began) * 10_000)
        for n in range(sent, due):
            trades.on_next({"symbol": "ABC", "price": n})
        sent = due
        await asyncio.sleep(0.01)

task = asyncio.create_task(feed())
spikes = trades.pipe(ops.filter(lambda t: t["price"] % 14_000 == 0), ops.map(lambda t: t["price"] // 14_000))
orders = spikes.pipe(ops.take(4))
failing = spikes.pipe(ops.map(lambda n: 6 // (3 - n)))
rxws.jupyter.watch(trades=trades, spikes=spikes, orders=orders, failing=failing, window=12)"""
STRICT = (
    "default-src 'self'; script-src 'self' 'unsafe-eval' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self' ws:; font-src 'self' data:"
)
FRAMES = """ms => new Promise(done => {
  let frames = 0;
  const start = performance.now();
  const next = () => performance.now() - start < ms
    ? (frames++, requestAnimationFrame(next)) : done(1000 * frames / ms);
  requestAnimationFrame(next);
})"""
PICTURE = ".rxws-live svg.rxws-marbles"
STILL = "img[src^='data:image/svg+xml;base64,']"


@contextmanager
def server(command: list[str], port: int, directory: Path, probe: str = "api") -> Iterator[str]:
    """Run a server until the block is left."""
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(url + probe, timeout=2)
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def jupyter(kind: str, port: int, directory: Path, *more: str) -> list[str]:
    options = {"ip": "127.0.0.1", "port": port, "root_dir": directory, "password": "", "disable_check_xsrf": True}
    given = [f"--ServerApp.{name}={value}" for name, value in options.items()]
    flags = ["--no-browser", "--allow-root", "--expose-app-in-browser", "--IdentityProvider.token="]
    return ["jupyter", kind, *flags, *given, *more]


async def opened(page: Page, url: str, *, run: bool) -> None:
    await page.goto(url)
    await page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
    await page.wait_for_timeout(3000)
    if run:
        await page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")


async def measured(page: Page, where: str, pictures: Path) -> None:
    await page.wait_for_selector(PICTURE, timeout=60_000)
    await page.wait_for_timeout(9000)
    frames = sorted([await page.evaluate(FRAMES, 2000) for _ in range(3)])
    before = await page.inner_html(".rxws-live")
    await page.wait_for_timeout(500)
    moves = before != await page.inner_html(".rxws-live")
    await page.screenshot(path=pictures / f"{where}.png")
    print(
        f"{where}: {frames[1]:.0f} frames/s at 10,000 events/s (of three: {frames[0]:.0f}-{frames[2]:.0f})", flush=True
    )
    assert moves, "the picture stands still"


async def in_jupyter(browser: Browser, directory: Path, pictures: Path) -> None:
    with server(jupyter("lab", 18_870, directory), 18_870, directory) as url:
        page = await browser.new_page(viewport={"width": 1200, "height": 1000})
        await opened(page, f"{url}lab/tree/feed.ipynb", run=False)
        print(f"JupyterLab alone: {await page.evaluate(FRAMES, 2000):.0f} frames/s")
        await page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
        await measured(page, "lab", pictures)
        await page.evaluate("jupyterapp.commands.execute('docmanager:save')")
        await page.wait_for_timeout(1500)
        await page.reload()
        await measured(page, "lab-reloaded", pictures)
        await page.close()
    with server(jupyter("notebook", 18_871, directory), 18_871, directory) as url:
        page = await browser.new_page(viewport={"width": 1200, "height": 1000})
        await opened(page, f"{url}notebooks/feed.ipynb", run=True)
        await measured(page, "notebook7", pictures)
        await page.close()
    saved = nbformat.read(directory / "feed.ipynb", as_version=4)
    saved.cells[0].source += "\n# somebody else's"
    nbformat.write(saved, directory / "untrusted.ipynb")
    strict = '--ServerApp.tornado_settings={"headers":{"Content-Security-Policy":"' + STRICT + '"}}'
    with server(jupyter("lab", 18_872, directory, strict), 18_872, directory) as url:
        for name, run in (("untrusted", False), ("feed", True)):
            page = await browser.new_page(viewport={"width": 1200, "height": 1000})
            await opened(page, f"{url}lab/tree/{name}.ipynb?reset", run=run)
            await page.wait_for_timeout(9000)
            assert await page.locator(STILL).first.is_visible(), name
            assert not await page.locator(PICTURE).count()
            await page.screenshot(path=pictures / f"{'strict' if run else name}.png")
            before = await page.get_attribute(STILL, "src")
            await page.wait_for_timeout(4000)
            moves = before != await page.get_attribute(STILL, "src")
            assert moves == run, name
            print(
                f"{'under a strict policy' if run else name}: the stored picture shows, {'drawn again' * moves}",
                flush=True,
            )
            await page.close()


async def in_marimo(browser: Browser, directory: Path, pictures: Path) -> None:
    body = "\n".join(f"    {line}" for line in CODE.splitlines())
    file = directory / "feed.py"
    file.write_text(f"import marimo\n\napp = marimo.App()\n\n\n@app.cell\ndef _():\n{body}\n    return\n")
    command = ["marimo", "edit", "--headless", "--no-token", "--skip-update-check", "--host", "127.0.0.1"]
    with server([*command, "--port", "18873", str(file)], 18_873, directory, "health") as url:
        page = await browser.new_page(viewport={"width": 1200, "height": 1200})
        await page.goto(url)
        await page.locator(".cm-content").first.click(timeout=60_000)
        await page.wait_for_timeout(3000)
        await page.keyboard.press("Control+Enter")
        await measured(page, "marimo", pictures)
        await page.close()


async def main(pictures: Path) -> None:
    pictures.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        nbformat.write(notebook, directory / "feed.ipynb")
        async with chromium() as browser:
            await in_jupyter(browser, directory, pictures)
            await in_marimo(browser, directory, pictures)
    print(f"screenshots: {pictures}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "/tmp/rxws-lab")))
