"""Fixtures of the fuzzing tests."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What nobody observes is logged; that is tested elsewhere."""
    logger = logging.getLogger("rxws")
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(logging.NOTSET)
