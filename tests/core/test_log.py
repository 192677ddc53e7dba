import ast
import asyncio
import io
import logging
import traceback
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as rxops

import rxws
from rxws.core.log import CLIENT, SERVER, SocketLog, escape, harmless, log_line
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
    await asyncio.sleep(1)
    socket.close(4001, "bye")
    await ended(socket)
    assert fields(of(caplog, "opened")) == {"ws_event": "opened", "ws_remote": "memory", "ws_protocol": None}
    record = of(caplog, "closed")
    seen = fields(record)
    duration = seen.pop("ws_duration")
    assert duration == socket.stats.duration == 1
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
    log_line(SERVER, logging.DEBUG, "%s", Dear())


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


# What others chose, in tracebacks


class Own(Exception):
    """An exception with a text of its own."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(code)
        self.text = text

    def __str__(self) -> str:
        return f"own: {self.text}"


class Strict(Exception):
    """An exception that cannot be made without its own arguments."""

    def __new__(cls, *, text: str) -> "Strict":
        self = super().__new__(cls)
        self.text = text
        return self

    def __init__(self, *, text: str) -> None:
        super().__init__(text)


class Broken(Exception):
    """An exception that has no text."""

    def __str__(self) -> str:
        raise ValueError


def syntax_error(text: str) -> Exception:
    return SyntaxError("wrong", ("<a peer>", 1, 1, text))


def with_note(text: str) -> Exception:
    error = ValueError("noted")
    error.add_note(text)
    return error


def group_of(text: str) -> Exception:
    return ExceptionGroup(text, [ValueError(text), ExceptionGroup("inner", [KeyError(text)])])


def undecodable(text: str) -> Exception:
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, text)


KINDS = (
    *(ValueError, KeyError, RuntimeError, lambda text: OSError(1, text, "a file"), syntax_error, undecodable),
    *(lambda text: Own(text, 1), lambda text: Strict(text=text), lambda text: Broken(text), with_note, group_of),
)
TEXTS = st.text(min_size=1, max_size=30) | st.sampled_from(
    ["\n", "\r", "\x1b[2J", "\x85", "\u2028", "\udc9b", "a\nERROR root"]
)


class Raw(logging.Formatter):
    """A formatter that makes tracebacks itself, whatever a record has already."""

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None
        return super().format(record)

    def formatException(self, ei: Any) -> str:
        return "".join(traceback.format_exception(*ei))


def written(formatter: logging.Formatter, log: Any) -> str:
    """Give what a handler writes of what is logged."""
    stream, logger = io.StringIO(), logging.Logger("rxws.test")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    log(logger)
    return stream.getvalue()


def raised(error: Exception, cause: Exception | None) -> Exception:
    """Raise an error, so that it has a traceback and a cause."""
    try:
        try:
            if cause is not None:
                raise cause
        except Exception as caught:
            raise error from caught
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize("formatter", [logging.Formatter(), Raw()], ids=["the usual", "its own"])
@given(kind=st.sampled_from(KINDS), cause=st.none() | st.sampled_from(KINDS), text=TEXTS)
def test_texts_of_errors_stay_within_their_line(formatter: logging.Formatter, kind: Any, cause: Any, text: str) -> None:
    """Whatever the text of an error, its traceback has the lines of one with a plain text, and no control character."""

    def lines(text: str) -> list[str]:
        error = raised(kind(text), cause and cause(text))
        line = written(formatter, lambda logger: log_line(logger, 40, "%s failed: %s", text, repr(error), error=error))
        assert line.endswith("\n")
        return line.removesuffix("\n").split("\n")

    found, plain = lines(text), lines("plain")
    assert [line for line in found if not line.replace("\t", "").isprintable()] == []
    notes = sum(one in (syntax_error,) for one in (kind, cause))  # a copy has the line as a note
    assert abs(len(found) - len(plain)) <= 4 * notes


@pytest.mark.parametrize("kind", KINDS)
def test_error_that_is_printable_is_itself(kind: Any) -> None:
    """An error without control characters is in the record as it is."""
    error = kind("text")
    assert harmless(error) is error


@given(kind=st.sampled_from(KINDS), text=TEXTS)
def test_copy_of_an_error_is_like_it(kind: Any, text: str) -> None:
    """A copy has the name of the class, the traceback, the cause, and, where that can be, the class."""
    cause = kind(text)
    error = raised(kind(text), cause)
    copy = harmless(error)
    assert type(copy).__name__ == type(error).__name__
    assert (copy.__traceback__, copy.__suppress_context__) == (error.__traceback__, True)
    assert type(copy.__cause__).__name__ == type(cause).__name__
    assert isinstance(copy, type(error)) or type(error) in (SyntaxError, UnicodeDecodeError, Strict)
    assert str(error.__cause__) if type(error) is not Broken else True, "the error itself is not changed"


def test_causes_in_a_circle() -> None:
    one, two = ValueError("\x1b"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    copy = harmless(one)
    assert (str(copy), copy.__cause__.__cause__) == ("\\x1b", copy)


class Tick(msgspec.Struct, tag=True):
    price: float


class Trade(msgspec.Struct, tag=True):
    size: int


async def test_peer_forges_no_line(caplog: pytest.LogCaptureFixture) -> None:
    """A codec repeats what a peer has sent, an operator what it got: neither makes a line, nor commands a terminal."""
    evil = "x\n2026-01-01 00:00:00 INFO root logged in\x1b[2J"

    def handler(incoming: Observable[Any]) -> Observable[Any]:
        def fail(message: Any) -> Any:
            raise ValueError(f"unknown {evil}")

        return incoming.pipe(rxops.map(fail))

    for codec, message in (
        (rxws.codecs.msgspec(Tick | Trade), msgspec.json.encode({"type": evil}).decode()),
        (None, "a"),
    ):
        socket, peer = serve(handler, **({"codec": codec} if codec else {}))
        await turns()
        peer.send(message)
        await ended(socket)
    first, second = (record for record in caplog.records if record.exc_info)
    assert (first.levelname, second.levelname) == ("WARNING", "ERROR")
    lines = "\n".join(logging.Formatter().format(record) for record in (first, second)).split("\n")
    assert [line for line in lines if not line.isprintable() or line.startswith("2026")] == []
    assert sum("root logged in\\x1b[2J" in line for line in lines) >= 2
    assert second.exc_info is not None
    assert isinstance(second.exc_info[1], ValueError)


def test_all_logging_goes_through_one_function() -> None:
    """No module of rxws calls a logger, or writes a traceback, but by `log_line`."""
    root = Path(rxws.__file__).parent
    calls = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("debug", "info", "warning", "error", "exception", "critical", "log")
        and "log" in ast.unparse(node.func.value).lower()
        and path.name != "log.py"
    ]
    assert calls == []


def test_line_below_the_level_costs_nothing() -> None:
    """A line whose level is off is not made."""

    class Costly:
        def __str__(self) -> str:
            raise AssertionError("nobody reads it")

    logger = logging.getLogger("rxws.server")
    assert not logger.isEnabledFor(logging.DEBUG)
    log_line(logger, logging.DEBUG, "%s", Costly())
