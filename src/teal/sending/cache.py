"""What is remembered between commands, only to be quicker: files that were sent, and how fast each target took them.

All of it may be missing, old or damaged at any time: a file is hashed before it is used, and a failure changes nothing.
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
from teal_host.wire.uploads import Base

WORTH = 16 * 1024  # bytes of a file; of a smaller one a patch saves nothing
MOST_FILE = 256 * 1024 * 1024  # bytes; to a larger one no patch is made
MOST_FILES = 200
MOST_BYTES = 256 * 1024 * 1024
_MOST_TARGETS = 100
_OLD_S = 3600.0  # after which a copy that is not finished will never be
_PIECE = 1024 * 1024


@dataclass(frozen=True)
class Sent:
    """A file that the server has now."""

    path: Path
    size: int
    sha256: str


def folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or ""
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "teal"


def find(sha256: str, size: int) -> Path | None:
    """A copy of that file, if there is one that is still whole."""
    path = folder() / "sent" / sha256
    with contextlib.suppress(OSError):
        if path.stat().st_size == size and _hash(path) == sha256:
            files.touch(path)
            return path
        files.remove(path)
    return None


def keep(sent: Iterable[Sent]) -> None:
    """Copy what could be the base of a patch, the largest first, and let go what was not used for longest."""
    worth = sorted((one for one in sent if WORTH <= one.size <= MOST_FILE), key=lambda one: one.size, reverse=True)
    with contextlib.suppress(OSError, RuntimeError):
        files.private_dir(folder() / "sent")
        for one in reversed(list(_that_fit(worth))):
            target = folder() / "sent" / one.sha256
            if target.exists():
                files.touch(target)
            else:
                files.copy_private(one.path, target)
        _let_go(folder() / "sent")


def last(target: str, app: str) -> tuple[Base, ...]:
    """The files of the last upload to this app. Others may have deployed since: it is a guess."""
    with contextlib.suppress(OSError, ValueError, RecursionError, RuntimeError, Mistakes):
        return typed.decode(tuple[Base, ...], json.loads(_last(target, app).read_bytes()))
    return ()


def remember_last(target: str, app: str, sent: Iterable[Entry]) -> None:
    """Of the largest that could be the base of a patch."""
    worth = sorted((one for one in sent if WORTH <= one.size <= MOST_FILE), key=lambda one: one.size, reverse=True)
    bases = [Base(one.path, one.sha256, one.size) for one in worth[:MOST_FILES]]
    with contextlib.suppress(OSError, RuntimeError, Usage):
        files.private_dir(folder() / "last")
        files.write(_last(target, app), json.dumps(typed.encode(bases)))
        _let_go(folder() / "last")


def speed(target: str) -> float | None:
    """Bytes a second, as the last uploads to this target went."""
    found = _speeds().get(target)
    return float(found) if isinstance(found, int | float) and 0 < found < 1e12 else None


def remember_speed(target: str, bytes_s: float) -> None:
    """The mean of what was known and what was seen."""
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
        found = json.loads((folder() / "speeds.json").read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


def _that_fit(sent: list[Sent]) -> Iterator[Sent]:
    left = MOST_BYTES
    for one in sent[:MOST_FILES]:
        left -= one.size
        if left < 0:
            return
        yield one


def _let_go(place: Path) -> None:
    left, count = MOST_BYTES, MOST_FILES
    there = sorted(((path.stat(), path) for path in place.iterdir()), key=lambda one: one[0].st_mtime, reverse=True)
    for status, path in there:
        if path.name.endswith(".tmp"):
            if time.time() - status.st_mtime > _OLD_S:
                files.remove(path)
            continue
        left, count = left - status.st_size, count - 1
        if left < 0 or count < 0:
            files.remove(path)


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
