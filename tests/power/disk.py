"""A disk that knows what is durable and what is not yet.

The bytes of a file are durable after fsync of the file, a name after fsync of its directory. After a power cut, acts
that were not synced may be on the disk or not, separately for each directory; bytes that a file got since its fsync may
be lost, half there, or whole.
"""

import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class File:
    """A file. `durable` is None until its first fsync."""

    mode: int
    durable: bytes | None = None
    written: bytes = b""


@dataclass
class Link:
    target: str


@dataclass
class Folder:
    """A directory.

    `names` is what the program sees, `durable` is what a cut leaves, `late` has the acts between them, in order.
    """

    mode: int = 0o755
    names: "dict[str, Node]" = field(default_factory=dict)
    durable: "dict[str, Node]" = field(default_factory=dict)
    late: "list[dict[str, Node]]" = field(default_factory=list)

    def changed(self) -> None:
        self.late.append(dict(self.names))

    def synced(self) -> None:
        self.durable = dict(self.names)
        self.late.clear()


Node = File | Link | Folder


class Disk:
    """The tree below one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = Folder()

    @classmethod
    def found(cls, root: Path) -> "Disk":
        """A disk whose whole tree is durable, as after a boot."""
        disk = cls(root)
        disk.top = _read(root)
        return disk

    def node(self, path: Path) -> Node | None:
        node: Node | None = self.top
        for part in path.relative_to(self.root).parts:
            node = node.names.get(part) if isinstance(node, Folder) else None
        return node

    def folder(self, path: Path) -> Folder:
        node = self.node(path)
        assert isinstance(node, Folder), path
        return node

    def put(self, path: Path, node: Node) -> None:
        parent = self.folder(path.parent)
        parent.names[path.name] = node
        parent.changed()

    def take(self, path: Path) -> Node:
        parent = self.folder(path.parent)
        node = parent.names.pop(path.name)
        parent.changed()
        return node

    def move(self, source: Path, target: Path) -> None:
        """Moves a name. Within one directory this is one act, as rename(2) is."""
        if source.parent != target.parent:
            self.put(target, self.take(source))
            return
        parent = self.folder(source.parent)
        parent.names[target.name] = parent.names.pop(source.name)
        parent.changed()

    def folders(self) -> Iterator[Folder]:
        """The folders that durable or late names lead to."""
        seen: list[Folder] = []
        waiting = [self.top]
        while waiting:
            folder = waiting.pop()
            if any(folder is other for other in seen):
                continue
            seen.append(folder)
            yield folder
            for names in (folder.durable, *folder.late):
                waiting += [node for node in names.values() if isinstance(node, Folder)]


def _read(folder: Path) -> Folder:
    names: dict[str, Node] = {}
    for path in folder.iterdir():
        mode = path.lstat().st_mode & 0o777
        if path.is_symlink():
            names[path.name] = Link(os.readlink(path))
        elif path.is_dir():
            names[path.name] = _read(path)
        else:
            names[path.name] = File(mode, path.read_bytes(), path.read_bytes())
    return Folder(0o755, names, dict(names))


@dataclass(frozen=True)
class Cut:
    """Which late acts reached the disk: a share of each directory's, and the state of unsynced bytes."""

    reached: tuple[float, ...]
    bytes_kept: float

    def names(self, folder: Folder, index: int) -> dict[str, Node]:
        count = round(len(folder.late) * self.reached[index % len(self.reached)])
        return folder.late[count - 1] if count else folder.durable

    def content(self, file: File) -> bytes:
        if file.durable is not None and file.durable == file.written:
            return file.written
        durable = file.durable or b""
        if self.bytes_kept == 0:
            return durable
        stays = durable if file.written.startswith(durable) else b""  # a journal only grows, so its durable part stays
        added = file.written[len(stays) :]
        return stays + added[: round(len(added) * self.bytes_kept)]


def cuts() -> list[Cut]:
    """Cuts to try: no late act, all late acts, half of them, and each of two neighbours without the other."""
    shares: list[tuple[float, ...]] = [(0.0,), (1.0,), (0.5,), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 0.0)]
    return [Cut(share, bytes_kept) for share, bytes_kept in itertools.product(shares, (0.0, 0.5, 1.0))]


def lay_out(disk: Disk, cut: Cut, target: Path) -> str:
    """Writes the disk that this cut leaves below `target`. Returns a text that is different for different disks."""
    numbers = {id(folder): number for number, folder in enumerate(disk.folders())}
    lines: list[str] = []

    def write(folder: Folder, path: Path) -> None:
        path.mkdir(exist_ok=True)
        for name, node in sorted(cut.names(folder, numbers[id(folder)]).items()):
            _write_node(node, path / name)
        path.chmod(0o755)

    def _write_node(node: Node, path: Path) -> None:
        if isinstance(node, Folder):
            lines.append(f"{path.relative_to(target)}/")
            return write(node, path)
        if isinstance(node, Link):
            lines.append(f"{path.relative_to(target)} -> {node.target}")
            return path.symlink_to(node.target)
        content = cut.content(node)
        lines.append(f"{path.relative_to(target)} {len(content)} {hash(content)}")
        path.write_bytes(content)
        return path.chmod(node.mode)

    write(disk.top, target)
    return "\n".join(lines)


def wipe(target: Path) -> None:
    for folder, _, _ in os.walk(target):
        os.chmod(folder, 0o700)
    shutil.rmtree(target)
