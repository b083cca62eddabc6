"""C and C++ built by CMake: what add_executable names."""

import re
from pathlib import PurePosixPath

from teal.scaffold.languages import ranks
from teal.scaffold.languages.c import SUFFIXES, language
from teal.scaffold.recipe import Program, Recipe
from teal.scaffold.tree import Tree

PROJECT = re.compile(r"(?mi)^[ \t]*project\s*\(\s*\"?([\w.+-]+)")
EXECUTABLE = re.compile(r"(?mi)^[ \t]*add_executable\s*\(\s*([\w.+${}-]+)(?!\s+(?:ALIAS|IMPORTED)\b)")
BUILD = ("sh", "-c", "cmake -S . -B build -DCMAKE_BUILD_TYPE=Release && cmake --build build --parallel")


def recipe(tree: Tree) -> Recipe | None:
    if "CMakeLists.txt" not in tree.texts:
        return None
    declared = PROJECT.search(tree.text("CMakeLists.txt"))
    project = declared[1] if declared else tree.name
    targets = [found for path in tree.named("CMakeLists.txt") for found in _targets(tree, path, project)]
    programs = tuple(_program(place, name) for place, name in sorted(targets, key=_rank))
    return Recipe(language(tree), project, programs, SUFFIXES, ("CMakeLists.txt",))


def _targets(tree: Tree, path: str, project: str) -> list[tuple[PurePosixPath, str]]:
    place = PurePosixPath(path).parent
    written = EXECUTABLE.findall(tree.text(path))
    names = [re.sub(r"\$\{(?:CMAKE_)?PROJECT_NAME\}", project, name) for name in written]
    return [(place, name) for name in names if "$" not in name]


def _rank(target: tuple[PurePosixPath, str]) -> tuple[bool, int, int]:
    place, name = target
    return ranks.aside(f"{place}/{name}"), len(place.parts), ranks.serverlike(name)


def _program(place: PurePosixPath, name: str) -> Program:
    return Program(name, BUILD, str("build" / place / name))
