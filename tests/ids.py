"""Names for parameters of tests."""

import re


def named(value: object) -> str:
    """Give the text of a value without addresses: all processes of a run have to give a test the same name."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
