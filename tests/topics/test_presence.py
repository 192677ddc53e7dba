"""Presence within one process; between processes over an engine: `test_attendance.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import rxws
from rxws.topics import Topics
from tests.topics.presence_contract import PresenceContract


@pytest.fixture
async def topics() -> AsyncIterator[Topics[Any]]:
    async with rxws.topics("memory://") as topics:
        yield topics


class TestContract(PresenceContract):
    """What every engine promises."""
