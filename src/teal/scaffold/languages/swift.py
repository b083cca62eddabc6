"""Swift: the executables of Package.swift."""

import re

from teal.scaffold.sources.parse import first
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

PACKAGE = re.compile(r'Package\(\s*name:\s*"([^"\n]+)"')
PRODUCT = re.compile(r'\.executable\(\s*name:\s*"([^"\n]+)"')
TARGET = re.compile(r'\.executableTarget\(\s*name:\s*"([^"\n]+)"')
BUILD = ("swift", "build", "-c", "release", "--static-swift-stdlib", "--product")


def recipe(tree: SourceTree) -> Recipe | None:
    if "Package.swift" not in tree.texts:
        return None
    text = tree.text("Package.swift")
    programs = tuple(map(_program, dict.fromkeys(PRODUCT.findall(text) or TARGET.findall(text))))
    return Recipe("Swift", first(PACKAGE, text, tree.name), programs, (".swift",), ("Package.swift",))


def _program(name: str) -> ProgramRecipe:
    return ProgramRecipe(name, (*BUILD, name), f".build/release/{name}", f"Sources/{name}")
