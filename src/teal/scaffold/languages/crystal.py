"""Crystal: the targets of shard.yml."""

import re

from teal.scaffold.recipe import Program, Recipe
from teal.scaffold.tree import Tree

NAME = re.compile(r"(?m)^name:[ \t]*[\"']?([^\s\"'#]+)")
TARGETS = re.compile(r"(?m)^targets:[ \t]*\n((?:[ \t]+.*\n?|[ \t]*\n)+)")
TARGET = re.compile(r"(?m)^[ \t]+([\w.-]+):[ \t]*\n[ \t]+main:[ \t]*(\S+)")


def recipe(tree: Tree) -> Recipe | None:
    if "shard.yml" not in tree.texts:
        return None
    text = tree.text("shard.yml")
    declared = NAME.search(text)
    name = declared[1] if declared else tree.name
    block = TARGETS.search(text)
    targets = TARGET.findall(block[1]) if block else []
    programs = [_target(target, main) for target, main in targets] or _main(tree, name)
    return Recipe("Crystal", name, tuple(programs), (".cr",), ("shard.yml",))


def _target(name: str, main: str) -> Program:
    return Program(name, ("shards", "build", name, "--release"), f"bin/{name}", main)


def _main(tree: Tree, name: str) -> list[Program]:
    main = f"src/{name}.cr"
    program = Program(name, ("crystal", "build", "--release", main), name, main)
    return [program] if main in tree.paths else []
