"""Large messages use the same memory again."""

import subprocess
import sys

FAULTS = """
import resource
from rxws.wires.pieces import keep_pieces

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        bytes(bytearray(2**20))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

one_by_one = faults()
keep_pieces()
faults()
print(one_by_one, faults())
"""


def test_large_messages_use_memory_again() -> None:
    """Without a piece, each message of 1 MiB takes its pages from the kernel; with one, hardly any does."""
    found = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True)
    before, after = map(int, found.stdout.split())
    assert after < 100 < 10_000 < before
