"""Running a command's coroutine, and how it ends: Ctrl-C, SIGTERM, a reader of its output that leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Final, Protocol

from rxws.core.log import escape
from rxws.errors import ConnectError

INTERRUPTED: Final = 128 + signal.SIGINT
TERMINATED: Final = 128 + signal.SIGTERM


class Leave(Protocol):
    """Ends the command."""

    def __call__(self, status: int, why: object = None) -> None:
        """End it with a status, and say why if that is not said yet."""


class WrongArguments(Exception):
    """Arguments do not fit one another, or a file."""


def fail(message: object, status: int = 1) -> int:
    """Say what is wrong, and give the exit status."""
    if isinstance(message, OSError) and message.filename is not None:
        message = f"{message.filename}: {message.strerror}"  # its own text has the number and the class of a path
    with suppress(BrokenPipeError):
        print(f"rxws: {escape(str(message))}", file=sys.stderr)
    return status


def reader_has_left() -> int:
    """Let the end of the process be quiet too, which writes what is left; return the exit status."""
    give_up_output()
    return 0


def give_up_output() -> None:
    """Drop what is printed and cannot be written, now and at the end of the process."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def cannot_print(error: OSError, leave: Leave) -> None:
    """End a command whose output cannot be written; quietly if its reader has left."""
    if isinstance(error, BrokenPipeError):
        leave(0)
    else:
        leave(1, f"the output cannot be written: {error}")


def run_command(main: Callable[[Leave], Coroutine[Any, Any, int]], *, is_filter: bool = True) -> int:
    """Run a command's coroutine, and return the exit status.

    Ctrl-C and SIGTERM cancel it; a command that then ends by itself chooses the status after Ctrl-C. So does `leave`,
    with a status of its own, and a reader of the output that leaves, if the command `is_filter`, even while there is
    nothing to print: then the status is 0.
    """
    try:
        return asyncio.run(_until_told(main, is_filter))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return reader_has_left()
    except WrongArguments as error:
        return fail(error, 2)
    except ConnectError as error:
        return fail(f"no connection: {error}")
    except OSError as error:
        return fail(error)


async def _until_told(main: Callable[[Leave], Coroutine[Any, Any, int]], is_filter: bool) -> int:
    told: list[int] = []
    task = asyncio.current_task()
    assert task is not None

    def tell(status: int, why: object = None) -> None:
        if not told:
            told.append(status)
            if why is not None:
                fail(why)
            task.cancel()

    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError, RuntimeError):  # on Windows, and outside the main thread
        loop.add_signal_handler(signal.SIGTERM, tell, TERMINATED)
    try:
        with _watched_reader(loop, lambda: tell(0)) if is_filter else nullcontext():
            status = await main(tell)
    except asyncio.CancelledError:
        if not told:
            raise
        status = 0
    if told == [0]:
        return reader_has_left()
    return told[0] if told else status


@contextmanager
def _watched_reader(loop: asyncio.AbstractEventLoop, gone: Callable[[], object]) -> Generator[None, None, None]:
    """Notice at once that a pipe's reader leaves: its other end is then always ready to be read."""
    try:
        output = sys.stdout.fileno()
        if not stat.S_ISFIFO(os.fstat(output).st_mode):
            raise OSError("only pipes tell")
        loop.add_reader(output, lambda: (loop.remove_reader(output), gone()))
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        loop.remove_reader(output)
