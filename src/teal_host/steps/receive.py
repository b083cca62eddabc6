"""An artifact arrives: files that another release has are copied, missing files are requested and checked.

If a shortcut fails, the server requests the file once more, whole: a base is damaged, unreadable or gone, a patch does
not fit, or an upload was resumed from wrong bytes. So no release is ever wrong, and no deploy fails because a
shortcut did.
"""

import contextlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Callable, Dict, Iterator, List, Sequence, Tuple

from teal_host.ground import journal, overtaking
from teal_host.ground.errors import BadRequest, HostError
from teal_host.pipe import unpack
from teal_host.pipe.channel import Channel
from teal_host.pipe.unpack import Spoilt, Unpacked
from teal_host.state import file_index, key_limits, releases, secrets
from teal_host.state.app import App
from teal_host.state.file_index import FileIndex, IndexedFile
from teal_host.state.releases import Record
from teal_host.steps import release
from teal_host.steps.release import Changed, Unfinished
from teal_host.steps.scene import Scene
from teal_host.wire import patch
from teal_host.wire.manifest import Manifest
from teal_host.wire.messages import Note
from teal_host.wire.requests import Commit, Deploy
from teal_host.wire.uploads import MissingFiles, PartialFile, PatchBase

_PIECE = 256 * 1024


@dataclass
class Upload:
    """`release` is the name that it will have."""

    manifest: Manifest
    index: FileIndex
    unfinished: Unfinished
    channel: Channel
    release: str
    _bases: Dict[str, PatchBase] = field(default_factory=dict)
    _unreadable: List[str] = field(default_factory=list)

    def receive(self) -> str:
        """Until every file is whole. Raises BadRequest, Cancelled. Gives a summary."""
        here, missing = sorted_out(self.unfinished.missing(), self.manifest, self.index)
        bases = self.index.bases([self.manifest.entries[number] for number in missing])
        self._bases = {base.sha256: base for base in bases}
        self._ask(missing, bases)
        doubtful = [number for number in here if not self._copied(number)]
        doubtful += self._parts(missing)
        if doubtful:
            self.channel.receive(Commit)  # was said of what has not arrived
            self._bases = {}
            self._tell_unreadable()
            self._ask(sorted(doubtful), ())
            if self._parts(sorted(doubtful)):
                raise BadRequest("the upload did not come whole when it was asked for whole")
        return _detail(len(here), len(missing), len(doubtful))

    def _ask(self, missing: Sequence[int], bases: Tuple[PatchBase, ...]) -> None:
        begun = [(number, self.unfinished.begun[number]) for number in missing if number in self.unfinished.begun]
        resumed = tuple(PartialFile(number, count) for number, count in begun)
        self.channel.tell(MissingFiles(self.release, tuple(missing), resumed, bases, unpack.packings()))

    def _copied(self, number: int) -> bool:
        """From a release that has the same file; disks forget, so it is hashed like everything else."""
        stored = self.index.find(self.manifest.entries[number].sha256)
        begun = self.unfinished.begun.get(number, 0)
        return stored is not None and self._made(number, stored, lambda old: _rest(old, begun))

    def _made(self, number: int, stored: IndexedFile, pieces: Callable[[BinaryIO], Iterator[bytes]]) -> bool:
        """Make the file from one of another release. If that one is damaged or gone, or the disk gives an error for it,
        the client is asked for the file. An error while the new file is written is another thing: it ends the deploy.
        """
        try:
            with _opened(stored.file) as old:
                self.unfinished.write(number, pieces(old))
        except SpoiltBase as error:
            path = self.manifest.entries[number].path
            self._unreadable.append(f"{stored.file} cannot be read ({error}); {path} is asked for whole")
            return False
        except Spoilt:
            return False
        return True

    def _tell_unreadable(self) -> None:
        """One message for all, and only when the client listens: a client that still sends reads nothing."""
        if self._unreadable:
            more = len(self._unreadable) - 1
            self.channel.tell(Note("warning", self._unreadable[0] + (f"; so are {more} more" if more else "")))

    def _parts(self, missing: Sequence[int]) -> List[int]:
        """All of them, in the client's parts; gives the numbers of those that are in doubt."""
        remaining = list(missing)
        doubtful: List[int] = []
        while remaining:
            part = self.channel.part()
            if part.count > len(remaining) or (part.base and part.count > 1):
                raise BadRequest("the upload has more files than are missing")
            numbers, remaining = remaining[: part.count], remaining[part.count :]
            unpacked = Unpacked(self.channel.blocks(), part.packing)
            doubtful += self._patched(numbers[0], part.base, unpacked) if part.base else self._whole(numbers, unpacked)
        return doubtful

    def _whole(self, numbers: Sequence[int], unpacked: Unpacked) -> Iterator[int]:
        for number in numbers:
            entry, begun = self.manifest.entries[number], self.unfinished.begun.get(number, 0)
            try:
                self.unfinished.write(number, unpacked.pieces(entry.size - begun))
            except Changed:
                if not begun:
                    raise
                yield number
        unpacked.finish()

    def _patched(self, number: int, base: str, unpacked: Unpacked) -> List[int]:
        stored = self.index.find(base) if base in self._bases else None
        rest = self.manifest.entries[number].size - self.unfinished.begun.get(number, 0)
        is_made = stored is not None and self._made(number, stored, lambda old: _applied(unpacked, old, rest))
        unpacked.leave()
        return [] if is_made else [number]


class SpoiltBase(Spoilt):
    """The disk gives an error for a file of another release."""


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        old = file.open("rb")
    except FileNotFoundError:
        raise Spoilt("it was removed meanwhile") from None
    except OSError as error:
        raise SpoiltBase(str(error.strerror)) from None
    with old:
        yield old


def _rest(old: BinaryIO, begun: int) -> Iterator[bytes]:
    """What of the older file follows after so many bytes."""
    while True:
        try:
            piece = os.pread(old.fileno(), _PIECE, begun)
        except OSError as error:
            raise SpoiltBase(str(error.strerror)) from None
        if not piece:
            return
        begun += len(piece)
        yield piece


def _applied(unpacked: Unpacked, old: BinaryIO, size: int) -> Iterator[bytes]:
    try:
        yield from patch.apply(unpacked, old, size)
    except patch.CannotReadBase as error:
        raise SpoiltBase(str(error)) from None
    except patch.PatchError as error:
        raise Spoilt(str(error)) from None


def receive_release(app: App, request: Deploy, scene: Scene, channel: Channel) -> Record:
    """Receive and seal. Nothing is kept of an upload that is not as promised; one that was cut goes on next time."""
    manifest, seq = request.manifest, releases.next_seq(app.paths, scene.records)
    name = release.name(seq, manifest)
    spare = key_limits.spare(app.paths) if channel.is_of_key else 0
    upload = release.Unfinished(app.paths, name, manifest, max(spare, release.SPARE_BYTES))
    with overtaking.possible(), app.step("upload") as step, upload as unfinished:
        step.detail = Upload(manifest, index_stored_files(scene), unfinished, channel, name).receive()
    file_index.save(app.paths, name, manifest)
    stored = secrets.load(app.paths)
    env = secrets.environment_version(stored, request.spec.run.env)
    record = Record(name, seq, manifest.digest, manifest.bytes, journal.now(), request.origin, env, request.spec)
    record = replace(record, secrets=stored.current)
    releases.save(app.paths, record)
    return record


def await_commit(app: App, record: Record, channel: Channel) -> None:
    """A client that goes away before it said commit has changed nothing."""
    try:
        with overtaking.possible():
            channel.await_commit()
    except HostError:
        releases.remove(app.paths, record)
        release.remove(app.paths, record.release)
        raise


def index_stored_files(scene: Scene) -> FileIndex:
    """The files that are here: those of the live release first, then of the others, the newest first."""
    live = scene.slots.live_release
    others = [record.release for record in reversed(scene.records) if record.release != live]
    stored = [name for name in others if scene.paths.release(name).is_dir()]
    return file_index.load(scene.paths, [*([live] if live else []), *stored])


def estimate(manifest: Manifest, index: FileIndex) -> str:
    """What is missing is compressed. The client knows whether a change, or the whole file, is there sooner."""
    files = [number for number, entry in enumerate(manifest.entries) if entry.kind == "file"]
    here, missing = sorted_out(files, manifest, index)
    if not missing:
        return "upload nothing: all of it is here already"
    entries = [manifest.entries[number] for number in missing]
    changed = {base.path for base in index.bases(entries)}
    patched = sum(entry.path in changed for entry in entries)
    count = f"upload {len(missing)} of {len(here) + len(missing)} files"
    change = f"; of {patched} of them only the change, where that is faster" if patched else ""
    return f"{count}, at most {sum(entry.size for entry in entries):,} bytes (before compression){change}"


def sorted_out(missing: Sequence[int], manifest: Manifest, index: FileIndex) -> "tuple[List[int], List[int]]":
    """Those that are here in another release, and those that must come."""
    here = [number for number in missing if index.find(manifest.entries[number].sha256)]
    return here, sorted({*missing} - {*here})


def _detail(here: int, came: int, again: int) -> str:
    parts = [f"{came} file{'' if came == 1 else 's'}"] if came else ["nothing to send"]
    parts += [f"{here} here already"] if here else []
    parts += [f"{again} once more, whole"] if again else []
    return ", ".join(parts)
