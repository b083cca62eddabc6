"""Ask the kernel for the TCP sockets of one state, and of one port (sock_diag(7)).

A table such as /proc/net/tcp has a line for every socket of the machine, and a look at it costs by their number. Here
the kernel filters, and an answer is read only as far as somebody wants it.
"""

import os
import socket
import struct
from typing import Iterator, NamedTuple

LISTEN, ESTABLISHED = 10, 1
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP = 20, 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, number, port
_QUESTION = struct.Struct("=4BI")  # inet_diag_req_v2: family, protocol, extensions, padding, states as bits
_ENDS = struct.Struct(">HH16s16s12x")  # inet_diag_sockid: ports and addresses
_ANSWER = struct.Struct("=4B48s4II")  # inet_diag_msg: family, state …, its ends, …, inode
_BYTES = 64 * 1024  # of one answer of the kernel
_WITHIN_S = 5.0


class Row(NamedTuple):
    """The local end of a socket."""

    address: str
    port: int
    inode: int


def tcp(state: int, port: int = 0) -> Iterator[Row]:
    """The TCP sockets in this state, on this port; 0: on any. Raises OSError where the kernel does not say."""
    try:
        for family in (socket.AF_INET, socket.AF_INET6):
            yield from _dump(family, state, port)
    except (struct.error, ValueError) as error:
        raise OSError(f"the kernel's answer is cut: {error}") from None


def _dump(family: int, state: int, port: int) -> Iterator[Row]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(_WITHIN_S)
        kernel.send(_question(family, state, port))
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
                yield _row(answer)
                answer = answer[(length + 3) & ~3 :]


def _question(family: int, state: int, port: int) -> bytes:
    body = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << state) + _ENDS.pack(port, 0, b"", b"")
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 0, 0) + body


def _check(answer: memoryview) -> None:
    (number,) = struct.unpack_from("=i", answer, _HEADER.size)
    if number:
        raise OSError(-number, os.strerror(-number))


def _row(answer: memoryview) -> Row:
    family, _, _, _, ends, *_, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    port, _, address, _ = _ENDS.unpack(ends)
    return Row(socket.inet_ntop(family, address[: 4 if family == socket.AF_INET else 16]), port, inode)
