import importlib
import types

import pytest

import rxws

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
