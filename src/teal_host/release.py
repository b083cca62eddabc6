"""Receive an artifact, check every byte, and seal it as a release that is never changed again.

There is no archive format, so there is nothing to escape from: the manifest names plain files and directories, and the
stream is their bytes in that order.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import BinaryIO, Iterator, List, Optional

from teal_host import files, slot
from teal_host.errors import BadRequest
from teal_host.paths import AppPaths
from teal_host.record import Record
from teal_host.wire.manifest import Entry, Manifest

_PIECE = 256 * 1024
_SPARE_BYTES = 64 * 1024 * 1024  # left free for logs, the journal and nginx's buffers


class Stream:
    """The uploaded bytes, read in pieces of the sizes that the manifest promises."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        while not self._rest:
            self._rest = next(self._blocks, b"")
            if not self._rest:
                return b""
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def ended(self) -> bool:
        return not self.read(1)


def name(seq: int, manifest: Manifest) -> str:
    return f"{seq:04d}-{manifest.digest[:12]}"


def copy_here_already(paths: AppPaths, records: List[Record], manifest: Manifest) -> Optional[Path]:
    """A stored release with the same content, from which this one can be made without an upload."""
    same = [record.release for record in records if record.digest == manifest.digest]
    return next((paths.release(release) for release in same if paths.release(release).is_dir()), None)


def refuse_if_no_room(paths: AppPaths, manifest: Manifest) -> None:
    """Raises BadRequest before anything is sent that would not fit."""
    files.make_dir(paths.releases)
    room = os.statvfs(paths.releases)
    free, needed = room.f_bavail * room.f_frsize, manifest.bytes + _SPARE_BYTES
    if free < needed:
        raise BadRequest(f"the disk has {free:,} bytes free, this release needs {needed:,}", hint="make room first")
    if room.f_files and room.f_favail < len(manifest.entries) + 100:
        raise BadRequest(f"the disk has only {room.f_favail:,} inodes free", hint="remove small files first")


def seal_from_stream(paths: AppPaths, release: str, manifest: Manifest, stream: Stream) -> None:
    """Write, check and seal. Raises BadRequest when a byte is not as promised; then nothing is left."""
    with _partial(paths, release) as partial:
        for entry in manifest.entries:
            _write(partial / entry.path, entry, stream)
        if not stream.ended():
            raise BadRequest("the upload has more bytes than its manifest says")


def seal_from_copy(paths: AppPaths, release: str, manifest: Manifest, source: Path) -> None:
    """The same from a stored release; its bytes are checked again, because disks forget too."""
    with _partial(paths, release) as partial:
        for entry in manifest.entries:
            if entry.kind == "dir":
                files.make_dir(partial / entry.path)
            else:
                with (source / entry.path).open("rb") as file:
                    _write(partial / entry.path, entry, file)


def remove(paths: AppPaths, release: str) -> None:
    """In one rename it is no release any more; a removal that is interrupted leaves only a part."""
    part = paths.releases / f".partial-{release}"
    files.move(paths.release(release), part)
    files.remove_tree(part)


def remove_unfinished(paths: AppPaths) -> None:
    """Whatever an interrupted upload or removal left: parts, and releases of which nothing was written down."""
    known = {path.stem for path in paths.records.glob("*.json")} | set(slot.look(paths).releases.values())
    for path in list(paths.releases.glob("*")):
        if path.name not in known:
            files.remove_tree(path)


class _partial:  # noqa: N801 - reads as what it is at the place of use
    """A directory that becomes the release in one rename if all went well, and vanishes if not."""

    def __init__(self, paths: AppPaths, release: str) -> None:
        self._path = paths.releases / f".partial-{release}"
        self._final = paths.release(release)

    def __enter__(self) -> Path:
        files.remove_tree(self._path)
        files.make_dir(self._path)
        return self._path

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is not None:
            shutil.rmtree(self._path, ignore_errors=True)
            return
        files.seal_dirs(self._path)
        files.move(self._path, self._final)


def _write(path: Path, entry: Entry, source: "BinaryIO | Stream") -> None:
    if entry.kind == "dir":
        files.make_dir(path)
        return
    files.make_dir(path.parent)
    seen = hashlib.sha256()
    left = entry.size
    with files.new_file(path, entry.executable) as file:
        while left:
            piece = source.read(min(left, _PIECE))
            if not piece:
                raise BadRequest(f"{entry.path} ends {left:,} bytes too early")
            seen.update(piece)
            file.write(piece)
            left -= len(piece)
    if seen.hexdigest() != entry.sha256:
        raise BadRequest(f"{entry.path} arrived changed: its SHA-256 is not the one that was announced")
