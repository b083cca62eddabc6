"""How one language builds its programs, as values that every language module makes."""

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Program:
    """One thing that can be built and run."""

    name: str  # how a user picks it
    build: tuple[str, ...]
    artifact: str
    home: str = ""  # the directory or file that belongs to this program alone
    app: str = ""  # a better name than the recipe's
    start: str = ""  # what runs inside a directory artifact

    @property
    def executable(self) -> str:
        return "./" + (self.start or PurePosixPath(self.artifact).name)


@dataclass(frozen=True)
class Recipe:
    """What a directory's manifest says, in one language."""

    language: str
    name: str
    programs: tuple[Program, ...]  # best guess first
    suffixes: tuple[str, ...] = ()  # of the sources worth reading for flags and paths
    manifests: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
