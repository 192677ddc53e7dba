"""What arguments may be, in one wording."""

from collections.abc import Callable
from typing import Any

import pytest

from rxws.checks import number, one_of, positive, positive_int


@pytest.mark.parametrize("given", [1, 0.5, 5e-324, 1e308])
def test_positive(given: float) -> None:
    """A positive number comes back as a float, whatever it was."""
    checked = positive("wait", given)
    assert (checked, type(checked)) == (given, float)


def test_positive_int() -> None:
    """Whole numbers have no upper bound."""
    assert [positive_int("limit", given) for given in (1, 2**70)] == [1, 2**70]


WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: positive("wait", 0), ValueError, "wait must be a positive number, not 0"),
    (lambda: positive("wait", -0.5, "seconds"), ValueError, "wait must be a positive number of seconds, not -0.5"),
    (lambda: positive("wait", float("nan")), ValueError, "wait must be a positive number, not nan"),
    (lambda: positive("wait", float("inf")), ValueError, "wait must be a positive number, not inf"),
    (lambda: positive("wait", 10**400), ValueError, "wait must be a positive number, not 1000"),
    (lambda: positive("wait", True), TypeError, "wait must be a positive number, not True"),
    (lambda: positive("wait", "1"), TypeError, "wait must be a positive number, not '1'"),
    (
        lambda: positive("wait", None, none="off"),
        TypeError,
        "wait must be a positive number, or None for off, not None",
    ),
    (lambda: positive_int("limit", 0, "rows"), ValueError, "limit must be a positive whole number of rows, not 0"),
    (lambda: positive_int("limit", 1.0), TypeError, "limit must be a positive whole number, not 1.0"),
    (lambda: positive_int("limit", True), TypeError, "limit must be a positive whole number, not True"),
    (lambda: number("share", 2, "0 to 1", lambda given: given < 1), ValueError, "share must be 0 to 1, not 2"),
    (lambda: one_of("how", None, ["a", "b"]), ValueError, "how must be one of 'a', 'b', not None"),
    (lambda: one_of("how", [], ["a"], "rxws.b()"), ValueError, "how must be one of 'a', rxws.b(), not []"),
]


@pytest.mark.parametrize(("check", "kind", "says"), WRONG, ids=[says for _, _, says in WRONG])
def test_wrong_arguments(check: Callable[[], Any], kind: type[Exception], says: str) -> None:
    """What was expected and what was given are in every message; another type is a TypeError."""
    with pytest.raises(kind) as error:
        check()
    assert str(error.value).startswith(says)
