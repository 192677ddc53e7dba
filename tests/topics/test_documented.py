"""docs/topics.md promises nothing without a test."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_each_promise_names_a_test_that_exists() -> None:
    promised = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/topics.md").read_text()))
    files = [*(ROOT / "tests/topics").rglob("*.py"), *(ROOT / "tests/integration").glob("test_topics_*.py")]
    written = {name for path in files for name in re.findall(r"def (test_\w+)", path.read_text())}
    assert len(promised) >= 26
    assert promised <= written
