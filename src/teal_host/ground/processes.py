"""What the kernel says of processes, read from /proc. Reads only.

A process chooses its own title (`command_line`), environment and name: any user can give a process of uid 0 any title,
with a setuid program. They may only choose among processes that the kernel has vouched for.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Set, Tuple

from teal_host.wire.values import dataclass

_PROC = Path("/proc")
_MOST_OF_A_TITLE = 64 * 1024
_MOST_OF_AN_ENVIRONMENT = 8 * 1024 * 1024  # Linux starts no program with more; a process may claim more later


@dataclass(frozen=True)
class Life:
    """One process. Its start and the boot distinguish it from a later process with the same number."""

    pid: int
    ticks: int
    boot: str


def life(pid: int) -> Optional[Life]:
    """The process that has this number now, or None. A zombie counts until its last thread closed its sockets."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    ended = fields[0] in ("Z", "X") and int(fields[17]) <= 1
    return None if ended else Life(pid, int(fields[19]), boot_id())


def booted_at() -> float:
    """By the clock of now, in seconds since 1970. In a container its own first process tells."""
    first = life(1)
    before_s = first.ticks / os.sysconf("SC_CLK_TCK") if first else 0.0
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - before_s)


def boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def with_env(assignment: str) -> Set[int]:
    """All living processes of this user alone that started with NAME=value in their environment, and their children."""
    entry, user = assignment.encode(), os.geteuid()
    marked = {
        pid for pid in _owned_by(user) if entry in _beginning(pid, "environ", _MOST_OF_AN_ENVIRONMENT).split(b"\0")
    }
    return {pid for pid in marked if uids(pid) == (user,) * 4 and life(pid)}


def session(leader: int) -> Set[int]:
    """All living processes of one session (setsid)."""
    return {pid for pid in pids() if _session_of(pid) == leader and life(pid)}


def name_of(pid: int) -> str:
    """A name of the process for a person: its executable, else the name that the process gave itself."""
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "exe").readlink().name
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "comm").read_text(errors="replace").strip()
    return "unknown"


def command_line(pid: int) -> str:
    """The title, with spaces between the arguments. A process can change its title to anything."""
    return _beginning(pid, "cmdline", _MOST_OF_A_TITLE).decode(errors="replace").replace("\0", " ")


def of_user(user: int) -> Set[int]:
    """All living processes of a user, by the number of the real user, whatever they have become since."""
    return {pid for pid in pids() if uids(pid)[:1] == (user,) and life(pid)}


def of_root() -> List[int]:
    """All processes whose four user numbers are root's, the lowest process number first."""
    return [pid for pid in sorted(_owned_by(0)) if uids(pid) == (0, 0, 0, 0)]


def parent(pid: int) -> int:
    """0 when the process is gone, or its parent is not of this machine."""
    return int(status(pid).get("PPid", "0"))


def children(parent: int) -> List[int]:
    """All living children of this process, the lowest number first."""
    return [pid for pid in sorted(pids()) if status(pid).get("PPid") == str(parent) and life(pid)]


def uids(pid: int) -> Tuple[int, ...]:
    """The real, effective, saved and file-system user; empty when the process is gone."""
    with contextlib.suppress(OSError, IndexError):
        text = (_PROC / str(pid) / "status").read_text(errors="replace")
        return tuple(int(number) for number in text.split("\nUid:", 1)[1].split("\n", 1)[0].split())
    return ()


def executable(pid: int) -> str:
    """The file that the process runs, by the kernel's word. After an upgrade another file has that name."""
    with contextlib.suppress(OSError):
        return os.readlink(_PROC / str(pid) / "exe").removesuffix(" (deleted)")  # noqa: PTH115
    return ""


def shares(pid: int, *kinds: str) -> bool:
    """Is the process in the same namespaces of these kinds as this one?"""
    with contextlib.suppress(OSError):
        spaces = ([(_PROC / who / "ns" / kind).readlink() for kind in kinds] for who in (str(pid), "self"))
        return next(spaces) == next(spaces)
    return False


def control_groups(pid: int) -> Set[str]:
    """The paths of the control groups in which systemd keeps the process, of both versions of cgroups."""
    with contextlib.suppress(OSError):
        return systemd_groups((_PROC / str(pid) / "cgroup").read_text(errors="replace"))
    return set()


def systemd_groups(text: str) -> Set[str]:
    """Of /proc/PID/cgroup, with lines `number:controllers:path`. A path may hold a form feed, but no line feed."""
    rows = (line.split(":", 2) for line in text.split("\n"))
    return {row[2] for row in rows if len(row) == 3 and row[1] in ("", "name=systemd")}


def status(pid: int) -> Dict[str, str]:
    """The fields of the kernel's status of a process; empty when the process is gone."""
    with contextlib.suppress(OSError):
        lines = (_PROC / str(pid) / "status").read_text(errors="replace").split("\n")  # a name may hold a form feed
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {}


def resident(pids: Set[int]) -> int:
    """Bytes of memory that these processes hold."""
    return sum(_kilobytes(status(pid).get("VmRSS", "")) for pid in pids)


def available_memory() -> int:
    """Bytes that programs could have without swapping, by the kernel's estimate."""
    return _memory("MemAvailable")


def total_memory() -> int:
    return _memory("MemTotal")


def _memory(name: str) -> int:
    lines = (_PROC / "meminfo").read_text().splitlines()
    values = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return _kilobytes(values.get(name, ""))


def has_lock(pid: int, inode: int) -> bool:
    """Does this process hold a flock(2) on the file with this inode?"""
    for line in (_PROC / "locks").read_text().splitlines():
        fields = line.split()
        if fields[1:2] == ["FLOCK"] and fields[4] == str(pid) and fields[5].split(":")[-1] == str(inode):
            return True
    return False


def lock_holder(status: os.stat_result) -> int:
    """The process that holds a flock(2) on this file; 0 when none does. Two file systems can have one inode number."""
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    rows = (line.split() for line in (_PROC / "locks").read_text().splitlines())
    return next((int(row[4]) for row in rows if row[1:2] == ["FLOCK"] and row[5] == file), 0)


def _kilobytes(text: str) -> int:
    """Such as `1234 kB`, in bytes."""
    digits = text.split()[:1]
    return int(digits[0]) * 1024 if digits and digits[0].isdigit() else 0


def pids() -> Iterator[int]:
    """The number of every process that this one can see."""
    return (int(name) for name in os.listdir(_PROC) if name.isdigit())  # noqa: PTH208


def _owned_by(user: int) -> Iterator[int]:
    """Quicker than `uids`, but `uids` decides: a process that cannot be dumped counts as root's here."""
    for pid in pids():
        with contextlib.suppress(OSError):
            if os.stat(f"{_PROC}/{pid}").st_uid == user:  # noqa: PTH116
                yield pid


def _session_of(pid: int) -> Optional[int]:
    with contextlib.suppress(OSError):
        return os.getsid(pid)
    return None


def _beginning(pid: int, name: str, most: int) -> bytes:
    """The beginning of a file that the process itself can make as long as it likes."""
    with contextlib.suppress(OSError), (_PROC / str(pid) / name).open("rb") as file:
        return file.read(most)
    return b""
