"""How much memory a command takes, and a memory limit for some processes of a booted server.

The limit needs a host that has a memory controller.
"""

import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.booted_server import Server
from harness.world import PATIENCE_S, App, wait_until

_MEASURE = """\
import resource, subprocess, sys
done = subprocess.run(sys.argv[2:], stdout=open(sys.argv[1], "wb"))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""
MEMORY = Path("/sys/fs/cgroup/memory")  # cgroup v1


def peak_of(app: App, arguments: list[str], output: Path) -> int:
    """Kilobytes that the largest process of a command took: of the client, or for a local target of the server side."""
    argv = [sys.executable, "-c", _MEASURE, str(output), *app.world.argv(*arguments)]
    done = subprocess.run(
        argv, cwd=app.directory, env=app.world.env, capture_output=True, text=True, timeout=10 * PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def peak_so_far(status: str) -> int:
    """Kilobytes, by the text of a /proc/PID/status."""
    match = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert match
    return int(match[1])


def why_not() -> str | None:
    """Says what this host lacks for memory limits; None if it lacks nothing."""
    if (MEMORY / "memory.limit_in_bytes").exists():
        return None
    return "no memory controller of cgroup v1, which could hold processes beside those of systemd"


@contextmanager
def little_memory(server: Server, numbers: Collection[int], megabytes: int) -> Iterator[None]:
    """Limits the further memory of these processes, together. At the limit the kernel kills one of them.

    `numbers` are PIDs on the server. Memory that the processes already hold counts for the choice, but not for the
    limit.
    """
    with _limited(server, numbers, MEMORY, "memory.limit_in_bytes", megabytes << 20):
        yield


@contextmanager
def few_tasks(server: Server, numbers: Collection[int], most: int) -> Iterator[None]:
    """Limits how many processes and threads these processes and their children may be, together."""
    with _limited(server, numbers, MEMORY.with_name("pids"), "pids.max", most):
        yield


@contextmanager
def _limited(server: Server, numbers: Collection[int], root: Path, file: str, limit: int) -> Iterator[None]:
    group = root / f"teal-{server.name}"
    group.mkdir()
    try:
        (group / file).write_text(str(limit))
        for number in numbers:
            (group / "cgroup.procs").write_text(str(server.seen_from_here(number)))
        yield
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):  # the process may end meanwhile
                (root / "cgroup.procs").write_text(pid)
        wait_until(lambda: (group / "cgroup.procs").read_text() == "")
        group.rmdir()
