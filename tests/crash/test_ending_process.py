"""A process that is ending still holds its port. Teal must not start the next program on the port too early."""

import platform
import signal
import subprocess
import sys
from pathlib import Path

from harness.world import free_ports, wait_until
from teal_host.ground import processes, sockets

END_THIS_THREAD = {"x86_64": 60, "aarch64": 93}[platform.machine()]  # the number of the system call exit(2)
PROGRAM = f"""
import ctypes, socket, sys, threading, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
threading.Thread(target=time.sleep, args=(3600,)).start()
ctypes.CDLL(None).syscall({END_THIS_THREAD}, 0)
"""


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_process_lives_until_its_last_thread_has_ended() -> None:
    (port,) = free_ports(1)
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(port)]) as process:
        try:
            wait_until(lambda: state_of(process.pid) == "Z")
            assert sockets.listeners(port)
            assert processes.life(process.pid)
            process.send_signal(signal.SIGKILL)
            wait_until(lambda: processes.life(process.pid) is None)
            assert not sockets.listeners(port)
        finally:
            process.kill()
