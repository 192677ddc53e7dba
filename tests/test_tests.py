"""What every test here keeps to: its name is short, it reaches its end, it patches what exists."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TREES = {path: ast.parse(path.read_text()) for path in sorted(Path(__file__).parent.rglob("*.py"))}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def written() -> Iterator[tuple[str, Function]]:
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, Function) and node.name.startswith("test_"):
                yield f"{path.name}::{node.name}", node


def own(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function but for those of functions in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function | ast.Lambda):
            yield child
            yield from own(child)


def test_names_are_short() -> None:
    """A test's name has at most 60 characters; the sentence is its docstring."""
    found = [*written()]
    assert len(found) > 900
    assert [name for name, node in found if len(node.name) > 60] == []


def test_names_are_the_same_in_each_process(request: pytest.FixtureRequest) -> None:
    """No address is in a test's name: the processes that share the tests tell each other which to run."""
    assert [item.nodeid for item in request.session.items if " at 0x" in item.nodeid] == []


def test_no_test_returns() -> None:
    """A test that returns early has shown nothing: a marker deselects what cannot be shown (see `conftest.py`)."""
    assert [name for name, node in written() if any(isinstance(one, ast.Return) for one in own(node))] == []


def test_patches_name_objects() -> None:
    """What is patched is an attribute of an imported object: a name in a string would outlive what it names."""
    calls = [(path, node) for path, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    patches = [
        (path.name, node.args[0])
        for path, node in calls
        if isinstance(node.func, ast.Attribute) and node.func.attr == "setattr"
    ]
    assert len(patches) > 20
    assert [f"{name}:{what.lineno}" for name, what in patches if isinstance(what, ast.Constant | ast.JoinedStr)] == []
