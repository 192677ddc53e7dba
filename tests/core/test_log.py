import logging
from typing import Any

import pytest
from reactivex import Observable

import rxws
from rxws.core.log import CLIENT, SERVER, SocketLog, escape
from rxws.testing import MemoryDialer, connect, serve
from tests.streams import ended, turns

VIRTUAL = True


def echo(incoming: Observable[str]) -> Observable[str]:
    return incoming


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name.startswith("ws_")}


def of(caplog: pytest.LogCaptureFixture, event: str) -> logging.LogRecord:
    (record,) = [record for record in caplog.records if vars(record)["ws_event"] == event]
    return record


def test_logger_names() -> None:
    """Both loggers are children of the library's."""
    library = logging.getLogger("rxws")
    assert (SERVER.name, SERVER.parent) == ("rxws.server", library)
    assert (CLIENT.name, CLIENT.parent) == ("rxws.client", library)


async def test_closed_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The end of a socket says how long it was open and what went through it."""
    caplog.set_level(logging.DEBUG, "rxws.server")
    socket, peer = serve(echo)
    await turns()
    peer.send("abc", "é")
    await turns()
    socket.close(4001, "bye")
    await ended(socket)
    assert fields(of(caplog, "opened")) == {"ws_event": "opened", "ws_remote": "memory", "ws_protocol": None}
    record = of(caplog, "closed")
    seen = fields(record)
    duration = seen.pop("ws_duration")
    assert duration == socket.stats.duration > 0
    assert seen == {
        "ws_event": "closed",
        "ws_remote": "memory",
        "ws_closed_by": "us",
        "ws_code": 4001,
        "ws_reason": "bye",
        "ws_received": 2,
        "ws_received_bytes": 5,
        "ws_sent": 2,
        "ws_sent_bytes": 5,
        "ws_dropped": 0,
    }
    assert (record.name, record.levelno) == ("rxws.server", logging.DEBUG)
    assert record.getMessage() == f"closed by us after {duration:.3f} s: Close(code=4001, reason='bye') (memory)"


@pytest.mark.parametrize(
    ("end", "closed_by"),
    [
        (lambda socket, peer: socket.dispose(), "us"),
        (lambda socket, peer: peer.violate(), "us"),
        (lambda socket, peer: peer.close(rxws.Close(4002)), "peer"),
        (lambda socket, peer: peer.close(), "peer"),
        (lambda socket, peer: peer.drop(), "nobody"),
    ],
)
async def test_closed_by(end: Any, closed_by: str, caplog: pytest.LogCaptureFixture) -> None:
    """The end of a socket says who closed it."""
    caplog.set_level(logging.DEBUG, "rxws.server")
    socket, peer = serve(echo)
    await turns()
    end(socket, peer)
    await ended(socket)
    assert vars(of(caplog, "closed"))["ws_closed_by"] == closed_by


@pytest.mark.parametrize("code", [1008, 1013])
@pytest.mark.parametrize("by_peer", [False, True])
async def test_policy_close_level(code: int, by_peer: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A policy of ours that closes is logged at info, a peer's is not."""
    caplog.set_level(logging.INFO, "rxws")
    socket, peer = serve(echo)
    await turns()
    if by_peer:
        peer.close(rxws.Close(code))
    else:
        socket.close(code)
    await ended(socket)
    assert [record.levelno for record in caplog.records] == ([] if by_peer else [logging.INFO])


@pytest.mark.parametrize("leave", ["close", "drop"])
async def test_a_busy_server_is_quiet_at_info(leave: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rxws")
    for _ in range(10):
        socket, peer = serve(echo)
        await turns()
        peer.send("a")
        getattr(peer, leave)()
        await ended(socket)
    assert caplog.records == []


async def test_close_reason_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """A peer's words stay within their line."""
    caplog.set_level(logging.DEBUG, "rxws.server")
    socket, peer = serve(echo)
    await turns()
    peer.close(rxws.Close(4000, "bye\r\nroot logged in\x1b[2J"))
    await ended(socket)
    record = of(caplog, "closed")
    assert vars(record)["ws_reason"] == "bye\\r\\nroot logged in\\x1b[2J"
    assert "reason='bye\\r\\nroot logged in\\x1b[2J'" in record.getMessage()


async def test_address_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """An address that a proxy made up stays within its line."""
    journal = SocketLog(SERVER, remote="10.0.0.1\nroot", path="/a")
    journal.write(logging.ERROR, "error", "message")
    assert vars(of(caplog, "error"))["ws_remote"] == "10.0.0.1\\nroot"
    assert caplog.messages == ["message (10.0.0.1\\nroot /a)"]


@pytest.mark.parametrize(
    ("text", "safe"),
    [("", ""), ("é ñ 名", "é ñ 名"), ("\r\n\x1b\x00", "\\r\\n\\x1b\\x00"), ("\u2028\u202e\x85", "\\u2028\\u202e\\x85")],
)
def test_escapes(text: str, safe: str) -> None:
    assert escape(text) == safe


async def test_error_record(caplog: pytest.LogCaptureFixture) -> None:
    """An error has its class and its traceback."""
    socket, peer = serve(echo, codec=rxws.json)
    await turns()
    peer.send("{")
    await ended(socket)
    record = of(caplog, "error")
    assert fields(record) == {"ws_event": "error", "ws_remote": "memory", "ws_error_type": "DecodeError"}
    assert record.exc_info is not None


async def test_what_is_not_written_is_not_made() -> None:
    class Dear:
        def __str__(self) -> str:
            raise AssertionError

    SocketLog(SERVER).write(logging.DEBUG, "error", "%s", Dear())


async def test_a_loss_has_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rxws.server")
    socket, peer = serve(echo)
    await turns()
    peer.drop(ConnectionResetError("reset"))
    await ended(socket)
    assert "ConnectionResetError: reset" in caplog.text
    assert of(caplog, "lost").levelno == logging.DEBUG


async def test_a_client_logs_on_its_own_logger(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rxws")
    dialer = MemoryDialer()
    dialer.target = "ws://example.com/feed"
    async with connect(dialer) as socket:
        socket.errors.on_next(ValueError("mine"))
    assert [record.name for record in caplog.records] == ["rxws.client"] * 3
    assert {vars(record)["ws_url"] for record in caplog.records} == {"ws://example.com/feed"}
    assert vars(of(caplog, "error"))["ws_error_type"] == "ValueError"


@pytest.mark.parametrize(
    ("because", "level"),
    [(rxws.ConnectError("refused", "tcp"), logging.INFO), (rxws.ConnectionLost("gone"), logging.DEBUG)],
)
def test_waiting_level(because: Exception, level: int, caplog: pytest.LogCaptureFixture) -> None:
    """A wait is news if nobody is there, and not if a peer left."""
    caplog.set_level(logging.DEBUG, "rxws")
    SocketLog(CLIENT, url="ws://example.com/").waiting(1.5, because)
    record = of(caplog, "waiting")
    assert record.levelno == level
    assert (vars(record)["ws_delay"], vars(record)["ws_because"]) == (1.5, str(because))
