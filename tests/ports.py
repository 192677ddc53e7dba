"""Ports for servers that are told theirs: programs, and what restarts where it was."""

import contextlib
import random
import socket


def has_ipv6() -> bool:
    """Return whether this machine has the loopback address of IPv6."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


_chance = random.SystemRandom()  # two processes of a run that seed `random` alike still find different ports


def free_port() -> int:
    """Find a free port below those that the kernel gives to clients: it stays free until a server takes it again."""
    for _ in range(100):
        port = _chance.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")
