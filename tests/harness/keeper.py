"""A process beside the test that is one server's power supply, and clears everything away when the test ends.

It obeys commands on its standard input. When that closes, because the test is done, was interrupted or was killed,
the server goes. Only if the keeper itself is killed does something stay, until the next server is booted.
"""

import os
import select
import subprocess
import sys
from pathlib import Path

from harness import apt_proxy
from harness.power import DONE, OFF, ON
from harness.resources import Resources

REBOOT = 133  # how nspawn ends when the server wants to be started again
NSPAWN = (
    *("systemd-nspawn", "--quiet", "--settings=no", "--boot", "--register=no", "--keep-unit", "--console=read-only"),
    *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--capability=CAP_NET_ADMIN"),
)
ENV = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_TMPFS_TMP": "0"}  # what /tmp is, the server decides
STATE = Path("/run/systemd/nspawn")  # of nspawn: must be a tmpfs, which the host's /run need not be
BEGIN = f'echo $$ > "$0/cgroup.procs" && mount -t tmpfs tmpfs {STATE} && exec "$@"'  # $0 is the cgroup


class Keeper:
    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.nspawn: subprocess.Popen[bytes] | None = None
        self.alive = -1  # a descriptor that can be read once nspawn has ended
        self.proxied = False

    def obey(self) -> None:
        """Until the line is closed."""
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
        self.resources.kill()  # the empty cgroups of last time
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
