"""Nim: the `bin` of a *.nimble file."""

import re
from pathlib import PurePosixPath

from teal.scaffold.sources.parse import quoted
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

BIN = re.compile(r"(?m)^[ \t]*bin\s*=\s*@\[([^\]]*)\]")
BIN_DIR = re.compile(r'(?m)^[ \t]*binDir\s*=\s*"([^"\n]+)"')
BUILD = ("nimble", "-y", "build", "-d:release")


def recipe(tree: SourceTree) -> Recipe | None:
    manifest = next((path for path in tree.ending(".nimble") if "/" not in path), None)
    if manifest is None:
        return None
    text = tree.text(manifest)
    names = [name for block in BIN.findall(text) for name in quoted(block)]
    bin_dir = BIN_DIR.search(text)
    directory = f"{bin_dir[1]}/" if bin_dir else ""
    programs = tuple(ProgramRecipe(name, BUILD, f"{directory}{name}") for name in names)
    return Recipe("Nim", PurePosixPath(manifest).stem, programs, (".nim",), (manifest,))
