import pytest

from rxws.topics.names import MAX_NAME, check_name, matcher, token


@pytest.mark.parametrize("name", ["a", "room.tea", "room.*", "*.tea", "room.>", ">", "*", "é.%2A", "x" * MAX_NAME])
def test_names_that_are_good(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "has 1 to 255 characters, not 0"),
        ("x" * (MAX_NAME + 1), "not 256"),
        ("room.", "empty token"),
        (".room", "empty token"),
        ("a..b", "empty token"),
        (">.a", "goes on after '>'"),
        ("a*.b", "wildcard within a token"),
        ("a.b>", "wildcard within a token"),
        ("a b", "blank"),
        ("a\n", "control character"),
    ],
)
def test_what_is_no_name_is_a_clear_error(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_name(name)


def test_a_name_is_a_str() -> None:
    with pytest.raises(TypeError, match="a topic's name is a str"):
        check_name(7)


@pytest.mark.parametrize("text", ["*", ">", "a.b", "a b", "\n", "é", "100%", "tea", "..", "\ud7ff"])
def test_any_text_has_its_own_token(text: str) -> None:
    """Any text makes one token, which no other text has."""
    made = token(text)
    assert check_name(f"room.{made}").count(".") == 1
    assert matcher("room.*")(f"room.{made}")
    assert bytes.fromhex("".join(f"{byte:02x}" for byte in text.encode())).decode() == text
    assert (made == text) is (text == "tea")


def test_nothing_is_no_token() -> None:
    with pytest.raises(ValueError, match="needs at least one character"):
        token("")


def test_a_pattern_s_other_characters_mean_themselves() -> None:
    assert not matcher("a+.*")("aa.b")
    assert matcher("a+.*")("a+.b")
