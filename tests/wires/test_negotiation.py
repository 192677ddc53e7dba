"""What headers of a handshake say, and what may be agreed on."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxws.options import Deflate
from rxws.wires.negotiation import (
    Agreement,
    Half,
    Parameters,
    accept_deflate,
    check_answer,
    choose_protocol,
    extensions,
    offer_deflate,
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


NONE = "server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("permessage-deflate", f"permessage-deflate; {NONE}"),
        ("foo, permessage-deflate", f"permessage-deflate; {NONE}"),
        ("permessage-deflate; client_max_window_bits", f"permessage-deflate; {NONE}"),
        *[(f"permessage-deflate; client_max_window_bits={bits}", f"permessage-deflate; {NONE}") for bits in WINDOWS],
        ("permessage-deflate; client_no_context_takeover", f"permessage-deflate; {NONE}"),
        ("permessage-deflate; server_no_context_takeover", f"permessage-deflate; {NONE}"),
        (
            "permessage-deflate; server_max_window_bits=15",
            f"permessage-deflate; {NONE}; server_max_window_bits=15",
        ),
        (
            'permessage-deflate; server_max_window_bits=10, permessage-deflate; server_max_window_bits = "15"',
            f"permessage-deflate; {NONE}; server_max_window_bits=15",
        ),
    ],
)
def test_offer_accepted(offer: str, answer: str) -> None:
    """A server accepts the first offer that it can meet, and both sides forget each message (RFC 7692, section 7.1)."""
    assert accept_deflate(extensions([offer]), True) == Agreement(Half(15, True), Half(15, True), answer)


WITH_CONTEXT = Deflate(outgoing_context=True, incoming_context=True, outgoing_window_bits=15)


@pytest.mark.parametrize(
    ("options", "offer", "accepted"),
    [
        (WITH_CONTEXT, "", Agreement(Half(15, False), Half(15, False), "")),
        (
            WITH_CONTEXT,
            "; server_no_context_takeover",
            Agreement(Half(15, True), Half(15, False), "; server_no_context_takeover"),
        ),
        (
            WITH_CONTEXT,
            "; client_no_context_takeover",
            Agreement(Half(15, False), Half(15, True), "; client_no_context_takeover"),
        ),
        *[
            (
                WITH_CONTEXT,
                f"; server_max_window_bits={bits}",
                Agreement(Half(int(bits), False), Half(15, False), f"; server_max_window_bits={bits}"),
            )
            for bits in WINDOWS
        ],
        (
            Deflate(),
            "; server_max_window_bits=8",
            Agreement(Half(8, True), Half(15, True), f"; {NONE}; server_max_window_bits=8"),
        ),
        (
            Deflate(outgoing_context=True, outgoing_window_bits=11),
            "; server_max_window_bits=12",
            Agreement(Half(11, False), Half(15, True), "; client_no_context_takeover; server_max_window_bits=11"),
        ),
        (
            Deflate(outgoing_window_bits=11),
            "",
            Agreement(Half(11, True), Half(15, True), f"; {NONE}"),
        ),
        *[
            (
                Deflate(incoming_context=True, incoming_window_bits=10),
                f"; client_max_window_bits{said}",
                Agreement(
                    Half(15, True), Half(bits, False), f"; server_no_context_takeover; client_max_window_bits={bits}"
                ),
            )
            for said, bits in (("", 10), ("=12", 10), ("=9", 9))
        ],
        (
            Deflate(incoming_context=True, incoming_window_bits=10),
            "",
            Agreement(Half(15, True), Half(15, True), f"; {NONE}"),
        ),
    ],
)
def test_offer_accepted_with_options(options: Deflate, offer: str, accepted: Agreement) -> None:
    """A server keeps its context if it may, and meets the windows that a peer asks for (7.1.1, 7.1.2)."""
    expected = accepted._replace(answer=f"permessage-deflate{accepted.answer}")
    assert accept_deflate(extensions([f"permessage-deflate{offer}"]), options) == expected


def test_client_that_keeps_its_context() -> None:
    """A client that would not do as it agrees is not asked to, and its context is kept."""
    agreed = accept_deflate(extensions(["permessage-deflate; client_max_window_bits"]), True, keeps_context=True)
    expected = "permessage-deflate; server_no_context_takeover"
    assert agreed == Agreement(Half(15, True), Half(15, False), expected)


def test_nothing_wanted() -> None:
    assert accept_deflate(extensions(["permessage-deflate"]), False) is None
    assert offer_deflate(False) is None


@pytest.mark.parametrize(
    ("options", "offer"),
    [
        (True, ""),
        (WITH_CONTEXT, ""),
        (Deflate(outgoing_window_bits=10), "=10"),
        (Deflate(incoming_window_bits=10), "; server_max_window_bits=10"),
    ],
)
def test_offer(options: Deflate | bool, offer: str) -> None:
    """A client tells its windows, and leaves the contexts to the server."""
    assert offer_deflate(options) == f"permessage-deflate; client_max_window_bits{offer}"


@pytest.mark.parametrize(
    "parameters",
    [
        "unknown",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_max_window_bits",
        "server_max_window_bits=7",
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
    """A server declines an offer that is wrong (RFC 7692, section 7)."""
    for wanted in (True, Deflate()):
        assert accept_deflate(extensions([f"permessage-deflate; {parameters}"]), wanted) is None


@pytest.mark.parametrize("bits", [8, 9, 10, 14])
def test_smaller_window_declined(bits: int) -> None:
    """A server without options declines a smaller window: its messages would not be the same for all."""
    assert accept_deflate(extensions([f"permessage-deflate; server_max_window_bits={bits}"]), True) is None


@pytest.mark.parametrize("offer", ["x-permessage-deflate", "permessage-deflate2", "foo; bar=permessage-deflate"])
def test_other_extensions_declined(offer: str) -> None:
    """A server answers with no extension that it does not know."""
    assert accept_deflate(extensions([offer]), True) is None


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [
        ("", Agreement(Half(15, True), Half(15, False))),
        ("; server_no_context_takeover; client_no_context_takeover", Agreement(Half(15, True), Half(15, True))),
        *[(f"; server_max_window_bits={bits}", Agreement(Half(15, True), Half(int(bits), False))) for bits in WINDOWS],
        *[(f"; client_max_window_bits={bits}", Agreement(Half(int(bits), True), Half(15, False))) for bits in WINDOWS],
    ],
)
def test_answer(answer: str, agreed: Agreement) -> None:
    """A client takes what a server may answer to its offer, and does as it says."""
    assert check_answer([f"permessage-deflate{answer}"], True) == agreed


@pytest.mark.parametrize(
    ("options", "answer", "agreed"),
    [
        (WITH_CONTEXT, "", Agreement(Half(15, False), Half(15, False))),
        (WITH_CONTEXT, "; client_no_context_takeover", Agreement(Half(15, True), Half(15, False))),
        (Deflate(outgoing_window_bits=9), "; client_max_window_bits=12", Agreement(Half(9, True), Half(15, False))),
        (Deflate(incoming_window_bits=9), "; server_max_window_bits=9", Agreement(Half(15, True), Half(9, False))),
    ],
)
def test_answer_with_options(options: Deflate, answer: str, agreed: Agreement) -> None:
    """A client keeps its context if it may."""
    assert check_answer([f"permessage-deflate{answer}"], options) == agreed


@pytest.mark.parametrize("answer", ["", "; server_max_window_bits=10"])
def test_larger_window_than_offered(answer: str) -> None:
    """A client fails on a window that is larger than it offered (7.1.2.1)."""
    with pytest.raises(ValueError, match=r"window of 1[05] bits, and was offered 9"):
        check_answer([f"permessage-deflate{answer}"], Deflate(incoming_window_bits=9))


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
        ("permessage-deflate; client_max_window_bits=7", "'client_max_window_bits'"),
        ("permessage-deflate; client_max_window_bits=015", "'client_max_window_bits'"),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", "a parameter twice"),
        ("", "must be a list of extensions"),
    ],
)
def test_wrong_answer(answer: str, says: str) -> None:
    """A client fails on an answer that it did not ask for or cannot meet (RFC 6455, section 4.1; RFC 7692, 7)."""
    with pytest.raises(ValueError, match=says):
        check_answer([answer], True)


def test_answer_without_offer() -> None:
    """A client that offered nothing takes nothing."""
    with pytest.raises(ValueError, match="'permessage-deflate', which was not offered"):
        check_answer(["permessage-deflate"], False)
