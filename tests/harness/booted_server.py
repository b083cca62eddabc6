"""One booted server, as tests use it."""

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

PATIENCE_S = 180.0  # to boot, or for one command: a few seconds on an idle machine
# What a login of root has.
ENV = ("env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8")


class Server:
    def __init__(self, debian: int, resources: Resources, power: Power) -> None:
        self.debian = debian
        self.name = resources.name
        self.address = resources.address
        self.directory = resources.directory
        self.root = resources.root  # its `/`, seen from here
        self.ssh_config = self.directory / "ssh_config"
        self._resources = resources
        self._power = power

    def ssh(
        self, *argv: str, user: str = "root", stdin: str = "", deadline_s: float = PATIENCE_S
    ) -> CompletedProcess[str]:
        """A command as its user would run it: through sshd, to its end and exit code."""
        ssh = ["ssh", "-F", str(self.ssh_config), "-l", user, self.name, shlex.join(argv)]
        return _finish(ssh, stdin, deadline_s)

    def run(self, *argv: str, deadline_s: float = PATIENCE_S) -> CompletedProcess[str]:
        """A command as root without ssh: also while sshd is down."""
        leader = self.leader()
        assert leader, f"{self.name} is off"
        return _finish(["nsenter", f"--target={leader}", "--all", "--", *ENV, *argv], "", deadline_s)

    def leader(self) -> int | None:
        """The process that is number 1 inside."""
        return next((pid for pid in self._pids() if _number_inside(pid) == 1), None)

    def seen_from_here(self, number: int) -> int:
        """The number that a process of that number in there has on this machine."""
        return next(pid for pid in self._pids() if _number_inside(pid) == number)

    def power_on(self, deadline_s: float = PATIENCE_S) -> None:
        """It begins to boot."""
        self._power.on()
        self._wait_for(lambda: self.leader() is not None, deadline_s)

    def start(self, deadline_s: float = PATIENCE_S) -> None:
        """Power on, and wait for sshd."""
        self.power_on(deadline_s)
        self._wait_for(self._sshd_answers, deadline_s)

    def reboot(self, deadline_s: float = PATIENCE_S) -> None:
        """Shut down in good order, come up again, and wait for sshd."""
        before = self.leader()
        self.run("systemctl", "reboot")
        self._wait_for(lambda: self.leader() not in (None, before) and self._sshd_answers(), deadline_s)

    def power_off_hard(self) -> None:
        """Everything stops where it is; `start` boots again. What was written is kept, also what was not synced."""
        self._power.off()

    def boot_from_copy(self) -> None:
        """Boot again, with its files on the disk itself, for who measures what a look at a file costs.

        Else they are seen through an overlay, which asks for rights at every part of a path, of any user but root.
        """
        self._power.off()
        self._resources.copy()
        self.start()

    def sync(self) -> None:
        """What was written until now survives a power cut."""
        disk.sync(self._resources.disk)

    def cut_power(self) -> Path:
        """As when the machine loses its current: what was not synced is gone. For one that has a disk of its own.

        Gives the disk as it was left, until the next cut; `start` boots a copy.
        """
        image = self._resources.image()
        self._resources.cut()
        self._power.off()
        self._resources.change_disk(image)
        return self._resources.cut_disk

    def settled(self, deadline_s: float = PATIENCE_S) -> str:
        """Wait for the end of booting; `running`, or `degraded` if a unit failed."""
        return self.run("systemctl", "is-system-running", "--wait", deadline_s=deadline_s).stdout.strip()

    def files(self, *, ignoring: Collection[str] = ()) -> dict[str, str]:
        """Each path with type, mode, owner and content; without what a running system changes by itself."""
        return listing(self.root, ignoring)

    def stop(self) -> None:
        self._power.end()

    def _pids(self) -> Iterator[int]:
        for directory, _, _ in os.walk(self._resources.cgroup):
            found = ""
            with contextlib.suppress(OSError):  # it may just go
                found = Path(directory, "cgroup.procs").read_text()
            yield from map(int, found.split())

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
    """A new server of Debian 12 or 13 with its files in `work`, booted; `packages` are installed in its image.

    With a disk of its own its power can be cut.
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
    """What makes this server itself: its name, its identity and who may log in."""
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
    """Its number in the innermost of its process namespaces."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:")), None)


def _finish(argv: list[str], stdin: str, deadline_s: float) -> CompletedProcess[str]:
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=deadline_s, check=False)
