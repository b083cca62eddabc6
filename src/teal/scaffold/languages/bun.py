"""Bun: one file, compiled with its runtime. A package.json alone may belong to Node, so Bun needs another sign."""

from teal.scaffold.languages.entry import entry_point
from teal.scaffold.sources.parse import jsonc, string, table
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

SIGNS = ("bun.lock", "bun.lockb", "bunfig.toml")
BUILD = ("bun", "build", "--compile", "--target=bun-linux-x64")
NOTE = "build: compiles for x64; write bun-linux-arm64 for a server with an ARM processor"


def recipe(tree: SourceTree) -> Recipe | None:
    manifest = jsonc(tree.text("package.json"))
    values = manifest or {}
    if not any(sign in tree.paths for sign in SIGNS) and not _mentions_bun(values):
        return None
    notes = ("package.json: teal init could not read it",) if manifest is None and "package.json" in tree.texts else ()
    entry = entry_point(tree, [string(values.get("module")), string(values.get("main"))])
    programs = (ProgramRecipe(entry, (*BUILD, "--outfile", "dist/app", entry), "dist/app"),) if entry else ()
    name = string(values.get("name")) or tree.name
    suffixes = (".ts", ".tsx", ".js", ".mjs")
    return Recipe("Bun", name, programs, suffixes, ("package.json",), notes=(*notes, NOTE))


def _mentions_bun(values: dict[str, object]) -> bool:
    dependencies = {**table(values, "dependencies"), **table(values, "devDependencies")}
    manager = string(values.get("packageManager"))
    return manager.startswith("bun@") or "@types/bun" in dependencies or "bun-types" in dependencies
