"""Prosody: XMPP over WebSockets (RFC 7395), a login in four steps, and a shutdown that says 1000."""

from __future__ import annotations

import asyncio
import base64
import re
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import rxws
from tests.ports import free_port
from tests.servers.process import (
    NUMBERS,
    causes,
    check_account,
    rotate,
    send_through_restarts,
    serving,
    until,
)
from tests.streams import ended, watch

FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
GOODBYE = rxws.Close(1000, "Stream closed")
SOON = rxws.Backoff(initial=0.05, maximum=0.1, final="refused")

CONFIG = """
run_as_root = true
daemonize = false
pidfile = "{folder}/pid"
data_path = "{folder}"
log = {{ debug = "*console" }}
modules_enabled = {{ "saslauth", "websocket", "stanza_debug" }}
modules_disabled = {{ "s2s", "offline" }}
authentication = "internal_plain"
allow_unencrypted_plain_auth = true
consider_websocket_secure = true
c2s_ports = {{}}
http_interfaces = {{ "127.0.0.1" }}
http_ports = {{ {port} }}
https_ports = {{}}
http_default_host = "localhost"
VirtualHost "localhost"
"""


class Xml:
    """One element a message, as RFC 7395 frames them."""

    pure = True

    def decode(self, data: str | bytes, /) -> ET.Element:
        return ET.fromstring(data)

    def encode(self, message: ET.Element, /) -> str:
        return ET.tostring(message, "unicode")


def element(tag: str, *children: ET.Element, text: str | None = None, **attributes: str) -> ET.Element:
    made = ET.Element(tag, attributes)
    made.text = text
    made.extend(children)
    return made


def message(number: int) -> ET.Element:
    """Tell oneself a number."""
    body = element("{jabber:client}body", text=str(number))
    return element("{jabber:client}message", body, to="ada@localhost", id=f"n{number}")


OPEN = element(f"{{{FRAMING}}}open", to="localhost", version="1.0")
PRESENT = element("{jabber:client}presence")


async def login(connection: rxws.Greeting[ET.Element, ET.Element], password: str = "secret") -> None:
    """Open a stream, log in, open it again as oneself, and bind a resource."""

    async def ask(question: ET.Element, *answers: str) -> None:
        await connection.send(question)
        for expected in answers:
            answer = await connection.receive()
            if not answer.tag.endswith(f"}}{expected}"):
                raise rxws.Close(4401, answer[0].tag.partition("}")[2])

    secret = base64.b64encode(f"\0ada\0{password}".encode()).decode()
    await ask(OPEN, "open", "features")
    await ask(element(f"{{{SASL}}}auth", mechanism="PLAIN", text=secret), "success")
    await ask(OPEN, "open", "features")
    await ask(element("{jabber:client}iq", element(f"{{{BIND}}}bind"), type="set", id="bind"), "iq")
    await connection.send(PRESENT)


class Prosody:
    """The server's command, and what its log says."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/xmpp-websocket"
        config = folder / "prosody.cfg.lua"
        config.write_text(CONFIG.format(folder=folder, port=self.port))
        accounts = folder / "localhost" / "accounts"
        accounts.mkdir(parents=True)
        (accounts / "ada.dat").write_text('return { ["password"] = "secret"; };')
        self.command = "prosody", "--config", config, "-F"
        self.log = folder / "server.log"

    def heard(self) -> dict[str, list[tuple[str, str]]]:
        """What has come on each connection that has logged in: the tags of stanzas, and their ids."""
        heard = defaultdict[str, list[tuple[str, str]]](list)
        for line in self.log.read_text().splitlines():
            if found := re.match(r"(c2s\w+) .*RECV: <(\w+)", line):
                id = re.search(r" id='(\w+)'", line)
                heard[found[1]].append((found[2], id[1] if id else ""))
        return heard


OPTIONS: dict[str, Any] = {"protocols": ["xmpp"], "codec": Xml(), "reconnect": SOON}


OPTIONS: dict[str, Any] = {"protocols": ["xmpp"], "codec": Xml(), "reconnect": SOON}


async def test_restarts_in_mid_stream(tmp_path: Path) -> None:
    """Messages to oneself, through a polite restart and a crash: each one arrives once or is told, all in order."""
    prosody = Prosody(tmp_path)
    undelivered: list[ET.Element] = []
    incoming: list[ET.Element] = []

    def told(elements: list[ET.Element]) -> list[int]:
        return [int(one.get("id", "")[1:]) for one in elements if one.tag.endswith("message")]

    async with (
        serving(tmp_path, *prosody.command, port=prosody.port) as server,
        rxws.connect(prosody.url, greet=login, **OPTIONS) as socket,
    ):
        socket.incoming.subscribe(incoming.append)
        socket.undelivered.subscribe(undelivered.append)
        ends = causes(socket)
        await send_through_restarts(server, socket, lambda number: socket.outgoing.on_next(message(number)))
        await until(lambda: told(incoming)[-1:] == [NUMBERS[-1]], "the last message has come back")
        assert await rotate(socket) == []
        stats = socket.stats
        heard = prosody.heard()
    arrived = [int(id[1:]) for stanzas in heard.values() for tag, id in stanzas if tag == "message"]
    check_account(NUMBERS, arrived, told(undelivered))
    check_account(arrived, told(incoming), told(undelivered))
    assert len(heard) >= 4  # of which one took over from another
    for stanzas in heard.values():  # the login first, as far as the server lived
        assert [tag for tag, _ in stanzas[:3]] == ["auth", "iq", "presence"][: len(stanzas)]
    assert isinstance(ends[0], rxws.ConnectionLost) or ends[0] == GOODBYE  # while it is busy it may say nothing
    assert isinstance(ends[1], rxws.ConnectionLost)
    assert stats.received >= len(incoming) + 4 * 6
    assert (stats.buffered, stats.dropped) == (0, 0)


async def test_ends(tmp_path: Path) -> None:
    """A shutdown is a goodbye with 1000, final by default; a wrong password is for the client to judge."""
    prosody = Prosody(tmp_path)

    async def mistaken(connection: rxws.Greeting[ET.Element, ET.Element]) -> None:
        await login(connection, "wrong")

    async with serving(tmp_path, *prosody.command, port=prosody.port) as server:
        async with rxws.connect(prosody.url, greet=mistaken, **OPTIONS) as socket:
            assert await ended(socket) == rxws.Close(4401, "not-authorized")
        polite: dict[str, Any] = {**OPTIONS, "reconnect": rxws.Backoff()}
        async with rxws.connect(prosody.url, greet=login, **polite) as socket:
            incoming = watch(i=socket.incoming)
            await until(lambda: incoming, "the presence has come back")
            await asyncio.sleep(0.2)  # a Prosody that is stopped while it is busy may say nothing
            await server.stop()
            assert await ended(socket) == GOODBYE
            tags = [item[1].tag.partition("}")[2] for item in incoming[:-1]]
            assert tags == ["presence", "error", "close"]
