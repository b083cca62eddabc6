"""Too little memory for some processes of a booted server. It has no memory controller of its own, its host has one."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.booted_server import Server
from harness.world import wait_until

MEMORY = Path("/sys/fs/cgroup/memory")  # of the first version of control groups


def why_not() -> str | None:
    """What this machine lacks for it."""
    there = (MEMORY / "memory.limit_in_bytes").exists()
    return None if there else "no memory controller of cgroup v1, which could hold processes beside those of systemd"


@contextmanager
def little_memory(server: Server, numbers: Collection[int], megabytes: int) -> Iterator[None]:
    """From now on these processes may use so much more, together; then the kernel chooses one of them to end.

    By their numbers in there. What they hold already counts for whom it chooses, and not for the limit.
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
            with suppress(ProcessLookupError):  # it may just end
                (MEMORY / "cgroup.procs").write_text(pid)
        wait_until(lambda: (group / "cgroup.procs").read_text() == "")
        group.rmdir()
