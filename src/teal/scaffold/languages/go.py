"""Go: every directory with a `package main` that defines `func main`."""

import re
from pathlib import PurePosixPath

from teal.scaffold.languages import ranks
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

PACKAGE_MAIN = re.compile(r"(?m)^package\s+main\b")
FUNC_MAIN = re.compile(r"(?m)^func\s+main\s*\(\s*\)")
IGNORED = re.compile(r"(?m)^//go:build\s.*\b(?:ignore|tools)\b")
OTHER_SYSTEM = re.compile(r"_(?:test|windows|darwin|js|wasm)\.go$")
MODULE = re.compile(r"""(?m)^module\s+(?:\(\s*)?["`]?([^\s"'`()]+)""")
CGO = re.compile(r'(?m)^import\s+"C"|^[ \t]+"C"[ \t]*$')
CGO_SQLITE = re.compile(
    r"(?m)^(?:import[ \t]+|require[ \t]+|[ \t]+)(?:[\w.]+[ \t]+)?\"?"
    r"(?:github\.com/mattn/go-sqlite3|gorm\.io/driver/sqlite)\b(?!.*// indirect)"
)

BUILD = ("go", "build", "-trimpath", "-ldflags=-s -w", "-o", "dist/app")
TARGET = (("GOOS", "linux"), ("GOARCH", "{goarch}"))
STATIC = ("CGO_ENABLED", "0")


def recipe(tree: SourceTree) -> Recipe | None:
    mains = _mains(tree)
    has_module = "go.mod" in tree.texts or (mains and "go.mod" in tree.above)
    if not has_module and "." not in mains:
        return None
    name, notes = _name(tree)
    cgo = _cgo(tree)
    ranked = sorted(mains, key=lambda home: _rank(home, name))
    return Recipe(
        "Go",
        name,
        tuple(map(_program, ranked)),
        suffixes=(".go",),
        manifests=("go.mod",),
        env=TARGET if cgo else (*TARGET, STATIC),
        notes=(*notes, *cgo),
    )


def _mains(tree: SourceTree) -> set[str]:
    homes = {str(PurePosixPath(path).parent) for path in tree.ending(".go") if _defines_main(path, tree)}
    return {home for home in homes if not _is_foreign(home, tree)}


def _defines_main(path: str, tree: SourceTree) -> bool:
    text = tree.text(path)
    for_linux = not OTHER_SYSTEM.search(path) and not IGNORED.search(text)
    return bool(for_linux and PACKAGE_MAIN.search(text) and FUNC_MAIN.search(text))


def _is_foreign(home: str, tree: SourceTree) -> bool:
    """A directory with a go.mod of its own belongs to another module."""
    folders = (PurePosixPath(home), *PurePosixPath(home).parents)
    return any(f"{folder}/go.mod" in tree.paths for folder in folders if str(folder) != ".")


def _name(tree: SourceTree) -> tuple[str, tuple[str, ...]]:
    if "go.mod" not in tree.texts:
        missing = () if "go.mod" in tree.above else ("go.mod: the file is missing; run go mod init first",)
        return tree.name, missing
    match = MODULE.search(tree.text("go.mod"))
    if not match:
        return tree.name, ("go.mod: the file has no module line; the app gets the directory's name",)
    return _last_element(match[1]) or tree.name, ()


def _last_element(module: str) -> str:
    """`example.com/shop/v2` and `gopkg.in/shop.v2` are both `shop`."""
    parts = [part for part in module.split("/") if part]
    if len(parts) > 1 and re.fullmatch(r"v\d+", parts[-1]):
        parts.pop()
    return re.sub(r"\.v\d+$", "", parts[-1]) if parts else ""


def _rank(home: str, name: str) -> tuple[int, int, int, str]:
    usual_homes = [f"cmd/{name}", "cmd", "."]
    if home in usual_homes:
        return usual_homes.index(home), 0, 0, home
    group = 5 if ranks.is_auxiliary(home) else 3 if home.startswith("cmd/") else 4
    return group, ranks.server_rank(PurePosixPath(home).name), home.count("/"), home


def _program(home: str) -> ProgramRecipe:
    package = "." if home == "." else f"./{home}"
    return ProgramRecipe(home, (*BUILD, package), "dist/app", home)


def _cgo(tree: SourceTree) -> tuple[str, ...]:
    texts = [tree.text("go.mod"), *map(tree.text, tree.ending(".go"))]
    reasons = [
        *['import "C"'] * any(CGO.search(text) for text in texts),
        *["the SQLite driver mattn/go-sqlite3"] * any(CGO_SQLITE.search(text) for text in texts),
    ]
    if not reasons:
        return ()
    return (
        f"build: {' and '.join(reasons)} needs cgo, so build.env leaves out CGO_ENABLED=0; "
        "for a server with another processor, set CC to a C compiler for that processor",
    )
