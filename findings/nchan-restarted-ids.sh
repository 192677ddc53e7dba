#!/bin/sh
# nchan-restarted-ids: after a restart, nchan skips messages for a subscriber that goes on behind its last message.
#
# Expected: a subscriber that comes with the id of its last message gets those after it: of a server that was started anew,
#           and has none of the old ones, all that it has.
# Seen:     an id is a second and a number within it, and the numbers begin with 0 again. Whatever is published in the same
#           second is taken for older than the last message of before, and skipped without a word, until the old number is
#           passed or the second is over. A reload does the same.
# Matters:  `nginx -s reload` in mid-stream loses messages to subscribers that do it right, by the documented id. Begin
#           without an id after "410 Gone", or let the second end before the next message is published.
# Versions: Debian's nginx 1.22.1-9+deb12u11 and libnginx-mod-nchan 1:1.3.6+dfsg-2 (bookworm), websockets 17.4;
#           Python 3.11.7; needs apt-get, and installs nothing
#
# Printed on 2026-11-29:
#   before: 10 messages, the last of them with the number 9
#   nginx is restarted within the second, and 3 messages are published: 202, 202, 202
#   a subscriber with the id of its last message gets: []
#   a subscriber without an id gets: ['new 0', 'new 1', 'new 2']
. "$(dirname "$0")/tools.sh"
python_with websockets==17.4
chmod 755 .
apt-get download -qq nginx=1.22.1-9+deb12u11 libnginx-mod-nchan=1:1.3.6+dfsg-2 2>/dev/null
for package in nginx_*.deb libnginx-mod-nchan_*.deb; do dpkg-deb -x "$package" debian; done

run_python <<'END'
import asyncio
import os
import time
import urllib.request
from pathlib import Path

from websockets.asyncio.client import connect
from wire import compare, free_port, running, versions

versions("websockets")
folder, port = Path.cwd(), free_port()
Path("nginx.conf").write_text(f"""
{"user root;" if os.getuid() == 0 else ""}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
load_module {folder}/debian/usr/lib/nginx/modules/ngx_nchan_module.so;
worker_processes 1;
events {{ worker_connections 100; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location = /publish {{ nchan_publisher http; nchan_channel_id feed; }}
        location = /feed {{
            nchan_subscriber websocket;
            nchan_channel_id feed;
            nchan_subscriber_first_message oldest;
            nchan_subscriber_last_message_id $arg_since;
        }}
    }}
}}
""")
nginx = ("debian/usr/sbin/nginx", "-p", f"{folder}", "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log")


def publish(text):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/publish", text.encode(), method="POST")
    with urllib.request.urlopen(request) as answer:
        return answer.status


async def read(since="", count=99):
    """Return the ids and the texts of so many messages, or of those that come until there is none for half a second."""
    messages = []
    async with connect(f"ws://127.0.0.1:{port}/feed?since={since}", subprotocols=["ws+meta.nchan"]) as ws:
        try:
            while len(messages) < count:
                head, _, text = (await asyncio.wait_for(ws.recv(), 0.5)).partition("\n\n")
                messages.append((head.removeprefix("id: ").splitlines()[0], text))
        except TimeoutError:
            pass
    return messages


def once():
    """Publish, restart and publish; return what is seen, or `None` if that took more than the second."""
    time.sleep(1 - time.time() % 1)
    with running(*nginx, port=port):
        for number in range(10):
            publish(f"old {number}")
        last = asyncio.run(read(count=10))[-1][0]
    with running(*nginx, port=port):
        statuses = [publish(f"new {number}") for number in range(3)]
        after = [text for _, text in asyncio.run(read(last))]
        everything = asyncio.run(read())
    if {one.split(":")[0] for one, _ in everything} != {last.split(":")[0]}:
        return None
    return statuses, after, [text for _, text in everything], last.split(":")[1]


seen = None
for _ in range(10):
    seen = seen or once()
statuses, after, everything, number = seen
print("before: 10 messages, the last of them with the number", number)
print("nginx is restarted within the second, and 3 messages are published:", ", ".join(map(str, statuses)))
print("a subscriber with the id of its last message gets:", after)
print("a subscriber without an id gets:", everything)
compare((statuses, after, everything, number), ([202, 202, 202], [], ["new 0", "new 1", "new 2"], "9"))
END
