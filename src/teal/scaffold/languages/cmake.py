"""C and C++ built by CMake: the targets of add_executable."""

import re
from pathlib import PurePosixPath

from teal.scaffold.languages import ranks
from teal.scaffold.languages.c import language
from teal.scaffold.sources.kinds import C
from teal.scaffold.sources.parse import first
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

PROJECT = re.compile(r"(?mi)^[ \t]*project\s*\(\s*\"?([\w.+-]+)")
EXECUTABLE = re.compile(r"(?mi)^[ \t]*add_executable\s*\(\s*([\w.+${}-]+)(?!\s+(?:ALIAS|IMPORTED)\b)")
BUILD = ("sh", "-c", "cmake -S . -B build -DCMAKE_BUILD_TYPE=Release && cmake --build build --parallel")


def recipe(tree: SourceTree) -> Recipe | None:
    if "CMakeLists.txt" not in tree.texts:
        return None
    project = first(PROJECT, tree.text("CMakeLists.txt"), tree.name)
    targets = [target for path in tree.named("CMakeLists.txt") for target in _targets(tree, path, project)]
    programs = tuple(_program(folder, name) for folder, name in sorted(targets, key=_rank))
    return Recipe(language(tree), project, programs, C, ("CMakeLists.txt",))


def _targets(tree: SourceTree, path: str, project: str) -> list[tuple[PurePosixPath, str]]:
    folder = PurePosixPath(path).parent
    declared = EXECUTABLE.findall(tree.text(path))
    names = [re.sub(r"\$\{(?:CMAKE_)?PROJECT_NAME\}", project, name) for name in declared]
    return [(folder, name) for name in names if "$" not in name]


def _rank(target: tuple[PurePosixPath, str]) -> tuple[bool, int, int]:
    folder, name = target
    return ranks.is_auxiliary(f"{folder}/{name}"), len(folder.parts), ranks.server_rank(name)


def _program(folder: PurePosixPath, name: str) -> ProgramRecipe:
    return ProgramRecipe(name, BUILD, str("build" / folder / name))
