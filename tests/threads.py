"""Threads that the event loop waits for."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any, Final

import rxws

PACKAGE: Final = str(Path(rxws.__file__).parent)


def in_a_thread(work: Callable[..., object], *args: Any) -> None:
    """Have a thread do work, in a copy of this context, while the event loop waits for it and does nothing else."""
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work, *args))
    thread.start()
    thread.join()


def send_in_a_thread(socket: rxws.WebSocket[Any, Any], messages: Iterable[Any]) -> None:
    """Have a thread send messages likewise."""
    in_a_thread(lambda: [socket.outgoing.on_next(message) for message in messages])


def preempted(call: Callable[[], object], act: Callable[[], object], line: int) -> bool:
    """Make a call in a thread, and act when it is about to run its `line`th line of rxws; tell whether it came there.

    When the act waits for the call, at a lock, the call goes on.
    """
    reached, acted = threading.Event(), threading.Event()
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if PACKAGE not in frame.f_code.co_filename:
            return None
        if event == "line":
            lines += 1
            if lines == line:
                reached.set()
                acted.wait(0.02)
        return trace

    def work() -> None:
        sys.settrace(trace)
        try:
            call()
        finally:
            sys.settrace(None)
            reached.set()

    thread = threading.Thread(target=work)
    thread.start()
    reached.wait()
    act()
    acted.set()
    thread.join()
    return lines >= line
