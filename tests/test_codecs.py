from __future__ import annotations

import builtins
import json
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rxws import codecs
from rxws.core.encoding import encode
from tests.fuzzing.profiles import few


class Move(msgspec.Struct, tag=True):
    x: int


class Stop(msgspec.Struct, tag=True):
    pass


class Tree(msgspec.Struct):
    name: str = ""
    children: list[Tree] = []


@pytest.mark.parametrize("message", ["text", b"bytes", "", b""])
def test_text_passes_text_and_bytes(message: Any) -> None:
    assert codecs.text.decode(codecs.text.encode(message)) == message


def test_text_copies_what_may_change() -> None:
    buffer = bytearray(b"abcd")
    sent = codecs.text.encode(buffer), codecs.text.encode(memoryview(buffer).cast("H")[:1])
    buffer[:] = b"wxyz"
    assert sent == (b"abcd", b"ab")


@pytest.mark.parametrize("value", [1, None, {}, ["a"]])
def test_text_refuses_other_values(value: Any) -> None:
    """The text codec refuses other values and says what sends them."""
    with pytest.raises(TypeError, match=r"codec=rxws\.json"):
        codecs.text.encode(value)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "é", [1, [2]], {"a": {"b": []}}])
def test_json_goes_there_and_back(value: Any) -> None:
    encoded = codecs.json.encode(value)
    assert isinstance(encoded, str)
    assert codecs.json.decode(encoded) == codecs.json.decode(encoded.encode()) == value


@pytest.mark.parametrize("text", ["", "{", "NaN", "-Infinity", "1 2", "[" * 100_000, b"\xff"])
def test_json_refuses_what_is_none(text: Any) -> None:
    with pytest.raises((ValueError, RecursionError)):
        codecs.json.decode(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_json_refuses_what_it_cannot_say(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        codecs.json.encode(value)


def test_msgspec_union() -> None:
    """The msgspec codec reads and writes a tagged union."""
    codec = codecs.msgspec(Move | Stop)
    assert [codec.decode(text) for text in ('{"type":"Move","x":3}', b'{"type":"Stop"}')] == [Move(3), Stop()]
    assert codec.encode(Move(4)) == '{"type":"Move","x":4}'


@pytest.mark.parametrize("text", ["{", '{"type":"Move","x":"3"}', '{"type":"Jump"}'])
def test_msgspec_refuses(text: str) -> None:
    """The msgspec codec refuses what does not fit."""
    with pytest.raises(msgspec.DecodeError):
        codecs.msgspec(Move | Stop).decode(text)


def test_msgspec_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    importing = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "msgspec":
            raise ImportError(name)
        return importing(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "rxws\[msgspec\]"'):
        codecs.msgspec(Move)


# What decode returns, encode takes

CODECS: dict[str, codecs.Codec[Any, Any]] = {
    "text": codecs.text,
    "json": codecs.json,
    "msgspec, anything": codecs.msgspec(Any),
    "msgspec, floats": codecs.msgspec(list[float]),
    "msgspec, a tree": codecs.msgspec(Tree),
    "msgspec, a union": codecs.msgspec(dict[str, int | None] | list[str] | bytes),
}
LEAVES = [
    r'"\ud83d"', r'"\uDE00"', r'"\ud83d\ude00"', r'"\\ud83d"', r'"\\\ud83d\ude00"', r'"\u0000\"[{"', '"😀"', '"]["',
    "1e999", "-1e999", "1E+400", "1e308", "1e-400", "-0.0", "9" * 400, "9" * 400 + ".0", "9" * 5000, "1e16", "NaN",
    "Infinity", "-Infinity", "null", "true", "0", "", "[" * 600 + "]" * 600, '{"children":[' * 400 + "]}" * 400,
]  # fmt: skip
KEYS = ['"name"', '"children"', r'"\ud83d"', '"["', '""']


def nest(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(st.sampled_from(KEYS), inner).map(":".join), max_size=3)
    return st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]") | pairs.map(
        lambda parts: f"\n{{{', '.join(parts)}}} "
    )


texts = st.recursive(st.sampled_from(LEAVES) | st.text(max_size=5).map(json.dumps), nest, max_leaves=8) | st.text()


def test_all_codecs_are_tried() -> None:
    """The tests below know every codec that there is."""
    kinds = [kind for kind in vars(codecs).values() if isinstance(kind, type) and {"decode", "encode"} <= {*dir(kind)}]
    own = {kind for kind in kinds if kind.__module__ == codecs.__name__} - {codecs.Codec}
    assert {type(codec) for codec in CODECS.values()} == own


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@few(200)
@given(texts)
@example("[" * codecs.MAX_DEPTH + "]" * codecs.MAX_DEPTH)
@example("[" * 990 + "]" * 990)
def test_what_is_decoded_can_be_sent_on(codec: codecs.Codec[Any, Any], text: str) -> None:
    """Decoding any text of a peer's raises, or returns what is encoded to a frame that decodes to the same."""
    for data in (text, text.encode()):
        try:
            message = codec.decode(data)
        except (ValueError, RecursionError, msgspec.MsgspecError):
            continue
        sent = encode(codec, message)
        again = codec.decode(sent.data.decode() if isinstance(data, str) else sent.data)
        assert again == message
        assert encode(codec, again).data == sent.data


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r'"\ud83d"', "surrogates not allowed"),
        (r' {"\uDE00": 1}', "surrogates not allowed"),
        ("[1e999]", "1e999 is too large for a float"),
        ("-1E400 ", "-1E400 is too large for a float"),
        ("9" * 400 + ".5", "99999999999999999999 is too large for a float"),
        ("[" * 501 + "]" * 501, "more than 500 levels"),
        ('{"a": ["]",' * 300 + '"\\"]"' + "]}" * 300, "more than 500 levels"),
        ("[NaN]", "NaN is not JSON"),
    ],
)
def test_json_says_what_could_not_be_sent_on(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        codecs.json.decode(text)


@pytest.mark.parametrize(
    "text",
    [
        r'"\ud83d\ude00"', r'"\\ud83d"', "1e308", "1e-999", " [1] ", "\n1\n", "9" * 400,
        "[" * 500 + "]" * 500,
        "[" + ",".join(["[[]]"] * 1000) + "]",
        '[%s"]"]' % ('"[[[[{{{{\\"",' * 200),
        '{"a":1%s}' % (',"b":{}' * 400),
    ],
)  # fmt: skip
def test_json_decodes_what_only_looks_like_it(text: str) -> None:
    assert codecs.json.decode(text) == json.loads(text) == codecs.json.decode(text.encode())


@pytest.mark.parametrize("text", ["[1]x", "[1] [2]", "1,", "[", "]" * 2000, '"' * 2001, "{" * 700 + '"'])
def test_json_refuses_what_is_more_or_less_than_one_value(text: str) -> None:
    with pytest.raises(json.JSONDecodeError if len(text) < 700 or text[0] != "{" else ValueError):
        codecs.json.decode(text)


SLOW = codecs.JsonCodec()
SLOW._read_fast = None
NUMBER = st.from_regex(r"-?[0-9]{1,25}(\.[0-9]{0,25})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
STRING = st.from_regex(r'"(\\(u(d8|dc|D9|00)[0-9a-fA-F]{2}|[nx/"\\])|[aé😀\x01\x7f])*"?', fullmatch=True)
JUNK = st.sampled_from(
    ["[1,]", "{,}", '{"a":1,}', '{"a" 1}', "{1:2}", "nul", "\ufeff", "\u00a0", "\x0b", "//", '{"a":1,"a":2}']
)


def decoded(codec: codecs.JsonCodec, data: str | bytes) -> tuple[str, str]:
    try:
        return "value", repr(codec.decode(data))
    except Exception as error:
        return type(error).__name__, str(error)


@few(400)
@given(st.recursive(NUMBER | STRING | JUNK | texts, nest, max_leaves=6), st.binary(max_size=3))
@example("9" * 5000, b"")
@example("1." + "0" * 400 + "1", b"")
def test_json_decodes_alike_by_both_parsers(text: str, junk: bytes) -> None:
    """What msgspec's parser is first to read has the value, or the error, that Python's has."""
    for data in (text, text.encode(errors="ignore"), b'["' + junk + b'"]', junk + text.encode(errors="ignore")):
        assert decoded(codecs.json, data) == decoded(SLOW, data)


def test_json_does_without_msgspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec.json", None)
    codec = codecs.JsonCodec()
    assert codec._read_fast is None
    assert codec.decode('{"a": [1.5]}') == codec.decode(b' {"a":[1.5]}\n') == {"a": [1.5]}


def test_msgspec_limits_the_levels_of_what_may_nest() -> None:
    """The limit is looked for only in types that set none of their own."""
    deep = "[" * 501 + "]" * 501
    tree = '{"children":[' * 251 + "]}" * 251
    for codec, text in ((codecs.msgspec(Any), deep), (codecs.msgspec(Tree), tree)):
        with pytest.raises(ValueError, match="more than 500 levels"):
            codec.decode(text)
        with pytest.raises(ValueError, match="more than 500 levels"):
            codec.decode(text.encode())
    with pytest.raises(msgspec.ValidationError):
        codecs.msgspec(dict[str, list[Move | Stop]]).decode(deep)


def test_uncompressed_takes_text_and_bytes() -> None:
    given: Any = {}
    with pytest.raises(TypeError, match=r"^uncompressed takes str or bytes, not dict: for other messages, mark what"):
        codecs.uncompressed(given)


def test_what_a_codec_sends() -> None:
    """`sends` is for type checkers; what is not a type is refused at once."""
    assert codecs.msgspec(int, sends=str).encode("a") == '"a"'
    with pytest.raises(TypeError):
        codecs.msgspec(int, sends=3)
