from typing import Any

import pytest

from rxws.testing import serve


@pytest.mark.parametrize("value", ["text", None, KeyboardInterrupt(), ValueError])
async def test_errors_takes_exceptions_and_says_so(value: Any) -> None:
    socket, peer = serve(lambda incoming: None)
    with pytest.raises(TypeError, match="errors takes exceptions, not"):
        socket.errors.on_next(value)
    assert peer.close_sent is None
