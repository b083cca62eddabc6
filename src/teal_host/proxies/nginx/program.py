"""The machine's nginx as a program: which one runs, what it reads, whether it would take a change, and the reload.

It is asked, never assumed. What a process says of itself is not enough: any local user can give a process of uid 0 the
title of nginx's master. `is_machines` decides which process is believed.
"""

import contextlib
import os
import posixpath
import re
import shutil
import signal
from dataclasses import replace
from typing import FrozenSet, Iterator, List, Optional, Set, Tuple

from teal_host.ground import ownership, processes, sockets
from teal_host.ground.errors import BadRequest, CannotRun
from teal_host.ground.processes import Life
from teal_host.ground.run import run, send_signal
from teal_host.proxies.nginx.tree import CannotRead, Tree, parse, refusal
from teal_host.wire.values import dataclass

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MASTER = "nginx: master process "
_NAMES = ("nginx", "nginx-debug")  # the latter is nginx.org's
_UNIT = "nginx.service"
_UNIT_GROUP = f"/system.slice/{_UNIT}"
_SYSTEM_GROUPS = "/system.slice/"
_CHECK_S, _START_S, _ASK_S = 30.0, 60.0, 8.0


@dataclass(frozen=True)
class NginxProgram:
    """`argv` is how to ask it; `master` is the process that runs, if one does."""

    argv: Tuple[str, ...]
    master: Optional[Life]

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

    @property
    def socket_inodes(self) -> Set[int]:
        """The inodes of what the running master holds."""
        return sockets.sockets_of({self.master.pid}) if self.master else set()

    def reload(self) -> None:
        """Make it read its files again, if it runs."""
        if self.master:
            _signal(self.master, signal.SIGHUP)

    def start(self) -> None:
        """Raises CannotRun when it does not start."""
        started = run(["systemctl", "start", _UNIT], _START_S)
        if started.code:
            raise CannotRun("nginx does not start", started.lines[-3:], "systemctl status nginx")


@dataclass(frozen=True)
class Claim:
    """A process that calls itself nginx's master, and what the kernel, the file system and systemd say of it.

    `shares`: it sees the same processes and network as Teal; `shares_files`: the same files. `groups`: its
    control groups. `options` are -c and -p of its title. `roots_program`, `roots_files`: only root can write its
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
    """The one that runs, or the one that is installed."""
    masters = [claim for claim in _claims() if is_machines(claim)]
    if masters:
        master = min(masters, key=_rank)
        return NginxProgram((master.executable, *master.options), master.life)
    program = shutil.which("nginx", path=_SYSTEM_PATH)
    return NginxProgram((program,), None) if program else None


def is_machines(claim: Claim) -> bool:
    """Is it the machine's own nginx? The title is not asked: `su` under a false title has uid 0, and waits.

    A process of the unit may see other files (PrivateTmp=). Outside of the unit those are a container's.
    """
    if claim.uids != (0, 0, 0, 0) or not claim.shares:
        return False
    if claim.is_main and _UNIT_GROUP in claim.groups:
        return True
    is_nginx = posixpath.basename(claim.executable) in _NAMES and claim.roots_program
    return is_nginx and claim.roots_files and (claim.shares_files or _UNIT_GROUP in claim.groups)


def options_of(title: str) -> Tuple[str, ...]:
    """The options by which a master found its configuration: nginx keeps its arguments in its title."""
    found = re.findall(r" (-[cp]) ?(\S+)", title[len(_MASTER) :])
    return tuple(part for option in found for part in option)


def files_of(options: Tuple[str, ...]) -> Optional[List[str]]:
    """What these options make nginx read, or load modules from; None where that hangs on where nginx was started."""
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


def _is_main(claim: Claim) -> bool:
    """systemctl takes a while, so it is asked of a process of the unit alone that nothing else vouches for."""
    if _UNIT_GROUP not in claim.groups:
        return False
    main = run(["systemctl", "show", _UNIT, "--property=MainPID", "--value"], _ASK_S).output.strip()
    return main == str(claim.life.pid)


def _rank(master: Claim) -> Tuple[bool, bool, int]:
    """The machine's own before what a user has started: systemd keeps it."""
    of_the_system = any(group.startswith(_SYSTEM_GROUPS) for group in master.groups)
    return _UNIT_GROUP not in master.groups, not of_the_system, master.life.pid


def _signal(process: Life, number: signal.Signals) -> None:
    """Its number is held by a pidfd while its start is looked at again, so no other process gets the signal."""
    with contextlib.suppress(ProcessLookupError):
        held = os.pidfd_open(process.pid)
        try:
            if processes.life(process.pid) == process:
                send_signal(process.pid, number, held)
        finally:
            os.close(held)


def where(output: str) -> str:
    """nginx's own words, behind the file and line that they are about."""
    says, file, line = refusal(output)
    return f"{file}:{line}: {says}" if file else says
