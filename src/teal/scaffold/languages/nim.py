"""Nim: the `bin` of a *.nimble file."""

import re
from pathlib import PurePosixPath

from teal.scaffold.parse import quoted
from teal.scaffold.recipe import Program, Recipe
from teal.scaffold.tree import Tree

BIN = re.compile(r"(?m)^[ \t]*bin\s*=\s*@\[([^\]]*)\]")
BIN_DIR = re.compile(r'(?m)^[ \t]*binDir\s*=\s*"([^"\n]+)"')
BUILD = ("nimble", "-y", "build", "-d:release")


def recipe(tree: Tree) -> Recipe | None:
    manifest = next((path for path in tree.ending(".nimble") if "/" not in path), None)
    if manifest is None:
        return None
    text = tree.text(manifest)
    names = [name for block in BIN.findall(text) for name in quoted(block)]
    place = BIN_DIR.search(text)
    directory = f"{place[1]}/" if place else ""
    programs = tuple(Program(name, BUILD, f"{directory}{name}") for name in names)
    return Recipe("Nim", PurePosixPath(manifest).stem, programs, (".nim",), (manifest,))
