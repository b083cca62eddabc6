"""Measures what one look of a drain or of a health check costs on a machine with many sockets.

The bench compares the kernel's answer, the kernel's tables, and the old way that made an object of every line of the
tables. The bench needs no root and no server, and uses only loopback.
"""

import argparse
import os
import resource
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

from bench.asked import at_least_one
from teal_host.ground import sock_diag, sockets
from teal_host.ground.sockets import Listeners, Socket
from teal_host.steps import drain

_LOOKS = 10
_SPARE_FILES = 200
_TEAL_DRAIN_S = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/looks", description=__doc__)
    parser.add_argument(
        "--sockets", type=at_least_one, default=20_000, help="sockets on this machine (default: 20,000)"
    )
    count = parser.parse_args().sockets
    _allow_files(count // 2 + count // 200 + _SPARE_FILES)
    with ExitStack() as stack:
        own = _opened(stack, count // 2)
        print("| a look | ms of a processor | of a drain of 30 s, % |\n| --- | ---: | ---: |")
        _print("before: an object of each socket", lambda: _before(own), paused=False)
        with mock.patch.object(sock_diag, "tcp", side_effect=OSError):
            _print("from the tables", lambda: _drain_look(own))
            _print("from the tables, health", lambda: _health_look(own))
        _print("by sock_diag", lambda: _drain_look(own))
        _print("by sock_diag, health", lambda: _health_look(own))
    return 0


def _opened(stack: ExitStack, connections: int) -> Socket:
    """Opens this many connections to one port, both ends in this process.

    A second listener has no client, which is the worst case.
    """
    idle = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    for number in range(connections):
        if number % 100 == 0:  # a connection that nobody accepts takes no file of this process
            busy = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100))
        stack.enter_context(socket.create_connection(busy.getsockname()))
    (own,) = sockets.listeners(idle.getsockname()[1])
    return own


def _drain_look(own: Socket) -> bool:
    """Does what `is_quiet` does, for an nginx that is this process."""
    mine = Listeners(tuple(row for row in sockets.listeners() if row.inode == own.inode), (), False)
    return mine.have_connections()


def _health_look(own: Socket) -> bool:
    return sockets.held({row.inode for row in sockets.listeners(own.port)}, [os.getpid()]) == {own.inode}


def _before(own: Socket) -> bool:
    rows = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            rows.append((fields[3], Socket(address, int(port, 16), int(fields[9]))))
    return any(state == "01" and row.port == own.port for state, row in rows)


def _print(name: str, look: Callable[[], bool], paused: bool = True) -> None:
    """`paused` is the pause of today's drain. The earlier drain looked every 20 ms."""
    began = time.process_time()
    for _ in range(_LOOKS):
        look()
    each_s = (time.process_time() - began) / _LOOKS
    passed_s = worked_s = 0.0
    while passed_s < _TEAL_DRAIN_S:
        passed_s += each_s + (drain.pause_s(passed_s, each_s) if paused else 0.02)
        worked_s += each_s
    share = "" if name.endswith("health") else f"{100 * worked_s / passed_s:.2f}"
    print(f"| {name} | {1000 * each_s:.2f} | {share} |", flush=True)


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), max(hard, count)))
    except (PermissionError, ValueError):
        raise SystemExit(f"this shell allows {hard} open files, {count} are needed: fewer --sockets") from None
