#!/bin/sh
# mosquitto-websockets-listener: mosquitto with a WebSockets listener alone ends at once; its bind address is not heeded.
#
# Expected: `listener 9001 127.0.0.1` with `protocol websockets` listens on 127.0.0.1, as it does for plain MQTT, and is a
#           listener as any other: a broker that has no other one serves.
# Seen:     it listens on all addresses, of IPv6 as well. Where it is the only one, the broker has opened it, then prints
#           "Unable to start any listening sockets, exiting." and ends with 1.
# Matters:  a broker for browsers that is meant for a proxy on the same machine is open to the network. A plain listener
#           beside it, bound to 127.0.0.1, makes it start; only a firewall or a network namespace makes it local.
# Versions: Debian's mosquitto 2.0.11-1.2+deb12u2 (bookworm); Python 3.11.7; needs apt-get, iproute2 and the right to make
#           a network namespace, in which it runs; installs nothing
#
# Printed on 2026-11-29:
#   WebSockets alone, for 127.0.0.1: ended with 1, Error: Unable to start any listening sockets, exiting.
#   beside plain MQTT, both for 127.0.0.1: MQTT on 127.0.0.1, WebSockets on ::
. "$(dirname "$0")/tools.sh"
chmod 755 .
apt-get download -qq mosquitto=2.0.11-1.2+deb12u2 libdlt2 libwrap0 libnsl2 2>/dev/null
for package in *.deb; do dpkg-deb -x "$package" debian; done
LD_LIBRARY_PATH="$folder/debian/usr/lib/$(uname -m)-linux-gnu:$folder/debian/lib/$(uname -m)-linux-gnu"
export LD_LIBRARY_PATH
"${PYTHON:-python3}" -m venv venv

run_python <<'END'
import contextlib
import subprocess
from pathlib import Path

from wire import compare

WEBSOCKETS = "user root\nallow_anonymous true\nlistener 9001 127.0.0.1\nprotocol websockets\n"
PLAIN = "listener 1883 127.0.0.1\n"
ADDRESSES = {"0100007F": "127.0.0.1", "00000000": "0.0.0.0", "0" * 32: "::"}
NAMES = {1883: "MQTT", 9001: "WebSockets"}


def listening(pid):
    """Tell on which addresses of its network namespace a process listens, by port."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, _, port = local.partition(":")
            if state == "0A":
                found[int(port, 16)] = ADDRESSES[address]
    return found


def run(config):
    """Run the broker for a second, or until it ends."""
    Path("mosquitto.conf").write_text(config)
    command = ["unshare", "-rn", "sh", "-c", "ip link set lo up; exec debian/usr/sbin/mosquitto -c mosquitto.conf"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as broker:
        with contextlib.suppress(subprocess.TimeoutExpired):
            broker.wait(1)
            return f"ended with {broker.returncode}, " + broker.stderr.read().splitlines()[-1].partition(": ")[2]
        found = listening(broker.pid)
        broker.terminate()
    return ", ".join(f"{name} on {found[port]}" for port, name in NAMES.items() if port in found)


alone, both = run(WEBSOCKETS), run(PLAIN + WEBSOCKETS)
print("WebSockets alone, for 127.0.0.1:", alone)
print("beside plain MQTT, both for 127.0.0.1:", both)
compare(alone, "ended with 1, Error: Unable to start any listening sockets, exiting.")
compare(both, "MQTT on 127.0.0.1, WebSockets on ::")
END
