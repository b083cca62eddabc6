"""Deno: one file, compiled with its runtime."""

import re

from teal.scaffold.languages.entry import entry_point
from teal.scaffold.sources.parse import jsonc, string, table
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

SCRIPT = re.compile(r"\S+\.[jt]sx?\b")
BUILD = ("deno", "compile", "--allow-net", "--allow-env", "--allow-read", "--allow-write")
NOTE = "build: compiles for x86_64; write aarch64-unknown-linux-gnu for a server with an ARM processor"


def recipe(tree: SourceTree) -> Recipe | None:
    manifest = next((name for name in ("deno.json", "deno.jsonc") if name in tree.texts), None)
    if manifest is None:
        return None
    parsed = jsonc(tree.text(manifest))
    values = parsed or {}
    notes = (f"{manifest}: teal init could not read it",) if parsed is None else ()
    task = SCRIPT.findall(string(table(values, "tasks").get("start")))
    entry = entry_point(tree, [*task, string(values.get("exports"))])
    programs = (_program(entry),) if entry else ()
    name = string(values.get("name")) or tree.name
    return Recipe("Deno", name, programs, (".ts", ".tsx", ".js", ".mjs"), (manifest,), notes=(*notes, NOTE))


def _program(entry: str) -> ProgramRecipe:
    build = (*BUILD, "--target", "x86_64-unknown-linux-gnu", "-o", "dist/app", entry)
    return ProgramRecipe(entry, build, "dist/app")
