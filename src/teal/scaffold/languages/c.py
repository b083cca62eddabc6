"""C and C++, built by CMake or by make.

A Makefile can do anything, so its artifact is a guess, and the note says so.
"""

import re
from pathlib import PurePosixPath

from teal.scaffold.languages import ranks
from teal.scaffold.sources.kinds import MAKEFILES, C
from teal.scaffold.sources.parse import first
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

CPP = (".cc", ".cpp", ".cxx", ".hpp")

PROJECT = re.compile(r"(?mi)^[ \t]*project\s*\(\s*\"?([\w.+-]+)")
EXECUTABLE = re.compile(r"(?mi)^[ \t]*add_executable\s*\(\s*([\w.+${}-]+)(?!\s+(?:ALIAS|IMPORTED)\b)")
CMAKE = ("sh", "-c", "cmake -S . -B build -DCMAKE_BUILD_TYPE=Release && cmake --build build --parallel")

VARIABLE = re.compile(
    r"(?m)^(?:TARGET|BIN|BINARY|PROG|PROGRAM|EXE|EXEC|EXECUTABLE|APP|OUT|OUTPUT)\s*[:?]?=\s*([\w./+-]+)\s*$"
)
ALL = re.compile(r"(?m)^all\s*:\s*([\w./+-]+)")
FIRST = re.compile(r"(?m)^(?!\.|(?:all|clean|default|build|install|test|run)\b)([\w./+-]+)\s*:(?!=)")
PHONY = frozenset({"all", "build", "default", "release", "clean"})


def cmake(tree: SourceTree) -> Recipe | None:
    """The targets of add_executable."""
    if "CMakeLists.txt" not in tree.texts:
        return None
    project = first(PROJECT, tree.text("CMakeLists.txt"), tree.name)
    targets = [target for path in tree.named("CMakeLists.txt") for target in _targets(tree, path, project)]
    programs = tuple(_program(folder, name) for folder, name in sorted(targets, key=_rank))
    return Recipe(_language(tree), project, programs, C, ("CMakeLists.txt",))


def make(tree: SourceTree) -> Recipe | None:
    manifest = tree.at_top(*MAKEFILES)
    if not manifest or not tree.ending(*C):
        return None
    target = _made(tree.text(manifest))
    artifact = target or tree.name
    reason = f"{manifest} seems to make {target}" if target else f"{manifest} names no program; a guess"
    program = ProgramRecipe(artifact, ("make",), artifact)
    return Recipe(_language(tree), tree.name, (program,), C, notes=(f"artifact: {reason}, please check",))


def _language(tree: SourceTree) -> str:
    return "C++" if tree.ending(*CPP) else "C"


def _targets(tree: SourceTree, path: str, project: str) -> list[tuple[PurePosixPath, str]]:
    folder = PurePosixPath(path).parent
    declared = EXECUTABLE.findall(tree.text(path))
    names = [re.sub(r"\$\{(?:CMAKE_)?PROJECT_NAME\}", project, name) for name in declared]
    return [(folder, name) for name in names if "$" not in name]


def _rank(target: tuple[PurePosixPath, str]) -> tuple[bool, int, int]:
    folder, name = target
    return ranks.is_auxiliary(f"{folder}/{name}"), len(folder.parts), ranks.server_rank(name)


def _program(folder: PurePosixPath, name: str) -> ProgramRecipe:
    return ProgramRecipe(name, CMAKE, str("build" / folder / name))


def _made(text: str) -> str:
    """The program that a Makefile seems to make."""
    targets = [match[1] for pattern in (VARIABLE, ALL, FIRST) if (match := pattern.search(text))]
    return next((name for name in targets if name not in PHONY and not name.endswith(".o")), "")
