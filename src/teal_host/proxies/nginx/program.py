"""The machine's nginx as a program: which process runs, what nginx reads and accepts, and the reload.

Teal assumes nothing and asks. The title of a process proves nothing: any local user can give a process of uid 0 the
title of nginx's master. `is_machines` decides which process Teal believes.
"""

import posixpath
import re
import shutil
import signal
from dataclasses import replace
from typing import FrozenSet, Iterator, List, Optional, Set, Tuple

from teal_host.ground import ownership, processes, sockets, systemctl
from teal_host.ground.errors import BadRequest, CannotRun
from teal_host.ground.processes import Life
from teal_host.ground.remedies import MEND, on_server
from teal_host.ground.run import SYSTEM_PATH, run, signal_life
from teal_host.proxies.nginx.tree import CannotRead, Tree, parse, refusal
from teal_host.wire.values import dataclass

OLDEST = (1, 18)
_MASTER = "nginx: master process "
_WORKER, _LEAVES = "nginx: worker process", "is shutting down"
_NAMES = ("nginx", "nginx-debug")  # the latter is nginx.org's
_UNIT = "nginx.service"
_UNIT_GROUP = f"/system.slice/{_UNIT}"
_SYSTEM_GROUPS = "/system.slice/"
_CHECK_S, _START_S = 30.0, 60.0


@dataclass(frozen=True)
class Worker:
    """The user and the groups of nginx's workers, by number; `group` is the first. `pid`: one of these workers."""

    user: int
    groups: FrozenSet[int]
    group: int = 0
    pid: int = 0


@dataclass(frozen=True)
class NginxProgram:
    """`argv` starts nginx with the same options. `master` is the running process, if nginx runs."""

    argv: Tuple[str, ...]
    master: Optional[Life]

    def tree(self) -> Tree:
        """All that nginx reads. Raises BadRequest with the file and line if nginx refuses its own configuration."""
        printed = run([*self.argv, "-T"], _CHECK_S)
        if printed.code:
            raise BadRequest("nginx refuses its present configuration", [where(printed.output)], MEND)
        try:
            return parse(printed.output)
        except CannotRead as error:
            evidence = f"{error.file}:{error.line}: {error}" if error.file else str(error)
            raise BadRequest("nginx's configuration has something that Teal cannot read", [evidence]) from None

    def refusal(self) -> Optional[str]:
        """Why nginx refuses the files on the disk, with file and line. None: nginx accepts them."""
        checked = run([*self.argv, "-t"], _CHECK_S)
        return where(checked.output) if checked.code else None

    @property
    def version(self) -> Tuple[int, ...]:
        """Empty where nginx does not say it in its own way."""
        version = re.search(
            r"nginx/([0-9]{1,9})[.]([0-9]{1,9})[.]([0-9]{1,9})", run([*self.argv[:1], "-v"], _CHECK_S).output
        )
        return tuple(map(int, version.groups())) if version else ()

    @property
    def socket_inodes(self) -> Set[int]:
        """The inodes of what the running master holds."""
        return sockets.sockets_of({self.master.pid}) if self.master else set()

    def worker(self) -> Optional[Worker]:
        return worker_of(self.master.pid) if self.master else None

    def reload(self) -> None:
        """A running nginx reads its files again."""
        if self.master:
            signal_life(self.master, signal.SIGHUP)

    def start(self) -> None:
        """Raises CannotRun if nginx does not start."""
        started = systemctl.order("start", _UNIT, _START_S, _has_failed)
        if started.code:
            raise CannotRun("nginx does not start", _last_complaints(), on_server("systemctl status nginx"))


@dataclass(frozen=True)
class Claim:
    """A process that calls itself nginx's master, and what the kernel, the file system and systemd say about it.

    `shares`: the process sees the same processes and network as Teal; `shares_files`: the same files. `groups` are its
    control groups, `options` the -c and -p of its title. `roots_program`, `roots_files`: only root can write its
    program, and what the options name. `is_main`: systemd calls it the main process of nginx.service.
    """

    life: Life
    uids: Tuple[int, ...]
    shares: bool
    shares_files: bool
    groups: FrozenSet[str]
    executable: str
    options: Tuple[str, ...]
    roots_program: bool
    roots_files: bool
    is_main: bool = False


def find() -> Optional[NginxProgram]:
    """The running nginx, else the installed one."""
    masters = [claim for claim in _claims() if is_machines(claim)]
    if masters:
        master = min(masters, key=_rank)
        return NginxProgram((master.executable, *master.options), master.life)
    program = shutil.which("nginx", path=SYSTEM_PATH)
    return NginxProgram((program,), None) if program else None


def worker_of(master: int) -> Optional[Worker]:
    """One worker that takes requests; these are alike. Only the title tells it from the master's other children."""
    for pid in processes.children(master):
        properties, title = processes.status(pid), processes.command_line(pid)
        if title.startswith(_WORKER) and _LEAVES not in title and "Gid" in properties:
            group = int(properties["Gid"].split()[1])
            groups = frozenset({group, *map(int, properties.get("Groups", "").split())})
            return Worker(int(properties["Uid"].split()[1]), groups, group, pid)
    return None


def is_machines(claim: Claim) -> bool:
    """Is this the machine's own nginx? The title does not count: a waiting `su` under a false title has uid 0 too.

    A process of the unit may see other files (PrivateTmp=). A process outside of the unit that does is a container's.
    """
    if claim.uids != (0, 0, 0, 0) or not claim.shares:
        return False
    if claim.is_main and _UNIT_GROUP in claim.groups:
        return True
    is_nginx = posixpath.basename(claim.executable) in _NAMES and claim.roots_program
    return is_nginx and claim.roots_files and (claim.shares_files or _UNIT_GROUP in claim.groups)


def options_of(title: str) -> Tuple[str, ...]:
    """The options by which a master found its configuration: nginx keeps its arguments in its title."""
    options = re.findall(r" (-[cp]) ?(\S+)", title[len(_MASTER) :])
    return tuple(part for option in options for part in option)


def files_of(options: Tuple[str, ...]) -> Optional[List[str]]:
    """What nginx reads, or loads modules from, by these options. None: that depends on where nginx was started."""
    named = dict(zip(options[::2], options[1::2]))
    prefix = named.get("-p", "")
    file = named.get("-c", "conf/nginx.conf" if prefix else "")
    files = [path for path in (prefix, posixpath.join(prefix, file)) if path]
    return files if all(path.startswith("/") for path in files) else None


def _claims() -> Iterator[Claim]:
    for pid in processes.of_root():
        life, title = processes.life(pid), processes.command_line(pid)
        if life and title.startswith(_MASTER):
            claim = _claim(life, options_of(title))
            if processes.life(pid) == life:  # else another process has taken over the number
                yield claim


def _claim(life: Life, options: Tuple[str, ...]) -> Claim:
    files, executable = files_of(options), processes.executable(life.pid)
    claim = Claim(
        life,
        processes.uids(life.pid),
        processes.shares(life.pid, "pid", "net"),
        processes.shares(life.pid, "mnt"),
        frozenset(processes.control_groups(life.pid)),
        executable,
        options,
        ownership.only_root_writes(executable),
        files is not None and all(ownership.only_root_writes(file) for file in files),
    )
    return claim if is_machines(claim) else replace(claim, is_main=_is_main(claim))


def _has_failed() -> bool:
    return systemctl.has_failed(systemctl.properties(_UNIT, ["LoadState", "ActiveState"]))


def _is_main(claim: Claim) -> bool:
    """systemctl takes a while, so Teal asks it only about a process of the unit for which nothing else speaks."""
    if _UNIT_GROUP not in claim.groups:
        return False
    return systemctl.properties(_UNIT, ["MainPID"]).get("MainPID") == str(claim.life.pid)


def _rank(master: Claim) -> Tuple[bool, bool, int]:
    """The process that systemd keeps comes before a process that somebody started."""
    of_the_system = any(group.startswith(_SYSTEM_GROUPS) for group in master.groups)
    return _UNIT_GROUP not in master.groups, not of_the_system, master.life.pid


def _last_complaints() -> List[str]:
    """nginx's own words of its last start: systemctl repeats none of them."""
    argv = ["journalctl", "--unit", _UNIT, "--lines", "40", "--output", "cat", "--no-pager"]
    lines = [line for line in run(argv, _CHECK_S).lines if "[emerg]" in line]
    return list(dict.fromkeys(lines))[-3:]


def where(output: str) -> str:
    """nginx's own words, behind the file and line that they name."""
    complaint, file, line = refusal(output)
    return f"{file}:{line}: {complaint}" if file else complaint
