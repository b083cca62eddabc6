"""A memory limit for some processes of a booted server. The server has no memory controller, but its host has one."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.booted_server import Server
from harness.world import wait_until

MEMORY = Path("/sys/fs/cgroup/memory")  # cgroup v1


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
    group = MEMORY / f"teal-{server.name}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(megabytes << 20))
        for number in numbers:
            (group / "cgroup.procs").write_text(str(server.seen_from_here(number)))
        yield
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):  # the process may end meanwhile
                (MEMORY / "cgroup.procs").write_text(pid)
        wait_until(lambda: (group / "cgroup.procs").read_text() == "")
        group.rmdir()
