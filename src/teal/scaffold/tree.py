"""What a directory holds, read once and within bounds, so that all deciding after it is pure."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from teal.scaffold.kinds import depth, is_text, worth
from teal.scaffold.walk import entries, is_file, walk

FILES = 400
BYTES = 2_000_000
BYTES_OF_ONE = 256_000  # a longer source is generated, and its head tells enough

CARGO_SETTINGS = (".cargo/config.toml", ".cargo/config")
BUILT_IN = ("dist", "bin", "build")
STARTS_ABOVE = {"go.mod": "module", "Cargo.toml": "[workspace"}


@dataclass(frozen=True)
class Tree:
    """A snapshot: every name, the text of what is worth reading."""

    name: str
    paths: frozenset[str]
    texts: Mapping[str, str]
    above: Mapping[str, str]  # manifests higher up in the same repository
    built: tuple[str, ...]  # executables that are already there
    complete: bool

    def text(self, path: str) -> str:
        return self.texts.get(path, "")

    def named(self, *names: str) -> list[str]:
        """Texts with one of these file names, shallow ones first."""
        return sorted((p for p in self.texts if PurePosixPath(p).name in names), key=depth)

    def ending(self, *suffixes: str) -> list[str]:
        return sorted((p for p in self.texts if p.endswith(suffixes)), key=depth)


def read(directory: Path) -> Tree:
    root = directory.resolve()
    paths = frozenset(walk(root))
    wanted = sorted(filter(is_text, paths), key=worth)
    beside = {f".cargo/{entry.name}" for entry in entries(root / ".cargo") if is_file(entry)}
    settings = sorted(beside.intersection(CARGO_SETTINGS))
    texts = _texts(root, [*settings, *wanted][:FILES])
    complete = all(path in texts for path in wanted)
    return Tree(root.name, paths, texts, _above(root), _built(root), complete)


def _texts(root: Path, paths: Iterable[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    left = BYTES
    for path in paths:
        if left > 0:
            data = head(root / path, min(left, BYTES_OF_ONE))
            texts[path] = data.decode("utf-8-sig", "replace").replace("\r\n", "\n")
            left -= len(data)
    return texts


def head(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""


def _above(root: Path) -> dict[str, str]:
    """A Go module or a Cargo workspace may begin higher up, but not outside the repository."""
    line = [root, *root.parents]
    top = next((n for n, place in enumerate(line) if os.access(place / ".git", os.F_OK)), 0)
    texts = [(name, _texts(place, [name]).get(name, "")) for place in line[top:0:-1] for name in STARTS_ABOVE]
    return {name: text for name, text in texts if STARTS_ABOVE[name] in text}


def _built(root: Path) -> tuple[str, ...]:
    found = [entry for name in BUILT_IN for entry in entries(root / name) if _is_program(entry)]
    return tuple(Path(entry.path).relative_to(root).as_posix() for entry in found)


def _is_program(entry: os.DirEntry[str]) -> bool:
    runs = is_file(entry) and os.access(entry.path, os.X_OK)
    return runs and ".so" not in Path(entry.name).suffixes and head(Path(entry.path), 4) == b"\x7fELF"
