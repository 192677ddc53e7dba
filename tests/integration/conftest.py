from collections.abc import Iterator

import pytest

from tests.chromium import browser, page
from tests.integration.broker import Broker

__all__ = ["browser", "page"]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Run a NATS server for the tests of a module."""
    broker = Broker(tmp_path_factory.mktemp("nats"))
    broker.start()
    yield broker
    broker.stop()
