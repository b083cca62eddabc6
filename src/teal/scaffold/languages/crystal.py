"""Crystal: the targets of shard.yml."""

import re

from teal.scaffold.sources.parse import first
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

NAME = re.compile(r"(?m)^name:[ \t]*[\"']?([^\s\"'#]+)")
TARGETS = re.compile(r"(?m)^targets:[ \t]*\n((?:[ \t]+.*\n?|[ \t]*\n)+)")
TARGET = re.compile(r"(?m)^[ \t]+([\w.-]+):[ \t]*\n[ \t]+main:[ \t]*(\S+)")


def recipe(tree: SourceTree) -> Recipe | None:
    if "shard.yml" not in tree.texts:
        return None
    text = tree.text("shard.yml")
    name = first(NAME, text, tree.name)
    targets = TARGET.findall(first(TARGETS, text))
    programs = [_target_program(target, main) for target, main in targets] or _main_program(tree, name)
    return Recipe("Crystal", name, tuple(programs), (".cr",), ("shard.yml",))


def _target_program(name: str, main: str) -> ProgramRecipe:
    return ProgramRecipe(name, ("shards", "build", name, "--release"), f"bin/{name}", main)


def _main_program(tree: SourceTree, name: str) -> list[ProgramRecipe]:
    main = f"src/{name}.cr"
    program = ProgramRecipe(name, ("crystal", "build", "--release", main), name, main)
    return [program] if main in tree.paths else []
