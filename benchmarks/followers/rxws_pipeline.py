"""rxws: the same as a pipeline of three operators."""

from __future__ import annotations

from typing import Any

import rxws
from benchmarks.followers.common import STEPS, Tick, seen


async def follow(url: str, kind: str, codec: Any = None, **options: Any) -> None:
    codec = codec or {"text": rxws.codecs.text, "json": rxws.json, "msgspec": rxws.codecs.msgspec(Tick)}[kind]
    async with rxws.connect(url, codec=codec, **options) as socket:
        socket.incoming.pipe(*STEPS[kind]).subscribe(seen.take)
        await socket.closed
