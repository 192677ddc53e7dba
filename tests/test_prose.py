"""The rules for prose find what they are about, where they look for it."""

from pathlib import Path

import pytest

from tests.prose import SAY, broken, prose

BREAKS = [
    "It is no error.", "so\nmany", "for whoever asks", "somebody", "for ever", "it is gone", "an error of aiohttp's",
    "reads no more.", "not there any more,", "Take note", "as ever", "who comes first", "nothing of it", "It tells of",
    "without a word", "next to nothing", "at last, ", "one's own", "can not",
]  # fmt: skip
KEEPS = ["There is no error.", "It is no longer open.", "no more than ten", "any more messages", "It cannot."]


@pytest.mark.parametrize("text", BREAKS)
def test_broken_rules(text: str) -> None:
    """Each rule has a text that breaks it, on the line where the text begins."""
    ((line, what),) = broken(text, 7)
    assert line == 7
    assert "say" in what


@pytest.mark.parametrize("text", KEEPS)
def test_good_prose(text: str) -> None:
    """What only looks like it breaks no rule."""
    assert [*broken(text)] == []


def test_every_rule_has_a_text() -> None:
    """No rule is without a text here."""
    assert len({what.partition("say ")[2] for text in BREAKS for _, what in broken(text)}) == len({*SAY.values()})


def test_where_it_looks(tmp_path: Path) -> None:
    """Docstrings, comments and messages are read, names are not; of a document, what is not code."""
    module, page = tmp_path / "module.py", tmp_path / "page.md"
    module.write_text('"""Take note."""\nsomebody = f"{1} is gone"  # so many\n')
    page.write_text("```python\nsomebody\n```\nSomebody\n")
    found = sorted((line, text) for line, text in prose(module) for _ in broken(text))
    assert found == [(1, "Take note."), (2, " is gone"), (2, "# so many")]
    assert [line for start, text in prose(page) for line, _ in broken(text, start)] == [4]
