"""What headers of a handshake say, and what may be agreed on."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxws.wires.negotiation import (
    Deflate,
    Parameters,
    accept_deflate,
    check_answer,
    choose_protocol,
    extensions,
    tokens,
)

NAMES = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8)
SPACES = st.sampled_from(["", "", " ", "\t", "  "])
WINDOWS = ["8", "9", "10", "15"]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["a"], ["a"]),
        (["a, b"], ["a", "b"]),
        (["a,b", "c"], ["a", "b", "c"]),
        ([" a\t,, b ,"], ["a", "b"]),
        (["v1.chat+json~!"], ["v1.chat+json~!"]),
    ],
)
def test_tokens(lines: list[str], found: list[str]) -> None:
    assert tokens("Name", lines) == found


@pytest.mark.parametrize("lines", [[""], [","], ["a b"], ["a;b"], ['"a"'], ["é"], ["a/b"], ["a", "b\x00"]])
def test_not_tokens(lines: list[str]) -> None:
    """What is not a list of tokens is an error that shows it."""
    with pytest.raises(ValueError, match=f"^Name must be a list of tokens, not {re.escape(repr(','.join(lines)))}"):
        tokens("Name", lines)


@st.composite
def written(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, Parameters]]]:
    """Draw extensions, and lines that say them in some way."""
    meant: list[tuple[str, Parameters]] = []
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 4))):
        name, parameters = draw(NAMES), draw(st.lists(st.tuples(NAMES, st.none() | NAMES), max_size=3))
        meant.append((name, parameters))
        text = name
        for key, value in parameters:
            text += f"{draw(SPACES)};{draw(SPACES)}{key}"
            if value is not None:
                quote = draw(st.sampled_from(["", '"']))
                said = "".join(f"\\{char}" if quote and draw(st.booleans()) else char for char in value)
                text += f"{draw(SPACES)}={draw(SPACES)}{quote}{said}{quote}"
        if lines and draw(st.booleans()):
            lines[-1] += f"{draw(SPACES)},{draw(st.sampled_from(['', ' ', ', ,']))}{text}"
        else:
            lines.append(f"{draw(SPACES)}{text}{draw(SPACES)}")
    return lines, meant


@given(written())
def test_extensions(given: tuple[list[str], list[tuple[str, Parameters]]]) -> None:
    """Extensions are read however they are split into lines, spaced and quoted (RFC 6455, section 9.1)."""
    lines, meant = given
    assert extensions(lines) == meant


@given(st.lists(st.text('ab;=," \\\té/', max_size=12), max_size=3))
def test_any_extensions(lines: list[str]) -> None:
    """Any lines are a list of extensions or a `ValueError`."""
    found: list[tuple[str, Parameters]] = []
    with contextlib.suppress(ValueError):
        found = extensions(lines)
    assert all(re.fullmatch(r"[ab]+", name) for name, _ in found)


@pytest.mark.parametrize(
    "line", ["", ",", "a b", "a;", "a;b=", "a; b c", 'a; b="c d"', 'a; b=""', 'a; b="c', "a;=b", "é", "a=b", "a,;b"]
)
def test_not_extensions(line: str) -> None:
    with pytest.raises(ValueError, match="must be a list of extensions"):
        extensions([line])


def test_long_headers_take_no_time() -> None:
    """Reading a header takes time in proportion to its length."""
    for line in ("a," * 100_000, "a" + ";b" * 100_000 + " " * 100_000 + "!", 'a; b="' + "\\a" * 100_000):
        began = time.process_time()
        with contextlib.suppress(ValueError):
            extensions([line])
        assert time.process_time() - began < 2


def test_subprotocol() -> None:
    """The client's order counts."""
    assert choose_protocol(["c", "b", "a"], ("a", "b")) == "b"
    assert choose_protocol(["c"], ("a", "b")) is None
    assert choose_protocol([], ()) is None


@pytest.mark.parametrize(
    ("offer", "accepted"),
    [
        ("permessage-deflate", Deflate("permessage-deflate", 15, False)),
        ("foo, permessage-deflate", Deflate("permessage-deflate", 15, False)),
        ("permessage-deflate; client_max_window_bits", Deflate("permessage-deflate", 15, False)),
        *[
            (f"permessage-deflate; client_max_window_bits={bits}", Deflate("permessage-deflate", 15, False))
            for bits in WINDOWS
        ],
        ("permessage-deflate; client_no_context_takeover", Deflate("permessage-deflate", 15, False)),
        (
            "permessage-deflate; server_no_context_takeover",
            Deflate("permessage-deflate; server_no_context_takeover", 15, True),
        ),
        (
            "permessage-deflate; server_max_window_bits=15",
            Deflate("permessage-deflate; server_max_window_bits=15", 15, False),
        ),
        (
            'permessage-deflate; server_no_context_takeover ; server_max_window_bits = "9"',
            Deflate("permessage-deflate; server_max_window_bits=9; server_no_context_takeover", 9, True),
        ),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10",
            Deflate("permessage-deflate; server_max_window_bits=10", 10, False),
        ),
    ],
)
def test_offer_accepted(offer: str, accepted: Deflate) -> None:
    """A server accepts the first offer that it can meet (RFC 7692, section 7.1)."""
    assert accept_deflate(extensions([offer])) == accepted


@pytest.mark.parametrize(
    "parameters",
    [
        "unknown",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=8",
        "server_max_window_bits=16",
        "server_max_window_bits=09",
        "server_max_window_bits=abc",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=010",
        "server_no_context_takeover; server_no_context_takeover",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits; client_max_window_bits=10",
    ],
)
def test_offer_declined(parameters: str) -> None:
    """A server declines an offer that is wrong, or that it cannot meet (RFC 7692, section 7)."""
    assert accept_deflate(extensions([f"permessage-deflate; {parameters}"])) is None


@pytest.mark.parametrize("offer", ["x-permessage-deflate", "permessage-deflate2", "foo; bar=permessage-deflate"])
def test_other_extensions_declined(offer: str) -> None:
    """A server answers with no extension that it does not know."""
    assert accept_deflate(extensions([offer])) is None


@pytest.mark.parametrize(
    "answer",
    [
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        *[f"permessage-deflate; server_max_window_bits={bits}" for bits in WINDOWS],
        *[f"permessage-deflate; client_max_window_bits={bits}" for bits in WINDOWS[1:]],
    ],
)
def test_answer(answer: str) -> None:
    """A client takes what a server may answer to its offer."""
    check_answer([answer], deflate=True)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("foo", "the extension 'foo', which was not offered"),
        ("permessage-deflate, foo", "the extension 'foo', which was not offered"),
        ("permessage-deflate, permessage-deflate", "more than once"),
        ("permessage-deflate; unknown", "'unknown'"),
        ("permessage-deflate; server_no_context_takeover=1", "'server_no_context_takeover'"),
        ("permessage-deflate; server_max_window_bits", "'server_max_window_bits'"),
        ("permessage-deflate; server_max_window_bits=7", "'server_max_window_bits'"),
        ("permessage-deflate; server_max_window_bits=16", "'server_max_window_bits'"),
        ("permessage-deflate; client_max_window_bits", "'client_max_window_bits'"),
        ("permessage-deflate; client_max_window_bits=8", "'client_max_window_bits'"),
        ("permessage-deflate; client_max_window_bits=015", "'client_max_window_bits'"),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", "a parameter twice"),
        ("", "must be a list of extensions"),
    ],
)
def test_wrong_answer(answer: str, says: str) -> None:
    """A client fails on an answer that it did not ask for or cannot meet (RFC 6455, section 4.1; RFC 7692, 7)."""
    with pytest.raises(ValueError, match=says):
        check_answer([answer], deflate=True)


def test_answer_without_offer() -> None:
    """A client that offered nothing takes nothing."""
    with pytest.raises(ValueError, match="'permessage-deflate', which was not offered"):
        check_answer(["permessage-deflate"], deflate=False)
