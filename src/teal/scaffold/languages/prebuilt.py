"""A program that something else has already built."""

from pathlib import PurePosixPath

from teal.scaffold.recipe import Program, Recipe
from teal.scaffold.tree import Tree


def recipe(tree: Tree) -> Recipe | None:
    if len(tree.built) != 1:
        return None
    artifact = tree.built[0]
    program = Program(PurePosixPath(artifact).name, (), artifact)
    note = f"artifact: {artifact} is already built; build.command can say how, so that a deploy builds it"
    return Recipe("", tree.name, (program,), notes=(note,))
