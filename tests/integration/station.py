"""Serves a topic to clients that say where they were: `python -m tests.integration.station URL OPTIONS`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.topics import Gap
from tests.integration.server import serving


async def main(url: str, options: dict[str, Any]) -> None:
    async with rxws.topics(url, **options) as topics:

        @rxws.websocket(codec=rxws.json)
        def station(request: Any) -> Observable[Any]:
            since = request.query.get("since")
            return (
                topics["a"]
                .messages.history(since=since)
                .pipe(ops.map(lambda item: ["gap"] if isinstance(item, Gap) else [item.value, item.position]))
            )

        async with serving(station) as server:
            print(server.url, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
