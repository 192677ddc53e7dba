#!/bin/sh
# mojolicious-push-only-waits: a Mojolicious handler that only sends answers its client's handshake with its first message.
#
# Expected: the handler has returned, so the WebSocket opens; what the handler sends later, from a timer say, arrives later.
# Seen:     the 101 is sent when the handler subscribes to an event of the connection, or with the first `send`. A feed that
#           does neither at once keeps its client in the handshake, with neither a status nor an error in the log.
# Matters:  clients give up a handshake after some seconds, 10 s in `websockets`, and come back: a feed that is quiet for longer
#           is never connected to. Subscribe to `finish`, which such a handler needs anyway, or call `$c->rendered(101)`.
# Versions: Debian's libmojolicious-perl 9.31+dfsg-1 (bookworm), Perl 5.36.0; Python 3.11.7; needs apt-get, and installs nothing
#
# Printed on 2026-12-01:
#   the first message comes after 3 s
#   a handler that only sends:              101 after 3 s, the message after 3 s
#   a handler that subscribes to `finish`:  101 at once, the message after 3 s
. "$(dirname "$0")/tools.sh"
"${PYTHON:-python3}" -m venv venv
apt-get download -qq libmojolicious-perl=9.31+dfsg-1 2>/dev/null
dpkg-deb -x libmojolicious-perl_*.deb debian
find debian -type l | while read -r link; do rm "$link" && : > "$link"; done # scripts for pages, which are in other packages

cat > feed.pl <<'END'
use Mojolicious::Lite -signatures;
app->log->level('fatal');
sub later ($c) { Mojo::IOLoop->timer(3 => sub { $c->send('news') }) }
websocket '/sends' => sub ($c) { later($c) };
websocket '/subscribes' => sub ($c) { $c->on(finish => sub { }); later($c) };
app->start;
END

run_python <<'END'
import asyncio
import time

from wire import compare, connect, free_port, running, versions

versions()


def after(start):
    seconds = round(time.monotonic() - start)
    return f"after {seconds} s" if seconds else "at once"


async def main():
    print("the first message comes after 3 s")
    port = free_port()
    seen = []
    perl = ("perl", "-Idebian/usr/share/perl5", "feed.pl", "daemon", "-l", f"http://127.0.0.1:{port}")
    with running(*perl, port=port):
        for path, name in (("/sends", "a handler that only sends:"), ("/subscribes", "a handler that subscribes to `finish`:")):
            start = time.monotonic()
            line, peer = await connect(port, path)
            opened = f"{line.split()[1]} {after(start)}"
            assert await peer.next() == "text b'news'"
            seen.append(f"{opened}, the message {after(start)}")
            print(f"{name:39} {seen[-1]}")
            peer.writer.close()
    return seen


compare(asyncio.run(main()), ["101 after 3 s, the message after 3 s", "101 at once, the message after 3 s"])
END
