"""Messages of other threads, before the event loop comes to them: their frames, and what they weigh."""

from __future__ import annotations

from typing import Any

from rxws.codecs import Codec
from rxws.core.encoding import encode, is_pure
from rxws.core.weighing import weigh
from rxws.core.wire import Binary, Text
from rxws.errors import raise_fatal


def encode_ahead(codec: Codec[Any, Any], message: Any) -> tuple[Text | Binary | None, int]:
    """Encode a message in another thread, so that it goes out as it is now; return the frame, and its weight.

    There is no frame if the codec is not pure, so that only the event loop may call it, or if it refuses the message:
    the event loop will be told that in its turn. Then the message is weighed.
    """
    if is_pure(codec):
        try:
            frame = encode(codec, message, keep=False)
        except BaseException as error:
            raise_fatal(error)
        else:
            return frame, frame.weight
    return None, weigh(message)
