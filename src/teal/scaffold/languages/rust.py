"""Rust: the binaries of a package, or of all packages of a workspace."""

from teal.scaffold.languages import ranks
from teal.scaffold.languages.cargo import Binary, Package, binaries, packages
from teal.scaffold.parse import Table, string, table, toml
from teal.scaffold.recipe import Program, Recipe
from teal.scaffold.tree import CARGO_SETTINGS, Tree

SUFFIXES = (".rs",)
PORTABLE = "x86_64-unknown-linux-musl"


def recipe(tree: Tree) -> Recipe | None:
    if "Cargo.toml" not in tree.texts:
        return None
    top = toml(tree.text("Cargo.toml"))
    return _broken(tree) if top is None else _readable(tree, top)


def _readable(tree: Tree, top: Table) -> Recipe:
    members = packages(tree, top)
    found = [binary for package in members for binary in binaries(tree, package)]
    programs = tuple(_program(tree, binary) for binary in _unique(sorted(found, key=_rank)))
    manifests = ("Cargo.toml", *(package.at("Cargo.toml") for package in members))
    name = string(table(top, "package").get("name")) or tree.name
    notes = _portability(tree) if programs else ()
    return Recipe("Rust", name, programs, SUFFIXES, manifests, notes=notes)


def _broken(tree: Tree) -> Recipe:
    """The usual file still tells that there is a program, and the directory how it may be called."""
    note = "Cargo.toml: it could not be read; the program's name is the directory's, please check it"
    package = Package(".", tree.name, {})
    programs = tuple(_program(tree, binary) for binary in binaries(tree, package))
    return Recipe("Rust", tree.name, programs, SUFFIXES, notes=(note,))


def _rank(binary: Binary) -> tuple[bool, bool, bool, int, str]:
    package = binary.package
    default = string(table(package.manifest, "package").get("default-run"))
    return (
        ranks.aside(f"{package.home}/{binary.name}"),
        package.home != ".",
        binary.name != (default or package.name),
        ranks.serverlike(binary.name),
        binary.name,
    )


def _unique(ranked: list[Binary]) -> list[Binary]:
    """Two members may use one name; Cargo would write both to the same place."""
    names = [binary.name for binary in ranked]
    return [binary for n, binary in enumerate(ranked) if binary.name not in names[:n]]


def _program(tree: Tree, binary: Binary) -> Program:
    member = ("-p", binary.package.name) if binary.package.home != "." else ()
    features = ("--features", ",".join(binary.features)) if binary.features else ()
    here = ("--target-dir", "target") if "Cargo.toml" in tree.above else ()
    build = ("cargo", "build", "--release", *member, "--bin", binary.name, *features, *here)
    artifact = f"{_made_in(tree, bool(here))}/release/{binary.name}"
    return Program(binary.name, build, artifact, binary.path, binary.package.name)


def _made_in(tree: Tree, here: bool) -> str:
    settings = _settings(tree)
    target = "target" if here else string(settings.get("target-dir")) or "target"
    triple = string(settings.get("target"))
    return f"{target}/{triple}" if triple else target


def _settings(tree: Tree) -> Table:
    """Cargo reads the one without an ending first."""
    found = [toml(tree.text(path)) for path in reversed(CARGO_SETTINGS) if path in tree.texts]
    return table(found[0], "build") if found else {}


def _portability(tree: Tree) -> tuple[str, ...]:
    if string(_settings(tree).get("target")):
        return ()
    return (
        "build: links against the C library of this machine; for a server with an older one add "
        f"--target {PORTABLE} (the artifact is then below target/{PORTABLE})",
    )
