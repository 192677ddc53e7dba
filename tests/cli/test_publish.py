"""`rxws publish`, without a broker."""

import io
import sys
import tracemalloc
from os import devnull

import pytest

from rxws.cli import main

LINES = 20_000


def test_many_lost_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that are not JSON are reported one by one, and not kept."""

    def publish(lines: int) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("not JSON\n" * lines))
        assert main(["publish", "nats://127.0.0.1:9", "room.tea"]) == 1

    with open(devnull, "w") as errors:
        monkeypatch.setattr(sys, "stderr", errors)
        publish(1)  # which imports what it needs
        tracemalloc.start()
        try:
            publish(LINES)
            assert tracemalloc.get_traced_memory()[1] < 50 * LINES
        finally:
            tracemalloc.stop()
