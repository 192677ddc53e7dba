import os
from collections.abc import Iterator

import pytest

from tests.chromium import browser, page
from tests.integration import server
from tests.integration.broker import Broker

__all__ = ["browser", "page"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the modules that say `TRANSPORTS = True` on each of them, but once where the wires are to be compared."""
    several = getattr(metafunc.module, "TRANSPORTS", False) and os.environ.get("RXWS_WIRE") != "public"
    aiohttp_only = metafunc.definition.get_closest_marker("aiohttp_only") is not None
    metafunc.parametrize("transport", server.TRANSPORTS if several and not aiohttp_only else ["aiohttp"], indirect=True)


@pytest.fixture(autouse=True)
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve handlers on aiohttp, or on an ASGI server."""
    server.choose(request.param)
    yield request.param
    server.choose("aiohttp")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Run a NATS server for the tests of a module."""
    broker = Broker(tmp_path_factory.mktemp("nats"))
    broker.start()
    yield broker
    broker.stop()
