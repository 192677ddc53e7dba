"""`rxws.topics` is a package and may be called."""

import asyncio
import importlib
import sys
from typing import Any

import pytest

import rxws
from rxws.topics.engines.memory import MemoryEngine


def test_rxws_topics_is_the_package_and_the_function() -> None:
    assert rxws.topics is sys.modules["rxws.topics"]
    assert rxws.topics.engines.memory.MemoryEngine is MemoryEngine  # type: ignore[attr-defined]
    assert importlib.import_module("rxws.topics").token("*") == "%2A"
    assert isinstance(rxws.topics("memory://"), rxws.topics.Topics)


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        (
            {"url": None},
            TypeError,
            "expected a URL of topics, such as 'memory://' or 'nats://localhost:4222', not NoneType",
        ),
        ({"url": "redis://localhost"}, ValueError, "expected a URL of topics such as"),
        ({"url": "nats://"}, ValueError, "expected a URL of topics such as"),
        ({"url": "nats://localhost/a.b"}, ValueError, "names a stream"),
        ({"url": "nats://[::1"}, ValueError, "expected a URL of topics such as"),
        ({"url": "nats://h:abc"}, ValueError, "a NATS server is 'host' or 'host:port', .*, not 'h:abc'"),
        ({"url": "nats://h:99999"}, ValueError, "not 'h:99999'"),
        ({"url": "nats://a:0"}, ValueError, "not 'a:0'"),
        ({"url": "nats://:4222"}, ValueError, "not ':4222'"),
        ({"url": "nats://a,,b"}, ValueError, "not ''"),
        ({"url": "nats://a,tls://b"}, ValueError, "a NATS server is 'host' or 'host:port'"),
        ({"url": "nats://a b"}, ValueError, "not 'a b'"),
        ({"overflow": "close"}, ValueError, "overflow must be one of 'drop_oldest', 'drop_newest', not 'close'"),
        ({"max_buffered": 0}, ValueError, "max_buffered must be a whole number from 1"),
        ({"url": "memory://name"}, ValueError, "expected a URL of topics such as"),
        ({"codec": None}, TypeError, "codec must be an object with decode"),
        ({"max_messages": 0}, ValueError, f"max_messages must be a whole number from 1 to {2**63 - 1}, not 0"),
        ({"max_messages": True}, TypeError, "max_messages must be a whole number from 1 to .*, not True"),
        ({"max_bytes": "1"}, TypeError, "max_bytes must be a whole number"),
        ({"max_age": 0}, ValueError, "max_age must be 0.1 to 9000000000 seconds"),
        ({"max_age": 0.05}, ValueError, "max_age must be 0.1 to 9000000000 seconds, or None for no limit, not 0.05"),
        ({"max_age": 1e10}, ValueError, "max_age must be 0.1 to"),
        ({"max_messages": 2**63}, ValueError, f"a whole number from 1 to {2**63 - 1}, not {2**63}"),
        ({"max_bytes": 2**64}, ValueError, "max_bytes must be"),
        ({"max_age": "1"}, TypeError, "max_age must be 0.1 to"),
    ],
)
def test_bad_arguments_are_clear_errors(arguments: dict[str, Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        rxws.topics(**{"url": "memory://", **arguments})


def test_topics_begin_within_an_event_loop() -> None:
    topics = rxws.topics("memory://")
    for use in (topics["a"].subscribe, lambda: topics["a"].on_next(1)):
        with pytest.raises(RuntimeError, match="topics belong to an event loop: subscribe or publish within it first"):
            use()


def test_topics_that_never_began_close(caplog: pytest.LogCaptureFixture) -> None:
    """Topics that never began report on the log, and close."""
    topics = rxws.topics("memory://")
    topics["a"].on_error(ValueError("early"))
    asyncio.run(topics.close())
    assert "ValueError('early'), which nobody observed" in caplog.text


def test_without_nats_py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("rxws.topics.engines.nats")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "nats", None)
    with pytest.raises(ImportError, match=r'topics over NATS need nats-py: pip install "rxws\[nats\]"'):
        rxws.topics("nats://localhost")


@pytest.mark.parametrize(
    "url",
    [
        "nats://one:4222,two:4222/chat",
        "nats://a,nats://b",
        "nats://u:p@a:1,nats://u:p@b:2/chat",
        "tls://bob:p%40ss@one",
        "nats://[::1]:4222",
        "nats://a_b-1.example.org",
    ],
)
def test_url_may_name_servers_and_a_stream(url: str) -> None:
    """A URL of NATS may name several servers and a stream."""
    assert isinstance(rxws.topics(url), rxws.topics.Topics)


@pytest.mark.parametrize(
    "url",
    [
        "nats://bob:sesame@h:0",
        "nats://bob:sesame@h/a.b",
        "nats://bob:ses/ame@h",
        "nats://bob:sesame@one,ann:sesame@two?x",
        "redis://bob:sesame@h",
        "nats://bob:sesame@[h",
        "nats://bob:ame,ses@h",
    ],
)
def test_errors_tell_no_passwords(url: str) -> None:
    with pytest.raises(ValueError, match=r"h|two") as caught:
        rxws.topics(url)
    assert "ame" not in str(caught.value).replace("names a stream", "")
