"""OCaml: the executables of dune files."""

import re
from pathlib import PurePosixPath

from teal.scaffold.languages import ranks
from teal.scaffold.sources.parse import first
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

PROJECT = re.compile(r"(?m)^\(name\s+([^\s()]+)\)")
EXECUTABLE = re.compile(r"\(executables?\b[^)]{0,500}\(names?\s+([^()]+)\)")


def recipe(tree: SourceTree) -> Recipe | None:
    if "dune-project" not in tree.texts:
        return None
    name = first(PROJECT, tree.text("dune-project"), tree.name)
    targets = [target for path in tree.named("dune") for target in _targets(path, tree.text(path))]
    programs = tuple(map(_program, sorted(targets, key=ranks.is_auxiliary)))
    return Recipe("OCaml", name, programs, (".ml",), ("dune-project",))


def _targets(path: str, text: str) -> list[str]:
    folder = PurePosixPath(path).parent
    return [str(folder / f"{name}.exe") for names in EXECUTABLE.findall(text) for name in names.split()]


def _program(target: str) -> ProgramRecipe:
    build = ("dune", "build", "--profile", "release", f"./{target}")
    return ProgramRecipe(target.removesuffix(".exe"), build, f"_build/default/{target}")
