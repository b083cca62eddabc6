"""Zig: the executables of build.zig."""

import re

from teal.scaffold.sources.parse import first
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

EXECUTABLE = re.compile(r'addExecutable\(\s*\.\{[^;]{0,500}?\.name\s*=\s*"([^"\n]+)"')
NAME = re.compile(r'\.name\s*=\s*\.?@?"?([\w.-]+)')
CROSS = "build: for a server with another processor, add -Dtarget=x86_64-linux-musl or aarch64-linux-musl"


def recipe(tree: SourceTree) -> Recipe | None:
    if "build.zig" not in tree.texts:
        return None
    text = tree.text("build.zig")
    name = first(NAME, tree.text("build.zig.zon"), tree.name)
    names = dict.fromkeys(EXECUTABLE.findall(text)) or {name: None}
    # A build.zig with a preferred mode has no option -Doptimize.
    mode = "--release" if "preferred_optimize_mode" in text else "-Doptimize=ReleaseSafe"
    programs = tuple(ProgramRecipe(target, ("zig", "build", mode), f"zig-out/bin/{target}") for target in names)
    return Recipe("Zig", name, programs, (".zig",), ("build.zig.zon",), notes=(CROSS,))
