"""Fujin, from the Python index, in an environment of its own, with its own SSH (libssh2).

Fujin builds nothing here, ships the same file, and restarts one service in place. Fujin's own proxy would be Caddy;
Fujin sets up none here. The bench reaches the service through nginx, as it does with every peer. That nginx file never
changes.
"""

import os
import subprocess
import sys
from pathlib import Path

from bench.lab import Awaited, Lab, Line, Took

_VERSION = "0.27.1"
_PORT = 8300
_ENVIRONMENT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / f"teal/bench/fujin-{_VERSION}"
_TOML = """\
app = "hello"
version = "0.0.1"
build_command = "true"
installation_mode = "binary"
distfile = "app"

[[hosts]]
address = "127.0.0.1"
user = "root"
port = {port}
key_filename = "{key}"
env = "PORT={app_port}"
"""
_UNIT = """\
[Unit]
Description=The program, as Fujin runs it

[Service]
ExecStart=/opt/fujin/hello/.install/hello
Environment=PORT=8300
Environment=HOST=0.0.0.0
User=hello
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""


class Fujin:
    name = f"Fujin {_VERSION}"

    def prepare(self, lab: Lab) -> None:
        if not (_ENVIRONMENT / "bin/fujin").exists():
            subprocess.run([sys.executable, "-m", "venv", str(_ENVIRONMENT)], check=True)
            pip = [str(_ENVIRONMENT / "bin/pip"), "install", "--quiet", f"fujin-cli=={_VERSION}"]
            subprocess.run([*pip, "--disable-pip-version-check"], check=True)
        project = lab.work / "fujin"
        (project / ".fujin/systemd").mkdir(parents=True, exist_ok=True)
        (project / ".fujin/systemd/web.service").write_text(_UNIT)
        # nginx is in front of every peer, so that each answer takes the same way.
        site = f"server {{ listen {_PORT + 1}; location / {{ proxy_pass http://127.0.0.1:{_PORT}; }} }}\n"
        (lab.server.root / "etc/nginx/conf.d/fujin.conf").write_text(site)
        lab.on_server("systemctl", "reload", "nginx")

    def deploy(self, line: Line, version: str, file: Path) -> Took:
        project = line.lab.work / "fujin"
        key = line.lab.server.directory / "key"
        (project / "fujin.toml").write_text(_TOML.format(port=line.lab.port, key=key, app_port=_PORT))
        (project / "app").write_bytes(file.read_bytes())
        awaited = Awaited(line.lab.server.address, _PORT + 1, version)
        return line.measure([str(_ENVIRONMENT / "bin/fujin"), "deploy", "--no-input"], project, awaited)
