"""The entry point of a JavaScript or TypeScript program."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from teal.scaffold.sources.tree import SourceTree

DEFAULTS = tuple(
    f"{folder}{stem}.{suffix}"
    for folder in ("", "src/")
    for stem in ("main", "server", "index", "app", "mod")
    for suffix in ("ts", "tsx", "js", "mjs")
)


def entry_point(tree: SourceTree, candidates: Iterable[str]) -> str:
    """The first candidate or default that the tree has, or an empty text."""
    paths = [str(PurePosixPath(candidate)) for candidate in candidates if candidate]
    return next((path for path in (*paths, *DEFAULTS) if path in tree.paths), "")
