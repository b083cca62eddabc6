"""The project that `teal init` detects, as values."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Project:
    """The values of a first teal.toml, and the reasons for them."""

    app: str
    language: str  # empty when unknown
    build: tuple[str, ...]  # empty: nothing to build
    build_env: tuple[tuple[str, str], ...]
    artifact: str
    command: tuple[str, ...]
    health_path: str
    verify_path: str  # empty: the sources show no path that returns the color
    data: bool
    notes: tuple[str, ...]  # a guess and its reason, one line each


class UnknownProgramError(ValueError):
    """The directory has no program of the requested name."""

    def __init__(self, program: str, known: Sequence[str]) -> None:
        self.program = program
        self.known = tuple(known)
        programs = f"the programs are: {', '.join(known)}" if known else "the directory has none"
        super().__init__(f"no program {program!r}; {programs}")
