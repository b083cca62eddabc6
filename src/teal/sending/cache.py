"""Remembered between commands, only for speed: the files that were sent, and how fast each target received them.

An entry may be missing, old or damaged at any time. A file is hashed before it is used, and a failure changes nothing.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from teal.ground import files
from teal.ground.errors import Usage
from teal_host.wire import typed
from teal_host.wire.manifest import Entry
from teal_host.wire.typed import Mistakes
from teal_host.wire.uploads import PatchBase

WORTH = 16 * 1024  # bytes of a file; a patch of a smaller file saves nothing
MOST_FILE = 256 * 1024 * 1024  # bytes; no patch is made of a larger file
MOST_FILES = 200
MOST_BYTES = 256 * 1024 * 1024
_MOST_TARGETS = 100
_OLD_S = 3600.0  # after which an unfinished copy is abandoned


@dataclass(frozen=True)
class Sent:
    """A file that the server now has."""

    path: Path
    size: int
    sha256: str


def folder() -> Path:
    return files.own_folder("XDG_CACHE_HOME", ".cache")


def find(sha256: str, size: int) -> Path | None:
    """The copy of this file, if it exists and is undamaged."""
    path = folder() / "sent" / sha256
    with contextlib.suppress(OSError):
        if path.stat().st_size == size and _hash(path) == sha256:
            files.touch(path)
            return path
        files.remove(path)
    return None


def keep(sent: Iterable[Sent]) -> None:
    """Copy the files that could be the base of a patch, the largest first, and evict the least recently used."""
    largest = sorted(
        (file for file in sent if WORTH <= file.size <= MOST_FILE), key=lambda file: file.size, reverse=True
    )
    with contextlib.suppress(OSError, RuntimeError):
        files.private_dir(folder() / "sent")
        for file in reversed(list(_within_limits(largest))):
            target = folder() / "sent" / file.sha256
            try:
                files.touch(target)
            except FileNotFoundError:
                files.copy_private(file.path, target)
        _evict(folder() / "sent")


def last(target: str, app: str) -> tuple[PatchBase, ...]:
    """The files of the last upload to this app: a guess at what the server has, because others deploy too."""
    with contextlib.suppress(OSError, ValueError, RecursionError, RuntimeError, Mistakes):
        return typed.decode(tuple[PatchBase, ...], json.loads(_last(target, app).read_bytes()))
    return ()


def remember_last(target: str, app: str, sent: Iterable[Entry]) -> None:
    """Remember the largest files that could be the base of a patch."""
    candidates = (entry for entry in sent if WORTH <= entry.size <= MOST_FILE)
    largest = sorted(candidates, key=lambda entry: entry.size, reverse=True)
    bases = [PatchBase(entry.path, entry.sha256, entry.size) for entry in largest[:MOST_FILES]]
    with contextlib.suppress(OSError, RuntimeError, Usage):
        files.private_dir(folder() / "last")
        files.write(_last(target, app), json.dumps(typed.encode(bases)))
        _evict(folder() / "last")


def speed(target: str) -> float | None:
    """Bytes a second of the last uploads to this target."""
    bytes_s = _speeds().get(target)
    return float(bytes_s) if isinstance(bytes_s, int | float) and 0 < bytes_s < 1e12 else None


def remember_speed(target: str, bytes_s: float) -> None:
    """Remember the mean of the known speed and the measured one."""
    known = _speeds()
    before = speed(target)
    now = {target: round((before + bytes_s) / 2 if before else bytes_s)}
    others = {name: value for name, value in known.items() if name != target}
    latest = dict(list({**others, **now}.items())[-_MOST_TARGETS:])
    with contextlib.suppress(OSError, RuntimeError, Usage):
        files.private_dir(folder())
        files.write(folder() / "speeds.json", json.dumps(latest))


def _last(target: str, app: str) -> Path:
    name = hashlib.sha256(f"{target} {app}".encode()).hexdigest()
    return folder() / "last" / f"{name}.json"


def _speeds() -> dict[str, object]:
    with contextlib.suppress(OSError, ValueError, RecursionError, RuntimeError):
        speeds = json.loads((folder() / "speeds.json").read_bytes())
        return speeds if isinstance(speeds, dict) else {}
    return {}


def _within_limits(sent: list[Sent]) -> Iterator[Sent]:
    remaining = MOST_BYTES
    for file in sent[:MOST_FILES]:
        remaining -= file.size
        if remaining < 0:
            return
        yield file


def _evict(directory: Path) -> None:
    """Remove the least recently used files beyond the limits, and abandoned copies."""
    remaining, count = MOST_BYTES, MOST_FILES
    for status, path in sorted(_stored(directory), key=lambda item: item[0].st_mtime, reverse=True):
        if path.name.endswith(".tmp"):
            if time.time() - status.st_mtime > _OLD_S:
                files.remove(path)
            continue
        remaining, count = remaining - status.st_size, count - 1
        if remaining < 0 or count < 0:
            files.remove(path)


def _stored(directory: Path) -> Iterator[tuple[os.stat_result, Path]]:
    """Another command may remove or rename any of them meanwhile."""
    for path in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield path.stat(), path


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
