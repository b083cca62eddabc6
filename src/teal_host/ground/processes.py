"""What the kernel says of processes, read from /proc. Reads only."""

import contextlib
import os
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Set

from teal_host.wire.values import dataclass

_PROC = Path("/proc")


@dataclass(frozen=True)
class Life:
    """One process, told apart from a later one with the same number by its start and the boot."""

    pid: int
    ticks: int
    boot: str


def life(pid: int) -> Optional[Life]:
    """The process that has this number now, or None. A zombie is none, once its last thread let go of its sockets."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    ended = fields[0] in ("Z", "X") and int(fields[17]) <= 1
    return None if ended else Life(pid, int(fields[19]), boot_id())


def boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def with_env(assignment: str) -> Set[int]:
    """All living processes that were started with NAME=value in their environment, children included."""
    wanted = assignment.encode()
    found = set()
    for pid in pids():
        with contextlib.suppress(OSError):
            if wanted in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.add(pid)
    return {pid for pid in found if life(pid)}


def session(leader: int) -> Set[int]:
    """All living processes of one session (setsid)."""
    return {pid for pid in pids() if _session_of(pid) == leader and life(pid)}


def name_of(pid: int) -> str:
    """What a person calls the process: its executable, else its own word for itself."""
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "exe").readlink().name
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "comm").read_text().strip()
    return "unknown"


def command_line(pid: int) -> List[str]:
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def of_user(user: int) -> Set[int]:
    """All living processes of a user, by its number."""
    return {pid for pid in pids() if _owner(pid) == user and life(pid)}


def titled(beginning: str) -> List[int]:
    """All living processes of this machine whose command line begins so, the oldest number first."""
    return [pid for pid in sorted(pids()) if " ".join(command_line(pid)).startswith(beginning) and life(pid)]


def is_of_this_machine(pid: int) -> bool:
    """Root's own, and in no container: it sees the same processes and the same network."""
    with contextlib.suppress(OSError):
        spaces = (((_PROC / who / "ns" / kind).readlink() for kind in ("pid", "net")) for who in (str(pid), "self"))
        one, other = (list(space) for space in spaces)
        return (_PROC / str(pid)).stat().st_uid == 0 and one == other
    return False


def cgroup(pid: int) -> str:
    """Which unit of systemd keeps it: the path of its control group, one a line."""
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "cgroup").read_text()
    return ""


def status(pid: int) -> Dict[str, str]:
    """What the kernel says of a process, by name; empty when it is gone."""
    with contextlib.suppress(OSError):
        lines = (_PROC / str(pid) / "status").read_text(errors="replace").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {}


def resident(pids: Set[int]) -> int:
    """Bytes of memory that these processes hold."""
    return sum(_kilobytes(status(pid).get("VmRSS", "")) for pid in pids)


def available_memory() -> int:
    """Bytes that could be had without swapping, as the kernel reckons."""
    return _memory("MemAvailable")


def total_memory() -> int:
    return _memory("MemTotal")


def _memory(name: str) -> int:
    lines = (_PROC / "meminfo").read_text().splitlines()
    told = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return _kilobytes(told.get(name, ""))


def has_lock(pid: int, inode: int) -> bool:
    """Does this process hold a flock(2) on the file with this inode?"""
    for line in (_PROC / "locks").read_text().splitlines():
        fields = line.split()
        if fields[1:2] == ["FLOCK"] and fields[4] == str(pid) and fields[5].split(":")[-1] == str(inode):
            return True
    return False


def _kilobytes(text: str) -> int:
    """Such as `1234 kB`, in bytes."""
    digits = text.split()[:1]
    return int(digits[0]) * 1024 if digits and digits[0].isdigit() else 0


def pids() -> Iterator[int]:
    """The number of every process that this one can see."""
    return (int(name) for name in os.listdir(_PROC) if name.isdigit())  # noqa: PTH208


def _session_of(pid: int) -> Optional[int]:
    with contextlib.suppress(OSError):
        return os.getsid(pid)
    return None


def _owner(pid: int) -> Optional[int]:
    """The real one. The owner of the directory would be root for a process that has changed its user."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = (_PROC / str(pid) / "status").read_text(errors="replace")
        return int(status.split("\nUid:", 1)[1].split(None, 1)[0])
    return None
