"""Write the README's code to files, for the type checkers: `make lint` checks them as it does the examples."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = Path(__file__).with_name("readme")


def write() -> None:
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    readme = (ROOT / "README.md").read_text()
    for number, match in enumerate(re.finditer(r"```python\n(.*?)```", readme, re.DOTALL), 1):
        line = readme[: match.start(1)].count("\n")
        (PLACE / f"block_{number}.py").write_text("\n" * line + match[1])  # errors have the README's line numbers


if __name__ == "__main__":
    write()
