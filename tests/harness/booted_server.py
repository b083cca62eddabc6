"""One booted server, as tests use it: commands, power, files."""

import contextlib
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

from harness import disk
from harness.calls import call
from harness.image import image
from harness.listing import listing
from harness.power import Power
from harness.resources import Resources, claim

PATIENCE_S = 180.0  # for a boot or a command, which take a few seconds on an idle machine
# The environment of a root login.
ENV = ("env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8")


class Server:
    def __init__(self, debian: int, resources: Resources, power: Power) -> None:
        self.debian = debian
        self.name = resources.name
        self.address = resources.address
        self.directory = resources.directory
        self.root = resources.root  # the server's `/`, as this host sees it
        self.ssh_config = self.directory / "ssh_config"
        self._resources = resources
        self._power = power

    def ssh(
        self, *argv: str, user: str = "root", stdin: str = "", deadline_s: float = PATIENCE_S
    ) -> CompletedProcess[str]:
        """Runs a command through sshd, as a user would."""
        ssh = ["ssh", "-F", str(self.ssh_config), "-l", user, self.name, shlex.join(argv)]
        return _finish(ssh, stdin, deadline_s)

    def run(self, *argv: str, deadline_s: float = PATIENCE_S) -> CompletedProcess[str]:
        """Runs a command as root without ssh, so that a stopped sshd does not matter."""
        leader = self.leader()
        assert leader, f"{self.name} is off"
        return _finish(["nsenter", f"--target={leader}", "--all", "--", *ENV, *argv], "", deadline_s)

    def leader(self) -> int | None:
        """The PID, on this host, of the server's PID 1."""
        return next((pid for pid in self._pids() if _number_inside(pid) == 1), None)

    def seen_from_here(self, number: int) -> int:
        """The PID, on this host, of a process with that PID on the server."""
        return next(pid for pid in self._pids() if _number_inside(pid) == number)

    def power_on(self, deadline_s: float = PATIENCE_S) -> None:
        """Powers the server on and waits until its PID 1 runs."""
        self._power.on()
        self._wait_for(lambda: self.leader() is not None, deadline_s)

    def start(self, deadline_s: float = PATIENCE_S) -> None:
        """Powers the server on and waits for sshd."""
        self.power_on(deadline_s)
        self._wait_for(self._sshd_answers, deadline_s)

    def reboot(self, deadline_s: float = PATIENCE_S) -> None:
        """Shuts the server down, lets it boot again, and waits for sshd."""
        before = self.leader()
        self.run("systemctl", "reboot")
        self._wait_for(lambda: self.leader() not in (None, before) and self._sshd_answers(), deadline_s)

    def power_off_hard(self) -> None:
        """Kills every process at once; `start` boots the server again. What was written is kept, synced or not."""
        self._power.off()

    def boot_from_copy(self) -> None:
        """Boots the server from a plain copy of its files, for measurements of what reading a file costs.

        An overlay checks permissions at every part of a path, of every user but root, and so costs more.
        """
        self._power.off()
        self._resources.copy()
        self.start()

    def sync(self) -> None:
        """Syncs the disk, so that a power cut keeps what was written until now."""
        disk.sync(self._resources.disk)

    def cut_power(self) -> Path:
        """Cuts the power of a server that has its own disk: what was not synced is lost.

        Returns the disk as the cut left it, valid until the next cut. `start` boots a copy of that disk.
        """
        image = self._resources.image()
        self._resources.cut()
        self._power.off()
        self._resources.change_disk(image)
        return self._resources.cut_disk

    def settled(self, deadline_s: float = PATIENCE_S) -> str:
        """Waits for the end of the boot. Returns `running`, or `degraded` if a unit failed."""
        return self.run("systemctl", "is-system-running", "--wait", deadline_s=deadline_s).stdout.strip()

    def files(self, *, ignoring: Collection[str] = ()) -> dict[str, str]:
        """Each path with its type, mode, owner and content, except what a running system changes by itself."""
        return listing(self.root, ignoring)

    def stop(self) -> None:
        self._power.end()

    def _pids(self) -> Iterator[int]:
        for directory, _, _ in os.walk(self._resources.cgroup):
            pids = ""
            with contextlib.suppress(OSError):  # the cgroup may vanish meanwhile
                pids = Path(directory, "cgroup.procs").read_text()
            yield from map(int, pids.split())

    def _sshd_answers(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=5) as line:
                return line.recv(4) == b"SSH-"
        except OSError:
            return False

    def _wait_for(self, condition: Callable[[], bool], deadline_s: float) -> None:
        deadline = time.monotonic() + deadline_s
        while not condition():
            if time.monotonic() > deadline:
                console = (self.directory / "console.log").read_text(errors="replace")
                raise AssertionError(f"{self.name} is not up after {deadline_s} s; its console:\n{console[-3000:]}")
            time.sleep(0.02)


def boot(debian: int, work: Path, *, packages: Sequence[str] = (), own_disk: bool = False) -> Server:
    """Boots a new server of Debian 12 or 13, with its files in `work`.

    `packages` are installed in its image. Only a server with `own_disk` can have its power cut.
    """
    base = image(debian, packages)
    resources, lock = claim(work, debian)
    power = Power(resources, lock)
    try:
        resources.make(base, own_disk)
        server = Server(debian, resources, power)
        furnish(server)
        server.start()
        server.settled()
        if own_disk:
            server.sync()
    except BaseException:
        power.end()
        raise
    return server


@contextmanager
def server(debian: int, work: Path, *, packages: Sequence[str] = (), own_disk: bool = False) -> Iterator[Server]:
    booted = boot(debian, work, packages=packages, own_disk=own_disk)
    try:
        yield booted
    finally:
        booted.stop()


def furnish(server: Server) -> None:
    """Gives the server its name, its identity and its authorized keys."""
    etc = server.root / "etc"
    (etc / "hostname").write_text(f"{server.name}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {server.name}\n::1 localhost\n")
    (etc / "machine-id").write_text(f"{os.urandom(16).hex()}\n")
    make_key(etc / "ssh/ssh_host_ed25519_key", f"root@{server.name}")
    make_key(server.directory / "key", "test")
    home = server.root / "root/.ssh"
    home.mkdir(exist_ok=True)
    home.chmod(0o700)
    (home / "authorized_keys").write_text((server.directory / "key.pub").read_text())
    write_ssh_config(server)


def write_ssh_config(server: Server) -> None:
    known = server.directory / "known_hosts"
    known.write_text(f"{server.address} {(server.root / 'etc/ssh/ssh_host_ed25519_key.pub').read_text()}")
    server.ssh_config.write_text(
        f"""\
Host {server.name}
    HostName {server.address}
    User root
    Port 22
    IdentityFile "{server.directory / "key"}"
    IdentitiesOnly yes
    UserKnownHostsFile "{known}"
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    BatchMode yes
    ConnectTimeout 30
    LogLevel ERROR
"""
    )


def make_key(path: Path, comment: str) -> None:
    path.unlink(missing_ok=True)
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))


def _number_inside(pid: int) -> int | None:
    """The PID of a process in the innermost of its PID namespaces."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:")), None)


def _finish(argv: list[str], stdin: str, deadline_s: float) -> CompletedProcess[str]:
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=deadline_s, check=False)
