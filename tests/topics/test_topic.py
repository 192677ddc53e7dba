"""What a topic refuses by itself; what it promises is in `engines/contract.py`."""

from __future__ import annotations

from typing import Any

import pytest

import rxws


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        ({"last": 1, "since": "1-1"}, TypeError, "last or since, not both"),
        ({"last": 0}, ValueError, "last must be a positive whole number of messages, not 0"),
        ({"last": True}, TypeError, "last must be a positive whole number of messages, not True"),
        ({"since": 3}, TypeError, "a position is the str"),
        ({"since": "3"}, ValueError, "a position is what a message has"),
    ],
)
def test_bad_arguments_of_history_are_clear_errors(arguments: dict[str, Any], kind: type[Exception], says: str) -> None:
    topic = rxws.topics("memory://")["a"]
    for make in (topic.history, topic.messages.history):
        with pytest.raises(kind, match=says):
            make(**arguments)
