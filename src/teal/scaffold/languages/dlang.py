"""D: one executable a dub package, described in dub.json or dub.sdl."""

import re
from pathlib import PurePosixPath

from teal.scaffold.parse import jsonc, string
from teal.scaffold.recipe import Program, Recipe
from teal.scaffold.tree import Tree

BUILD = ("dub", "build", "--build=release")
KEYS = ("name", "targetName", "targetPath", "targetType")
LIBRARIES = frozenset({"library", "sourceLibrary", "staticLibrary", "dynamicLibrary", "none"})


def recipe(tree: Tree) -> Recipe | None:
    manifest = next((name for name in ("dub.json", "dub.sdl") if name in tree.texts), None)
    if manifest is None:
        return None
    values = _values(tree.text(manifest), manifest)
    said = () if values else (f"{manifest}: it could not be read; the program's name is the directory's",)
    values = values or {}
    name = values.get("name") or tree.name
    program = Program(name, BUILD, _artifact(values, name))
    programs = () if values.get("targetType") in LIBRARIES else (program,)
    return Recipe("D", name, programs, (".d",), (manifest,), notes=said)


def _values(text: str, manifest: str) -> dict[str, str] | None:
    if manifest == "dub.json":
        table = jsonc(text)
        return None if table is None else {key: string(table.get(key)) for key in KEYS}
    return dict(re.findall(r'(?m)^(\w+)\s+"([^"\n]+)"', text)) or None


def _artifact(values: dict[str, str], name: str) -> str:
    file = values.get("targetName") or name
    return str(PurePosixPath(values.get("targetPath") or ".") / file)
