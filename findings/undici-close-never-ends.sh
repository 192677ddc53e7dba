#!/bin/sh
# undici-close-never-ends: undici, Node's WebSocket, has no `close` event until the server ends the TCP connection.
#
# Expected: a client waits for the server to end the connection, and does it itself after "a reasonable time" (RFC 6455, 7.1.1).
#           ws does so after 30 s, Bun after about as long.
# Seen:     if the server leaves the connection open, undici stays in the state CLOSING: when the server answers no close
#           frame, as one that hangs; when it answers; and when it has closed first and was answered. There is no event, and the
#           process does not end. Deno ends the connection itself when both have sent their close frames, else it waits, too.
# Matters:  `close()` is how a page gets rid of a server that is silent, and what a wrapper then waits for, the `close` event,
#           to connect again never comes. Use a timer of your own.
# Versions: undici 7.30.0 (8.10.2, in Node 26.10.0, is the same, and after nine minutes, too), ws 8.23.0, bun 1.4.4,
#           deno 2.9.6; Node 20.20.2
#
# Printed on 2026-12-01:
#   the server does not answer close(1000):       undici nothing in 45 s, ws 1006, bun 1006, deno nothing in 45 s
#   the server answers, and ends nothing:         undici nothing in 45 s, ws 1000, bun 1000, deno 1000
#   the server closes, is answered, ends nothing: undici nothing in 45 s, ws 1000, bun 1000, deno 1000
. "$(dirname "$0")/tools.sh"
node_with undici@7.30.0 ws@8.23.0 bun@1.4.4 deno@2.9.6
export DENO_DIR="$folder/deno" DENO_NO_UPDATE_CHECK=1
"${PYTHON:-python3}" -m venv venv

cat > client.mjs <<'END'
const [library, who, url] = (globalThis.Deno?.args ?? process.argv.slice(2)).slice(-3);
const WebSocket = library === "ws" ? (await import("ws")).default
  : library === "undici" ? (await import("undici")).WebSocket : globalThis.WebSocket;
const socket = new WebSocket(url);
const exit = (line) => {
  console.log(line);
  globalThis.Deno ? Deno.exit() : process.exit();
};
if (who === "client") socket.onopen = () => socket.close(1000);
socket.onclose = ({ code }) => exit(code);
setTimeout(() => exit("nothing in 45 s"), 45_000);
END

run_python <<'END'
import asyncio

from wire import Server, close, compare, versions

versions()
CLIENTS = {
    "undici": ("node", "--no-warnings"),
    "ws": ("node",),
    "bun": ("node_modules/.bin/bun",),
    "deno": ("node_modules/.bin/deno", "run", "-A"),
}
CASES = {
    "the server does not answer close(1000):": ("client", False),
    "the server answers, and ends nothing:": ("client", True),
    "the server closes, is answered, ends nothing:": ("server", False),
}


async def told(client, who, answers):
    async def script(peer):
        if who == "server":
            await peer.send(close(1000))
        await peer.next(60)
        if answers:
            await peer.send(close(1000))
        await asyncio.Event().wait()

    async with Server(script) as server:
        command = (*CLIENTS[client], "client.mjs", client, who, server.url)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
    return f"{client} {out.decode().strip()}"


async def main():
    return await asyncio.gather(
        *(asyncio.gather(*(told(client, *case) for client in CLIENTS)) for case in CASES.values())
    )


seen = [", ".join(line) for line in asyncio.run(main())]
for case, line in zip(CASES, seen):
    print(f"{case:45} {line}")
nothing = "nothing in 45 s"
polite = f"undici {nothing}, ws 1000, bun 1000, deno 1000"
compare(seen, [f"undici {nothing}, ws 1006, bun 1006, deno {nothing}", polite, polite])
END
