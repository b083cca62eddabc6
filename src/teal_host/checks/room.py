"""Room for the next release: on the disk, and in memory for two copies of the program."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional, Tuple

from teal_host.checks.base import Visit, fault, ok, warning
from teal_host.ground import processes
from teal_host.ground.remedies import make_room
from teal_host.wire.reports import Finding

_LEAST_BYTES = 64 * 1024 * 1024  # for records, logs and what else grows; a deploy asks for as much
_LEAST_FILES = 1000
_FULL = 0.9
_SPARE = 1.5  # times the live copy
_UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


@dataclass(frozen=True)
class Disk:
    """Of a file system: bytes and files (inodes), in all and free. Some file systems count no files."""

    size: int
    free: int
    files: int
    files_free: int


@dataclass(frozen=True)
class Memory:
    """In bytes: `available` by the kernel's estimate, what each color holds, and the `limit` of a color, if any."""

    available: int
    live: int
    standby: int
    limit: Optional[int] = None


def check(visit: Visit) -> Iterator[Finding]:
    newest = visit.records[-1].bytes if visit.records else 0
    devices = set()
    for path in (visit.app.paths.home, visit.app.paths.data):
        directory, device, space = _disk(path)
        if device not in devices:
            devices.add(device)
            yield disk(visit.app.paths.root, directory, space, 2 * newest)
    held = _memory(visit) if visit.slots.live else None
    if held and held.live:  # a color that does not run holds none
        yield memory(held)


def disk(root: Path, directory: Path, space: Disk, next_release: int) -> Finding:
    """`next_release`: bytes of a release and its copy; the last release is the estimate."""
    needed = next_release + _LEAST_BYTES
    message = f"{_size(space.free)} of {_size(space.size)} are free for {directory}"
    of_bytes = make_room(root, directory)
    of_inodes = make_room(root, directory, "inodes")
    if space.free < needed:
        return fault("disk", f"{message}; a deploy may need {_size(needed)}", of_bytes)
    if space.files and space.files_free < _LEAST_FILES:
        return fault("disk", f"{message}, but only {space.files_free} more files can be made", of_inodes)
    if space.size and space.free < (1 - _FULL) * space.size:
        return warning("disk", f"{message}: {100 - 100 * space.free // space.size} % full", of_bytes)
    if space.files and space.files_free < (1 - _FULL) * space.files:
        files = 100 - 100 * space.files_free // space.files
        return warning("disk", f"{message}, but {files} % of its files", of_inodes)
    return ok("disk", message)


def memory(held: Memory) -> Finding:
    """A deploy ends the standby, then starts a second copy beside the live color."""
    if held.limit and held.live > _FULL * held.limit:
        message = f"the live color holds {_size(held.live)} of its limit of {_size(held.limit)}"
        return warning("memory", message, "raise [sandbox] memory_mb in teal.toml, then teal setup")
    room = held.available + held.standby
    message = f"the live color holds {_size(held.live)}, and a second copy could take {_size(room)}"
    hint = "a bigger server, or a program that needs less memory"
    if room < held.live:
        return fault("memory", message, hint)
    return warning("memory", message, hint) if room < _SPARE * held.live else ok("memory", message)


def _disk(path: Path) -> Tuple[Path, int, Disk]:
    """Of this directory; where it is absent, of the one above."""
    try:
        device, status = path.stat().st_dev, os.statvfs(path)
    except FileNotFoundError:
        return _disk(path.parent)
    unit = status.f_frsize
    return path, device, Disk(status.f_blocks * unit, status.f_bavail * unit, status.f_files, status.f_favail)


def _memory(visit: Visit) -> Memory:
    live, idle = visit.slots.live, visit.slots.idle
    assert live, "only a live app holds memory"
    limit = visit.agreed.sandbox.memory_mb
    held = [processes.resident(visit.pids(color)) for color in (live, idle)]
    return Memory(processes.available_memory(), held[0], held[1], limit * 1024 * 1024 if limit else None)


def _size(count: int) -> str:
    name, unit = next(((name, unit) for name, unit in _UNITS if count >= unit), _UNITS[-1])
    return f"{count / unit:.1f} {name}" if count < 10 * unit else f"{count / unit:.0f} {name}"
