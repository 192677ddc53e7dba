"""picows: a listener in C."""

from __future__ import annotations

import asyncio

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from benchmarks.peers.common import Total, publishing, step

NAME = "picows"
members: set[WSTransport] = set()


class Echo(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            transport.send(WSMsgType.TEXT, step(frame.get_payload_as_utf8_text()).encode())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


class Ticks(WSListener):
    def __init__(self) -> None:
        self._total = Total()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            if answer := self._total.take(frame.get_payload_as_utf8_text()):
                transport.send(WSMsgType.TEXT, answer.encode())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


class Room(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        members.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        members.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.task = asyncio.ensure_future(publishing(frame.get_payload_as_utf8_text(), publish))


async def publish(text: str, burst: int) -> None:
    data = text.encode()
    for _ in range(burst):
        for transport in members:
            transport.send(WSMsgType.TEXT, data)
    await asyncio.sleep(0)


async def serve() -> int:
    def choose(request: WSUpgradeRequest) -> WSListener:
        path = request.path.partition(b"?")[0]
        return {b"/room": Room, b"/ticks": Ticks, b"/echo": Echo}[path]()

    server = await ws_create_server(choose, "127.0.0.1", 0, max_frame_size=2**24, backlog=8192)
    return server.sockets[0].getsockname()[1]
