import re
import tomllib
from importlib import metadata
from pathlib import Path

import rxws

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_lowest_versions() -> None:
    """The lowest versions tested are the lowest versions allowed."""
    extras = PROJECT["optional-dependencies"]
    named = [item for extra in ("msgspec", "nats", "demo", "prometheus", "opentelemetry") for item in extras[extra]]
    allowed = dict(item.split(",")[0].split(">=") for item in [*PROJECT["dependencies"], *named])
    tested = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "tests/lowest.txt").read_text(), re.MULTILINE))
    assert tested == allowed


def test_dependencies() -> None:
    """The core depends on reactivex and aiohttp alone."""
    assert sorted(item.split(">=")[0] for item in PROJECT["dependencies"]) == ["aiohttp", "reactivex"]


def test_versions_that_are_wrong() -> None:
    """aiohttp 3.14.2 and 3.14.3 end a connection, 1002, whose first compressed message comes behind a pong.

    What is opened here does not have them inflate anything; what `attach` takes over does.
    """
    assert "aiohttp>=3.11.0,!=3.14.2,!=3.14.3" in PROJECT["dependencies"]
    assert metadata.version("aiohttp") not in ("3.14.2", "3.14.3")


def test_changelog() -> None:
    """The newest version of the changelog is that of the package or precedes it; its sections have the usual names."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    unreleased, newest, *_ = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    version = re.fullmatch(r"(\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d", newest)
    assert unreleased == "Unreleased"
    assert version is not None
    assert version[1] == rxws.__version__ or (rxws.__version__.endswith(".dev0") and version[1] < rxws.__version__)
    sections = re.findall(r"^### (.+)$", changelog, re.MULTILINE)
    assert set(sections) <= {"Changed", "Deprecated", "Removed", "Fixed", "Security", "Added"}
