"""The line being typed in a terminal."""

import io
import time

from rxws.cli.line_editor import Line


def line(out: io.StringIO, entered: list[str]) -> Line:
    return Line("> ", out, entered=entered.append, ended=lambda: None)


def drawn(out: io.StringIO) -> str:
    return out.getvalue().rpartition("\r\x1b[K")[2]


def test_long_line() -> None:
    """Of a line that is longer than the terminal, the part around the cursor is shown, wide characters whole."""
    out = io.StringIO()
    typed = line(out, [])
    typed.feed(b"a" * 50 + "日本".encode() * 20)
    assert drawn(out) == "> " + "日本" * 19
    typed.feed(b"\x01")
    assert drawn(out) == "> " + "a" * 50 + "日本" * 6 + "日" + "\x1b[76D"


def test_paste() -> None:
    """A pasted line of 64 KiB, which comes in pieces of 4 KiB, is there within a second or so, and is sent whole."""
    entered: list[str] = []
    typed = line(io.StringIO(), entered)
    began = time.monotonic()
    for _ in range(16):
        typed.feed(b"x" * 4096)
    typed.feed(b"\n")
    assert time.monotonic() - began < 5
    assert entered == ["x" * 65536]
