import importlib
import inspect
import subprocess
import sys
import types

import pytest

import rxws
import rxws.asgi

EXPORTS = [
    "Backoff", "ClientWebSocket", "Close", "Closed", "ConnectError", "Connecting", "ConnectionLost", "DecodeError",
    "Deflate", "EncodeError", "Greeting", "Heartbeat", "HeartbeatTimeout", "Hub", "Open", "ProtocolError", "Rooms",
    "RxwsError",
    "SharedFeed", "Waiting", "WebSocket", "accept", "attach", "codecs", "connect", "expire", "feed", "json",
    "latest_by", "operators", "run", "setup", "topics", "websocket", "wire_mode",
]  # fmt: skip


def test_exports() -> None:
    """The package exports these names and nothing else."""
    assert sorted(rxws.__all__) == EXPORTS
    public = {name: value for name, value in vars(rxws).items() if not name.startswith("_") and name not in EXPORTS}
    assert [name for name, value in public.items() if not isinstance(value, types.ModuleType)] == []


def test_completion() -> None:
    """What a shell or a notebook completes after `rxws.` are the public names."""
    assert dir(rxws) == sorted([*EXPORTS, "__version__"])


def test_unknown_names_are_told() -> None:
    """A module that is not imported yet says how; another name gets Python's words, and its suggestion."""
    program = "import rxws\ntry: rxws.{0}\nexcept AttributeError as error: print(error)\nrxws.{0}"
    for name, says in (
        ("testing", "module 'rxws' has no attribute 'testing': write 'import rxws.testing'"),
        ("connects", "module 'rxws' has no attribute 'connects'"),
    ):
        command = [sys.executable, "-c", program.format(name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout == f"{says}\n"
        assert ("Did you mean: 'connect'?" in done.stderr) == (name == "connects")


def test_module_that_is_not_imported_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within this process, where tests have imported them all."""
    monkeypatch.delattr(rxws, "testing")
    with pytest.raises(AttributeError, match=r"write 'import rxws\.testing'"):
        getattr(rxws, "testing")  # noqa: B009 - a type checker knows what the test imports


def test_signatures_tell_options() -> None:
    """What Shift-Tab in a notebook shows: each option with its default, those of the other side left out."""
    common = {"codec", "protocols", "heartbeat", "max_msg_size", "compress", "high_water", "max_buffered", "overflow"}
    common |= {"in_flight", "message_rate", "message_timeout", "close_timeout"}
    for function, others in (
        (rxws.websocket, {"handler", "origins"}),
        (rxws.accept, {"request", "origins"}),
        (rxws.connect, {"url", "reconnect", "session", "headers", "ssl", "proxy", "open_timeout", "greet", "offline"}),
    ):
        parameters = inspect.signature(function).parameters
        assert set(parameters) == common | others, function
        assert (parameters["heartbeat"].default, repr(parameters["codec"].default)) == (20.0, "rxws.codecs.text")
    assert inspect.signature(rxws.feed).parameters == inspect.signature(rxws.connect).parameters
    assert {"heartbeat", "codec"} < set(inspect.signature(rxws.attach).parameters)
    assert not {"compress", "origins"} & set(inspect.signature(rxws.attach).parameters)
    for function in (rxws.asgi.websocket, rxws.asgi.accept):
        assert inspect.signature(function).parameters["heartbeat"].default is None
        assert not {"compress", "message_timeout"} & set(inspect.signature(function).parameters)
    assert repr(rxws.json) == "rxws.json"
    assert "nats://localhost:4222" in str(inspect.getdoc(rxws.topics))
    assert "url" in inspect.signature(rxws.topics).parameters


@pytest.mark.parametrize("name", ["rxws.run", "rxws.attach", "rxws.connect"])
def test_functions_are_not_modules(name: str) -> None:
    """No module has the name of a function, so that `import rxws.run` cannot give one for the other."""
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(name)


def test_docstrings() -> None:
    """Every public name has a docstring."""
    objects = [getattr(rxws, name) for name in EXPORTS]
    members = [
        value
        for thing in objects
        if isinstance(thing, type)
        for name, value in vars(thing).items()
        if not name.startswith("_") and (callable(value) or isinstance(value, property))
    ]
    assert [thing for thing in (*objects, *members) if not thing.__doc__] == []
