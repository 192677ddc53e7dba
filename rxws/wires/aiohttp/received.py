"""What a peer's close frame says, whatever aiohttp lets through."""

from __future__ import annotations

from rxws.close import Close
from rxws.core.wire import Endpoint


def close_received(endpoint: Endpoint, code: int | None, reason: str) -> None:
    """Tell the endpoint of the peer's close frame, or of a violation: a code that no frame may carry."""
    try:
        if code in (1005, 1006):
            raise ValueError(f"the peer's close frame has the code {code}, which no frame may carry")
        endpoint.close_received(Close.received(code or 1005, reason))
    except ValueError as error:
        endpoint.protocol_violated(error, Close(1002))
