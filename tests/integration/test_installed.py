"""What a user installs: the sdist, the wheel made from it, and that wheel in environments which have nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

import rxws
from tests.test_docs import blocks, printed_beside_server

pytestmark = pytest.mark.fast_wire  # an installed package chooses its wire itself
ROOT = Path(__file__).parents[2]
NEED = {"rxws.prometheus": "prometheus", "rxws.opentelemetry": "opentelemetry", "rxws.jupyter": "jupyter"}
"""Public modules, and the extra that each one needs."""
INNER = ("rxws.cli.demo.", "rxws.topics.engines.nats")
"""What only a command or a function imports, which then names the extra itself."""
EXTRAS = ["asgi", "demo", "fast", "msgspec", "nats", "opentelemetry", "prometheus"]
"""The extras that are installed here; `jupyter` is left out, since matplotlib would take most of the time."""

PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
IMPORTED = """
import importlib, importlib.metadata, json, pkgutil
import rxws

found = {}
for module in pkgutil.walk_packages(rxws.__path__, "rxws."):
    if "__main__" not in module.name:
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            found[module.name] = str(error)
print(json.dumps([rxws.__file__, rxws.__version__, importlib.metadata.version("rxws"), found]))
"""


class Built(NamedTuple):
    """What is uploaded, and the folder that the sdist unpacks to."""

    sdist: Path
    wheel: Path
    unpacked: Path


def run(*command: object, cwd: Path, timeout: float = 120) -> str:
    """Run a program without what this one has in its environment of Python's, and give what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    finished = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build the sdist from the repository, and the wheel from the sdist, as a release does."""
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "hatchling", "build", "--directory", folder, "--target")
    run(*build, "sdist", cwd=ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    run(*build, "wheel", cwd=unpacked)
    (wheel,) = folder.glob("*.whl")
    return Built(sdist, wheel, unpacked)


def tracked(*folders: str) -> set[str]:
    """Give the files of the repository; a copy of it without git has them all."""
    if (ROOT / ".git").exists():
        return set(run("git", "-c", "safe.directory=*", "ls-files", *folders, cwd=ROOT).splitlines())
    made = ("__pycache__", "_build", "node_modules")
    paths = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
    kept = [path for path in paths if not any(part in made or part.startswith(".") for part in path.parts)]
    return {str(path) for path in kept if str(path).startswith(folders or "")}


def test_contents(built: Built) -> None:
    """The wheel holds the package, with types, pages and scripts; the sdist holds the repository."""
    in_wheel = set(zipfile.ZipFile(built.wheel).namelist())
    package = {name for name in in_wheel if not name.startswith(f"rxws-{rxws.__version__}.dist-info/")}
    assert package == tracked("rxws/")
    assert {"rxws/py.typed", "rxws/cli/demo/page/index.html", "rxws/jupyter/pictures/live.js"} <= package
    assert [name for name in tracked() if not name.startswith(".ci/") and not (built.unpacked / name).exists()] == []


def test_tests_run_from_the_sdist(built: Built) -> None:
    """The unpacked sdist has what its tests read: the documents, their links, the sources, the files of the project."""
    quick = "packaging or links or named"
    run(*PYTEST, "tests/test_packaging.py", "tests/test_docs.py", "-k", quick, cwd=built.unpacked)


def test_installed_in_an_empty_environment(built: Built, tmp_path: Path) -> None:
    """`pip install rxws` is enough for the README's server and client; what needs an extra names it."""
    python = tmp_path / "environment/bin/python"
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "environment", cwd=tmp_path)
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check")
    run(*pip, built.wheel, cwd=tmp_path)
    place, version, installed_version, missing = json.loads(run(python, "-c", IMPORTED, cwd=tmp_path))
    assert str(tmp_path) in place
    assert version == installed_version == rxws.__version__
    for module, extra in NEED.items():
        assert missing.pop(module).endswith(f'pip install "rxws[{extra}]"')
    assert missing.pop("rxws.pytest") == "No module named 'pytest'"  # whose plugin it is
    assert [name for name in missing if not name.startswith(INNER)] == []
    (client,) = [block for block in blocks() if block.role == "run-with" and block.document.name == "README.md"]
    assert printed_beside_server(str(python), client, tmp_path).startswith("HELLO\n")
    assert run(python.with_name("rxws"), "--version", cwd=tmp_path).startswith(f"rxws {rxws.__version__} (aiohttp ")

    run(*pip, f"rxws[{','.join(EXTRAS)}] @ {built.wheel.as_uri()}", cwd=tmp_path)
    *_, missing = json.loads(run(python, "-c", IMPORTED, cwd=tmp_path))
    assert [*missing] == ["rxws.jupyter", "rxws.pytest"]
    assert "demo" in run(python, "-m", "rxws", "--help", cwd=tmp_path)
