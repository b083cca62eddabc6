"""What the kernel says of processes and sockets, read from /proc. Looks only."""

import contextlib
import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Set

from teal_host.wire.values import dataclass

_PROC = Path("/proc")
_LISTEN, _ESTABLISHED = "0A", "01"
_SIOCGIFADDR = 0x8915
_GLOBAL = "00"  # of an IPv6 address: valid everywhere


@dataclass(frozen=True)
class Life:
    """One process, told apart from a later one with the same number by its start and the boot."""

    pid: int
    ticks: int
    boot: str


@dataclass(frozen=True)
class Socket:
    address: str
    port: int
    inode: int


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
    for pid in _pids():
        with contextlib.suppress(OSError):
            if wanted in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.add(pid)
    return {pid for pid in found if life(pid)}


def session(leader: int) -> Set[int]:
    """All living processes of one session (setsid)."""
    return {pid for pid in _pids() if _session_of(pid) == leader and life(pid)}


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
    return {pid for pid in _pids() if _owner(pid) == user and life(pid)}


def titled(beginning: str) -> List[int]:
    """All living processes of this machine whose command line begins so, the oldest number first."""
    return [pid for pid in sorted(_pids()) if " ".join(command_line(pid)).startswith(beginning) and life(pid)]


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


def addresses() -> List[str]:
    """The IPv4 addresses of this machine that are not loopback (netdevice(7), SIOCGIFADDR)."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                told = fcntl.ioctl(asked, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                found.append(socket.inet_ntoa(told[20:24]))
    return [address for address in found if not address.startswith("127.")]


def addresses_v6() -> List[str]:
    """The IPv6 addresses of this machine that reach beyond its own network."""
    found = []
    with contextlib.suppress(OSError):
        for line in (_PROC / "net/if_inet6").read_text().splitlines():
            digits, _, _, scope, *_ = line.split()
            if scope == _GLOBAL:
                found.append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)))
    return found


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


def has_ipv6() -> bool:
    return (_PROC / "net/if_inet6").exists()


def listeners(port: Optional[int] = None) -> List[Socket]:
    """All listening TCP sockets of this network namespace, or those on one port."""
    rows = [row for state, row in _sockets() if state == _LISTEN]
    return [row for row in rows if port is None or row.port == port]


def connections(port: int) -> int:
    """How many connections are established to this local port."""
    return sum(1 for state, row in _sockets() if state == _ESTABLISHED and row.port == port)


def sockets_of(pids: Set[int]) -> Set[int]:
    """The inodes of all sockets that these processes hold."""
    return {inode for pid in pids for inode in _inodes(pid)}


def describe_holder(inode: int) -> str:
    """Who holds this socket, for a person."""
    pid = holder(inode)
    return f"{name_of(pid)} (process {pid})" if pid else "a process of another user"


def holder(inode: int) -> Optional[int]:
    """A process that holds this socket, if we may see it."""
    return next((pid for pid in _pids() if inode in set(_inodes(pid))), None)


def _kilobytes(text: str) -> int:
    """Such as `1234 kB`, in bytes."""
    digits = text.split()[:1]
    return int(digits[0]) * 1024 if digits and digits[0].isdigit() else 0


def _pids() -> Iterator[int]:
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


def _inodes(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for descriptor in os.scandir(_PROC / str(pid) / "fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(descriptor.path)  # noqa: PTH115
                if target.startswith("socket:["):
                    yield int(target[8:-1])


def _sockets() -> "Iterator[tuple[str, Socket]]":
    """The state and the local end of every TCP socket."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                address, port = fields[1].split(":")
                yield fields[3], Socket(_address(address), int(port, 16), int(fields[9]))


_KNOWN: Dict[str, str] = {}


def _address(text: str) -> str:
    """The kernel writes addresses as words in the machine's own byte order."""
    if text not in _KNOWN:
        words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
        family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
        _KNOWN[text] = socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))
    return _KNOWN[text]
