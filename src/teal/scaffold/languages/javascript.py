"""JavaScript and TypeScript: Deno and Bun compile one file with their runtime.

A package.json alone may belong to Node, so Bun needs another sign.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from teal.scaffold.sources.kinds import JAVASCRIPT
from teal.scaffold.sources.parse import Table, jsonc, string, table
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

BUN_SIGNS = ("bun.lock", "bun.lockb", "bunfig.toml")
BUN = ("bun", "build", "--compile", "--target=bun-linux-x64", "--outfile", "dist/app")
BUN_NOTE = "build: compiles for x64; write bun-linux-arm64 for a server with an ARM processor"
DENO_SCRIPT = re.compile(r"(?<!\S)\S+\.[jt]sx?\b")
DENO = (
    *("deno", "compile", "--allow-net", "--allow-env", "--allow-read", "--allow-write"),
    *("--target", "x86_64-unknown-linux-gnu", "-o", "dist/app"),
)
DENO_NOTE = "build: compiles for x86_64; write aarch64-unknown-linux-gnu for a server with an ARM processor"
ENTRY_POINTS = tuple(
    f"{folder}{stem}.{suffix}"
    for folder in ("", "src/")
    for stem in ("main", "server", "index", "app", "mod")
    for suffix in ("ts", "tsx", "js", "mjs")
)


def deno(tree: SourceTree) -> Recipe | None:
    manifest = tree.at_top("deno.json", "deno.jsonc")
    if not manifest:
        return None
    values, notes = _values(tree, manifest)
    task = DENO_SCRIPT.findall(string(table(values, "tasks").get("start")))
    programs = _programs(tree, [*task, string(values.get("exports"))], DENO)
    return Recipe("Deno", _name(tree, values), programs, JAVASCRIPT, (manifest,), notes=(*notes, DENO_NOTE))


def bun(tree: SourceTree) -> Recipe | None:
    values, notes = _values(tree, "package.json")
    if not tree.paths.intersection(BUN_SIGNS) and not _mentions_bun(values):
        return None
    programs = _programs(tree, [string(values.get("module")), string(values.get("main"))], BUN)
    return Recipe("Bun", _name(tree, values), programs, JAVASCRIPT, ("package.json",), notes=(*notes, BUN_NOTE))


def _values(tree: SourceTree, manifest: str) -> tuple[Table, tuple[str, ...]]:
    """The values of a manifest, and a note if they cannot be read."""
    values = jsonc(tree.text(manifest))
    unreadable = values is None and manifest in tree.texts
    return values or {}, (f"{manifest}: teal init could not read it",) if unreadable else ()


def _name(tree: SourceTree, values: Table) -> str:
    return string(values.get("name")) or tree.name


def _programs(tree: SourceTree, candidates: Iterable[str], build: tuple[str, ...]) -> tuple[ProgramRecipe, ...]:
    """The program of the first candidate or usual entry point that the tree has."""
    paths = [str(PurePosixPath(candidate)) for candidate in candidates if candidate]
    entry = next((path for path in (*paths, *ENTRY_POINTS) if path in tree.paths), None)
    return (ProgramRecipe(entry, (*build, entry), "dist/app"),) if entry else ()


def _mentions_bun(values: Table) -> bool:
    dependencies = {**table(values, "dependencies"), **table(values, "devDependencies")}
    manager = string(values.get("packageManager"))
    return manager.startswith("bun@") or "@types/bun" in dependencies or "bun-types" in dependencies
