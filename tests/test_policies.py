"""The policies for messages that cannot go out now."""

import pytest

import rxws


def test_latest_by_takes_a_function() -> None:
    with pytest.raises(TypeError, match="latest_by takes a function of a message"):
        rxws.latest_by("symbol")  # type: ignore[arg-type]


def test_bad_policies_are_refused_early() -> None:
    with pytest.raises(ValueError, match="offline must be one of 'keep', 'latest', 'drop', "):
        rxws.connect("ws://localhost", reconnect=rxws.Backoff(), offline="burn")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="must be a positive number of seconds, not 0"):
        rxws.expire(0)
    with pytest.raises(ValueError, match="offline is for sockets that reconnect"):
        rxws.connect("ws://localhost", offline="drop")
