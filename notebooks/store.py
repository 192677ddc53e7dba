"""Runs the notebooks and stores what they show: `make notebooks`. Widgets go, since no kernel is there to draw them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat

HERE = Path(__file__).parent
VIEW = "application/vnd.jupyter.widget-view+json"


def paths() -> list[Path]:
    """Find the notebooks."""
    return sorted(HERE.glob("*.ipynb"))


def run(notebooks: list[Path]) -> subprocess.CompletedProcess[str]:
    """Run notebooks from top to bottom, and write their outputs into them."""
    command = [sys.executable, "-m", "pytest", "--nbmake", "--overwrite", "--nbmake-timeout=60", "-q"]
    command += [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        "-p",
        "no:aiohttp",
        "-c",
        "/dev/null",
        "--rootdir",
        str(notebooks[0].parent),
    ]
    return subprocess.run([*command, *map(str, notebooks)], capture_output=True, text=True, timeout=150)


def code_of(notebook: Any) -> str:
    """Make a digest of the code, so that a change without new outputs is noticed."""
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()


def clean(path: Path) -> None:
    """Leave what shows without a kernel."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
        "rxws": {"code": code_of(notebook)},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if VIEW not in output.get("data", {})]
    nbformat.write(notebook, path)


if __name__ == "__main__":
    result = run(paths())
    print(result.stdout, result.stderr, sep="\n")
    for path in paths():
        clean(path)
    sys.exit(result.returncode)
