"""The market: it does no more than publish its trades, without an event loop.

python examples/tape/market.py nats://localhost:4222
"""

import contextlib
import os
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import rxws

SECONDS = float(os.environ.get("SECONDS", "0.2"))  # between two trades


def trades() -> Iterator[dict[str, Any]]:
    """Trades without an end, each with the number after that of the one before."""
    prices = {"TEA": 12.0, "RUM": 31.5, "SALT": 4.2}
    number = 0
    while True:
        number += 1
        symbol = random.choice([*prices])
        prices[symbol] = round(max(1.0, prices[symbol] * random.uniform(0.99, 1.0101)), 2)
        lots = random.randint(1, 90)
        yield {"number": number, "symbol": symbol, "price": prices[symbol], "lots": lots, "at": time.time()}


def main(url: str) -> None:
    with rxws.topics.publisher(url) as publisher:
        publisher.errors.subscribe(lambda error: print(error, file=sys.stderr))
        for trade in trades():
            publisher["trades"].on_next(trade)
            time.sleep(SECONDS)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1])
