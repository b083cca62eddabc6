"""An artifact on its way to become a release, and releases, which never change.

There is no archive format, so there is nothing to escape from: the manifest names plain files and directories, and only
their bytes travel. What an upload that was cut has left is the beginning of the next try; every byte of it is hashed
again. There is at most one such beginning of an app, for a day.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Callable, Dict, Iterable, Iterator, List, Optional, Type

from teal_host.ground import files, trees
from teal_host.ground.errors import BadRequest
from teal_host.ground.paths import AppPaths
from teal_host.ground.remedies import make_room
from teal_host.pipe.unpack import Spoilt
from teal_host.state import file_index, releases
from teal_host.state.slots import read_slots
from teal_host.wire.manifest import Entry, Manifest

_PIECE = 256 * 1024
SPARE_BYTES = 64 * 1024 * 1024  # left free for logs, the journal and nginx's buffers
_WORTH_KEEPING = 64 * 1024  # bytes of an upload that was cut
_KEPT_S = 24 * 3600.0
_UPLOAD = ".upload-"


class Changed(Spoilt):
    """A file has all its bytes, and they are not those that were announced."""


def name(seq: int, manifest: Manifest) -> str:
    return f"{seq:04d}-{manifest.digest[:12]}"


class Unfinished:
    """A directory that becomes the release in one rename if all went well."""

    def __init__(self, paths: AppPaths, release: str, manifest: Manifest, spare: int = SPARE_BYTES) -> None:
        self._paths, self._release, self._manifest, self._spare = paths, release, manifest, spare
        self._path = paths.releases / f"{_UPLOAD}{manifest.digest}"
        self.begun: Dict[int, int] = {}  # bytes of files, by their number in the manifest, that are there already
        self._seen: Dict[int, hashlib._Hash] = {}  # of these bytes

    def __enter__(self) -> "Unfinished":
        """Raises BadRequest before anything is sent that would not fit."""
        files.make_dir(self._paths.releases)
        _remove_uploads(self._paths, but=self._path)
        files.unseal(self._path)
        check_free_space(self._paths, self._manifest, self._spare - _size(self._path))
        for entry in self._manifest.entries:
            if entry.kind == "dir":
                files.make_dir(self._path / entry.path)
        files.make_dir(self._path)
        self.begun = dict(self._leftovers())
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: object, tb: Optional[TracebackType]) -> None:
        if kind is None:
            files.seal_dirs(self._path)
            files.move(self._path, self._paths.release(self._release))
        elif _size(self._path) < _WORTH_KEEPING or _is_full(error):
            shutil.rmtree(self._path, ignore_errors=True)

    def missing(self) -> List[int]:
        """The places of the files that are not whole."""
        entries = enumerate(self._manifest.entries)
        return [at for at, entry in entries if entry.kind == "file" and self.begun.get(at) != entry.size]

    def write(self, number: int, pieces: Iterable[bytes]) -> None:
        """The rest of a file. Raises Spoilt when it is not as the manifest promises; then nothing of it is left."""
        entry, begun = self._manifest.entries[number], self.begun.pop(number, 0)
        seen = self._seen.pop(number) if begun else hashlib.sha256()
        path = self._path / entry.path
        files.make_dir(path.parent)
        try:
            with files.new_file(path, entry.executable, begun > 0) as file:
                _write(file, entry, seen, pieces)
        except Spoilt:
            files.remove(path)
            raise

    def _leftovers(self) -> Iterator["tuple[int, int]"]:
        """What an earlier try has left of each file, if that is of any use."""
        for number, entry in enumerate(self._manifest.entries):
            path = self._path / entry.path
            if entry.kind == "dir" or not os.path.lexists(path):
                continue
            status = path.lstat()
            is_sealed = not status.st_mode & 0o222  # of a shorter one, a power cut took the end
            fits = status.st_size == entry.size if is_sealed else 0 < status.st_size < entry.size
            seen = _hashed(path, status.st_size) if fits and stat.S_ISREG(status.st_mode) else None
            if seen and not is_sealed:
                self._seen[number] = seen
                yield number, status.st_size
            elif seen and seen.hexdigest() == entry.sha256:
                files.sync_file(path)
                yield number, entry.size
            else:
                files.remove(path)


def check_free_space(paths: AppPaths, manifest: Manifest, more: int) -> None:
    """`more`: what stays free, without the bytes that have arrived already."""
    room = os.statvfs(paths.releases)
    free, needed = room.f_bavail * room.f_frsize, manifest.bytes + more
    if free < needed:
        message = f"the disk has {free:,} bytes free, this release needs {needed:,}"
        raise BadRequest(message, hint=make_room(paths.root, paths.releases))
    if room.f_files and room.f_favail < len(manifest.entries) + 100:
        message = f"the disk has only {room.f_favail:,} inodes free"
        raise BadRequest(message, hint=make_room(paths.root, paths.releases, "inodes"))


def remove(paths: AppPaths, release: str) -> None:
    """One rename, and the release is gone; an interrupted removal leaves only a part."""
    part = paths.releases / f".partial-{release}"
    files.move(paths.release(release), part)
    trees.remove(part)
    file_index.forget(paths, release)


def remove_unfinished(paths: AppPaths, warn: Callable[[str], None] = lambda text: None) -> None:
    """Whatever an interrupted upload or removal left: parts, and releases of which nothing was written down.

    But the beginning of an upload stays for a day: the next try goes on from there.
    """
    known = {*releases.recorded(paths), *read_slots(paths).releases.values()}
    for path in list(paths.releases.glob("*")):
        if path.name not in known and not _may_go_on(path):
            try:
                trees.remove(path)
            except OSError as error:  # nobody needs it, so no command ends for it
                warn(f"{path} is left of an earlier command and cannot be removed: {error.strerror}")
    stored = {path.name for path in paths.releases.glob("[0-9]*")}
    file_index.forget_all_but(paths, stored)


def _may_go_on(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.name.startswith(_UPLOAD) and abs(time.time() - path.stat().st_mtime) < _KEPT_S
    return False


def _remove_uploads(paths: AppPaths, but: Path) -> None:
    for path in list(paths.releases.glob(f"{_UPLOAD}*")):
        if path != but:
            with contextlib.suppress(OSError):  # recovery warns of it a day later
                trees.remove(path)


def _is_full(error: object) -> bool:
    """What arrived on a disk that is full now would only be in the way."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _size(top: Path) -> int:
    return sum(path.lstat().st_size for path in top.rglob("*") if not path.is_dir()) if top.is_dir() else 0


def _hashed(path: Path, count: int) -> "Optional[hashlib._Hash]":
    """The hash of so many bytes of the file, to go on with. None: the disk gives an error for them."""
    seen = hashlib.sha256()
    with contextlib.suppress(OSError), path.open("rb") as file:
        while count:
            piece = file.read(min(count, _PIECE))
            if not piece:
                break
            seen.update(piece)
            count -= len(piece)
        return seen
    return None


def _write(file: BinaryIO, entry: Entry, seen: "hashlib._Hash", pieces: Iterable[bytes]) -> None:
    remaining = entry.size - file.seek(0, os.SEEK_END)
    for piece in pieces:
        remaining -= len(piece)
        if remaining < 0:
            raise Spoilt(f"{entry.path} has more bytes than its manifest says")
        seen.update(piece)
        file.write(piece)
    if remaining:
        raise Spoilt(f"{entry.path} ends {remaining:,} bytes too early")
    if seen.hexdigest() != entry.sha256:
        raise Changed(f"{entry.path} arrived changed: its SHA-256 is not the one that was announced")
