"""Ask the kernel for the TCP sockets of one state, and of one port, or for the Unix sockets (sock_diag(7)).

A table such as /proc/net/tcp has a line for every socket of the machine, and a look at it costs by their number. Here
the kernel filters, and an answer is read only as far as somebody wants it.
"""

import os
import socket
import struct
from typing import Callable, Dict, Iterator, NamedTuple, Tuple, TypeVar

LISTEN, ESTABLISHED = 10, 1
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP = 20, 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, number, port
_QUESTION = struct.Struct("=4BI")  # inet_diag_req_v2: family, protocol, extensions, padding, states as bits
_ENDS = struct.Struct(">HH16s16s12x")  # inet_diag_sockid: ports and addresses
_ANSWER = struct.Struct("=4B48s4II")  # inet_diag_msg: family, state …, its ends, …, inode
_UNIX_QUESTION = struct.Struct("=BBHIII8x")  # unix_diag_req: family, protocol, padding, states, inode, what to show
_UNIX_ANSWER = struct.Struct("=4BI8x")  # unix_diag_msg: family, type, state, padding, inode
_NAME, _FILE, _QUEUE = 0, 1, 4  # UNIX_DIAG_NAME, _VFS, _RQLEN: an attribute's number, and its bit in what to show
_MINOR_BITS = 20  # of a device, as the kernel has it
_BYTES = 64 * 1024  # of one answer of the kernel
_WITHIN_S = 5.0


class Row(NamedTuple):
    """The local end of a socket."""

    address: str
    port: int
    inode: int


class UnixRow(NamedTuple):
    """`file`: device (major, minor) and inode of the file to which it is bound, which an accepted socket shares with
    its listener; NO_FILE where it is bound to none, and where the kernel does not tell. `waiting`: of a listener, how
    many connections it has not accepted yet; they have no row of their own.
    """

    state: int
    inode: int
    name: str
    file: Tuple[int, int, int]
    waiting: int


NO_FILE = (0, 0, 0)
_Row = TypeVar("_Row")


def tcp(state: int, port: int = 0) -> Iterator[Row]:
    """The TCP sockets in this state, on this port; 0: on any. Raises OSError where the kernel does not say."""
    for family in (socket.AF_INET, socket.AF_INET6):
        yield from _dump(_question(family, state, port), _row)


def unix() -> Iterator[UnixRow]:
    """The Unix sockets that have a name, listening or connected. Raises OSError as `tcp` does."""
    show = 1 << _NAME | 1 << _FILE | 1 << _QUEUE
    states = 1 << LISTEN | 1 << ESTABLISHED
    body = _UNIX_QUESTION.pack(socket.AF_UNIX, 0, 0, states, 0, show)
    return (row for row in _dump(_message(body), _unix_row) if row.name)


def _dump(question: bytes, row: Callable[[memoryview], _Row]) -> Iterator[_Row]:
    try:
        yield from _rows(question, row)
    except (struct.error, ValueError) as error:
        raise OSError(f"the kernel's answer is cut: {error}") from None


def _rows(question: bytes, row: Callable[[memoryview], _Row]) -> Iterator[_Row]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(_WITHIN_S)
        kernel.send(question)
        more = True
        while more:
            answer = memoryview(kernel.recv(_BYTES))
            while answer:
                length, kind, *_ = _HEADER.unpack_from(answer)
                if length < _HEADER.size:
                    raise ValueError(f"a message of {length} bytes")
                if kind in (_ERROR, _DONE):  # the end of a list has the error that cut it
                    _check(answer)
                    more = False
                    break
                yield row(answer[:length])
                answer = answer[(length + 3) & ~3 :]


def _question(family: int, state: int, port: int) -> bytes:
    body = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << state) + _ENDS.pack(port, 0, b"", b"")
    return _message(body)


def _message(body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 0, 0) + body


def _check(answer: memoryview) -> None:
    (number,) = struct.unpack_from("=i", answer, _HEADER.size)
    if number:
        raise OSError(-number, os.strerror(-number))


def _row(answer: memoryview) -> Row:
    family, _, _, _, ends, *_, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    port, _, address, _ = _ENDS.unpack(ends)
    return Row(socket.inet_ntop(family, address[: 4 if family == socket.AF_INET else 16]), port, inode)


def _unix_row(answer: memoryview) -> UnixRow:
    _, _, state, _, inode = _UNIX_ANSWER.unpack_from(answer, _HEADER.size)
    shown = _attributes(answer[_HEADER.size + _UNIX_ANSWER.size :])
    name = shown.get(_NAME, b"").rstrip(b"\0").decode(errors="surrogateescape")
    number, device = struct.unpack("=II", shown.get(_FILE, bytes(8)))
    waiting, _ = struct.unpack("=II", shown.get(_QUEUE, bytes(8)))
    file = device >> _MINOR_BITS, device & ((1 << _MINOR_BITS) - 1), number
    return UnixRow(state, inode, name, file, waiting if state == LISTEN else 0)


def _attributes(rest: memoryview) -> Dict[int, bytes]:
    """nlattr: length, number, value; each begins at a multiple of four."""
    shown: Dict[int, bytes] = {}
    while len(rest) >= 4:
        length, number = struct.unpack_from("=HH", rest)
        shown[number] = bytes(rest[4:length])
        rest = rest[max(4, (length + 3) & ~3) :]
    return shown
