"""picows: a listener in C."""

from __future__ import annotations

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.followers.common import ByHand


async def follow(url: str, kind: str) -> None:
    take = getattr(ByHand(), kind)

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.TEXT:
                take(frame.get_payload_as_utf8_text())

    transport, _ = await ws_connect(Listener, url)
    await transport.wait_disconnected()
