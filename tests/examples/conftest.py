"""The examples as a reader would import them: each file on its own."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.chromium import browser, page

__all__ = ["browser", "page"]

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The example that the test's marker names, imported anew."""
    name = request.node.get_closest_marker("example").args[0]
    spec = importlib.util.spec_from_file_location("example", EXAMPLES / name)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["example"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["example"]
