"""Imports point one way, between folders and between modules; what a user may import stands at the top."""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [
    {"checks", "close", "codecs", "stats"},
    {"errors"},
    {"backoff", "policies", "rx"},
    {"operators", "options"},
    {"core"},
    {"recording", "wires"},
    {"processes"},
    {"client", "marbles", "server"},
    {"asgi", "opentelemetry", "prometheus", "rooms", "testing", "topics"},
    {"__init__"},
    {"cli", "jupyter", "pytest"},
    {"__main__"},
]
"""What stands at the top of the package, each floor on those before it."""

AIOHTTP = {"cli", "client", "jupyter", "processes", "pytest", "server", "testing", "wires"}
"""Who may import aiohttp. Nobody else does, above all not `core`."""

PUBLIC = [
    "asgi", "backoff", "client", "close", "codecs", "errors", "jupyter", "marbles", "opentelemetry", "operators",
    "options", "policies", "prometheus", "pytest", "recording", "rooms", "server", "stats", "testing", "topics",
]  # fmt: skip
"""The modules and packages that a user may import; everything else is private."""

PRIVATE = ["__init__", "__main__", "checks", "cli", "core", "processes", "rx", "wires"]

ELSEWHERE = {
    "asgi/opening": ["asgi/test_routes.py"],
    "asgi/refusal": ["asgi/test_routes.py"],
    "cli": ["cli/test_cli.py", "integration/test_cli.py"],
    "cli/demo/on_asgi": ["integration/test_demo_page.py"],
    "cli/demo/server": ["integration/test_demo_page.py"],
    "client/attempt": ["integration/test_dial.py", "integration/test_secrets.py"],
    "client/dial": ["integration/test_dial.py", "integration/test_connect.py", "integration/test_proxies.py"],
    "client/refusals": ["integration/test_dial.py", "integration/test_connect.py", "integration/test_secrets.py"],
    "client/targets": ["integration/test_connect.py", "integration/test_proxies.py"],
    "client/opening": ["integration/test_connect.py", "integration/test_options.py"],
    "core/owner": ["core/test_lifecycle.py", "core/test_outgoing.py"],
    "jupyter/connection": ["jupyter/test_connect.py", "jupyter/test_notebooks.py"],
    "jupyter/errors": ["jupyter/test_connect.py"],
    "jupyter/pictures": ["jupyter/test_pictures.py", "jupyter/test_browser.py"],
    "opentelemetry": ["integration/test_metrics.py"],
    "prometheus": ["integration/test_metrics.py"],
    "recording/event": ["recording/test_lines.py", "recording/test_recorder.py"],
    "server/attached": ["integration/test_attach.py"],
    "server/routes": ["integration/test_accept.py", "integration/test_setup.py", "integration/test_options.py"],
    "server/loop_watch": ["integration/test_loop_watch.py"],
    "topics/engines/engine": ["topics/engines/contract.py"],
    "topics/engines/nats": ["integration/test_topics_nats.py", "integration/test_topics_faults.py"],
    "wires/holding": ["wires/asgi/test_wire.py", "integration/test_sequence.py"],
    "wires/read_ahead": ["wires/asgi/test_wire.py", "integration/test_sequence.py"],
    "wires/aiohttp": ["integration/test_fast_wire.py", "integration/test_flow.py", "integration/test_closing_table.py"],
}
"""Modules, and folders of them, without a test file of their own name, and where their tests are."""


def modules() -> list[Path]:
    return sorted((ROOT / "rxws").rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def unit(path: Path) -> str:
    return path.relative_to(ROOT / "rxws").parts[0].removesuffix(".py")


def floor(unit: str) -> int:
    return next(number for number, units in enumerate(FLOORS) if unit in units)


@cache
def imports(path: Path) -> set[str]:
    """Give what a module imports when it runs."""
    names: set[str] = set()
    tree = ast.parse(path.read_text())
    typing = [part for part in tree.body if isinstance(part, ast.If) and ast.unparse(part.test) == "TYPE_CHECKING"]
    for node in {*ast.walk(tree)} - {inner for part in typing for inner in ast.walk(part)}:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: absolute imports only"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_point_down(path: Path) -> None:
    """A module imports from its own folder and from the floors below."""
    for name in imports(path):
        package, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if package == "rxws" and target != unit(path) and any(target in units for units in FLOORS):
            assert floor(target) < floor(unit(path)), f"{path.name} imports {name}"
        if package == "aiohttp":
            assert unit(path) in AIOHTTP, f"{path.name} imports {name}"


def test_no_import_circles() -> None:
    """Within a folder, too, modules can be read one after the other."""
    paths = {name_of(path): path for path in modules()}
    graph = {name: imports(path) & paths.keys() - {name, "rxws"} for name, path in paths.items()}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(paths) - 1


def test_public_modules() -> None:
    """What stands at the top is public or private, and listed; there are at most 29 entries."""
    entries = {path.name for path in (ROOT / "rxws").iterdir() if path.name != "__pycache__"}
    assert {entry.removesuffix(".py") for entry in entries} == {*PUBLIC, *PRIVATE, "py.typed"}
    assert len(entries) <= 29


def test_each_module_has_its_tests() -> None:
    """`rxws/core/socket.py` has `tests/core/test_socket.py`, or stands in `ELSEWHERE`; nothing stands there in vain."""
    paths = [path.relative_to(ROOT / "rxws") for path in modules() if not path.name.startswith("__")]
    without = {
        path.with_suffix("").as_posix()
        for path in paths
        if not (ROOT / "tests" / path.parent / f"test_{path.name}").exists()
    }
    excused = {place: {one for one in without if f"{one}/".startswith(f"{place}/")} for place in ELSEWHERE}
    assert without - set().union(*excused.values()) == set()
    assert [place for place, ones in excused.items() if not ones] == []
    assert [file for files in ELSEWHERE.values() for file in files if not (ROOT / "tests" / file).exists()] == []


SHARED = {"accept", "add_to", "connect", "replay", "run", "serve", "setup", "websocket", "write"}
"""Names of several functions: what users import from different packages, and what each command has."""


def named(statement: ast.stmt) -> set[str]:
    """Give the names that a statement of a module defines: classes, constants, and functions that others may use."""
    match statement:
        case ast.ClassDef(name=name):
            return {name}
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return set() if name.startswith("_") else {name}
        case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec"))):
            return set()
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return {name} if name[0].isupper() else set()
        case _:
            return set()


def test_no_two_things_share_a_name() -> None:
    """A class, a constant, and a function that is not private to its module, has a name of its own in the package."""
    places: dict[str, list[str]] = {}
    for path in modules():
        for name in set[str]().union(*map(named, ast.parse(path.read_text()).body)):
            places.setdefault(name, []).append(name_of(path))
    assert {name for name, modules in places.items() if len(modules) > 1} == SHARED
