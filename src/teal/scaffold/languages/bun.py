"""Bun: one file, compiled with its runtime. A package.json without a sign of Bun is not Bun's."""

from teal.scaffold.languages.entry import entry_point
from teal.scaffold.parse import jsonc, string, table
from teal.scaffold.recipe import Program, Recipe
from teal.scaffold.tree import Tree

SIGNS = ("bun.lock", "bun.lockb", "bunfig.toml")
BUILD = ("bun", "build", "--compile", "--target=bun-linux-x64")
NOTE = "build: made for x64; write bun-linux-arm64 for a server with an ARM processor"


def recipe(tree: Tree) -> Recipe | None:
    found = jsonc(tree.text("package.json"))
    values = found or {}
    if not any(sign in tree.paths for sign in SIGNS) and not _mentioned(values):
        return None
    said = ("package.json: it could not be read",) if found is None and "package.json" in tree.texts else ()
    entry = entry_point(tree, [string(values.get("module")), string(values.get("main"))])
    programs = (Program(entry, (*BUILD, "--outfile", "dist/app", entry), "dist/app"),) if entry else ()
    name = string(values.get("name")) or tree.name
    suffixes = (".ts", ".tsx", ".js", ".mjs")
    return Recipe("Bun", name, programs, suffixes, ("package.json",), notes=(*said, NOTE))


def _mentioned(values: dict[str, object]) -> bool:
    types = {**table(values, "dependencies"), **table(values, "devDependencies")}
    manager = string(values.get("packageManager"))
    return manager.startswith("bun@") or "@types/bun" in types or "bun-types" in types
