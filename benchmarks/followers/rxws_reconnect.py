"""rxws with `reconnect=`."""

from __future__ import annotations

import rxws
from benchmarks.followers import rxws_pipeline


async def follow(url: str, kind: str) -> None:
    await rxws_pipeline.follow(url, kind, reconnect=rxws.Backoff())
