"""A visitor whose upload is under way while something happens."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def upload(connection: socket.socket) -> Iterator[socket.socket]:
    """Sends half of an upload. tests/apps/program.py echoes a whole one."""
    with connection as visitor:
        head = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\n"
        visitor.sendall(f"{head}Content-Length: 23\r\n\r\nfirst half, ".encode())
        yield visitor


def finish(visitor: socket.socket) -> bytes:
    """Sends the other half. Returns the answer, which names the color on which the upload began."""
    visitor.sendall(b"second half")
    answer = b"".join(iter(lambda: visitor.recv(4096), b""))  # head and body may come separately
    visitor.close()
    return answer
