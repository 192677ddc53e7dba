import contextlib
import os
import socket
import sys
from pathlib import Path

import pytest

from rxws.processes import ports


def test_shared_port() -> None:
    """Several sockets listen on a port, and nobody else may."""
    (reserved,) = ports.reserve("127.0.0.1", 0)
    place = reserved.getsockname()
    shared = [one for _ in range(3) for one in ports.share([reserved])]
    for one in shared:
        one.listen()
    with (
        socket.create_connection(place, timeout=5),
        socket.socket() as stranger,
        pytest.raises(OSError, match="in use"),
    ):
        stranger.bind(place)
    with pytest.raises(OSError, match="cannot listen on"):
        ports.reserve("127.0.0.1", place[1])
    ports.close([reserved, *shared])
    ports.close(ports.reserve("127.0.0.1", place[1]))


def test_reserved_gets_no_connections() -> None:
    """A port that is only reserved gets no connections."""
    (reserved,) = ports.reserve("127.0.0.1", 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(reserved.getsockname(), timeout=5)
    (shared,) = ports.share([reserved])
    shared.listen()
    for _ in range(50):
        socket.create_connection(reserved.getsockname(), timeout=5).close()
    ports.close([reserved, shared])


@pytest.mark.parametrize("host", [None, "localhost", ["127.0.0.1", "127.0.0.2", "127.0.0.1"]])
def test_all_addresses_one_port(host: str | list[str] | None) -> None:
    """All addresses have the same port, though any will do."""
    reserved = ports.reserve(host, 0)
    places = [one.getsockname()[:2] for one in reserved]
    assert len({port for _, port in places}) == 1
    assert len(set(places)) == len(places)
    assert places[0][1] > 0
    if host is None:
        assert "0.0.0.0" in dict(places)
    if isinstance(host, list):
        assert [address for address, _ in places] == ["127.0.0.1", "127.0.0.2"]
    ports.close(reserved)


def test_missing_address() -> None:
    """An address that this machine does not have is an error only if there is not another one."""
    with pytest.raises(OSError, match=r"cannot listen on 192.0.2.1 port 0: Cannot assign"):
        ports.reserve("192.0.2.1", 0)
    with pytest.raises(OSError, match=r"cannot listen on no host port 80: "):
        ports.reserve(["127.0.0.1", "no host"], 80)
    (reserved,) = ports.reserve(["192.0.2.1", "127.0.0.1"], 0)
    assert reserved.getsockname()[0] == "127.0.0.1"
    ports.close([reserved])


def test_path_of_a_program_that_hangs(tmp_path: Path) -> None:
    """A program that listens and accepts nothing, so that its queue is full, is not waited for."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as hung, contextlib.ExitStack() as clients:
        hung.bind(path)
        hung.listen(0)
        with contextlib.suppress(BlockingIOError):
            for _ in range(10):
                client = clients.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect(path)
        with pytest.raises(OSError, match=f"cannot listen on {path}: Address already in use"):
            ports.bind_paths(path)


def test_paths(tmp_path: Path) -> None:
    """A UNIX socket that nobody serves makes room; one that is served, and a file, do not, and nothing stays behind."""
    path, other = tmp_path / "socket", tmp_path / "other"
    for given in (path, str(path), [path]):
        (left,) = ports.bind_paths(given)
        ports.close([left])
        assert path.is_socket()
    (served,) = ports.bind_paths(path)
    served.listen()
    with pytest.raises(OSError, match=f"cannot listen on {path}: Address already in use"):
        ports.bind_paths([other, path])
    ports.remove([served])
    ports.close([served])
    assert [*tmp_path.iterdir()] == []
    path.write_text("a file")
    with pytest.raises(OSError, match="already in use"):
        ports.bind_paths(path)
    with pytest.raises(OSError, match="AF_UNIX path too long"):
        ports.bind_paths(tmp_path / ("long" * 40))
    assert path.read_text() == "a file"
    assert ports.bind_paths(None) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_abstract_name() -> None:
    """A name in Linux's abstract namespace is one program's, and leaves nothing to remove."""
    name = f"\0rxws.{os.getpid()}"
    bound = ports.bind_paths([name])
    with pytest.raises(OSError, match="Address already in use"):
        ports.bind_paths(name)
    ports.remove(bound)
    ports.close(bound)
    ports.close(ports.bind_paths(name))
