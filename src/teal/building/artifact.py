"""What the build made: a file, or a whole directory. It is read once for the digests, and once to send it."""

import hashlib
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from teal.config.read import ConfigFile
from teal.ground.errors import ConfigError
from teal_host.wire import typed
from teal_host.wire.grammar import file_path
from teal_host.wire.manifest import Entry, Manifest, digest_of

_PIECE = 256 * 1024


@dataclass(frozen=True)
class Artifact:
    """`root` is the directory that the manifest's paths are relative to."""

    root: Path
    manifest: Manifest

    def pieces(self) -> Iterator[bytes]:
        """All bytes, in the order of the manifest."""
        for entry in self.manifest.entries:
            if entry.kind == "file":
                with (self.root / entry.path).open("rb") as file:
                    while piece := file.read(_PIECE):
                        yield piece


def find(file: ConfigFile, path: Path | None) -> Artifact:
    """The artifact at the path, or that of teal.toml. Raises ConfigError."""
    top = path.absolute() if path else _configured(file)
    if not top.exists():
        raise ConfigError(f"there is no artifact at {top}", hint=_missing_hint(file, path))
    artifact = read(top)
    _check_program(file.config.run.command[0], artifact)
    return artifact


def _missing_hint(file: ConfigFile, path: Path | None) -> str:
    if path:
        return "check the path"
    if file.config.build.command:
        return "does [build] command make it?"
    return (
        "build it first, or let teal deploy build it: [build] command in teal.toml; a script needs no build: put it "
        "into a directory, and name both: [build] artifact, [run] command"
    )


def read(path: Path) -> Artifact:
    """Read every file. Raises ConfigError for what cannot be shipped."""
    try:
        entries = _tree(path) if path.is_dir() else [_file(path, path.name)]
    except OSError as error:
        raise ConfigError(f"cannot read the artifact: {error.filename}: {error.strerror}") from None
    root = path if path.is_dir() else path.parent
    try:
        digest = digest_of(tuple(entries))
        return Artifact(root, typed.decode(Manifest, {"digest": digest, "entries": typed.encode(entries)}))
    except typed.Mistakes as mistakes:
        raise ConfigError(f"{path} cannot be shipped", [text for _, text in mistakes.mistakes]) from None


def _configured(file: ConfigFile) -> Path:
    if file.config.build.artifact is None:
        raise ConfigError(
            f"{file.path.name}: build.artifact: is missing",
            hint='say what to ship: [build] artifact = "dist/app", or --artifact PATH',
        )
    return file.directory / file.config.build.artifact


def _tree(top: Path) -> list[Entry]:
    """Files and directories by path. Links and devices are rejected: on the server they would lead elsewhere."""
    entries = []
    for path in sorted(top.rglob("*"), key=lambda path: path.relative_to(top).parts):
        name = path.relative_to(top).as_posix()
        if path.is_symlink():
            raise ConfigError(f"the artifact has a link: {name}", hint="ship the file itself (cp -L), or leave it out")
        if path.is_dir():
            entries.append(Entry(_checked_path(name), "dir"))
        else:
            entries.append(_file(path, name))
    if not any(entry.kind == "file" for entry in entries):
        raise ConfigError(f"the artifact {top} has no file in it", hint="does the build put its files there?")
    return entries


def _file(path: Path, name: str) -> Entry:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"the artifact has something that is not a regular file: {name}", hint="leave it out")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Entry(_checked_path(name), "file", status.st_size, digest, bool(status.st_mode & 0o111))


def _checked_path(name: str) -> str:
    complaint = file_path(name)
    if complaint:
        raise ConfigError(f"the artifact cannot be shipped: {complaint}")
    return name


def _check_program(program: str, artifact: Artifact) -> None:
    """A program that the release itself must hold is checked before anything is sent."""
    entries = {entry.path: entry for entry in artifact.manifest.entries}
    if not program.startswith("./"):
        if "/" not in program and program in entries and not shutil.which(program):
            raise ConfigError(
                f'run.command starts "{program}", which is looked for on PATH', hint=f'write "./{program}"'
            )
        return
    entry = entries.get(program[2:])
    if entry is None:
        names = ", ".join(list(entries)[:5])
        raise ConfigError(f'run.command starts "{program}", which is not in the artifact', [f"it holds: {names}"])
    if not entry.executable:
        raise ConfigError(f'run.command starts "{program}", which is not executable', hint=f"chmod +x {program[2:]}")
