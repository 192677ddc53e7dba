"""The marble pictures of the docs are what the code draws today."""

import pytest

from docs import pictures


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_a_picture_is_fresh(name: str) -> None:
    drawn = pictures.PICTURES[name]()
    assert (pictures.PLACE / name).read_text(encoding="utf-8") == drawn, "run: python -m docs.pictures"
