"""Names of topics, with the syntax of NATS: tokens with dots between; `*` stands for one token, `>` for the rest."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

MAX_NAME: Final = 255
"""Characters that a name may have."""

_SAFE: Final = re.compile(r"[\w=-]", re.ASCII)


def token(text: str) -> str:
    """Make one token from any text: special characters, and those beyond ASCII, become `%` and hexadecimal digits.

    If a client chooses the name of a room, use this to put it into a topic's name. Otherwise `*` would mean all rooms.

    Raises `ValueError` for an empty text.

    Args:
        text: Any text of at least one character.

    >>> token("tea"), token("*"), token("a.b c")
    ('tea', '%2A', 'a%2Eb%20c')
    """
    if not text:
        raise ValueError("a token needs at least one character")
    return "".join(
        character if _SAFE.match(character) else "".join(f"%{byte:02X}" for byte in character.encode())
        for character in text
    )


def check_name(name: object) -> str:
    """Return a name of a topic or pattern; raises `TypeError` or `ValueError` for anything else, and says why.

    >>> check_name("room.*"), check_name("room.>")
    ('room.*', 'room.>')
    """
    if not isinstance(name, str):
        raise TypeError(f"a topic's name is a str, such as 'room.tea', not {name!r}")
    if not 0 < len(name) <= MAX_NAME:
        raise ValueError(f"a topic's name has 1 to {MAX_NAME} characters, not {len(name)}")
    tokens = name.split(".")
    for number, part in enumerate(tokens):
        if not part:
            raise ValueError(f"{name!r} has an empty token: a topic's name is tokens with dots between, 'room.tea'")
        if part == ">" and number + 1 != len(tokens):
            raise ValueError(f"{name!r} goes on after '>', which stands for all the rest")
        if part not in ("*", ">") and any(not one.isprintable() or one in "*> " for one in part):
            raise ValueError(
                f"{name!r} has a wildcard within a token, a blank or a control character: "
                "rxws.topics.token(text) makes a token of any text"
            )
    return name


def is_pattern(name: str) -> bool:
    """Return whether a name stands for several topics.

    >>> is_pattern("room.*"), is_pattern("room.tea")
    (True, False)
    """
    return name.endswith(">") or "*" in name


def matcher(pattern: str) -> Callable[[str], bool]:
    """Make a function that returns whether a topic's name matches the pattern.

    >>> [matcher("room.*")(name) for name in ("room.tea", "room.tea.left", "room", "hall.tea")]
    [True, False, False, False]
    >>> [matcher("room.>")(name) for name in ("room.tea", "room.tea.left", "room")]
    [True, True, False]
    """
    parts = {"*": r"[^.]+", ">": r".+"}
    expression = re.compile(r"\.".join(parts.get(part) or re.escape(part) for part in pattern.split(".")))
    return lambda name: expression.fullmatch(name) is not None
