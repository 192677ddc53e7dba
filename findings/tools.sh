# For each finding: a temporary folder that is removed at the end, and pinned packages in it.
#
#   python_with hypercorn==0.18.0     installs into a new environment there (PYTHON chooses the interpreter, 3.11 or later)
#   run_python <<'END' ... END        runs the program with it, beside wire.py, for at most 100 seconds
#   node_with ws@8.23.0               installs npm packages there
#   run_node <<'END' ... END          runs the program (an ES module) with Node, beside wire.mjs, for at most 100 seconds
#   lighttpd_from_debian              unpacks Debian's lighttpd into the folder debian there; it installs nothing

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
