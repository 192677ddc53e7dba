"""A Jupyter kernel's channel: run code in a kernel of a Jupyter server, and see what it prints while it runs.

    jupyter server --IdentityProvider.token=secret
    python examples/recipes/kernel.py http://localhost:8888 secret "for n in range(3): print(n)"

Each connection finds a kernel, or starts one. The server keeps what the kernel prints while the client is away, for the
session in the URL. Code is sent once: it does not run again after a lost connection.
"""

import asyncio
import json
import struct
import sys
import uuid
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from typing import Any

import aiohttp
import reactivex
from reactivex import Observable
from reactivex import operators as ops

import rxws

Message = dict[str, Any]
Socket = rxws.ClientWebSocket[Message, Message]
PARTS = ("header", "parent_header", "metadata", "content")
BACKOFF = rxws.Backoff()
SESSION = uuid.uuid4().hex


class Channels:
    """The codec of `v1.kernel.websocket.jupyter.org`: offsets, a channel name, four JSON parts, buffers."""

    pure = True

    def decode(self, data: str | bytes, /) -> Message:
        if isinstance(data, str):
            raise ValueError("this protocol has binary frames")
        (count,) = struct.unpack_from("<Q", data)
        offsets = struct.unpack_from(f"<{count}Q", data, 8)
        channel, *parts = [data[begin:end] for begin, end in pairwise(offsets)]
        return {"channel": channel.decode(), **dict(zip(PARTS, map(json.loads, parts), strict=False))}

    def encode(self, message: Message, /) -> bytes:
        parts = [message["channel"].encode(), *(json.dumps(message[part]).encode() for part in PARTS)]
        offsets = [8 * (len(parts) + 2)]
        for part in parts:
            offsets.append(offsets[-1] + len(part))
        return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(parts)


def ask(kind: str, **content: Any) -> Message:
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "session": SESSION, "version": "5.3"}
    header |= {"username": "", "date": ""}
    return {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}


async def find_kernel(server: str, token: str) -> str:
    """Return the address of a kernel's channels; start a kernel if there is none."""
    headers = {"Authorization": f"token {token}"}
    async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as session:
        async with session.get(f"{server}/api/kernels") as answer:
            kernels = await answer.json()
        if not kernels:
            async with session.post(f"{server}/api/kernels", json={}) as answer:
                kernels = [await answer.json()]
    return f"{server.replace('http', 'ws', 1)}/api/kernels/{kernels[0]['id']}/channels?session_id={SESSION}"


def connect(server: str, token: str, reconnect: rxws.Backoff = BACKOFF) -> AbstractAsyncContextManager[Socket]:
    """Connect like `rxws.connect`. The greeting asks the kernel for its information on every connection."""
    return rxws.connect(
        lambda: find_kernel(server, token),
        headers={"Authorization": f"token {token}"},
        protocols=["v1.kernel.websocket.jupyter.org"],
        codec=Channels(),
        greet=ask("kernel_info_request"),
        reconnect=reconnect,
    )


def is_busy(message: Message) -> bool:
    idle = message["header"]["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
    return not idle


def is_output(message: Message) -> bool:
    return bool(message["header"]["msg_type"] == "stream")


def printed(message: Message) -> str:
    return str(message["content"]["text"])


def run(socket: Socket, code: str) -> Observable[str]:
    """Run code when this is subscribed: emit what it prints, and complete when it has run."""
    question = ask("execute_request", code=code, silent=False, store_history=False)

    def send(_: Any) -> Observable[str]:
        socket.outgoing.on_next(question)
        return reactivex.empty()

    def is_answer(message: Message) -> bool:
        return bool(message["parent_header"].get("msg_id") == question["header"]["msg_id"])

    return socket.incoming.pipe(
        ops.filter(is_answer),
        ops.take_while(is_busy),
        ops.filter(is_output),
        ops.map(printed),
        ops.merge(reactivex.defer(send)),  # which is subscribed when the answers are
    )


async def main(server: str, token: str, code: str) -> None:
    async with connect(server, token) as socket:
        done = run(socket, code).pipe(ops.do_action(lambda text: print(text, end="")), ops.to_list())
        await done


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
