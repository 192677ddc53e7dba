"""rxws as it is without the extra `msgspec`: Python's own parser reads JSON."""

from __future__ import annotations

from benchmarks.followers import rxws_pipeline
from rxws.codecs import JsonCodec


async def follow(url: str, kind: str) -> None:
    codec = JsonCodec()
    codec._read_fast = None
    await rxws_pipeline.follow(url, kind, codec)
