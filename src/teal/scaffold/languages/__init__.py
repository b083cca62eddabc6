"""One module a language; each gives its recipe for a tree, or None when the tree is not its own."""

from collections.abc import Callable

from teal.scaffold.languages import (
    bun,
    c,
    cmake,
    crystal,
    deno,
    dlang,
    dotnet,
    go,
    haskell,
    nim,
    ocaml,
    prebuilt,
    rust,
    swift,
    zig,
)
from teal.scaffold.recipe import Recipe
from teal.scaffold.tree import Tree

# A manifest that only one language uses comes before one that many do.
FINDERS: tuple[Callable[[Tree], Recipe | None], ...] = (
    go.recipe,
    rust.recipe,
    zig.recipe,
    crystal.recipe,
    nim.recipe,
    dlang.recipe,
    swift.recipe,
    dotnet.recipe,
    haskell.recipe,
    ocaml.recipe,
    deno.recipe,
    bun.recipe,
    cmake.recipe,
    c.recipe,
    prebuilt.recipe,
)


def recipe(tree: Tree) -> Recipe | None:
    """The first with something to run; else the first that knows the language at all."""
    found = [recipe for finder in FINDERS if (recipe := finder(tree))]
    return next((recipe for recipe in found if recipe.programs), found[0] if found else None)
