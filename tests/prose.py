"""The rules for prose, as far as a program can check them: `python -m tests.prose` lists what breaks them.

It reads the documents, and the docstrings, comments and messages of the package, its examples and its benchmarks.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
READ = ("*.md", "docs/**/*.md", "benchmarks/*.md", "examples/**/*.md", "findings/*.md", "rxws/**/*", "examples/**/*.py")
SAY = {
    r"(?<!there\s)(is|are|was|were) no(?! (?:longer|more|less|better|worse|one)\b)": "is not a",
    r"so many": "the number, or 'as many'",
    r"(some|who)body|whoever|whosoever": "someone, a subscriber, the one that",
    r"for ever": "forever",
    r"(is|are|was|were) gone": "has left, has ended, was removed",
    r"an? [\w-]+ of [\w`]+'s": "'an aiohttp error', not 'an error of aiohttp's'",
    r"no more(?=[.,;:)]| (?:until|while|before|and|since|when))": "no longer",
    r"any more(?=[.,;:)])": "anymore",
    r"take note": "record",
    r"as ever": "as before",
    r"who comes (?:first|later|late)": "new or late subscribers",
    r"nothing of": "nothing in, none of",
    r"tells? of": "reports",
    r"without a word": "silently",
    r"next to nothing": "almost nothing",
    r"at last(?=,)": "finally",
    r"one's own": "your own",
    r"can not": "cannot",
}
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
RULES = {re.compile(rf"\b(?:{rule})(?!\w)".replace(" ", r"\s+"), re.IGNORECASE): words for rule, words in SAY.items()}


def prose_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Give the comments and the texts of a module, with their lines."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Give the passages of a file that are for people, with the lines that they begin on."""
    source = path.read_text() if path.suffix in (".py", ".md", ".html", ".js") else ""
    match path.suffix:
        case ".py":
            yield from prose_of_python(source)
        case ".md":  # without its blocks of code, but with their lines
            yield 1, CODE.sub(lambda block: "\n" * block[0].count("\n"), source)
        case ".html" | ".js":
            yield 1, source
        case _:
            pass


def broken(text: str, line: int = 1) -> Iterator[tuple[int, str]]:
    """Give what breaks a rule in a text that begins on a line: the line, and what to say instead."""
    for rule, words in RULES.items():
        for match in rule.finditer(text):
            yield line + text.count("\n", 0, match.start()), f"{' '.join(match[0].split())!r}: say {words}"


def main() -> int:
    """Print each passage that breaks a rule; the exit status says whether one does."""
    found = 0
    for path in sorted({path for pattern in READ for path in ROOT.glob(pattern) if "_build" not in path.parts}):
        if path.is_file():
            for line, what in sorted(one for start, text in prose(path) for one in broken(text, start)):
                found += 1
                print(f"{path.relative_to(ROOT)}:{line}: {what}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
