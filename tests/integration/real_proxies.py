"""The proxies that stand in front of most servers: Debian's, with the buffers of their defaults, a process each."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.ports import free_port

NGINX = """
daemon off;
pid nginx.pid;
error_log stderr crit;
events {{}}
http {{
    access_log off;
    client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{target};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
    }}
}}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s
    timeout tunnel 1h
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    server one 127.0.0.1:{target}
"""
APACHE = """
ServerName localhost
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
Listen 127.0.0.1:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
User www-data
Group www-data
ProxyPreserveHost On
ProxyPass / http://127.0.0.1:{target}/ upgrade=websocket
"""
CADDY = """
{{
    admin off
    auto_https off
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{target}
}}
"""
COMMANDS = {
    "nginx": (NGINX, ["nginx", "-p", "{folder}", "-e", "stderr", "-c", "{folder}/config"]),
    "haproxy": (HAPROXY, ["haproxy", "-db", "-f", "{folder}/config"]),
    "Apache": (APACHE, ["apache2", "-DFOREGROUND", "-f", "{folder}/config"]),
    "Caddy": (CADDY, ["caddy", "run", "--adapter", "caddyfile", "--config", "{folder}/config"]),
}
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
STARTS_WITHIN = 10.0


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def fronting(kind: str, target: int) -> Iterator[int]:
    """Run a proxy in front of a port of this machine until the block is left, and give its port."""
    text, command = COMMANDS[kind]
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        text = text.format(port=port, target=target, folder=folder)
        with proxying([part.format(folder=folder) for part in command], text, Path(folder), port):
            yield port


@contextlib.contextmanager
def proxying(command: list[str], text: str, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a proxy with a configuration, until the block is left."""
    if shutil.which(command[0], path=PATH) is None:
        raise FileNotFoundError(f"{command[0]} is not on PATH: sh tests/proxy.sh, or benchmarks/debian.sh")
    home = str(folder)
    (folder / "config").write_text(text)
    environment = {**os.environ, "PATH": PATH, "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home}
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            deadline = time.monotonic() + STARTS_WITHIN
            while not listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} did not start: {(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.02)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
