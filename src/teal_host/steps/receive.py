"""The conversation in which an artifact arrives: what is here is copied, what is missing is asked for and checked.

What does not come out right although it may have been this side's fault (a base that is damaged or gone, a patch that
does not fit, a beginning that is no beginning) is asked for once more, whole. So there is never a wrong release, and a
deploy does not fail because a shortcut did.
"""

from dataclasses import dataclass, field, replace
from typing import BinaryIO, Dict, Iterator, List, Sequence, Tuple

from teal_host.ground import journal
from teal_host.ground.errors import BadRequest, HostError
from teal_host.pipe import unpack
from teal_host.pipe.channel import Channel
from teal_host.pipe.unpack import Spoilt, Unpacked
from teal_host.state import file_index, releases, secrets
from teal_host.state.app import App
from teal_host.state.file_index import FileIndex
from teal_host.state.releases import Record
from teal_host.steps import release
from teal_host.steps.release import Changed, Unfinished
from teal_host.steps.scene import Scene
from teal_host.wire import patch
from teal_host.wire.manifest import Manifest
from teal_host.wire.messages import Commit, Deploy
from teal_host.wire.uploads import Base, Begun, Part, Wanted

_PIECE = 256 * 1024


@dataclass
class Upload:
    """`release` is the name that it will have."""

    manifest: Manifest
    index: FileIndex
    unfinished: Unfinished
    channel: Channel
    release: str
    _bases: Dict[str, Base] = field(default_factory=dict)

    def receive(self) -> str:
        """Until every file is whole. Raises BadRequest, Cancelled. Gives what there is to tell of it."""
        here, missing = sorted_out(self.unfinished.missing(), self.manifest, self.index)
        bases = self.index.bases([self.manifest.entries[place] for place in missing])
        self._bases = {base.sha256: base for base in bases}
        self._ask(missing, bases)
        doubtful = [place for place in here if not self._copied(place)]
        doubtful += self._parts(missing)
        if doubtful:
            self.channel.receive(Commit)  # was said of what has not arrived
            self._bases = {}
            self._ask(sorted(doubtful), ())
            if self._parts(sorted(doubtful)):
                raise BadRequest("the upload did not come whole when it was asked for whole")
        return _detail(len(here), len(missing), len(doubtful))

    def _ask(self, missing: Sequence[int], bases: Tuple[Base, ...]) -> None:
        begun = [(place, self.unfinished.begun[place]) for place in missing if place in self.unfinished.begun]
        told = tuple(Begun(place, count) for place, count in begun)
        self.channel.tell(Wanted(self.release, tuple(missing), told, bases, unpack.packings()))

    def _copied(self, place: int) -> bool:
        """From a release that has the same file; disks forget, so it is hashed like everything else."""
        one = self.index.find(self.manifest.entries[place].sha256)
        if one is None:
            return False
        try:
            with one.place.open("rb") as file:
                begun = self.unfinished.begun.get(place, 0)
                file.seek(begun)
                self.unfinished.write(place, iter(lambda: file.read(_PIECE), b""))
        except (Spoilt, FileNotFoundError):
            return False
        return True

    def _parts(self, missing: Sequence[int]) -> List[int]:
        """All of them, in the client's parts; gives the places of those that are in doubt."""
        left = list(missing)
        doubtful: List[int] = []
        while left:
            part = self.channel.receive(Part)
            if part.count > len(left) or (part.base and part.count > 1):
                raise BadRequest("the upload has more files than are missing")
            places, left = left[: part.count], left[part.count :]
            unpacked = Unpacked(self.channel.blocks(), part.packing)
            doubtful += self._patched(places[0], part.base, unpacked) if part.base else self._whole(places, unpacked)
        return doubtful

    def _whole(self, places: Sequence[int], unpacked: Unpacked) -> Iterator[int]:
        for place in places:
            entry, begun = self.manifest.entries[place], self.unfinished.begun.get(place, 0)
            try:
                self.unfinished.write(place, unpacked.pieces(entry.size - begun))
            except Changed:
                if not begun:
                    raise
                yield place
        unpacked.finish()

    def _patched(self, place: int, base: str, unpacked: Unpacked) -> List[int]:
        kept = self.index.find(base) if base in self._bases else None
        try:
            if kept is None:
                raise Spoilt("the base of the patch is not here")
            with kept.place.open("rb") as old:
                rest = self.manifest.entries[place].size - self.unfinished.begun.get(place, 0)
                self.unfinished.write(place, _applied(unpacked, old, rest))
        except (Spoilt, FileNotFoundError):
            return [place]
        finally:
            unpacked.leave()
        return []


def _applied(unpacked: Unpacked, old: BinaryIO, size: int) -> Iterator[bytes]:
    try:
        yield from patch.apply(unpacked, old, size)
    except patch.PatchError as error:
        raise Spoilt(str(error)) from None


def receive_release(app: App, request: Deploy, scene: Scene, channel: Channel) -> Record:
    """Receive and seal. Nothing is kept of an upload that is not as promised; one that was cut goes on next time."""
    manifest, seq = request.manifest, releases.next_seq(app.paths, scene.records)
    name = release.name(seq, manifest)
    with app.step("upload") as step, release.Unfinished(app.paths, name, manifest) as unfinished:
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
    """What is missing is compressed, and of a file that is here in another version only the change is sent."""
    files = [number for number, entry in enumerate(manifest.entries) if entry.kind == "file"]
    here, missing = sorted_out(files, manifest, index)
    if not missing:
        return "upload nothing: all of it is here already"
    entries = [manifest.entries[number] for number in missing]
    changed = {base.path for base in index.bases(entries)}
    patched = sum(entry.path in changed for entry in entries)
    whole = sum(entry.size for entry in entries if entry.path not in changed)
    count = f"upload {len(missing)} of {len(here) + len(missing)} files"
    return f"{count}: {patched} as changes to what is here, {whole:,} bytes whole (before compression)"


def sorted_out(missing: Sequence[int], manifest: Manifest, index: FileIndex) -> "tuple[List[int], List[int]]":
    """Those that are here in another release, and those that must come."""
    here = [number for number in missing if index.find(manifest.entries[number].sha256)]
    return here, sorted({*missing} - {*here})


def _detail(here: int, came: int, again: int) -> str:
    told = [f"{came} file{'' if came == 1 else 's'}"] if came else ["nothing to send"]
    told += [f"{here} here already"] if here else []
    told += [f"{again} once more, whole"] if again else []
    return ", ".join(told)
