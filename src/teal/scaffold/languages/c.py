"""C and C++ built by make. A Makefile can do anything, so what it leaves is a guess, and said to be one."""

import re

from teal.scaffold.recipe import Program, Recipe
from teal.scaffold.tree import Tree

SUFFIXES = (".c", ".h", ".cc", ".cpp", ".cxx", ".hpp")
CPP = (".cc", ".cpp", ".cxx", ".hpp")
FILES = ("GNUmakefile", "makefile", "Makefile")

VARIABLE = re.compile(
    r"(?m)^(?:TARGET|BIN|BINARY|PROG|PROGRAM|EXE|EXEC|EXECUTABLE|APP|OUT|OUTPUT)\s*[:?]?=\s*([\w./+-]+)\s*$"
)
ALL = re.compile(r"(?m)^all\s*:\s*([\w./+-]+)")
FIRST = re.compile(r"(?m)^(?!\.|(?:all|clean|default|build|install|test|run)\b)([\w./+-]+)\s*:(?!=)")
PHONY = frozenset({"all", "build", "default", "release", "clean"})


def language(tree: Tree) -> str:
    return "C++" if tree.ending(*CPP) else "C"


def recipe(tree: Tree) -> Recipe | None:
    manifest = next((name for name in FILES if name in tree.texts), None)
    if manifest is None or not tree.ending(*SUFFIXES):
        return None
    target = _target(tree.text(manifest))
    made = target or tree.name
    why = f"{manifest} seems to make {target}" if target else f"{manifest} names no program; a guess"
    program = Program(made, ("make",), made)
    return Recipe(language(tree), tree.name, (program,), SUFFIXES, notes=(f"artifact: {why}, please check",))


def _target(text: str) -> str:
    found = [match[1] for pattern in (VARIABLE, ALL, FIRST) if (match := pattern.search(text))]
    return next((name for name in found if name not in PHONY and not name.endswith(".o")), "")
