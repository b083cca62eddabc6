"""Nim: the `bin` of a *.nimble file."""

import re
from pathlib import PurePosixPath

from teal.scaffold.sources.parse import first, quoted
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

BIN = re.compile(r"(?m)^[ \t]*bin\s*=\s*@\[([^\[\]]*)\]")
BIN_DIR = re.compile(r'(?m)^[ \t]*binDir\s*=\s*"([^"\n]+)"')
BUILD = ("nimble", "-y", "build", "-d:release")


def recipe(tree: SourceTree) -> Recipe | None:
    manifest = tree.at_top(".nimble")
    if not manifest:
        return None
    text = tree.text(manifest)
    names = [name for block in BIN.findall(text) for name in quoted(block)]
    folder = PurePosixPath(first(BIN_DIR, text))
    programs = tuple(ProgramRecipe(name, BUILD, str(folder / name)) for name in names)
    return Recipe("Nim", PurePosixPath(manifest).stem, programs, (".nim",), (manifest,))
