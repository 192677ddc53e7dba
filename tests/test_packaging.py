import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_lowest_versions() -> None:
    """The lowest versions tested are the lowest versions allowed."""
    extras = PROJECT["optional-dependencies"]
    named = [item for extra in ("msgspec", "nats", "demo", "prometheus", "opentelemetry") for item in extras[extra]]
    allowed = dict(item.split(">=") for item in [*PROJECT["dependencies"], *named])
    tested = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "tests/lowest.txt").read_text(), re.MULTILINE))
    assert tested == allowed


def test_dependencies() -> None:
    """The core depends on reactivex and aiohttp alone."""
    assert sorted(item.split(">=")[0] for item in PROJECT["dependencies"]) == ["aiohttp", "reactivex"]


def test_wheel(tmp_path: Path) -> None:
    """The wheel holds the types and the page, but no tests."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60, stdout=subprocess.DEVNULL)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"rxws/py.typed", "rxws/cli/demo/page/index.html", "rxws/server/routes.py"} <= set(names)
    assert [name for name in names if not name.startswith(("rxws/", "rxws-"))] == []
