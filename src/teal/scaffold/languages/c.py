"""C and C++ built by make. A Makefile can do anything, so the artifact is a guess, and the note says so."""

import re

from teal.scaffold.sources.kinds import MAKEFILES, C
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

CPP = (".cc", ".cpp", ".cxx", ".hpp")

VARIABLE = re.compile(
    r"(?m)^(?:TARGET|BIN|BINARY|PROG|PROGRAM|EXE|EXEC|EXECUTABLE|APP|OUT|OUTPUT)\s*[:?]?=\s*([\w./+-]+)\s*$"
)
ALL = re.compile(r"(?m)^all\s*:\s*([\w./+-]+)")
FIRST = re.compile(r"(?m)^(?!\.|(?:all|clean|default|build|install|test|run)\b)([\w./+-]+)\s*:(?!=)")
PHONY = frozenset({"all", "build", "default", "release", "clean"})


def language(tree: SourceTree) -> str:
    return "C++" if tree.ending(*CPP) else "C"


def recipe(tree: SourceTree) -> Recipe | None:
    manifest = tree.at_top(*MAKEFILES)
    if not manifest or not tree.ending(*C):
        return None
    target = _target(tree.text(manifest))
    artifact = target or tree.name
    reason = f"{manifest} seems to make {target}" if target else f"{manifest} names no program; a guess"
    program = ProgramRecipe(artifact, ("make",), artifact)
    return Recipe(language(tree), tree.name, (program,), C, notes=(f"artifact: {reason}, please check",))


def _target(text: str) -> str:
    targets = [match[1] for pattern in (VARIABLE, ALL, FIRST) if (match := pattern.search(text))]
    return next((name for name in targets if name not in PHONY and not name.endswith(".o")), "")
