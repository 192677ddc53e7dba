"""Bun, JavaScript on its own event loop: `Bun.serve` in `bun_echo.ts`, by the `bun` of `tests/npm`."""

from __future__ import annotations

import os
from pathlib import Path

NAME = "Bun"
HERE = Path(__file__).parent
BUN = HERE.parents[1] / "tests/npm/node_modules/.bin/bun"


def missing() -> str | None:
    return None if BUN.exists() else "`npm ci --prefix tests/npm` brings it"


async def serve() -> int:
    os.execv(BUN, [str(BUN), "run", str(HERE / "bun_echo.ts")])  # it prints the port
