"""What is typed in a terminal, and what is shown."""

import sys

from rxws.cli.talk import Talk
from rxws.client.socket import ClientWebSocket
from rxws.testing import MemoryDialer, connect
from tests.streams import turns

VIRTUAL = True


async def test_stop_with_several_pings() -> None:
    """When the terminal is given back, no ping waits for its pong, however many were typed."""
    dialer, shown = MemoryDialer(), list[str]()
    async with connect(dialer, heartbeat=20.0) as socket:
        assert isinstance(socket, ClientWebSocket)
        dialer.peer.pongs = False
        talk = Talk(socket, shown.append, sys.stdout)
        for _ in range(3):
            talk.enter("/ping")
        await turns()
        talk.stop()
        await turns()
        dialer.peer.pongs = True
        for ping in dialer.peer.pings:
            dialer.peer.pong(ping)
        await turns()
        assert shown == []
