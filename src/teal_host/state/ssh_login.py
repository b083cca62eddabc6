"""How the client of this server side logged in: by the word of the kernel and of sshd, never by the client's."""

import functools
import os
import re
import time
from typing import Dict, Optional, Union

from teal_host.ground import processes
from teal_host.ground.errors import CannotRun
from teal_host.ground.processes import Life
from teal_host.ground.run import run

_READ_S = 5.0
# The CA's words are in the middle, so they cannot add a fingerprint to the line. sshd cuts a line that is too long.
_ACCEPTED = re.compile(
    r"Accepted publickey for \S+ from \S+ port \d+ ssh2: \S+-CERT (SHA256:\S+)"
    r" ID (.*) \(serial ([0-9]{1,20})\) CA \S+ (SHA256:\S+)"
)
Certificate = Dict[str, Union[str, int]]


def age_s() -> float:
    """How long the connection exists; without end where nobody knows."""
    known = connection()
    return _age_of(known) if known else float("inf")


@functools.lru_cache(maxsize=1)
def certificate(ca: str) -> Optional[Certificate]:
    """The certificate of this connection, which this CA has signed: as sshd wrote it into the system's log, or None."""
    known = connection()
    try:
        line = _accepted(known) if known else ""
    except CannotRun:
        return None
    match = _ACCEPTED.fullmatch(line)
    if match is None or match[4] != ca:
        return None
    return {"key": match[1], "id": match[2], "serial": int(match[3])}


def _accepted(of: Life) -> str:
    """journald itself says which process wrote a line, and whose the process is. When this process began, the client
    was there, so a later process with sshd's number wrote its lines later. An old line needs no sync, which can wait.
    """
    me = processes.life(os.getpid()) or of
    since, until = (f"@{time.time() - _age_of(life) + more:.0f}" for life, more in ((of, -1), (me, 1)))
    form = ["--output=cat", "--no-pager", "--quiet", "--lines=1", "--grep=^Accepted publickey "]
    of_sshd = [f"_PID={of.pid}", "_UID=0", f"--since={since}", f"--until={until}"]
    for sync in (False, True):
        if sync:
            run(["journalctl", "--sync"], _READ_S)
        last = run(["journalctl", *form, *of_sshd], _READ_S).output.rstrip("\n").rpartition("\n")[2]
        if last.startswith("Accepted "):  # journalctl's own words on damaged files come first
            return last
    return ""


@functools.lru_cache(maxsize=1)
def connection() -> Optional[Life]:
    """sshd's process for this connection: root's nearest one above those of the user who has logged in. A client that
    hangs up takes it along, so it is asked for while the client is there.
    """
    pid, of_the_user = os.getpid(), False
    while pid > 1:
        pid = processes.parent(pid)
        if processes.uids(pid) != (0, 0, 0, 0):
            of_the_user = True
        elif of_the_user:
            return processes.life(pid)
    return None


def _age_of(connection: Life) -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) - connection.ticks / os.sysconf("SC_CLK_TCK")
