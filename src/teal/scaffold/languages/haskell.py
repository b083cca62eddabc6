"""Haskell: the executables of a *.cabal file."""

import re
from pathlib import PurePosixPath

from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

EXECUTABLE = re.compile(r"(?mi)^executable\s+(\S+)")
COPY = ("--installdir=dist", "--install-method=copy", "--overwrite-policy=always")


def recipe(tree: SourceTree) -> Recipe | None:
    manifest = tree.at_top(".cabal")
    if not manifest:
        return None
    programs = tuple(map(_program, EXECUTABLE.findall(tree.text(manifest))))
    return Recipe("Haskell", PurePosixPath(manifest).stem, programs, (".hs",), (manifest,))


def _program(name: str) -> ProgramRecipe:
    return ProgramRecipe(name, ("cabal", "install", f"exe:{name}", *COPY), f"dist/{name}")
