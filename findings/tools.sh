# For each finding: a temporary folder that is removed at the end, and pinned packages in it.
#
#   python_with hypercorn==0.18.0     installs into a new environment there (PYTHON chooses the interpreter, 3.11 or later)
#   run_python <<'END' ... END        runs the program with it, beside wire.py, for at most 100 seconds
#   node_with ws@8.23.0               installs npm packages there
#   run_node <<'END' ... END          runs the program (an ES module) with Node, beside wire.mjs, for at most 100 seconds
#   lighttpd_from_debian              unpacks Debian's lighttpd into the folder debian there; it installs nothing
#   pushpin_from_debian               unpacks Debian's Pushpin there, and writes pushpin.py, which runs it before a server

set -eu
findings=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
export no_proxy=127.0.0.1 NO_PROXY=127.0.0.1
cd "$folder"

python_with() {
    "${PYTHON:-python3}" -m venv venv
    venv/bin/pip install -qq --disable-pip-version-check "$@"
    PATH="$folder/venv/bin:$PATH"
}

run_python() {
    cat > finding.py
    PYTHONPATH="$findings:$folder" PYTHONDONTWRITEBYTECODE=1 timeout 100 venv/bin/python -W ignore finding.py
}

node_with() {
    npm install --prefix "$folder" --silent --no-audit --no-fund --no-package-lock "$@"
    cp "$findings/wire.mjs" .
}

run_node() {
    cat > finding.mjs
    timeout 100 node --no-warnings "$@" finding.mjs
}

lighttpd_from_debian() {
    apt-get download -qq lighttpd=1.4.69-1 libnettle8 libpcre2-8-0 libxxhash0 2>/dev/null
    for package in *.deb; do dpkg-deb -x "$package" debian; done
    LD_LIBRARY_PATH=$(dirname "$(find "$folder/debian" -name 'libnettle.so.8')")
    export LD_LIBRARY_PATH
}

pushpin_from_debian() {
    apt-get download -qq pushpin=1.36.0-2 condure=1.9.1-1 zurl=1.11.1-1+b1 libqt5core5a libqt5network5 libdouble-conversion3 \
        libpcre2-16-0 libzmq5 libnorm1 libpgm-5.3-0 libsodium23 2>/dev/null
    for package in *.deb; do dpkg-deb -x "$package" debian; done
    LD_LIBRARY_PATH=$(dirname "$(find "$folder/debian" -name 'libzmq.so.5')")
    PATH="$folder/debian/usr/bin:$PATH"
    export LD_LIBRARY_PATH PATH
    cat > pushpin.py <<'END'
"""Pushpin before a server."""

from contextlib import contextmanager
from pathlib import Path

from wire import free_port, running

FOLDER = Path.cwd()


def configured(shipped, ours, **replaced):
    text = (FOLDER / "debian/usr" / shipped).read_text()
    for theirs, other in replaced.items():
        text = text.replace(theirs, other)
    (FOLDER / ours).write_text(text)


@contextmanager
def pushpin(server):
    """Give the port at which Pushpin passes WebSockets on to the server's port; but for paths, it is configured as by Debian."""
    for name in ("run", "log"):
        (FOLDER / name).mkdir(exist_ok=True)
    port = free_port()
    configured("lib/pushpin/internal.conf", "internal.conf", **{"/var/run/zurl": f"{FOLDER}/run"})
    configured(
        "share/pushpin/pushpin.conf.condure",
        "pushpin.conf",
        **{
            "[global]": f"[global]\nlibdir={FOLDER}",
            "/var/run/pushpin": f"{FOLDER}/run",
            "/var/log/pushpin": f"{FOLDER}/log",
            "http_port=7999": f"http_port=127.0.0.1:{port}",
            "tcp://127.0.0.1:556": f"ipc://{FOLDER}/run/556",
            "push_in_http_port=5561": f"push_in_http_port={free_port()}",
        },
    )
    spec = {"{{ rundir }}/{{ ipc_prefix }}": f"{FOLDER}/run/", "deny=127.*,10.*,192.168.*,*.local": "deny="}
    configured("lib/pushpin/runner/zurl.conf.template", "zurl.conf", **spec)
    (FOLDER / "routes").write_text(f"* localhost:{server}\n")
    both = f"zurl --config={FOLDER}/zurl.conf & exec pushpin --config={FOLDER}/pushpin.conf"
    with running("sh", "-c", both, port=port):
        yield port
END
}
