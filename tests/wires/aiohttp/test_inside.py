"""What is found inside transports, and what is done where it cannot be found."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from reactivex import operators as ops

import rxws
from rxws.wires.aiohttp.inside import carrier_of, transport_of
from tests.integration.server import certified, serving

BOTH_LOOPS = True


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_no_transport_keeps_bytes(tls: bool) -> None:
    """In both roles, the limits hold for the transport and for the one beneath it that carries TLS."""
    certificate, trusting = certified() if tls else (None, None)
    async with serving(rxws.websocket(lambda incoming: incoming), tls=certificate) as server:
        url = f"{'wss' if tls else 'ws'}://localhost:{server.port}/"
        async with rxws.connect(url, **({"ssl": trusting} if tls else {})) as client:
            client.outgoing.on_next("hello")
            await client.incoming.pipe(ops.first())
            for socket in (client, server.sockets[0]):
                transport = transport_of(cast("Any", socket)._life.connection.wire._ws)
                carrier = carrier_of(transport)
                assert (carrier is not None) is tls
                assert [one.get_write_buffer_limits() for one in (transport, carrier or transport)] == [(0, 1)] * 2


@pytest.mark.parametrize("inside", [{}, {"_ssl_protocol": object()}], ids=["nothing", "another protocol"])
def test_unknown_tls_has_no_carrier(inside: dict[str, Any]) -> None:
    """A transport of TLS whose inside is not known is taken as it is."""
    transport = SimpleNamespace(get_extra_info={"sslcontext": object()}.get, **inside)
    assert carrier_of(cast("asyncio.Transport", transport)) is None
