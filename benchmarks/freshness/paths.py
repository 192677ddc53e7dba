"""A server of one version of rxws, and the ways to it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from tests.integration.real_proxies import COMMANDS, fronting

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROXIES = (*COMMANDS,)
TWO = "nginx, haproxy"
PATHS = ("direct", "TLS", *PROXIES, TWO)


@dataclass(frozen=True)
class Server:
    """A server that runs: its process, and the port at the near end of each way to it."""

    pid: int
    ports: dict[str, int]


@contextlib.contextmanager
def serving(
    *,
    loop: str = "asyncio",
    wire: str = "",
    tree: str | None = None,
    paths: Sequence[str] = PATHS,
    prefix: Sequence[str] = (),
) -> Iterator[Server]:
    """Run a server of this version of rxws, or of the one in the folder `tree`, and the proxies in front of it.

    `prefix` is what its command begins with.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": tree or str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "RXWS_WIRE": wire,
    }
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        certificate = Path(folder, "certificate.pem")
        trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
        command = [*prefix, sys.executable, str(HERE / "server.py"), loop, str(certificate)]
        process = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True, cwd=folder)
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        plain, tls = json.loads(process.stdout.readline())
        ports = {"direct": plain, "TLS": tls}
        for proxy in PROXIES:
            if proxy in paths:
                ports[proxy] = stack.enter_context(fronting(proxy, plain))
        if TWO in paths:
            behind = ports.get("haproxy") or stack.enter_context(fronting("haproxy", plain))
            ports[TWO] = stack.enter_context(fronting("nginx", behind))
        yield Server(process.pid, ports)


def read_all(tasks: list[dict[str, Any]], patience: float, script: str = "reader.py") -> list[dict[str, Any]]:
    """Run readers at the same time, in a process of their own, and give what they saw."""
    output = subprocess.run(
        [sys.executable, str(HERE / script)],
        input=json.dumps(tasks),
        capture_output=True,
        text=True,
        timeout=patience,
    )
    if output.returncode:
        raise RuntimeError(output.stderr[-2000:])
    return json.loads(output.stdout)
