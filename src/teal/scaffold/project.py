"""What `teal init` found out, as values."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Project:
    """All that a first teal.toml says, and why."""

    app: str
    language: str  # empty when unknown
    build: tuple[str, ...]  # empty: nothing to build
    build_env: tuple[tuple[str, str], ...]
    artifact: str
    command: tuple[str, ...]
    health_path: str
    verify_path: str  # empty: no page is known that tells the color
    data: bool
    notes: tuple[str, ...]  # what was guessed and why, one line each


@dataclass(frozen=True)
class Choice:
    """The programs a directory can build, best guess first."""

    language: str
    programs: tuple[str, ...]


class UnknownProgramError(ValueError):
    """The program asked for is not among those found."""

    def __init__(self, program: str, known: Sequence[str]) -> None:
        self.program = program
        self.known = tuple(known)
        there = f"there are: {', '.join(known)}" if known else "none was found here"
        super().__init__(f"no program {program!r}; {there}")
