"""A port, or a UNIX socket, that several processes of ours listen on, and nobody else."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterable
from typing import Any, Final

NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A machine without IPv6 has no `::1`, whatever its resolver says."""


def reserve(host: str | Iterable[str] | None, port: int) -> list[socket.socket]:
    """Bind a socket to each address of a host, or of this machine for `None`; port 0 is any free one, the same for all.

    They do not listen, so the system gives them no connection: they keep the port while those made by `share` come and
    go. Raises `OSError` for a port that another program listens on already, even if it would share the port.
    """
    hosts = [host] if host is None or isinstance(host, str) else list(host)
    reserved: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in _addresses(hosts, port):
            place = (address[0], reserved[0].getsockname()[1] if reserved else port, *address[2:])
            try:
                with _bind(family, place, shared=False) as probe:
                    place = probe.getsockname()
                reserved.append(_bind(family, place, shared=True))
            except OSError as error:
                told = OSError(error.errno, f"cannot listen on {place[0]} port {place[1]}: {error.strerror}")
                if error.errno not in NOT_HERE:
                    raise told from None
                missing = told
        if missing is not None and not reserved:
            raise missing
    except OSError:
        close(reserved)
        raise
    return reserved


def share(reserved: Iterable[socket.socket]) -> list[socket.socket]:
    """Bind one more socket to each address that is reserved, for a process to listen on."""
    return [_bind(one.family, one.getsockname(), shared=True) for one in reserved]


def bind_paths(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None) -> list[socket.socket]:
    """Bind a UNIX socket to each path, or to the one; a socket that was left there, and that nobody serves, makes room.

    A path that begins with a zero byte is a name in Linux's abstract namespace, which has no files.
    Raises `OSError` for a path where another program listens, or where something else is.
    """
    several = [] if paths is None else [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    bound: list[socket.socket] = []
    try:
        for one in several:
            path = os.fspath(one)
            bound.append(socket.socket(socket.AF_UNIX))
            try:
                if not path.startswith("\0") and _is_left(path):
                    os.unlink(path)
                bound[-1].bind(path)
            except OSError as error:
                raise OSError(error.errno, f"cannot listen on {path}: {error.strerror or error}") from None
    except OSError:
        remove(bound)
        close(bound)
        raise
    return bound


def remove(sockets: Iterable[socket.socket]) -> None:
    """Take the paths of UNIX sockets away."""
    for one in sockets:
        with contextlib.suppress(OSError, ValueError):  # an abstract name is not a path
            os.unlink(one.getsockname())


def _is_left(path: str) -> bool:
    """Return whether a socket is there that nobody serves."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            probe.connect(path)
    except (FileNotFoundError, BlockingIOError):  # the queue of one who listens may be full
        return False
    except ConnectionRefusedError:
        return True
    return False


def close(sockets: Iterable[socket.socket]) -> None:
    """Give the port back."""
    for one in sockets:
        one.close()


def _addresses(hosts: Iterable[str | None], port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    found: dict[tuple[socket.AddressFamily, tuple[Any, ...]], None] = {}
    for host in hosts:
        try:
            resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {host} port {port}: {error.strerror}") from None
        found |= dict.fromkeys((family, address) for family, *_, address in resolved)
    return list(found)


def _bind(family: int, address: tuple[Any, ...], *, shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
