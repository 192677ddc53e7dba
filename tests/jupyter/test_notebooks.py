"""The notebooks run from top to bottom, and what is stored in them is what they show."""

import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "notebooks"))

import store  # type: ignore[import-not-found]  # noqa: E402

NOTEBOOKS = store.paths()
names = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """Run copies of all notebooks at the same time, by nbmake; give the outcome and what they then hold."""
    copies = [Path(shutil.copy(path, tmp_path_factory.mktemp(path.stem))) for path in NOTEBOOKS]
    with ThreadPoolExecutor(len(copies)) as pool:
        results = list(pool.map(lambda copy: store.run([copy]), copies))
    return {
        copy.stem: (result, nbformat.read(copy, as_version=4)) for copy, result in zip(copies, results, strict=True)
    }


def texts(cell: Any) -> str:
    """What a cell shows, as text: of its standard output, its values, its pictures."""
    shown: list[str] = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            shown.append(output.text)
        elif store.VIEW not in output.get("data", {}):
            shown.append(output.get("data", {}).get("text/plain", "") + "\n")
    return "".join(shown)


def test_there_are_four() -> None:
    assert [path.stem[:1] for path in NOTEBOOKS] == ["1", "2", "3", "4"]


@names
def test_it_runs(path: Path, executed: dict[str, tuple[Any, Any]]) -> None:
    result, _ = executed[path.stem]
    assert result.returncode == 0, result.stdout + result.stderr


@names
def test_what_is_stored_is_fresh(path: Path, executed: dict[str, tuple[Any, Any]]) -> None:
    stored = nbformat.read(path, as_version=4)
    again = "run `make notebooks`"
    assert stored.metadata.rxws.code == store.code_of(stored), again
    _, now = executed[path.stem]
    for before, after in zip(stored.cells, now.cells, strict=True):
        if before.cell_type == "code" and "varies" not in before.metadata.get("tags", []):
            assert texts(before) == texts(after), f"{before.id}: {again}"


@names
def test_its_pictures_show_where_no_script_runs(path: Path, executed: dict[str, tuple[Any, Any]]) -> None:
    _, now = executed[path.stem]
    live = [output for cell in now.cells if cell.cell_type == "code" for output in cell.outputs if "data" in output]
    pictures = [output.data for output in live if "rxws-still" in output.data.get("text/html", "")]
    views = [output.data for output in live if store.VIEW in output.data]
    assert len(pictures) == len(views) > 0
    for picture in pictures:
        assert picture["text/plain"].strip()
        assert "<script" not in picture["text/html"]
        assert re.search(
            r"<img alt=\"[^\"]{20,}\" src=\"data:image/(png|svg\+xml);base64,|<table>", picture["text/html"]
        )
        assert "Plot of 0 items" not in picture["text/plain"]


@names
def test_stored_output_is_portable(path: Path) -> None:
    """What is stored needs no kernel, and says nothing about this machine."""
    text = path.read_text()
    stored = nbformat.read(path, as_version=4)
    assert store.VIEW not in text
    assert "widgets" not in stored.metadata
    assert not re.search(r"/home/|/root/|/tmp/|site-packages|ipykernel_", text)
    shown = "".join(texts(cell) for cell in stored.cells if cell.cell_type == "code")
    assert len(shown) > 200
