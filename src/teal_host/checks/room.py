"""Room for the next release: on the disk, and in memory for two copies of the program."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional

from teal_host.checks.base import Visit, fault, ok, there, warning
from teal_host.ground import processes
from teal_host.wire.reports import Finding

_LEAST_BYTES = 50_000_000  # for records, logs and what else grows
_LEAST_FILES = 1000
_FULL = 0.9
_SPARE = 1.5  # times the live copy
_UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


@dataclass(frozen=True)
class Disk:
    """Of a file system: bytes and files (inodes; none are counted by some), what is there and what is left."""

    size: int
    free: int
    files: int
    files_free: int


@dataclass(frozen=True)
class Memory:
    """In bytes. `available` as the kernel reckons; what the two colors hold; `limit` of each, if there is one."""

    available: int
    live: int
    standby: int
    limit: Optional[int] = None


def check(visit: Visit) -> Iterator[Finding]:
    newest = visit.records[-1].bytes if visit.records else 0
    seen = set()
    for path in (visit.app.paths.home, visit.app.paths.data):
        place = next(one for one in (path, *path.parents) if one.is_dir())
        if place.stat().st_dev not in seen:
            seen.add(place.stat().st_dev)
            yield disk(path, _disk(place), 2 * newest)
    if visit.slots.live:
        yield memory(_memory(visit))


def disk(path: Path, found: Disk, next_release: int) -> Finding:
    """`next_release`: bytes of the next release and its copy, as the last one was."""
    needed = next_release + _LEAST_BYTES
    left = f"{_size(found.free)} of {_size(found.size)} are free for {path}"
    hint = there("du -xh -d2 /var | sort -h | tail, and make room")
    if found.free < needed:
        return fault("disk", f"{left}; a deploy may need {_size(needed)}", hint)
    if found.files and found.files_free < _LEAST_FILES:
        return fault("disk", f"{left}, but only {found.files_free} more files can be made", hint)
    if found.size and found.free < (1 - _FULL) * found.size:
        return warning("disk", f"{left}: {100 - 100 * found.free // found.size} % full", hint)
    if found.files and found.files_free < (1 - _FULL) * found.files:
        return warning("disk", f"{left}, but {100 - 100 * found.files_free // found.files} % of its files", hint)
    return ok("disk", left)


def memory(found: Memory) -> Finding:
    """A deploy ends the standby, then starts a second copy beside the live one."""
    if found.limit and found.live > _FULL * found.limit:
        says = f"the live color holds {_size(found.live)} of the {_size(found.limit)} that it may"
        return warning("memory", says, "raise [sandbox] memory_mb in teal.toml, then teal setup")
    room = found.available + found.standby
    says = f"the live color holds {_size(found.live)}, and {_size(room)} are left for a second copy"
    hint = "a bigger server, or [keep] previous_running = false"
    if room < found.live:
        return fault("memory", says, hint)
    return warning("memory", says, hint) if room < _SPARE * found.live else ok("memory", says)


def _disk(path: Path) -> Disk:
    found = os.statvfs(path)
    unit = found.f_frsize
    return Disk(found.f_blocks * unit, found.f_bavail * unit, found.f_files, found.f_favail)


def _memory(visit: Visit) -> Memory:
    live, idle = visit.slots.live, visit.slots.idle
    assert live, "asked of a live app"
    limit = visit.agreed.sandbox.memory_mb
    held = [processes.resident(visit.pids(color)) for color in (live, idle)]
    return Memory(processes.available_memory(), held[0], held[1], limit * 1024 * 1024 if limit else None)


def _size(count: int) -> str:
    name, unit = next(((name, unit) for name, unit in _UNITS if count >= unit), _UNITS[-1])
    return f"{count / unit:.1f} {name}" if count < 10 * unit else f"{count / unit:.0f} {name}"
