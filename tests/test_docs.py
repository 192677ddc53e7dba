"""Every code block of the README and of the docs runs, and so does every docstring's example.

A ```python block runs on its own, as a program; in docs/notebooks.md as a cell, with top-level await. Two comments on
the line before a block change that:
`<!-- file: server.py -->` keeps it as that file; `<!-- run-with: server.py -->` runs it as a program of its own
beside that file, and a ```text block after it is what it prints. `<!-- part-of: examples/gateway.py -->` shows lines of
a file that other tests run.
"""

from __future__ import annotations

import ast
import asyncio
import doctest
import importlib
import inspect
import logging
import pkgutil
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import rxws
from tests.ports import free_port

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:<!-- (file|run-with|part-of): (\S+) -->\n)?```(\w*)\n(.*?)```", re.DOTALL)


class Block(NamedTuple):
    document: Path
    line: int
    role: str
    name: str
    language: str
    text: str


def blocks() -> list[Block]:
    found: list[Block] = []
    for document in DOCUMENTS:
        source = document.read_text()
        for match in BLOCK.finditer(source):
            line = source[: match.start()].count("\n") + 1
            found.append(Block(document, line, *(group or "" for group in match.groups())))
    return found


def place(block: Block) -> str:
    return f"{block.document.name}:{block.line}"


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    logger = logging.getLogger("rxws.server")
    level, handlers = logger.level, logger.handlers.copy()
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.mark.usefixtures("logging_as_it_was")
@pytest.mark.parametrize("block", [b for b in blocks() if b.language == "python" and not b.role], ids=place)
async def test_a_block_runs_on_its_own(block: Block) -> None:
    source = "\n" * block.line + block.text
    is_cell = block.document.name == "notebooks.md"
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if is_cell else 0
    code, names = compile(source, str(block.document), "exec", flags=flags), {"__name__": "__main__"}
    result = eval(code, names) if is_cell else asyncio.to_thread(exec, code, names)
    if inspect.isawaitable(result):
        await asyncio.wait_for(result, 30)


def printed_beside_server(python: str, client: Block, folder: Path) -> str:
    """Run a client and its server in a folder, each as a program of its own, and give what the client prints."""
    server = next(b for b in blocks() if b.role == "file" and b.name == client.name and b.document == client.document)
    port = str(free_port())
    for name, block in (("server.py", server), ("client.py", client)):
        assert "8080" in block.text
        (folder / name).write_text(block.text.replace("8080", port))
    process = subprocess.Popen([python, "server.py"], cwd=folder, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                    break
            time.sleep(0.05)
        command = [python, "client.py"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=True).stdout
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("client", [b for b in blocks() if b.role == "run-with"], ids=place)
def test_client_beside_its_server(client: Block, tmp_path: Path) -> None:
    """A client runs beside its server and prints what the document says."""
    everything = blocks()
    output = everything[everything.index(client) + 1]
    assert output.language == "text"
    assert printed_beside_server(sys.executable, client, tmp_path) == output.text


@pytest.mark.parametrize("block", [b for b in blocks() if b.role == "part-of"], ids=place)
def test_part_of_a_file(block: Block) -> None:
    """What a document shows of a file is in that file, and another test runs the file."""
    assert block.text in (ROOT / block.name).read_text()


def test_first_screen() -> None:
    """The first screen has a server and a client, and the README stays short."""
    lines = (ROOT / "README.md").read_text().splitlines()
    first = "\n".join(lines[:60])
    assert all(part in first for part in ("# rxws", "overview.svg", "server.py", "client.py"))
    assert len(lines) <= 160


def test_tables_of_the_readme() -> None:
    """The README's tables are those of the pages that explain them."""
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| ")]
    explained = {line for page in (ROOT / "docs").glob("*.md") for line in page.read_text().splitlines()}
    assert len(rows) > 25
    assert [row for row in rows if row not in explained] == []


@pytest.mark.parametrize("block", [b for b in blocks() if b.language == "sh"], ids=place)
def test_the_commands_named_exist(block: Block) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"\bmake ([\w-]+)", block.text):
        assert target in targets
    for extra in re.findall(r"\.\[(\w+)\]", block.text):
        assert extra in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_pictures(document: Path) -> None:
    """Links and pictures lead somewhere."""
    for target in re.findall(r"(?:\]\(|src=\"|srcset=\")([^)#\"]+)[)\"]", document.read_text()):
        assert target.startswith("https://") or (document.parent / target).exists(), target


MODULES = [module.name for module in pkgutil.walk_packages(rxws.__path__, "rxws.") if "__main__" not in module.name]


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name: str) -> None:
    """The examples of a module's docstrings are true."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0


NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def names_in(path: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if hasattr(node, "name")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_named_tests_exist(document: Path) -> None:
    """The tests that a document names exist."""
    for path, name in NAMED.findall(document.read_text()):
        assert name in names_in(path), f"{path}::{name}"


def test_each_fault_names_its_test() -> None:
    """Each fault of the tables names its test."""
    tables = (ROOT / "docs" / "reliability.md").read_text().partition("## The defaults")[0]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    assert len(rows) > 30
    assert [row for row in rows if not NAMED.search(row)] == []
    named = {name for _, name in NAMED.findall(tables)}
    sources = [path.read_text() for path in (ROOT / "tests" / "faults").glob("test_*.py")]
    written = {name for source in sources for name in re.findall(r"def (test_\w+)", source)}
    assert len(written & named) > 25


def test_each_promise_of_topics_names_its_test() -> None:
    """docs/topics.md promises nothing without a test, in the suites of topics."""
    promised = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/topics.md").read_text()))
    files = [*(ROOT / "tests/topics").rglob("*.py"), *(ROOT / "tests/integration").glob("test_topics_*.py")]
    written = {name for path in files for name in re.findall(r"def (test_\w+)", path.read_text())}
    assert len(promised) >= 26
    assert promised <= written
