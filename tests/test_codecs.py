import builtins
from typing import Any

import msgspec
import pytest

from rxws import codecs


class Move(msgspec.Struct, tag=True):
    x: int


class Stop(msgspec.Struct, tag=True):
    pass


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
