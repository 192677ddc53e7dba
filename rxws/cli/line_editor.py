"""A line that is edited in a terminal while messages come in above it."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TextIO

from rxws.cli.terminal import CLEAR_LINE, printable, terminal_width
from rxws.marbles.layout import columns_of

HISTORY: Final = 1000
"""Lines that the arrows bring back."""


class Line:
    """A line being typed, in a terminal that gives each key at once.

    Left, right, home, end, backspace, delete, Ctrl-A, -E, -K, -U, -W edit; up and down bring back earlier lines. A
    terminal that has gone shows nothing, and ends the command where its keys are read.
    """

    def __init__(
        self, prompt: str, out: TextIO, *, entered: Callable[[str], object], ended: Callable[[], object]
    ) -> None:
        self.prompt = prompt
        self._out = out
        self._entered = entered
        self._ended = ended
        self._text = ""
        self._at = 0
        self._history: list[str] = []
        self._back = 0
        self._keys = ""
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode

    def show(self, text: str) -> None:
        """Write lines above the one being typed."""
        self.draw(f"{CLEAR_LINE}{text}\n")

    def draw(self, above: str = "") -> None:
        """Draw the line, or as much of it as fits, around the cursor; and first what is above it."""
        room = max(terminal_width(self._out) - columns_of(self.prompt) - 1, 10)
        start, end = self._visible(room)
        shown = printable(self._text[start:end])
        behind = columns_of(shown) - columns_of(printable(self._text[start : self._at]))
        back = f"\x1b[{behind}D" if behind else ""
        self._write(f"{above}{CLEAR_LINE}{self.prompt}{shown}{back}")

    def clear(self) -> None:
        """Take the line away."""
        self._write(CLEAR_LINE)

    def _visible(self, columns: int) -> tuple[int, int]:
        """Choose the part that fits: before the cursor as much as does, then what follows. A paste may be long."""
        start = end = self._at
        while start and (columns := columns - columns_of(self._text[start - 1])) >= 0:
            start -= 1
        while end < len(self._text) and (columns := columns - columns_of(self._text[end])) >= 0:
            end += 1
        return start, end

    def _write(self, text: str) -> None:
        with suppress(OSError):
            self._out.write(text)
            self._out.flush()

    def feed(self, data: bytes) -> None:
        """Take what was typed."""
        self._keys += self._decode(data)
        while self._keys:
            key = next((key for key in _KEYS if self._keys.startswith(key)), self._keys[0])
            if key == "\x1b" and len(self._keys) < 4 and not self._keys[1:2].isprintable():
                self._keys = ""
                break
            self._keys = self._keys[len(key) :]
            self._key(key)
        self.draw()

    def _key(self, key: str) -> None:
        match _KEYS.get(key, key):
            case "enter":
                self._enter()
            case "end of input":
                if not self._text:
                    self._ended()
            case "left":
                self._at = max(self._at - 1, 0)
            case "right":
                self._at = min(self._at + 1, len(self._text))
            case "home":
                self._at = 0
            case "end":
                self._at = len(self._text)
            case "up":
                self._recall(self._back + 1)
            case "down":
                self._recall(self._back - 1)
            case "backspace":
                self._cut(max(self._at - 1, 0), self._at)
            case "delete":
                self._cut(self._at, self._at + 1)
            case "kill":
                self._cut(self._at, len(self._text))
            case "kill back":
                self._cut(0, self._at)
            case "kill word":
                self._cut(len(self._text[: self._at].rstrip().rpartition(" ")[0]), self._at)
            case character if character.isprintable() or character == "\t":
                self._text = self._text[: self._at] + character + self._text[self._at :]
                self._at += 1
            case _:
                pass

    def _enter(self) -> None:
        text, self._text, self._at, self._back = self._text, "", 0, 0
        if text:
            self._history = [*self._history[-HISTORY:], text]
        self.clear()
        self._entered(text)

    def _recall(self, back: int) -> None:
        if 0 <= back <= len(self._history):
            self._back = back
            self._text = self._history[-back] if back else ""
            self._at = len(self._text)

    def _cut(self, start: int, end: int) -> None:
        self._text = self._text[:start] + self._text[end:]
        self._at = start


_KEYS: Final = {
    "\x1b[D": "left",
    "\x1b[C": "right",
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOD": "left",
    "\x1bOC": "right",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1b[1~": "home",
    "\x1b[4~": "end",
    "\x1b[3~": "delete",
    "\r": "enter",
    "\n": "enter",
    "\x01": "home",
    "\x02": "left",
    "\x04": "end of input",
    "\x05": "end",
    "\x06": "right",
    "\x08": "backspace",
    "\x0b": "kill",
    "\x15": "kill back",
    "\x17": "kill word",
    "\x7f": "backspace",
}
