"""Reads a directory once and within bounds, so that every later decision is pure."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from teal.ground import files
from teal.scaffold.sources.kinds import depth, is_text, read_order
from teal.scaffold.sources.walk import entries, is_file, walk

MAX_FILES = 400
MAX_BYTES = 2_000_000
MAX_BYTES_PER_FILE = 256_000  # a longer source is generated code

CARGO_SETTINGS = (".cargo/config.toml", ".cargo/config")
BUILD_FOLDERS = ("dist", "bin", "build")
ROOT_MANIFESTS = {"go.mod": "module", "Cargo.toml": "[workspace"}


@dataclass(frozen=True)
class SourceTree:
    """A snapshot of a directory: every path, and the text of manifests and sources."""

    name: str
    paths: frozenset[str]
    texts: Mapping[str, str]
    above: Mapping[str, str]  # manifests higher up in the same repository
    built: tuple[str, ...]  # executables that a build has left
    complete: bool

    def text(self, path: str) -> str:
        return self.texts.get(path, "")

    def named(self, *names: str) -> list[str]:
        """Paths of the texts with one of these file names, shallow paths first."""
        return sorted((p for p in self.texts if PurePosixPath(p).name in names), key=depth)

    def at_top(self, *endings: str) -> str:
        """The manifest at the top that has the first of these names or suffixes, or an empty text."""
        top = sorted(path for path in self.texts if "/" not in path)
        return next((path for ending in endings for path in top if path.endswith(ending)), "")

    def ending(self, *suffixes: str) -> list[str]:
        return sorted((p for p in self.texts if p.endswith(suffixes)), key=depth)


def read(directory: Path) -> SourceTree:
    root = directory.resolve()
    paths = frozenset(walk(root))
    readable = sorted(filter(is_text, paths), key=read_order)
    hidden = {f".cargo/{entry.name}" for entry in entries(root / ".cargo") if is_file(entry)}
    settings = sorted(hidden.intersection(CARGO_SETTINGS))
    texts = _texts(root, [*settings, *readable][:MAX_FILES])
    complete = all(path in texts for path in readable)
    return SourceTree(root.name, paths, texts, _above(root), _built(root), complete)


def _texts(root: Path, paths: Iterable[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    remaining = MAX_BYTES
    for path in paths:
        if remaining > 0:
            data = head(root / path, min(remaining, MAX_BYTES_PER_FILE))
            texts[path] = data.decode("utf-8-sig", "replace").replace("\r\n", "\n")
            remaining -= len(data)
    return texts


def head(path: Path, size: int) -> bytes:
    try:
        return files.read_beginning(path, size)
    except OSError:
        return b""


def _above(root: Path) -> dict[str, str]:
    """Manifests of a Go module or a Cargo workspace in the parent directories, within the repository."""
    folders = [root, *root.parents]
    top = next((n for n, folder in enumerate(folders) if os.access(folder / ".git", os.F_OK)), 0)
    texts = [(name, _texts(folder, [name]).get(name, "")) for folder in folders[top:0:-1] for name in ROOT_MANIFESTS]
    return {name: text for name, text in texts if ROOT_MANIFESTS[name] in text}


def _built(root: Path) -> tuple[str, ...]:
    executables = [entry for name in BUILD_FOLDERS for entry in entries(root / name) if _is_program(entry)]
    return tuple(Path(entry.path).relative_to(root).as_posix() for entry in executables)


def _is_program(entry: os.DirEntry[str]) -> bool:
    executable = is_file(entry) and os.access(entry.path, os.X_OK)
    return executable and ".so" not in Path(entry.name).suffixes and head(Path(entry.path), 4) == b"\x7fELF"
