"""The server on which all proxies run, and the pair of programs behind each proxy."""

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Protocol

from bench.lab import Failed
from bench.load import backend
from bench.load.place import Place
from harness import Server

COLORS = ("blue", "green")
HOME = Path("/srv/switch")  # on the server
CERTIFICATE, KEY, BOTH = (str(HOME / f"load.{end}") for end in ("crt", "key", "pem"))


class Proxy(Protocol):
    """`unit` is the systemd unit of the proxy, whose processor time counts.

    `first` is the proxy's port; the next one is for TLS.
    """

    name: str
    unit: str
    first: int

    def prepare(self, ground: "Ground") -> None: ...

    def switch(self, ground: "Ground", color: str) -> None:
        """Switches the traffic with the command that the proxy's users type. Returns when the command ends."""
        ...

    def ledgers(self, ground: "Ground") -> Path:
        """The directory of the programs' ledgers, as a path on this machine."""
        ...


@dataclass
class Ground:
    server: Server
    work: Path
    ssh: Path  # an ssh configuration with which all commands share one login
    certificate: Path = field(init=False)

    def prepare(self) -> None:
        self.run("systemctl", "disable", "--quiet", "--now", "caddy", "haproxy")  # the units of the packages
        self.run("systemctl", "restart", "nginx")  # the unit may have failed because another server has its port
        (self.server.root / str(HOME)[1:]).mkdir(parents=True)
        self.certificate, key = backend.certificate(self.work)
        shutil.copy(self.certificate, self.path(CERTIFICATE))
        shutil.copy(key, self.path(KEY))
        self.write(BOTH, self.certificate.read_text() + key.read_text())
        backend.write(self.path(HOME / "backend"), "")

    def path(self, file: Path | str) -> Path:
        """The path on this machine."""
        return self.server.root / str(file)[1:]

    def write(self, file: Path | str, text: str) -> None:
        self.path(file).parent.mkdir(parents=True, exist_ok=True)
        self.path(file).write_text(text)

    def run(self, *argv: str) -> CompletedProcess[str]:
        """Runs a command on the server. Raises Failed."""
        done = self.server.run(*argv)
        if done.returncode:
            raise Failed(f"on the server: {' '.join(argv)}: {(done.stdout + done.stderr)[-800:]}")
        return done

    def start(self, unit: str, *argv: str, kind: str = "exec", **env: str) -> None:
        """Starts a systemd unit that ends with the server."""
        settings = [f"--setenv={name}={value}" for name, value in env.items()]
        limits = ("--property=LimitNOFILE=65536", f"--property=Type={kind}")
        try:
            self.run("systemd-run", "--quiet", "--collect", f"--unit={unit}", *limits, *settings, *argv)
        except Failed as error:
            log = self.run("journalctl", "--unit", unit, "--lines=5", "--output=cat").stdout
            raise Failed(f"{error}\n{log}") from None

    def backends(self, name: str, first: int) -> tuple[int, int]:
        """Starts a blue and a green program. Returns their ports."""
        ports = (first + 2, first + 3)
        self.path(HOME / name).mkdir()
        for color, port in zip(COLORS, ports, strict=True):
            env = {"PORT": str(port), "COLOR": color, "RELEASE": color, "DATA_DIR": str(HOME / name)}
            self.start(f"{name}-{color}", str(HOME / "backend"), **env)
        return ports

    def place(self, proxy: Proxy) -> Place:
        return Place(self.server.address, proxy.first, proxy.first + 1, self.certificate)

    def cpu_s(self, unit: str) -> float:
        """The processor time of the unit since its start."""
        group = self.run("systemctl", "show", "--property=ControlGroup", "--value", unit).stdout.strip()
        statistics = self.run("cat", f"/sys/fs/cgroup{group}/cpu.stat").stdout
        return int(statistics.split()[1]) / 1e6

    def settled(self, proxy: Proxy, deadline_s: float = 10) -> None:
        """Waits until the proxy answers."""
        deadline = time.monotonic() + deadline_s
        while self.server.run("python3", "-c", _ASK, str(proxy.first)).returncode:
            if time.monotonic() > deadline:
                raise Failed(f"{proxy.name} does not answer on port {proxy.first}")
            time.sleep(0.1)


_ASK = "import sys, urllib.request as r; r.urlopen(f'http://127.0.0.1:{sys.argv[1]}/status', timeout=2).read()"
