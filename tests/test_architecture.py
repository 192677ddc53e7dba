"""Imports follow the picture in docs/architecture.md: a module imports from layers below its own, never upwards."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = [
    {"closing", "codecs", "rate", "origins", "threads", "scheduling", "disposal", "stats", "offline"},
    {"ports", "siblings", "worker"},
    {"errors"},
    {"wire", "broadcast", "origin"},
    {"waiting"},
    {"states", "operators"},
    {"overflow", "backoff", "encoding"},
    {"options", "receipts", "undelivered", "keeping", "room", "error_stream", "journal"},
    {"reporting"},
    {"incoming", "outgoing", "heartbeat", "patience", "topics"},
    {"connection", "workers"},
    {"lifecycle"},
    {"socket", "block", "reconnect", "multiplex", "request"},
    {"recording"},
    {"marbles"},
    {"handlers", "hub", "client_socket"},
    {"connecting", "instruments"},
    {"testing", "aiohttp_wire"},
    {"upgrade", "dial"},
    {"attach"},
    {"server", "client", "run", "prometheus", "opentelemetry"},
    {"__init__"},
    {"cli", "pytest", "jupyter"},
    {"__main__"},
]
AIOHTTP = {"aiohttp_wire", "upgrade", "attach", "server", "dial", "client", "run", "cli", "pytest", "jupyter"}
"""The modules that may import aiohttp; all others are the core and its tests' wire."""


def modules() -> list[Path]:
    return sorted((ROOT / "rxws").rglob("*.py"))


def unit(path: Path) -> str:
    return path.relative_to(ROOT / "rxws").parts[0].removesuffix(".py")


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: absolute imports only"
            names |= {node.module or ""}
            if node.module == "rxws":
                names |= {f"rxws.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_the_layers_below(path: Path) -> None:
    own = layer(unit(path))
    for name in imports(path):
        package, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if package == "rxws" and target not in ("", unit(path)) and any(target in names for names in LAYERS):
            assert layer(target) < own, f"{path.name} imports {name}"
        if package == "aiohttp":
            assert unit(path) in AIOHTTP, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short_enough_to_be_one_concept(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
