"""An executable that another tool has built."""

from pathlib import PurePosixPath

from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree


def recipe(tree: SourceTree) -> Recipe | None:
    if len(tree.built) != 1:
        return None
    artifact = tree.built[0]
    program = ProgramRecipe(PurePosixPath(artifact).name, (), artifact)
    note = f"artifact: {artifact} is already built; set build.command to let each deploy build it"
    return Recipe("", tree.name, (program,), notes=(note,))
