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

    def publish(lines: io.StringIO) -> None:
        monkeypatch.setattr(sys, "stdin", lines)
        assert main(["publish", "nats://127.0.0.1:9", "room.tea"]) == 1

    with open(devnull, "w") as errors:
        monkeypatch.setattr(sys, "stderr", errors)
        publish(io.StringIO("not JSON\n"))  # which imports what it needs
        lines = io.StringIO("not JSON\n" * LINES)  # not counted: it takes most of a megabyte itself
        tracemalloc.start()
        try:
            publish(lines)
            assert tracemalloc.get_traced_memory()[1] < 50 * LINES
        finally:
            tracemalloc.stop()
