"""What the kernel says of TCP sockets and addresses, read from /proc and by ioctl. Reads only."""

import contextlib
import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Set

from teal_host.ground.processes import name_of, pids
from teal_host.wire.values import dataclass

_PROC = Path("/proc")
_LISTEN, _ESTABLISHED = "0A", "01"
_SIOCGIFADDR = 0x8915
_GLOBAL = "00"  # of an IPv6 address: valid everywhere


@dataclass(frozen=True)
class Socket:
    address: str
    port: int
    inode: int


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


def has_ipv6() -> bool:
    return (_PROC / "net/if_inet6").exists()


def listeners(port: Optional[int] = None) -> List[Socket]:
    """All listening TCP sockets of this network namespace, or those on one port."""
    rows = [row for state, row in _sockets() if state == _LISTEN]
    return [row for row in rows if port is None or row.port == port]


def connections(port: int) -> int:
    """How many connections are established to this local port."""
    return sum(1 for state, row in _sockets() if state == _ESTABLISHED and row.port == port)


def sockets_of(owners: Set[int]) -> Set[int]:
    """The inodes of all sockets that these processes hold."""
    return {inode for pid in owners for inode in _inodes(pid)}


def describe_holder(inode: int) -> str:
    """Who holds this socket, for a person."""
    pid = holder(inode)
    return f"{name_of(pid)} (process {pid})" if pid else "a process of another user"


def holder(inode: int) -> Optional[int]:
    """A process that holds this socket, if we may see it."""
    return next((pid for pid in pids() if inode in set(_inodes(pid))), None)


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
