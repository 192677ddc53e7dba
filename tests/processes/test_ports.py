import socket

import pytest

from rxws.processes import ports


def test_several_listen_on_a_port_and_nobody_else_may() -> None:
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


def test_what_is_reserved_gets_no_connections() -> None:
    (reserved,) = ports.reserve("127.0.0.1", 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(reserved.getsockname(), timeout=5)
    (shared,) = ports.share([reserved])
    shared.listen()
    for _ in range(50):
        socket.create_connection(reserved.getsockname(), timeout=5).close()
    ports.close([reserved, shared])


@pytest.mark.parametrize("host", [None, "localhost", ["127.0.0.1", "127.0.0.2", "127.0.0.1"]])
def test_all_addresses_have_the_same_port_though_any_will_do(host: str | list[str] | None) -> None:
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


def test_an_address_that_this_machine_does_not_have_is_missing_only_if_there_is_no_other() -> None:
    with pytest.raises(OSError, match="Cannot assign"):
        ports.reserve("192.0.2.1", 0)
    (reserved,) = ports.reserve(["192.0.2.1", "127.0.0.1"], 0)
    assert reserved.getsockname()[0] == "127.0.0.1"
    ports.close([reserved])
