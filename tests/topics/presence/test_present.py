"""Presence within one process; between processes over an engine: `test_attendance.py`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

import rxws
from rxws.topics import Topics
from rxws.topics.presence.present import MAX_MEMBER, MAX_MEMBERS
from tests.topics.presence.contract import PresenceContract


@pytest.fixture
async def topics() -> AsyncIterator[Topics[Any]]:
    async with rxws.topics("memory://") as topics:
        yield topics


class TestContract(PresenceContract):
    """What every engine promises."""


def test_a_member_fits_into_what_a_server_takes() -> None:
    longest = {f"{number:0{MAX_MEMBER - 7 - 4}}": [time.time(), None] for number in range(MAX_MEMBERS)}
    assert len(rxws.json.encode(longest)) < 1024 * 1024  # a NATS server's default
