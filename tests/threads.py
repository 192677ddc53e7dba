"""Threads that the event loop waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import rxws


def in_a_thread(work: Callable[[], object]) -> None:
    """Have a thread do work, while the event loop waits for it and does nothing else."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def send_in_a_thread(socket: rxws.WebSocket[Any, Any], messages: Iterable[Any]) -> None:
    """Have a thread send messages likewise."""
    in_a_thread(lambda: [socket.outgoing.on_next(message) for message in messages])
