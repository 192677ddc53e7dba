"""What a peer may send: valid sequences of frames, valid ones that were spoilt, and any bytes; cut anywhere."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


class Sequence(NamedTuple):
    """Bytes of a peer, and what they say."""

    data: bytes
    messages: list[str | bytes]
    pings: list[bytes]
    close: tuple[int, str] | None
    """The code and reason of the close frame; 1005 if it has none."""


def frame(
    opcode: int, data: bytes, *, fin: bool = True, rsv: int = 0, mask: bytes | None, wide: int = 0, more: int = 0
) -> bytes:
    """Make a frame; `wide` is the least number of bytes that its length takes, `more` is added to the length."""
    size = len(data) + more
    wide = max(wide, 0 if size < 126 else 2 if size < 65536 else 8)
    bit = 0 if mask is None else 0x80
    first = bytes(((0x80 if fin else 0) | rsv | opcode, bit | {0: size, 2: 126, 8: 127}[wide]))
    header = first + (size.to_bytes(wide, "big") if wide else b"")
    return header + (data if mask is None else mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))


texts = st.text(max_size=40).map(str.encode)
payloads = st.binary(max_size=60) | st.binary(min_size=126, max_size=140)
codes = st.sampled_from([1000, 1001, 1003, 1007, 1011, 1012, 3000, 4999])
reasons = st.text(max_size=20)
masks = st.binary(min_size=4, max_size=4)
widths = st.sampled_from([0] * 8 + [2, 8])
"""A length may take more bytes than it needs."""


@st.composite
def sequences(draw: st.DrawFn, *, masked: bool, closes: bool = True) -> Sequence:
    """Draw a valid sequence: messages in any number of fragments, control frames between them, perhaps a close.

    What follows a close frame is not said any more.
    """
    said = Sequence(b"", [], [], None)
    data: list[bytes] = []

    def put(opcode: int, payload: bytes, *, fin: bool = True) -> None:
        mask = draw(masks) if masked else None
        wide = draw(widths) if opcode < CLOSE else 0
        data.append(frame(opcode, payload, fin=fin, mask=mask, wide=wide))

    def maybe_control() -> None:
        match draw(st.sampled_from(["", "", "ping", "pong"])):
            case "ping":
                said.pings.append(draw(st.binary(max_size=20)))
                put(PING, said.pings[-1])
            case "pong":
                put(PONG, draw(st.binary(max_size=20)))

    for _ in range(draw(st.integers(0, 4))):
        maybe_control()
        opcode = draw(st.sampled_from([TEXT, BINARY]))
        payload = draw(texts if opcode == TEXT else payloads)
        said.messages.append(payload.decode() if opcode == TEXT else payload)
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(payload)], strict=True)):
            put(CONTINUATION if number else opcode, payload[start:end], fin=number == len(cuts))
            if number < len(cuts):
                maybe_control()
    maybe_control()
    close = None
    if closes and draw(st.booleans()):
        code = draw(st.none() | codes)
        close = (1005, "") if code is None else (code, draw(reasons))
        put(CLOSE, b"" if code is None else code.to_bytes(2, "big") + close[1].encode())
        if draw(st.booleans()):
            put(PING, b"late")
            put(TEXT, b"late")
    return said._replace(data=b"".join(data), close=close)


@st.composite
def violations(draw: st.DrawFn, *, masked: bool) -> Sequence:
    """Draw a valid sequence, then a frame that is not one by its header alone, then the beginning of anything."""
    said = draw(sequences(masked=masked, closes=False))
    right, wrong = (draw(masks), None) if masked else (None, draw(masks))
    opcode, payload = draw(st.sampled_from([TEXT, BINARY, PING, CLOSE])), draw(st.binary(max_size=20))
    match draw(st.sampled_from(["mask", "mask", "mask", "a reserved bit", "64 bits", "within", "of nothing"])):
        case "mask":
            bad = frame(opcode, payload, mask=wrong, fin=draw(st.booleans()), wide=draw(widths))
        case "a reserved bit":
            bad = frame(opcode, payload, mask=right, rsv=draw(st.integers(1, 7)) << 4)
        case "within":
            bad = frame(TEXT, payload, mask=right, fin=False) + frame(TEXT, b"", mask=right)
        case "of nothing":
            bad = frame(CONTINUATION, payload, mask=right, fin=draw(st.booleans()))
        case _:
            bad = frame(opcode % CLOSE, payload, mask=right, wide=8, more=2**63)
    rest = draw(st.sampled_from([b"", draw(sequences(masked=masked)).data, draw(st.binary(max_size=8))]))
    return said._replace(data=said.data + bad + rest)


@st.composite
def spoilt(draw: st.DrawFn, *, masked: bool) -> bytes:
    """Draw a valid sequence with some bytes changed, inserted, repeated or left out."""
    data = bytearray(draw(sequences(masked=masked)).data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["change", "insert", "leave out", "cut off", "repeat"])):
            case "change" if place < len(data):
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                data[place:place] = draw(st.binary(min_size=1, max_size=4))
            case "leave out":
                del data[place : place + draw(st.integers(1, 4))]
            case "cut off":
                del data[place:]
            case _:
                data += data[place:]
    return bytes(data)


@st.composite
def chunked(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Draw a way to cut bytes into chunks: anywhere, or each by itself."""
    if draw(st.sampled_from([False] * 7 + [True])):
        return [data[place : place + 1] for place in range(len(data))]
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]
