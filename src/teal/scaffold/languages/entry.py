"""Where a JavaScript or TypeScript program begins."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from teal.scaffold.tree import Tree

USUAL = tuple(
    f"{place}{stem}.{ending}"
    for place in ("", "src/")
    for stem in ("main", "server", "index", "app", "mod")
    for ending in ("ts", "tsx", "js", "mjs")
)


def entry_point(tree: Tree, named: Iterable[str]) -> str:
    """The first of these that is there; empty when none is."""
    plain = [str(PurePosixPath(name)) for name in named if name]
    return next((path for path in (*plain, *USUAL) if path in tree.paths), "")
