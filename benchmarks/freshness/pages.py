"""Real browsers that open the server's page: it reports by itself how old the messages are that its script has."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator

STARTS_WITHIN = 40.0
CHROMIUM = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--user-data-dir={folder}",
]
BROWSERS = {
    "Chromium": (("chromium", "chromium-browser", "google-chrome"), CHROMIUM),
    "Firefox": (("firefox-esr", "firefox"), ["--headless", "--no-remote", "--profile", "{folder}"]),
}


@contextlib.contextmanager
def browsing(browser: str, url: str) -> Iterator[None]:
    """Have a browser open a page, with a profile of its own, until the block is left."""
    names, flags = BROWSERS[browser]
    command = next(filter(None, map(shutil.which, names)), None)
    if command is None:
        raise FileNotFoundError(f"none of {', '.join(names)} is on PATH: sh benchmarks/debian.sh")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        environment = {**os.environ, "HOME": folder, "MOZ_DISABLE_AUTO_SAFE_MODE": "1"}
        process = subprocess.Popen(
            [command, *(flag.format(folder=folder) for flag in flags), url],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ages(browser: str, port: int, *, acknowledge: bool, busy: float, seconds: float) -> list[tuple[float, float]]:
    """Seconds since the first message at which a page had each, and how old that was then."""

    def reported() -> list[list[float]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/reported", timeout=10) as answer:
            return json.loads(answer.read())

    reported()
    query = f"busy={busy * 1000:g}&acknowledge={'yes' if acknowledge else 'no'}"
    with browsing(browser, f"http://127.0.0.1:{port}/page?{query}"):
        seen: list[list[float]] = []
        deadline = time.monotonic() + STARTS_WITHIN
        while not seen or seen[-1][0] - seen[0][0] < seconds * 1000:
            if time.monotonic() > deadline + seconds:
                raise TimeoutError(f"{browser} reported {len(seen)} messages")
            time.sleep(0.2)
            seen += reported()
    return [((at - seen[0][0]) / 1000, age / 1000) for at, age in seen]
