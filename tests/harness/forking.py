"""The process that has imported `teal` and forks for each command. See `forks`.

    python forking.py FD

FD is a socket. Each message is [arguments, directory, environment], and comes with the streams of the command and a
pipe. A fork between this process and the command waits for the command, because only a parent learns the exit code.
"""

import gc
import importlib
import json
import os
import signal
import socket
import struct
import sys
from dataclasses import replace

NUMBER = struct.Struct("i")
READY = b"!"


def prepare() -> None:
    """Imports each command, packs the server side, and compiles what a local command sends."""
    import compiled  # type: ignore[import-not-found]

    sys.path.remove(os.path.dirname(__file__))
    from teal import cli, transports
    from teal.pipe import bootstrap

    for name in cli.COMMANDS:
        importlib.import_module(f"teal.cli.{name}")
    for server in (False, True):
        bootstrap.payload(server)
    code = os.memfd_create("compiled")
    with open(code, "wb", closefd=False) as file:
        file.write(compiled.table())
    with_code = (compiled.__file__, f"/proc/{os.getpid()}/fd/{code}")
    local = vars(transports)["local"]

    def quick() -> transports.Transport:
        chosen: transports.Transport = local()
        return replace(chosen, python=(*chosen.python, *with_code))

    vars(transports)["local"] = quick
    gc.collect()
    gc.freeze()


def wait_for_command(line: socket.socket) -> None:
    """Returns in the fork that is to be the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody collects the forks that wait
    while True:
        message, fds, _, _ = socket.recv_fds(line, 1 << 20, 4)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            line.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if not report(fds):
                return become(message, fds)
        for fd in fds:
            os.close(fd)


def report(fds: list[int]) -> bool:
    """Forks again. Tells the PID and the exit code of that fork, which gets False."""
    pid = os.fork()
    if not pid:
        return False
    for fd in fds[:3]:
        os.close(fd)
    os.write(fds[3], NUMBER.pack(pid))
    os.write(fds[3], NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    os._exit(0)


def become(message: bytes, fds: list[int]) -> None:
    arguments, directory, env = json.loads(message)
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
    for fd in fds:
        os.close(fd)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:] = arguments


if __name__ == "__main__":
    prepare()
    with socket.socket(fileno=int(sys.argv[1])) as line:
        line.send(READY)
        wait_for_command(line)
    from teal.cli import main

    main()
