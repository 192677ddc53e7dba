"""A client's WebSocket, as users see it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from reactivex import Observable

from rxws.client.multiplex import MultiplexedTopic, Subscriptions
from rxws.client.reconnect import Reconnector
from rxws.client.request import Requests
from rxws.client.states import State, States
from rxws.core.lifecycle import Lifecycle
from rxws.core.socket import WebSocket

In = TypeVar("In")
Out = TypeVar("Out")


class ClientWebSocket(WebSocket[In, Out]):
    """A client's WebSocket: the three streams, the states of its connection, topics, and requests."""

    def __init__(self, lifecycle: Lifecycle, states: States, reconnector: Reconnector | None) -> None:
        super().__init__(lifecycle)
        self._states = states
        self._reconnector = reconnector
        self._requests: Requests[In] = Requests(lifecycle)
        self._subscriptions = Subscriptions(lifecycle, states)

    @property
    def states(self) -> Observable[State]:
        """The present state, then every change: `Connecting`, `Open`, `Waiting`, `Closed`; then it completes."""
        return self._states

    def multiplex(
        self,
        *,
        subscribe: Out | Callable[[], Out],
        unsubscribe: Out | Callable[[], Out] | None = None,
        matches: Callable[[In], bool],
    ) -> Observable[In]:
        """Make an Observable of one topic on a socket that carries many; its subscribers share it.

        `subscribe` is sent for the first subscriber, and again whenever a connection opens. `unsubscribe` is sent when
        the last subscriber has left, if there is a connection then. Topics with the same `subscribe`, message or
        function, share a subscription: the first topic subscribes, the last one unsubscribes.

        Emits the messages that `matches`. Completes when the socket closes. Fails if `matches` or `subscribe` raises;
        other topics go on. You may subscribe again after its end, with `retry` or `repeat` for example. While it has a
        subscriber it counts as a reader of the socket, see `receive`. Memory: none of its own.

        Args:
            subscribe: The message that subscribes, or a function that makes it.
            unsubscribe: The message that ends the subscription, or a function that makes it; `None`: nothing is sent.
            matches: Returns whether a message belongs to the topic.

        >>> import asyncio, rxws
        >>> from rxws.testing import MemoryDialer, connect
        >>> async def main():
        ...     dialer = MemoryDialer()
        ...     async with connect(dialer, codec=rxws.json) as socket:
        ...         ask = {"subscribe": "prices"}
        ...         socket.multiplex(subscribe=ask, matches=lambda message: "price" in message).subscribe(print)
        ...         dialer.peer.send('{"news": "rain"}')
        ...         dialer.peer.send('{"price": 1.07}')
        ...     print(dialer.peer.sent)
        >>> asyncio.run(main())
        {'price': 1.07}
        ['{"subscribe":"prices"}']
        """
        return MultiplexedTopic[In](self._subscriptions, subscribe, unsubscribe, matches)

    def request(  # pyright: ignore[reportIncompatibleMethodOverride] - a server's is the request of the handshake
        self,
        message: Out,
        *,
        matches: Callable[[In], bool] | None = None,
        key: Callable[[Any], Hashable] | None = None,
        timeout: float = 10.0,
    ) -> Observable[In]:
        """Make an Observable of one answer: `answer = await socket.request(question, key=lambda m: m.get("id"))`.

        Each subscription sends the message, and emits the first message that answers it, and completes: the first that
        `matches`, or that has the same `key` as the question. Each message is shown to all requests with `matches`, and
        once to a `key` function, however many requests share it.

        It fails with:

        - `TimeoutError` after `timeout` seconds;
        - `ConnectionLost` as soon as it is known that the message was not delivered, or that the socket has closed;
        - the peer's `Close` if its code is 1009, Message Too Big;
        - `EncodeError` if the message cannot be sent, or what a function for `offline` or `overflow` raises over it;
        - what `matches` or `key` raises, for any message.

        A question that still waits when its request is over, such as after its timeout, is not sent. Raises `TypeError`
        or `ValueError` for a `timeout` that is not a positive number, for both or none of `matches` and `key`, and for
        one that is not a function.

        While it waits it counts as a reader of the socket, see `receive`: messages that arrive then are not kept for
        later readers. Messages between two requests wait for the next reader. After 64 KiB of them, reading is held.

        Args:
            message: The question.
            matches: Returns whether a message is the answer.
            key: Returns what a question and its answer have in common: an id, for example.
            timeout: Seconds to wait for the answer.

        >>> import asyncio, rxws
        >>> from rxws.testing import MemoryDialer, connect
        >>> async def main():
        ...     dialer = MemoryDialer()
        ...     async with connect(dialer, codec=rxws.json) as socket:
        ...         asyncio.get_running_loop().call_soon(dialer.peer.send, '{"id": 7, "price": 1.07}')
        ...         print(await socket.request({"id": 7}, key=lambda message: message.get("id")))
        >>> asyncio.run(main())
        {'id': 7, 'price': 1.07}
        """
        return self._requests.request(message, matches, key, timeout)

    def reconnect(self) -> None:
        """Connect again now: the network is back, say, or a user asked for it.

        It ends the wait for the next attempt. It gives up an open connection at once, like a lost one, and the next
        attempt follows without a wait, even where the loss of a connection is final. Use `rotate` to keep it until
        there is another one. An attempt under way continues. From any thread. Raises `RuntimeError` on a socket without
        `reconnect`.
        """
        self._life.thread.run_once(self._coming_back("reconnect").hurry)

    def rotate(self) -> None:
        """Replace the connection without a gap: the successor opens first, then takes over, then the old one closes.

        In between, messages come from both connections, so none is missed. If a feed sends the same to each, some come
        twice. What you send keeps its order: it waits until the peer has confirmed what was sent before. If the peer
        has not done so within `close_timeout`, the old connection stays, with a `TimeoutError` on `errors`. While
        a hold keeps the confirmation from being read, the old connection sends on.

        A server that allows only one session shows it in one of two ways. If it refuses the successor, or closes it
        before it answers a ping, the old connection stays, and `errors` emits an error that begins "rotation given up".
        If it closes the old connection instead, that code is never final: the successor takes over, `states` emits
        `Waiting` in between, and a line of the log names the rotation.

        From any thread. Raises `RuntimeError` on a socket without `reconnect`.
        """
        self._life.thread.run_once(self._coming_back("rotate").rotate)

    def _coming_back(self, what: str) -> Reconnector:
        if self._reconnector is None:
            raise RuntimeError(f"{what}() needs a client that reconnects: use connect(url, reconnect=rxws.Backoff())")
        return self._reconnector
