"""How a project is built, as values. Every module in languages/ returns them."""

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class ProgramRecipe:
    """How a single program is built and run."""

    name: str  # what a user types to pick the program
    build: tuple[str, ...]
    artifact: str
    home: str = ""  # the directory or file of this program alone
    app: str = ""  # a better name for the app than the recipe's
    start: str = ""  # the executable inside a directory artifact

    @property
    def executable(self) -> str:
        return "./" + (self.start or PurePosixPath(self.artifact).name)


@dataclass(frozen=True)
class Recipe:
    """What the manifests of one language say about a directory."""

    language: str
    name: str
    programs: tuple[ProgramRecipe, ...]  # best guess first
    suffixes: tuple[str, ...] = ()  # of the sources that can show flags and paths
    manifests: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
