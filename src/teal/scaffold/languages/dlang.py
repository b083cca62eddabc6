"""D: the one executable of a dub package. dub.json or dub.sdl describes it."""

import re
from pathlib import PurePosixPath

from teal.scaffold.sources.parse import jsonc, string
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

BUILD = ("dub", "build", "--build=release")
KEYS = ("name", "targetName", "targetPath", "targetType")
LIBRARIES = frozenset({"library", "sourceLibrary", "staticLibrary", "dynamicLibrary", "none"})


def recipe(tree: SourceTree) -> Recipe | None:
    manifest = tree.at_top("dub.json", "dub.sdl")
    if not manifest:
        return None
    values = _values(tree.text(manifest), manifest)
    notes = () if values else (f"{manifest}: teal init could not read it; the program gets the directory's name",)
    values = values or {}
    name = values.get("name") or tree.name
    program = ProgramRecipe(name, BUILD, _artifact(values, name))
    programs = () if values.get("targetType") in LIBRARIES else (program,)
    return Recipe("D", name, programs, (".d",), (manifest,), notes=notes)


def _values(text: str, manifest: str) -> dict[str, str] | None:
    if manifest == "dub.json":
        table = jsonc(text)
        return None if table is None else {key: string(table.get(key)) for key in KEYS}
    return dict(re.findall(r'(?m)^(\w+)\s+"([^"\n]+)"', text)) or None


def _artifact(values: dict[str, str], name: str) -> str:
    file = values.get("targetName") or name
    return str(PurePosixPath(values.get("targetPath") or ".") / file)
