"""One module per language or family. Each returns the recipe of a tree, or None when the tree holds no such project."""

from collections.abc import Callable

from teal.scaffold.languages import (
    c,
    crystal,
    dlang,
    dotnet,
    go,
    haskell,
    javascript,
    nim,
    ocaml,
    prebuilt,
    rust,
    swift,
    zig,
)
from teal.scaffold.sources.recipe import Recipe
from teal.scaffold.sources.tree import SourceTree

# Manifests of a single language come first; manifests that several languages share come last.
DETECTORS: tuple[Callable[[SourceTree], Recipe | None], ...] = (
    go.recipe, rust.recipe, zig.recipe, crystal.recipe, nim.recipe, dlang.recipe, swift.recipe, dotnet.recipe,
    haskell.recipe, ocaml.recipe, javascript.deno, javascript.bun, c.cmake, c.make, prebuilt.recipe,
)  # fmt: skip


def recipe(tree: SourceTree) -> Recipe | None:
    """The first recipe with a program, else the first recipe."""
    recipes = [recipe for detector in DETECTORS if (recipe := detector(tree))]
    return next((recipe for recipe in recipes if recipe.programs), recipes[0] if recipes else None)
