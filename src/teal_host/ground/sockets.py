"""What the kernel says of sockets and addresses, by sock_diag, from /proc and by ioctl. Reads only.

A machine may have many thousand sockets, and a drain looks again and again. So no look makes an object of a socket that
nobody asked for.
"""

import contextlib
import fcntl
import os
import re
import socket
import stat
import struct
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from teal_host.ground import sock_diag
from teal_host.ground.processes import name_of, pids
from teal_host.ground.sock_diag import ESTABLISHED, LISTEN, NO_FILE, UnixRow
from teal_host.wire.values import dataclass

_PROC = Path("/proc")
_UDP_UNCONNECTED = "07"  # takes packets from anybody; a client of a syslog server is connected
_UNIX_ACCEPTS, _UNIX_CONNECTED = "00010000", "03"
_UNIX_LINE = re.compile(
    r"[0-9a-f]+: [0-9A-F]{8} [0-9A-F]{8} (?P<accepts>[0-9A-F]{8}) [0-9A-F]{4} (?P<state>[0-9A-F]{2}) +"
    r"(?P<inode>[0-9]{1,20}) (?P<name>.+)"
)
_FILE_NUMBER = 0xFFFFFFFF  # the kernel tells so much of an inode's number
_ANY, _ANY_IPV6 = "0.0.0.0", "::"  # noqa: S104 - compared, not listened on
_MAPPED = "::ffff:"  # an IPv4 address on an IPv6 socket
_SIOCGIFADDR = 0x8915
_GLOBAL = "00"  # of an IPv6 address: valid everywhere


@dataclass(frozen=True)
class Socket:
    """The local end of a TCP socket; or of a Unix socket, whose address is a path, and whose port is 0."""

    address: str
    port: int
    inode: int

    def is_reached_at(self, address: str) -> bool:
        """Can a client that connects to this address meet this listener?

        The IPv6 wildcard counts for IPv4 addresses too, because /proc does not show IPV6_V6ONLY.
        """
        own, asked = self.address.removeprefix(_MAPPED), address.removeprefix(_MAPPED)
        return own in (asked, _ANY_IPV6) or (own == _ANY and ":" not in asked)

    def accepted(self, connection: "Socket") -> bool:
        """Did this listener accept the connection? A connection keeps the address family of its listener."""
        wildcard = _ANY_IPV6 if ":" in connection.address else _ANY
        return self.port == connection.port and self.address in (connection.address, wildcard)


@dataclass(frozen=True)
class Listeners:
    """Every socket on which one process takes requests. Over UDP (HTTP/3) the kernel knows of no connections."""

    tcp: Tuple[Socket, ...]
    unix: Tuple[str, ...]
    takes_udp: bool

    def have_connections(self) -> bool:
        """Is a client connected, or can that not be known?"""
        ports = {listener.port for listener in self.tcp}
        tcp = (connection for port in ports for connection in _tcp(ESTABLISHED, port))
        unix = (row.name for row in _unix() if row.state == ESTABLISHED)
        return (
            self.takes_udp
            or any(listener.accepted(connection) for connection in tcp for listener in self.tcp)
            or (bool(self.unix) and any(path in self.unix for path in unix))
        )


def addresses() -> List[str]:
    """The IPv4 addresses of this machine that are not loopback (netdevice(7), SIOCGIFADDR)."""
    result = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                reply = fcntl.ioctl(query, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                result.append(socket.inet_ntoa(reply[20:24]))
    return [address for address in result if not address.startswith("127.")]


def addresses_v6() -> List[str]:
    """The IPv6 addresses of this machine that reach beyond its own network."""
    result = []
    with contextlib.suppress(OSError):
        for line in (_PROC / "net/if_inet6").read_text().splitlines():
            digits, _, _, scope, *_ = line.split()
            if scope == _GLOBAL:
                result.append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)))
    return result


def has_ipv6() -> bool:
    return (_PROC / "net/if_inet6").exists()


def listeners(port: Optional[int] = None) -> List[Socket]:
    """All listening TCP sockets of this network namespace, or those on one port."""
    return list(_tcp(LISTEN, port or 0))


def conflicting_listeners(address: str, port: int) -> List[Socket]:
    """The listening TCP sockets beside which bind(2) fails for this address.

    A socket that is to be bound to the IPv6 wildcard takes IPv6 alone, which is nginx's way.
    """
    rows, is_ipv6 = listeners(port), ":" in address
    if address not in (_ANY, _ANY_IPV6):
        return [row for row in rows if row.is_reached_at(address)]
    return [row for row in rows if row.is_reached_at(address) or (":" in row.address) == is_ipv6]


def listeners_of(owner: int) -> Listeners:
    """On what this process listens, whatever the address family."""
    inodes = set(_inodes(owner))
    unix = (row.name for row in _unix() if row.inode in inodes and row.state == LISTEN)
    rows = (row for table in ("udp", "udp6") for row in _fields(table) if row[3] == _UDP_UNCONNECTED)
    udp = any(int(row[9]) in inodes for row in rows)
    return Listeners(tuple(row for row in listeners() if row.inode in inodes), tuple(unix), udp)


def ports_of(owners: Set[int], below: int) -> Set[str]:
    """Where these processes can be met, such as "9090 (tcp)". From `below` on a UDP port may be a client's."""
    inodes = sockets_of(owners)
    tcp = {f"{row.port} (tcp)" for row in listeners() if row.inode in inodes}
    rows = (row for table in ("udp", "udp6") for row in _fields(table) if int(row[9]) in inodes)
    udp = (int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _UDP_UNCONNECTED)
    return tcp | {f"{port} (udp)" for port in udp if port < below}


def connections(port: int) -> int:
    """How many connections are established to this local port."""
    return sum(1 for _ in _tcp(ESTABLISHED, port))


def unix_listeners(path: Path) -> List[Socket]:
    """The sockets that a client may meet who connects to this path. Only one with an address is known to be met: the
    others have the name, which anybody can bind where other files are mounted.
    """
    is_known, rows = _bound_to(path)
    return [Socket(str(path) if is_known else "", 0, row.inode) for row in rows if row.state == LISTEN]


def unix_connections(path: Path) -> int:
    """How many connections were made to this path, accepted or still waiting for that."""
    return sum(row.waiting if row.state == LISTEN else 1 for row in _bound_to(path)[1])


def unix_paths(inodes: Set[int]) -> List[str]:
    """Where these listen, if they are Unix sockets."""
    return [row.name for row in _unix() if row.inode in inodes and row.state == LISTEN]


def listening_inodes() -> Set[int]:
    """Of every socket at which a client may connect, TCP or Unix."""
    unix = {row.inode for row in _unix() if row.state == LISTEN}
    return {row.inode for row in listeners()} | unix


def has_connections(port: int) -> bool:
    return any(True for _ in _tcp(ESTABLISHED, port))


def sockets_of(owners: Set[int]) -> Set[int]:
    """The inodes of all sockets that these processes hold."""
    return {inode for pid in owners for inode in _inodes(pid)}


def held(inodes: Set[int], owners: Iterable[int]) -> Set[int]:
    """Which of these sockets the processes hold. A listener is among the first files of a process, so the search ends
    there, also where a connection a file follows.
    """
    missing = set(inodes)
    for pid in owners:
        for inode in _inodes(pid) if missing else ():
            missing.discard(inode)
            if not missing:
                break
    return inodes - missing


def stranger_among(met: Callable[[], Iterable[Socket]], owners: Callable[[], Set[int]]) -> Optional[Socket]:
    """One of these listeners that is none of the owners'. A socket that was just closed, or handed over, is nobody's,
    so there is a second look.
    """
    strangers: Dict[int, Socket] = {}
    for _ in range(2):  # the listeners before the owners: a process that begins to listen meanwhile is no stranger
        strangers = {listener.inode: listener for listener in met()}
        for inode in held(set(strangers), owners()) if strangers else ():
            del strangers[inode]
        if not strangers:
            return None
    return strangers[min(strangers)]


def first_client_port() -> int:
    """From here on the kernel gives ports to clients."""
    return int((_PROC / "sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def describe_holder(inode: int) -> str:
    """Who holds this socket, for a person."""
    pid = holder(inode)
    return f"{name_of(pid)} (process {pid})" if pid else "a process of another user"


def holder(inode: int) -> Optional[int]:
    """A process that holds this socket, if this process may see it."""
    return next((pid for pid in pids() if inode in set(_inodes(pid))), None)


def _inodes(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError), os.scandir(_PROC / str(pid) / "fd") as descriptors:
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                target = os.readlink(descriptor.path)  # noqa: PTH115
                if target.startswith("socket:["):
                    yield int(target[8:-1])


def _tcp(state: int, port: int = 0) -> Iterator[Socket]:
    """The sockets in this state, on this port; 0: on any."""
    try:
        for row in sock_diag.tcp(state, port):
            yield Socket(*row)
    except OSError:  # as in a container whose filter of system calls knows no sock_diag
        yield from _tcp_of_tables(state, port)


def _tcp_of_tables(state: int, port: int) -> Iterator[Socket]:
    """From /proc/net. A line is compared as text before anything is made of it."""
    local, has_state = f":{port:04X} " if port else ":", f" {state:02X} "
    for table in ("tcp", "tcp6"):
        for line in _lines(table):
            if has_state in line and local in line:
                fields = line.split()
                address, number = fields[1].split(":")
                if int(fields[3], 16) == state and port in (0, int(number, 16)):
                    yield Socket(_address(address), int(number, 16), int(fields[9]))


def _unix() -> Iterator[UnixRow]:
    """Those with a name, listening or connected. An accepted one has the name of its listener."""
    try:
        yield from sock_diag.unix()
    except OSError:
        yield from _unix_of_table()


def _unix_of_table() -> Iterator[UnixRow]:
    """From /proc/net. Anybody may write into a name whatever it wants, a line break too."""
    for line in _lines("unix"):
        row = _UNIX_LINE.fullmatch(line.rstrip("\n"))
        if row and (row["accepts"] == _UNIX_ACCEPTS or row["state"] == _UNIX_CONNECTED):
            state = LISTEN if row["accepts"] == _UNIX_ACCEPTS else ESTABLISHED
            yield UnixRow(state, int(row["inode"]), row["name"], NO_FILE, 0)


def _bound_to(path: Path) -> Tuple[bool, List[UnixRow]]:
    """The sockets at this file, and whether they are known by the file. By the name alone where the kernel does not
    tell the files, or numbers them in another way than stat(2), as of btrfs. None where the path is no socket: nobody
    connects there.
    """
    try:
        file = path.lstat()
    except OSError:
        return False, []
    rows = list(_unix()) if stat.S_ISSOCK(file.st_mode) else []
    key = os.major(file.st_dev), os.minor(file.st_dev), file.st_ino & _FILE_NUMBER
    by_file = [row for row in rows if row.file == key]
    return bool(by_file), by_file or [row for row in rows if row.name == str(path)]


def _fields(table: str) -> "Iterator[Sequence[str]]":
    return (line.split() for line in _lines(table))


def _lines(table: str) -> Iterator[str]:
    """Of a table, without its head."""
    with contextlib.suppress(OSError), (_PROC / "net" / table).open(errors="replace") as file:
        next(file, "")
        yield from file


_KNOWN: Dict[str, str] = {}


def _address(text: str) -> str:
    """The kernel writes addresses as words in the machine's own byte order."""
    if text not in _KNOWN:
        words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
        family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
        _KNOWN[text] = socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))
    return _KNOWN[text]
