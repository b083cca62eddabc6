"""A process that is the power supply of one server, and removes the server when the test ends.

The keeper obeys commands on its standard input. When standard input closes, because the test is done, interrupted or
killed, the keeper removes the server. If the keeper itself is killed, the next boot of a server cleans up.
"""

import os
import select
import subprocess
import sys
from pathlib import Path

from harness import apt_proxy
from harness.power import DONE, OFF, ON
from harness.resources import Resources

REBOOT = 133  # the exit code of nspawn when the server asks for a reboot
NSPAWN = (
    *("systemd-nspawn", "--quiet", "--settings=no", "--boot", "--register=no", "--keep-unit", "--console=read-only"),
    *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--capability=CAP_NET_ADMIN,CAP_BPF,CAP_PERFMON"),
    "--system-call-filter=bpf",  # with these systemd can limit binds, as on a machine of its own
)
ENV = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_TMPFS_TMP": "0"}  # the server decides what /tmp is
STATE = Path("/run/systemd/nspawn")  # the state of nspawn needs a tmpfs, and /run of this host may be none
BEGIN = f'echo $$ > "$0/cgroup.procs" && mount -t tmpfs tmpfs {STATE} && exec "$@"'  # $0 is the cgroup


class Keeper:
    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.nspawn: subprocess.Popen[bytes] | None = None
        self.alive = -1  # a pidfd, readable once nspawn has ended
        self.proxied = False

    def obey(self) -> None:
        """Obeys commands until standard input closes."""
        while True:
            if self.nspawn_ended_first():
                if self.collect() == REBOOT:
                    self.on()
                continue
            match os.read(sys.stdin.fileno(), 1):
                case b"":
                    return
                case command if command in (ON, OFF):
                    self.off()
                    if command == ON:
                        self.on()
            os.write(sys.stdout.fileno(), DONE)

    def nspawn_ended_first(self) -> bool:
        watched = [sys.stdin.fileno(), *([self.alive] if self.nspawn else [])]
        return self.alive in select.select(watched, [], [])[0]

    def on(self) -> None:
        if not self.proxied:
            apt_proxy.serve(self.resources.namespace)
            self.proxied = True
        self.resources.kill()  # removes the empty cgroups of the last boot
        self.resources.cgroup.mkdir()
        STATE.mkdir(parents=True, exist_ok=True)
        server = [f"--machine={self.resources.name}", f"--directory={self.resources.root}"]
        # A mount namespace of its own, so that /sys shows this network, too.
        spaces = ["nsenter", f"--net={self.resources.namespace}", "unshare", "--mount"]
        with (self.resources.directory / "console.log").open("ab") as console:
            self.nspawn = subprocess.Popen(
                [*spaces, "sh", "-c", BEGIN, str(self.resources.cgroup), *NSPAWN, *server],
                env={**os.environ, **ENV},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        self.alive = os.pidfd_open(self.nspawn.pid)

    def off(self) -> None:
        self.resources.kill()
        if self.nspawn:
            self.collect()

    def collect(self) -> int:
        assert self.nspawn
        os.close(self.alive)
        code = self.nspawn.wait()
        self.nspawn, self.alive = None, -1
        return code


def main(number: str, directory: str, lock: str) -> None:
    resources = Resources(int(number), Path(directory))
    keeper = Keeper(resources)
    try:
        keeper.obey()
    finally:
        keeper.off()
        resources.remove()
        os.truncate(int(lock), 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
