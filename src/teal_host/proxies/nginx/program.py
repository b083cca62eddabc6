"""The machine's nginx as a program: which one runs, what it reads, whether it would take a change, and the reload.

It is asked, never assumed: the running master says with which program and which configuration it was started.
"""

import re
import shutil
import signal
from typing import Optional, Tuple

from teal_host.ground import processes, sockets
from teal_host.ground.errors import BadRequest, CannotRun
from teal_host.ground.run import run, send_signal
from teal_host.proxies.nginx.tree import CannotRead, Tree, parse, refusal
from teal_host.wire.values import dataclass

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MASTER = "nginx: master process "
_CHECK_S, _START_S = 30.0, 60.0


@dataclass(frozen=True)
class NginxProgram:
    """`argv` is how to ask it; `master` is the process that runs, if one does."""

    argv: Tuple[str, ...]
    master: Optional[int]

    def tree(self) -> Tree:
        """All that it reads. Raises BadRequest with the file and line when it would refuse its own configuration."""
        told = run([*self.argv, "-T"], _CHECK_S)
        if told.code:
            raise BadRequest("nginx refuses the configuration that is here", [where(told.output)], "mend it first")
        try:
            return parse(told.output)
        except CannotRead as error:
            place = f"{error.file}:{error.line}: {error}" if error.file else str(error)
            raise BadRequest("nginx's configuration has something that Teal cannot read", [place]) from None

    def refuses(self) -> Optional[str]:
        """Why it would not take what is on the disk now, with file and line; None when it would."""
        told = run([*self.argv, "-t"], _CHECK_S)
        return where(told.output) if told.code else None

    def holds(self, inode: int) -> bool:
        """Is this socket one of its own?"""
        return self.master is not None and inode in sockets.sockets_of({self.master})

    def reload(self) -> None:
        """Make it read its files again, if it runs."""
        if self.master:
            send_signal(self.master, signal.SIGHUP)

    def start(self) -> None:
        """Raises CannotRun when it does not start."""
        started = run(["systemctl", "start", "nginx.service"], _START_S)
        if started.code:
            raise CannotRun("nginx does not start", started.lines[-3:], "systemctl status nginx")


def find() -> Optional[NginxProgram]:
    """The one that runs, or the one that is installed."""
    here = [pid for pid in processes.titled(_MASTER) if processes.is_of_this_machine(pid)]
    if here:
        master = min(here, key=_rank)
        return NginxProgram(_asked_like(master), master)
    program = shutil.which("nginx", path=_SYSTEM_PATH)
    return NginxProgram((program,), None) if program else None


def _rank(master: int) -> Tuple[bool, bool, int]:
    """The machine's own before what a user has started: systemd keeps it."""
    group = processes.cgroup(master)
    return "/nginx.service" not in group, "/system.slice/" not in group, master


def where(output: str) -> str:
    """nginx's own words, behind the file and line that they are about."""
    says, file, line = refusal(output)
    return f"{file}:{line}: {says}" if file else says


def _asked_like(pid: int) -> Tuple[str, ...]:
    """With the options by which the master found its configuration; nginx keeps its arguments in its title."""
    title = " ".join(processes.command_line(pid))[len(_MASTER) :]
    program = title.split(" ")[0]
    found = program if program.startswith("/") else shutil.which(program, path=_SYSTEM_PATH)
    options = re.findall(r"(-[cp]) (\S+)", title)
    return (found or f"/proc/{pid}/exe", *(part for option in options for part in option))
