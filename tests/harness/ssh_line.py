"""Gives each ssh command its own connection, through a process that a test can stop: then the line is silent.

Neither side sees the connection end. ssh runs this file as its ProxyCommand:

    python ssh_line.py PID ADDRESS      PID is a file for the PID of this process
"""

import os
import select
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Line:
    """The connection of the command that started last."""

    pid: Path

    def falls_silent(self) -> None:
        os.kill(int(self.pid.read_text()), signal.SIGSTOP)

    def is_silent(self) -> bool:
        """Whether the process still exists and is stopped."""
        with suppress(OSError):
            return Path(f"/proc/{self.pid.read_text()}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        return False

    def goes_on(self) -> None:
        with suppress(OSError):
            os.kill(int(self.pid.read_text()), signal.SIGCONT)


@contextmanager
def own_line(world: Any, server: Any, *options: str) -> Iterator[Line]:
    """Gives the commands of this world such connections. `options` of ssh come before Teal's own, so they win."""
    programs = world.home / "line"
    programs.mkdir(exist_ok=True)
    line = Line(programs / "pid")
    proxy = shlex.join([sys.executable, __file__, str(line.pid), server.address])
    argv = [shutil.which("ssh", path="/usr/bin") or "", "-F", str(server.ssh_config), "-o", f"ProxyCommand={proxy}"]
    wrapper = programs / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join([*argv, *options])} "$@"\n')
    wrapper.chmod(0o755)
    before, world.path = world.path, str(programs)
    try:
        yield line
    finally:
        world.path = before
        line.goes_on()


def main(pid: str, address: str) -> None:
    Path(pid).write_text(str(os.getpid()))
    with socket.create_connection((address, 22)) as line:
        ways = {0: line.fileno(), line.fileno(): 1}
        while True:
            for source in select.select(list(ways), [], [])[0]:
                data = os.read(source, 65536)
                if not data:
                    return
                while data:
                    data = data[os.write(ways[source], data) :]


if __name__ == "__main__":
    main(*sys.argv[1:])
