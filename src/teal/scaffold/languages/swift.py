"""Swift: the executables of Package.swift."""

import re

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
    declared = PACKAGE.search(text)
    names = dict.fromkeys(PRODUCT.findall(text) or TARGET.findall(text))
    programs = tuple(_program(name) for name in names)
    return Recipe("Swift", declared[1] if declared else tree.name, programs, (".swift",), ("Package.swift",))


def _program(name: str) -> ProgramRecipe:
    return ProgramRecipe(name, (*BUILD, name), f".build/release/{name}", f"Sources/{name}")
