"""What the docs name is there: folders, files, classes and attributes of the package."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from tests.test_architecture import PUBLIC, modules

ROOT = Path(__file__).parent.parent
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACES = ["builtins", "asyncio", "contextvars", "aiohttp", "aiohttp.web", "aiohttp.test_utils", "reactivex"]
PLACES += [
    "aiohttp_remotes",
    "reactivex.abc",
    "reactivex.disposable",
    "reactivex.scheduler.eventloop",
    "reactivex.subject",
]
FOREIGN = {
    "FigureWidget",
    "JupyterChart",
    "WebSocketCtor",
    "WebSocketSubjectConfig",
    "Authorization",
    "By",
    "Host",
    "Origin",
}
FOREIGN |= {"In", "Out", "Type", "Other"}  # variables of types
FOREIGN |= {"TestScheduler"}  # of reactivex.testing
FOREIGN |= {"NaN", "Runtime", "DevToolsActivePort", "WebSocketRoute", "WebSocketException"}
FOREIGN |= {"URLRouter", "ProtocolTypeRouter"}  # of Django Channels
FOREIGN |= {"Dockerfile", "LimitNOFILE", "TimeoutStopSec"}
FOREIGN |= {"ProxyPass", "ProxyPreserveHost", "Timeout", "H2WebSockets", "Connection", "Upgrade"}
"""Names of JavaScript, of browsers and of libraries; a unit; headers; settings of programs."""

TREES = [ast.parse(path.read_text()) for path in modules()]
CLASSES = {node.name: node for tree in TREES for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def table(head: str) -> set[str]:
    """Give the names in the first column of a table of the architecture's page."""
    rows = ARCHITECTURE.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def quoted(document: Path) -> list[str]:
    """Give what a document says in code font, outside of its code blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL))


def attributes(kind: ast.ClassDef) -> set[str]:
    """Give the names that a class defines, those of its instances too."""
    names: set[str] = set()
    for node in ast.walk(kind):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Attribute(value=ast.Name(id="self"), attr=name):
                names.add(name)
            case _:
                pass
    bases = [base.value if isinstance(base, ast.Subscript) else base for base in kind.bases]
    return names.union(*(attributes(CLASSES[b.id]) for b in bases if isinstance(b, ast.Name) and b.id in CLASSES))


def test_tree_lists_all_folders() -> None:
    """The table of the tree has an entry for all that stands at the top of the package, and for nothing else."""
    entries = [path for path in (ROOT / "rxws").iterdir() if path.name != "py.typed" and not path.name.startswith("__")]
    names = {f"{path.name}/" if path.is_dir() else path.stem for path in entries}
    assert table("in `rxws/`") == names


def test_tree_lists_all_of_core() -> None:
    """The reading order of the core has each of its files."""
    assert table("in `core/`") == {path.name for path in (ROOT / "rxws/core").glob("[!_]*.py")}


def test_public_modules_are_documented() -> None:
    """The sentence that says what is public has the same list as the tests."""
    sentence = ARCHITECTURE.partition("everything else is private:")[2].partition(".")[0]
    assert re.findall(r"`(\w+)`", sentence) == PUBLIC


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documented_files_exist(document: Path) -> None:
    """A file or a folder that a document names is in the repository, or in the package."""
    made = re.findall(r"<!-- file: (\S+) -->", document.read_text())
    for name in quoted(document):
        if re.fullmatch(r"[\w./]+(\.py|/)", name):
            places = [ROOT, ROOT / "rxws", ROOT / "rxws/core"]
            made_in_place = name in ("conftest.py", "server.py", "client.py", *made)
            assert made_in_place or any((place / name).exists() for place in places), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documented_classes_exist(document: Path) -> None:
    """A name in capitals and small letters is a class of the package, or of what it is built on."""
    nodes = [node for tree in TREES for node in ast.walk(tree)]
    known = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    recipes = [path.read_text() for path in (ROOT / "examples" / "recipes").glob("*.py")]
    known |= {name for source in recipes for name in re.findall(r"^class (\w+)", source, re.MULTILINE)}
    known = known.union(FOREIGN, CLASSES, *(dir(importlib.import_module(place)) for place in PLACES))
    names = [match[1] for name in quoted(document) if (match := re.match(r"([A-Z]\w*[a-z]\w*)(?![\w-])", name))]
    assert [name for name in names if name not in known] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documented_attributes_exist(document: Path) -> None:
    """`Class.attribute` names an attribute that the class has; `socket`, `hub` and `topics` are instances of theirs."""
    instances = {"socket": "ClientWebSocket", "hub": "Hub", "topics": "Topics", "presence": "Presence"}
    for name in quoted(document):
        owner, _, rest = name.partition(".")
        kind = CLASSES.get(instances.get(owner, owner))
        if kind is not None and rest != "py" and (attribute := re.match(r"\w+", rest)):
            assert attribute[0] in attributes(kind), name


BOUND = re.compile(r"self\.(_parse|_decode|_offer_text|_offer|emit|offer_text|offer) = .*\.\w+( |$)")
"""A field of the path of a message is given a bound method, which an editor cannot follow to its function."""


def test_bound_fields_name_their_targets() -> None:
    """The comment where such a field is set names a method that there is."""
    paths = [path for path in modules() if path.relative_to(ROOT / "rxws").parts[0] in ("core", "rx", "wires")]
    lines = [line for path in paths for line in path.read_text().splitlines() if BOUND.search(line)]
    assert len(lines) >= 7
    for line in lines:
        targets = re.findall(r"([A-Z]\w+)\.(\w+)", line.partition("#")[2])
        known = [target for target in targets if target[0] in CLASSES]
        assert known, line
        assert all(method in attributes(CLASSES[name]) for name, method in known), line
