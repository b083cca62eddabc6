"""Which files this server has already, by their SHA-256: those need not be sent, or serve as the base of a patch.

What a release holds is written down when it is sealed. It is a hint: whatever is made of it is hashed again.
"""

import contextlib
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from teal_host.ground import files
from teal_host.ground.paths import AppPaths
from teal_host.wire.grammar import digest, file_path
from teal_host.wire.manifest import Entry, Manifest
from teal_host.wire.uploads import PatchBase

_RELEASES = 6  # are looked at, the best first
_BASES = 1_000  # are told
_WORTH = 16 * 1024  # bytes of a file for which a patch is worth its making


@dataclass(frozen=True)
class IndexedFile:
    """A file of a release. `path` is relative to it."""

    release: Path
    path: str
    size: int
    sha256: str

    @property
    def file(self) -> Path:
        return self.release / self.path

    def is_stored(self) -> bool:
        """As far as can be seen without reading it."""
        with contextlib.suppress(OSError):
            status = self.file.lstat()
            return stat.S_ISREG(status.st_mode) and status.st_size == self.size
        return False


class FileIndex:
    def __init__(self, indexed: Sequence[IndexedFile]) -> None:
        self._by_digest: Dict[str, IndexedFile] = {}
        self._by_path: Dict[str, List[IndexedFile]] = {}
        for file in indexed:
            self._by_digest.setdefault(file.sha256, file)
            self._by_path.setdefault(file.path, []).append(file)

    def find(self, sha256: str) -> Optional[IndexedFile]:
        file = self._by_digest.get(sha256)
        return file if file is not None and file.is_stored() else None

    def bases(self, missing: Sequence[Entry]) -> Tuple[PatchBase, ...]:
        """What could be the base of a patch for these, the best of each first, bounded."""
        bases: Dict[str, PatchBase] = {}
        for entry in missing:
            for file in self._by_path.get(entry.path, ()) if entry.size >= _WORTH else ():
                if file.size >= _WORTH and file.sha256 not in bases and len(bases) < _BASES and file.is_stored():
                    bases[file.sha256] = PatchBase(file.path, file.sha256, file.size)
        return tuple(bases.values())


def load(paths: AppPaths, releases: Sequence[str]) -> FileIndex:
    """What is in these releases, the best first."""
    return FileIndex([file for release in releases[:_RELEASES] for file in _read(paths, release)])


def save(paths: AppPaths, release: str, manifest: Manifest) -> None:
    rows = [[entry.path, entry.size, entry.sha256] for entry in manifest.entries if entry.kind == "file"]
    files.make_dir(paths.records)
    files.write(_list(paths, release), json.dumps(rows, ensure_ascii=False), mode=0o600)


def forget(paths: AppPaths, release: str) -> None:
    files.remove(_list(paths, release))


def forget_all_but(paths: AppPaths, releases: "set[str]") -> None:
    for path in list(paths.records.glob("*.files")):
        if path.stem not in releases:
            files.remove(path)


def _list(paths: AppPaths, release: str) -> Path:
    return paths.records / f"{release}.files"


def _read(paths: AppPaths, release: str) -> Iterator[IndexedFile]:
    """Nothing when it is not there, or damaged."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        rows = json.loads(_list(paths, release).read_bytes())
        for row in rows if isinstance(rows, list) else ():
            if _is_row(row):
                yield IndexedFile(paths.release(release), row[0], row[1], row[2])


def _is_row(row: Any) -> bool:
    types = [type(value) for value in row] if isinstance(row, list) else []
    return types == [str, int, str] and digest(row[2]) is None and file_path(row[0]) is None
