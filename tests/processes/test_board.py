import os
import signal
import time
from itertools import count

from rxws.processes.board import HEAD, PLACE, Board


def test_places() -> None:
    """Each process writes in its own place, and reads the last text of the others; too long a text is refused."""
    board = Board(3)
    assert [board.read(place) for place in range(3)] == [b"", b"", b""]
    for own in (0, 2):
        if (pid := os.fork()) == 0:
            board.take(own)
            for number in range(own + 1):
                assert board.write(b"%d of %d" % (number, own))
            longest = PLACE - HEAD.size - 1
            os._exit(board.write(b"x" * (longest + 1)) or (own == 2 and not board.write(b"x" * longest)))
        assert os.waitpid(pid, 0)[1] == 0
    assert [board.read(place) for place in range(2)] == [b"0 of 0", b""]
    assert board.read(2) == b"x" * (PLACE - HEAD.size - 1)
    board.take(0)
    assert (board.own, board.before) == (0, b"0 of 0")


def test_killed_writer() -> None:
    """A process that is killed while it writes leaves a text that is whole, and a reader never sees half of one."""
    board = Board(1)
    for _ in range(10):
        if (pid := os.fork()) == 0:
            for number in count():
                board.write(b"%d " % number * (number % 5000))
        deadline = time.monotonic() + 0.03
        while time.monotonic() < deadline:
            assert len(set(board.read(0).split())) <= 1
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        board._last = [b"nothing valid"]
        assert len(set(board.read(0).split())) <= 1
