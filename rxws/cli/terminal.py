"""What a terminal shows: colors where they are wanted, JSON spread out, nothing that commands it."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Final, TextIO

COLORS: Final = {"dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "36", "bold": "1"}

CLEAR_LINE: Final = "\r\x1b[K"
"""Takes away what stands in the cursor's line."""

EXCERPT: Final = 64
"""Bytes of a binary message that are shown."""


class Paint:
    """Colors a text, if the stream is a terminal and nobody said `NO_COLOR`."""

    def __init__(self, stream: TextIO) -> None:
        self._on = stream.isatty() and not os.environ.get("NO_COLOR")

    def __call__(self, text: str, color: str) -> str:
        """Color a text."""
        return f"\x1b[{COLORS[color]}m{text}\x1b[0m" if self._on else text


def printable(text: str) -> str:
    r"""Show what a peer sends without letting it command the terminal: control characters but for line ends and tabs.

    >>> printable("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return "".join(
        character if character.isprintable() or character in "\n\t" else repr(character)[1:-1] for character in text
    )


def terminal_width(stream: TextIO = sys.stdout) -> int:
    """Tell how many columns a terminal has: 80 if it is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def write_message(message: str | bytes) -> None:
    """Print a message as it is, a text as a line; into a terminal what is printable of it."""
    if sys.stdout.isatty():
        print(pretty(message, Paint(sys.stdout)) if isinstance(message, bytes) else printable(message), flush=True)
    elif isinstance(message, bytes):
        sys.stdout.buffer.write(message)
        sys.stdout.buffer.flush()
    else:
        print(message, flush=True)


def compact(message: str) -> str:
    r"""Take the white space out of JSON, and nothing else; what is not an object or an array stays.

    >>> compact('{"a b": [1.50,\n 2]}'), compact("[no")
    ('{"a b":[1.50,2]}', '[no')
    """
    if message.lstrip(_SPACES)[:1] in ("{", "["):
        try:
            json.loads(message)
        except (ValueError, RecursionError):
            return message
        return _STRING_OR_SPACE.sub(lambda match: match[1] or "", message)
    return message


def pretty(message: str | bytes, paint: Paint, room: int | None = None) -> str:
    """Show a message: JSON over several lines if it is longer than the room, the beginning of bytes in hexadecimal.

    >>> print(pretty('{"a": 1, "b": [1, 2]}', Paint(sys.stdout), 10))
    {
      "a": 1,
      "b": [
        1,
        2
      ]
    }
    """
    if isinstance(message, bytes):
        more = f" … {len(message)} bytes" if len(message) > EXCERPT else ""
        return f"{message[:EXCERPT].hex(' ')}{more}"
    if message[:1] in ("{", "["):
        try:
            value = json.loads(message)
            text = json.dumps(value, ensure_ascii=False)
            if room is not None and len(text) > room:
                text = json.dumps(value, ensure_ascii=False, indent=2)
        except (ValueError, RecursionError):
            return printable(message)
        return painted(text, paint)
    return printable(message)


def painted(text: str, paint: Paint) -> str:
    """Color the keys of JSON."""
    return _KEY.sub(lambda match: paint(match[1], "blue") + ":", printable(text))


_SPACES: Final = " \t\r\n"
_STRING_OR_SPACE: Final = re.compile(rf'("(?:[^"\\]|\\.)*")|[{_SPACES}]+')
_KEY: Final = re.compile(r'("(?:[^"\\]|\\.)*"):')
