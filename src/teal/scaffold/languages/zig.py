"""Zig: what build.zig installs."""

import re

from teal.scaffold.recipe import Program, Recipe
from teal.scaffold.tree import Tree

EXECUTABLE = re.compile(r'addExecutable\(\s*\.\{[^;]{0,500}?\.name\s*=\s*"([^"\n]+)"')
NAME = re.compile(r'\.name\s*=\s*\.?@?"?([\w.-]+)')
CROSS = "build: for another processor than this one's add -Dtarget=x86_64-linux-musl or aarch64-linux-musl"


def recipe(tree: Tree) -> Recipe | None:
    if "build.zig" not in tree.texts:
        return None
    text = tree.text("build.zig")
    declared = NAME.search(tree.text("build.zig.zon"))
    name = declared[1] if declared else tree.name
    names = dict.fromkeys(EXECUTABLE.findall(text)) or {name: None}
    # With a preferred mode the option -Doptimize does not exist.
    mode = "--release" if "preferred_optimize_mode" in text else "-Doptimize=ReleaseSafe"
    programs = tuple(Program(each, ("zig", "build", mode), f"zig-out/bin/{each}") for each in names)
    return Recipe("Zig", name, programs, (".zig",), ("build.zig.zon",), notes=(CROSS,))
