"""A tunnel through an HTTP proxy for `ws://`, by CONNECT (RFC 6455, section 4.1).

aiohttp makes one for `wss` only, and asks the proxy itself for what is not encrypted, which most proxies refuse.
"""

from __future__ import annotations

from typing import Any, Final, cast

from aiohttp import ClientRequest, ClientResponse, ClientSession, TCPConnector

SECURE: Final = ("https", "wss")
"""The schemes of URLs that want encryption."""


class TunneledRequest(ClientRequest):
    """A request that is made as an encrypted one: the proxy is asked for a tunnel, and the server for a path."""

    def is_ssl(self) -> bool:
        """Say yes, whatever the URL."""
        return True


class TunnelConnector(TCPConnector):
    """Connects through proxies with CONNECT, and encrypts in the tunnel what the URL wants encrypted."""

    async def _start_tls_connection(self, underlying_transport: Any, req: Any, *args: Any, **options: Any) -> Any:
        if req.url.scheme in SECURE:
            return await cast("Any", super())._start_tls_connection(underlying_transport, req, *args, **options)
        protocol = cast("Any", self)._factory()
        underlying_transport.set_protocol(protocol)
        protocol.connection_made(underlying_transport)
        return underlying_transport, protocol


class Tunneling:
    """A session whose connections go through tunnels. The session itself, which others may share, is not changed."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session
        self._connector = TunnelConnector(limit=0, force_close=True)
        self._request_class = TunneledRequest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def request(self, *args: Any, **options: Any) -> ClientResponse:
        """Do as `session.request` does."""
        return await cast("Any", ClientSession)._request(self, *args, **options)

    async def close(self) -> None:
        """Close the connector, but not the session."""
        await self._connector.close()
